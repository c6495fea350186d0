#include "loss/clipped.h"

rh_status rh_clipped_shape(rh_call *c, int64_t stats, rh_spec *out) {
    for (int i = 0; i < 3; i++) {
        RH_TRY(rh_want_rank(c, i, 1));
        RH_TRY(rh_want_size(c, i, 0, c->in[0]->shape[0]));
    }
    if (!(c->opt[RH_CLIP].f > 0))
        return rh_fail(c->ctx, RH_EARG, RH_OPTION(RH_CLIP), "clip %g: above 0 wanted",
                       c->opt[RH_CLIP].f);
    c->n_out = 2;
    out[0] = rh_spec_make(RH_F32, 0, NULL);
    out[1] = rh_spec_make(RH_F32, 1, &stats);
    return RH_OK;
}

double rh_clipped_divisor(const rh_call *c) {
    int64_t n = c->in[0]->shape[0];
    return c->opt[RH_DIVIDE].given ? c->opt[RH_DIVIDE].f : n > 0 ? (double)n : 1.0;
}
