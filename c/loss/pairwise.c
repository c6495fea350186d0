/* pairwise_loss: the reward model's loss over ranked pairs of scores.
 *     loss = sum over pairs p of w_p (-log sigmoid(s[better_p] - s[worse_p] - margin_p)
 *                                     + center (s[better_p] + s[worse_p])^2)
 * With w_p = 1 / (pairs of p's prompt * prompts), each prompt weighs the same (InstructGPT). Each score
 * comes from one forward, however many pairs it is in. Few numbers: plain loops, in double. */
#include <math.h>
#include <string.h>

#include "loss/rows.h"

enum { SCORES, BETTER, WORSE, WEIGHTS, MARGINS };
enum { CENTER };

static rh_status check_index(rh_call *c, int i) {
    const int64_t *at = rh_i64(c->in[i]), limit = c->in[SCORES]->shape[0];
    for (int64_t p = 0, n = c->in[i]->shape[0]; p < n; p++)
        if (at[p] < 0 || at[p] >= limit)
            return rh_fail(c->ctx, RH_EARG, i, "score %lld of pair %lld: 0 to %lld wanted",
                           (long long)at[p], (long long)p + 1, (long long)limit - 1);
    return RH_OK;
}

static rh_status shape(rh_call *c, rh_spec *out) {
    for (int i = SCORES; i <= MARGINS; i++) {
        if (!c->in[i]) continue;
        RH_TRY(rh_want_rank(c, i, 1));
        if (i > BETTER) RH_TRY(rh_want_size(c, i, 0, c->in[BETTER]->shape[0]));
    }
    RH_TRY(check_index(c, BETTER));
    RH_TRY(check_index(c, WORSE));
    out[0] = rh_spec_make(RH_F32, 0, NULL);
    return RH_OK;
}

/* One pair's numbers. */
typedef struct pair {
    int64_t better, worse;
    double weight, gap, sum; /* gap: better - worse - margin */
} pair;

static pair pair_at(const rh_call *c, int64_t p) {
    const float *s = rh_f32(c->in[SCORES]);
    pair r = {.better = rh_i64(c->in[BETTER])[p], .worse = rh_i64(c->in[WORSE])[p]};
    r.weight = c->in[WEIGHTS] ? rh_f32(c->in[WEIGHTS])[p] : 1.0 / (double)c->in[BETTER]->shape[0];
    r.gap = (double)s[r.better] - s[r.worse] - (c->in[MARGINS] ? rh_f32(c->in[MARGINS])[p] : 0.0);
    r.sum = (double)s[r.better] + s[r.worse];
    return r;
}

/* -log sigmoid(x) without overflow on either side */
static double softplus_of_minus(double x) {
    return x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
}

static rh_status forward(rh_call *c) {
    double loss = 0;
    for (int64_t p = 0, n = c->in[BETTER]->shape[0]; p < n; p++) {
        pair r = pair_at(c, p);
        loss += r.weight * (softplus_of_minus(r.gap) + c->opt[CENTER].f * r.sum * r.sum);
    }
    *rh_f32(c->out[0]) = (float)loss;
    return RH_OK;
}

static rh_status backward(rh_back *b) {
    rh_call *c = b->call;
    rh_tensor *to = b->gin[SCORES];
    if (!to) return RH_OK;
    if (!b->accumulate[SCORES]) memset(rh_f32(to), 0, (size_t)to->shape[0] * sizeof(float));
    double g = *rh_f32(b->gout[0]);
    for (int64_t p = 0, n = c->in[BETTER]->shape[0]; p < n; p++) {
        pair r = pair_at(c, p);
        double push = -1.0 / (1.0 + exp(r.gap)), centre = 2 * c->opt[CENTER].f * r.sum;
        rh_f32(to)[r.better] += (float)(g * r.weight * (push + centre));
        rh_f32(to)[r.worse] += (float)(g * r.weight * (centre - push));
    }
    return RH_OK;
}

static const char *const samples[] = {"f[4] i<4[5] i<4[5] c[5] c[5]; {center = 0.1}",
                                      "f[4] i<4[3] i<4[3]", "f[1] i<1[1] i<1[1]; {center = 0.5}",
                                      "f[3] i<3[0] i<3[0] c[0]", NULL};

const rh_row rh_rows_pairwise[] = {
    {.name = "pairwise_loss",
     .inputs = "scores:f better:i worse:i weights:c? margins:c?",
     .options = "f:center=0",
     .save = RH_SAVE_ALL_IN,
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "scores [n], pairs better[p], worse[p] of them: sum of weights[p] (mean without weights) * "
            "(-log sigmoid(better - worse - margins[p]) + center * (better + worse)^2)"},
    {0}};
