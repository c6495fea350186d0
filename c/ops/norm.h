/* Normalization over rows of plain memory, on the thread pool; for the rows here and for fused ones.
 * Gradients of weights are summed in fixed blocks of rows, then block by block in order. */
#ifndef RH_OPS_NORM_H
#define RH_OPS_NORM_H

#include "base/context.h"

/* x, y [rows,d]; weight, bias [d] or NULL. mean and rstd [rows] are left for backward; NULL for both
 * when there will be none. */
void rh_layer_norm_forward(int64_t rows, int64_t d, const float *x, const float *weight,
                           const float *bias, float eps, float *y, float *mean, float *rstd);
void rh_rms_norm_forward(int64_t rows, int64_t d, const float *x, const float *weight, float eps,
                         float *y, float *rstd);

/* Where gradients go; each may be NULL. */
typedef struct rh_norm_grad {
    float *x;      /* [rows,d]; may be dy */
    bool add_x;
    float *weight; /* [d] */
    bool add_weight;
    float *bias;   /* [d]; layer norm only */
    bool add_bias;
} rh_norm_grad;

/* Floats of scratch for a backward (0: pass NULL). */
int64_t rh_norm_scratch(int64_t rows, int64_t d, const rh_norm_grad *to);
void rh_layer_norm_backward(int64_t rows, int64_t d, const float *dy, const float *x,
                            const float *weight, const float *mean, const float *rstd,
                            const rh_norm_grad *to, float *scratch);
void rh_rms_norm_backward(int64_t rows, int64_t d, const float *dy, const float *x,
                          const float *weight, const float *rstd, const rh_norm_grad *to,
                          float *scratch);

#endif
