/* Losses over one row of v classes, or over a range of elements. A distribution is given by its logits
 * x, their maximum and log_sum = log of the sum of e^(x - max): log p = x - max - log_sum keeps its
 * digits however large the logits are. */
#ifndef RH_OPS_KERNELS_LOSS_H
#define RH_OPS_KERNELS_LOSS_H

#include "ops/kernels/isa.h"

typedef struct rh_loss_row {
    const float *x; /* [v] */
    float max, log_sum;
} rh_loss_row;

typedef struct rh_loss_kernels {
    float (*max)(int64_t v, const float *x);
    /* sum of e^(x - max) */
    float (*exp_sum)(int64_t v, const float *x, float max);
    /* sum of x - max */
    float (*sum_below)(int64_t v, const float *x, float max);
    /* out = scale p + shift, or +=; out may be x */
    void (*softmax)(int64_t v, const rh_loss_row *row, float scale, float shift, float *out,
                    bool accumulate);
    /* sum of q (log q - log p) */
    double (*kl)(int64_t v, const rh_loss_row *p, const rh_loss_row *q);
    /* its gradients times scale: dp = p - q, dq = q (log q - log p - kl); either may be NULL */
    void (*kl_back)(int64_t v, const rh_loss_row *p, const rh_loss_row *q, float kl, float scale,
                    float *dp, bool add_p, float *dq, bool add_q);
    /* sum of (a - b)^2, and da = 2 scale (a - b), or += */
    double (*squares)(int64_t n, const float *a, const float *b);
    void (*squares_back)(int64_t n, const float *a, const float *b, float scale, float *da,
                         bool accumulate);
    /* sum of -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), and its gradients times scale */
    double (*bce)(int64_t n, const float *x, const float *t);
    void (*bce_back)(int64_t n, const float *x, const float *t, float scale, float *dx, bool accumulate);
    void (*bce_back_target)(int64_t n, const float *x, float scale, float *dt, bool accumulate);
} rh_loss_kernels;

#endif
