/* value_loss: PPO's value loss over the places of a minibatch that have a value.
 *     loss = 1/2 sum of max((v - R)^2, (clip(v, V - clip, V + clip) - R)^2) / divide
 * with V the value at the rollout and R the return. */
#include <math.h>

#include "loss/clipped.h"
#include "loss/rows.h"

enum { VALUES, OLD, RETURNS };
enum { CLIPFRAC, ERROR, STATS };

static rh_status shape(rh_call *c, rh_spec *out) { return rh_clipped_shape(c, STATS, out); }

typedef struct place {
    double error, loss; /* error of the plain value; loss without the half */
    bool clipped;       /* the clipped branch is the larger loss */
    double slope;       /* d loss / d value, without the half */
} place;

static place place_at(const rh_call *c, int64_t i) {
    double v = rh_f32(c->in[VALUES])[i], old = rh_f32(c->in[OLD])[i];
    double bounded = fmin(fmax(v, old - c->opt[RH_CLIP].f), old + c->opt[RH_CLIP].f);
    double error = v - rh_f32(c->in[RETURNS])[i], other = bounded - rh_f32(c->in[RETURNS])[i];
    place p = {.error = error, .clipped = other * other > error * error};
    p.loss = p.clipped ? other * other : error * error;
    p.slope = p.clipped && bounded != v ? 0 : 2 * error;
    return p;
}

static rh_status forward(rh_call *c) {
    int64_t n = c->in[VALUES]->shape[0];
    double loss = 0, clipped = 0, error = 0;
    for (int64_t i = 0; i < n; i++) {
        place p = place_at(c, i);
        loss += p.loss;
        clipped += p.clipped;
        error += p.error * p.error;
    }
    double count = n > 0 ? (double)n : 1.0;
    *rh_f32(c->out[0]) = (float)(0.5 * loss / rh_clipped_divisor(c));
    rh_f32(c->out[1])[CLIPFRAC] = (float)(clipped / count);
    rh_f32(c->out[1])[ERROR] = (float)(error / count);
    return RH_OK;
}

static rh_status backward(rh_back *b) {
    rh_call *c = b->call;
    double g = 0.5 * *rh_f32(b->gout[0]) / rh_clipped_divisor(c);
    for (int64_t i = 0, n = c->in[VALUES]->shape[0]; i < n; i++) {
        float d = (float)(g * place_at(c, i).slope), *to = rh_f32(b->gin[VALUES]) + i;
        *to = b->accumulate[VALUES] ? *to + d : d;
    }
    return RH_OK;
}

static const char *const samples[] = {"f[6] c[6] c[6]; {clip = 0.6}", "f[5] c[5] c[5]; {divide = 3}",
                                      "f[1] c[1] c[1]", "f[0] c[0] c[0]", NULL};

const rh_row rh_rows_value[] = {
    {.name = "value_loss",
     .inputs = "values:f old:c returns:c",
     .options = "f:clip=0.2 f:divide=?",
     .flags = RH_MULTI | RH_ONLY_FIRST,
     .save = RH_SAVE_ALL_IN,
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "PPO's clipped value loss of places [M], divided by M or `divide`; also {share clipped, mean "
            "squared error} [2]"},
    {0}};
