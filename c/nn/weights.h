/* Weights side by side: q, k and v, or gate and up, whose products stand next to each other in a row.
 * They are parameters of their own (they have names of their own in model folders) that usually lie one
 * after another in memory; then they are one product. Used by the recorded row fused_linear and by
 * generation sessions. Rests on ops/linear.h. */
#ifndef RH_NN_WEIGHTS_H
#define RH_NN_WEIGHTS_H

#include "ops/linear.h"

enum { RH_WEIGHTS = 3 };

/* Part i writes columns [at[i], at[i] + part[i].out) of y. */
typedef struct rh_weights {
    int n;
    rh_linear part[RH_WEIGHTS];
    int64_t at[RH_WEIGHTS];
    int64_t out; /* columns in all */
} rh_weights;

/* Puts a weight (f32 or bf16, [out,in], or [in,out] with in_out) and its bias, which may be NULL, at the
 * right; borrows both. */
void rh_weights_add(rh_weights *w, const rh_tensor *weight, const rh_tensor *bias, bool in_out);
/* The same products in as few parts as the weights' places in memory allow. */
rh_weights rh_weights_joined(const rh_weights *w);

/* *scratch: what products over n rows need; NULL where that is nothing. */
rh_status rh_weights_scratch(rh_ctx *ctx, const rh_weights *w, int64_t n, float **scratch);
/* y [n,out] = x [n,in] times each weight, plus biases */
void rh_weights_forward(const rh_weights *w, int64_t n, const float *x, float *y, float *scratch);

/* to[i] += from[i], on the thread pool: a residual */
void rh_add_all(float *to, const float *from, int64_t n);

#endif
