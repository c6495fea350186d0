/* Normalization of one row of d floats. x, y, dx may be the same memory. */
#ifndef RH_OPS_KERNELS_NORM_H
#define RH_OPS_KERNELS_NORM_H

#include "ops/kernels/isa.h"

typedef struct rh_norm_kernels {
    /* y = (x - mean) rstd w + b; w and b may be NULL. Leaves mean and rstd. */
    void (*layer)(int64_t d, const float *x, const float *w, const float *b, float eps, float *y,
                  float *mean, float *rstd);
    /* dx = (or +=) the gradient; dw += dy xhat and db += dy where not NULL; dx may be NULL. */
    void (*layer_back)(int64_t d, const float *dy, const float *x, const float *w, float mean, float rstd,
                       float *dx, bool accumulate, float *dw, float *db);
    /* y = x rstd w */
    void (*rms)(int64_t d, const float *x, const float *w, float eps, float *y, float *rstd);
    void (*rms_back)(int64_t d, const float *dy, const float *x, const float *w, float rstd, float *dx,
                     bool accumulate, float *dw);
    /* dst += src */
    void (*add)(int64_t d, float *dst, const float *src);
} rh_norm_kernels;

#endif
