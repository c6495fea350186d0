/* policy_loss: PPO's clipped objective over the tokens of a minibatch.
 *     r = exp(logp - old),  loss = sum of max(-A r, -A clip(r, 1 - clip, 1 + clip)) / divide
 * Tokens stand end to end, so a mean over them is a mean over real tokens alone. */
#include <math.h>
#include <string.h>

#include "loss/clipped.h"
#include "loss/rows.h"

enum { LOGP, OLD, ADVANTAGES };
enum { APPROXKL, CLIPFRAC, RATIO, WORST, STATS };

static rh_status shape(rh_call *c, rh_spec *out) { return rh_clipped_shape(c, STATS, out); }

typedef struct token {
    double ratio, difference, advantage;
    bool clipped; /* the clipped branch is the larger loss */
    double loss;
} token;

static token token_at(const rh_call *c, int64_t i) {
    double clip = c->opt[RH_CLIP].f;
    token t = {.difference = (double)rh_f32(c->in[LOGP])[i] - rh_f32(c->in[OLD])[i],
               .advantage = rh_f32(c->in[ADVANTAGES])[i]};
    t.ratio = exp(t.difference);
    double plain = -t.advantage * t.ratio;
    double bounded = -t.advantage * fmin(fmax(t.ratio, 1 - clip), 1 + clip);
    t.clipped = bounded > plain;
    t.loss = t.clipped ? bounded : plain;
    return t;
}

static rh_status forward(rh_call *c) {
    int64_t n = c->in[LOGP]->shape[0];
    double loss = 0, stats[STATS] = {0};
    for (int64_t i = 0; i < n; i++) {
        token t = token_at(c, i);
        loss += t.loss;
        stats[APPROXKL] += 0.5 * t.difference * t.difference;
        stats[CLIPFRAC] += t.clipped;
        stats[RATIO] += t.ratio;
        stats[WORST] = fmax(stats[WORST], fabs(t.ratio - 1));
    }
    *rh_f32(c->out[0]) = (float)(loss / rh_clipped_divisor(c));
    for (int k = 0; k < STATS; k++)
        rh_f32(c->out[1])[k] = (float)(k == WORST || n == 0 ? stats[k] : stats[k] / (double)n);
    return RH_OK;
}

/* Inside the bounds, and where both branches are equal, the gradient is the plain branch's. */
static rh_status backward(rh_back *b) {
    rh_call *c = b->call;
    double g = *rh_f32(b->gout[0]) / rh_clipped_divisor(c);
    for (int64_t i = 0, n = c->in[LOGP]->shape[0]; i < n; i++) {
        token t = token_at(c, i);
        float d = t.clipped ? 0.0f : (float)(-g * t.advantage * t.ratio);
        float *to = rh_f32(b->gin[LOGP]) + i;
        *to = b->accumulate[LOGP] ? *to + d : d;
    }
    return RH_OK;
}

static const char *const samples[] = {"f[6] c[6] c[6]; {clip = 0.6}", "f[5] c[5] c[5]; {divide = 3}",
                                      "f[1] c[1] c[1]", "f[0] c[0] c[0]", NULL};

const rh_row rh_rows_policy[] = {
    {.name = "policy_loss",
     .inputs = "logp:f old:c advantages:c",
     .options = "f:clip=0.2 f:divide=?",
     .flags = RH_MULTI | RH_ONLY_FIRST,
     .save = RH_SAVE_ALL_IN,
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "PPO's clipped policy loss of tokens [M], divided by M or `divide`; also {mean of half the "
            "squared log-ratio, share clipped, mean ratio, largest |ratio - 1|} [4]"},
    {0}};
