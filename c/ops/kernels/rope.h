/* Rotary position embedding of one token. */
#ifndef RH_OPS_KERNELS_ROPE_H
#define RH_OPS_KERNELS_ROPE_H

#include "ops/kernels/isa.h"

typedef struct rh_rope_kernels {
    /* cos[i], sin[i] of position * frequency[i], the product rounded to f32 as torch does. Right to 1e-7
     * for products up to 2^31. */
    void (*angles)(int64_t half, float position, const float *frequency, float *cos, float *sin);
    /* out = x [2 half] with each pair (x[i], x[i + half]) turned by its angle, or by minus it (`sign` -1);
     * or +=. out may be x. */
    void (*rotate)(int64_t half, const float *x, const float *cos, const float *sin, float sign,
                   float *out, bool accumulate);
} rh_rope_kernels;

#endif
