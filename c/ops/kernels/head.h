/* Passes over rows of logits; bound by the caches, since a chunk's logits were just written. */
#ifndef RH_OPS_KERNELS_HEAD_H
#define RH_OPS_KERNELS_HEAD_H

#include "ops/kernels/isa.h"

typedef struct rh_head_kernels {
    /* largest of x[n], n >= 1; nan where x has one */
    float (*largest)(const float *x, int64_t n);
    /* sum of exp(x[i] - shift): f32 lanes over blocks, double across them */
    double (*sum_exp)(const float *x, int64_t n, float shift);
    /* sum of exp(x[i] - lse) * x[i], likewise: the mean logit under the distribution */
    double (*mean_logit)(const float *x, int64_t n, float lse);
    /* x[i] = scale * exp(x[i] - lse) */
    void (*softmax)(float *x, int64_t n, float lse, float scale);
    /* x[i] = p (slope - tilt x[i]) with p = exp(x[i] - lse) */
    void (*tilted)(float *x, int64_t n, float lse, float slope, float tilt);
    /* sum of p (log p - log q), p = exp(a[i] - lse_a), q = exp(b[i] - lse_b) */
    double (*divergence)(const float *a, const float *b, int64_t n, float lse_a, float lse_b);
    /* dst[i] (+)= factor * src[i] */
    void (*put_scaled)(float *dst, const float *src, int64_t n, float factor, bool accumulate);
} rh_head_kernels;

#endif
