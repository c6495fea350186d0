/* Passes of an optimizer over flat memory; bound by memory: 28 bytes move for each parameter. */
#ifndef RH_OPS_KERNELS_OPTIM_H
#define RH_OPS_KERNELS_OPTIM_H

#include "ops/kernels/isa.h"

/* The numbers of one step for one parameter, worked out in double by the caller. */
typedef struct rh_adamw_step {
    float keep;       /* 1 - lr * weight_decay */
    float beta1, beta2;
    float grad_scale; /* clipping's factor */
    float size;       /* lr / (1 - beta1^t) */
    float root;       /* 1 / sqrt(1 - beta2^t) */
    float eps;
} rh_adamw_step;

typedef struct rh_optim_kernels {
    /* p = keep p;  m += (1-beta1)(g-m);  v = beta2 v + (1-beta2) g^2;  p -= size m / (sqrt(v) root + eps) */
    void (*adamw)(float *p, const float *g, float *m, float *v, int64_t n,
                  const rh_adamw_step *step);
    /* sum of x^2: f32 lanes over blocks, double across them */
    double (*sum_of_squares)(const float *x, int64_t n);
} rh_optim_kernels;

#endif
