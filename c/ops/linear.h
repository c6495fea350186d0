/* Every product with a weight: y = x W^T + b, and back. Rests on gemm.h. The weight may be f32 or bf16
 * (what is computed is f32 either way) and stored [out,in], as most models do, or [in,out], as GPT-2
 * does. A range of a weight's outputs is a weight: rh_linear_outputs. */
#ifndef RH_OPS_LINEAR_H
#define RH_OPS_LINEAR_H

#include "tensor/tensor.h"

typedef enum rh_layout { RH_OUT_IN, RH_IN_OUT } rh_layout;

typedef struct rh_linear {
    const void *weight; /* borrows; [out,in] or [in,out] */
    rh_dtype dtype;     /* RH_F32 or RH_BF16 */
    rh_layout layout;
    int64_t in, out;
    int64_t ld;         /* elements between the weight's stored rows */
    const float *bias;  /* borrows; [out] or NULL */
    bool trained;       /* false: rh_linear_grads does nothing */
} rh_linear;

/* Where the gradients of a weight go; either may be NULL. */
typedef struct rh_linear_grad {
    float *weight; /* as the weight is stored, distance `ld` between rows */
    bool add_weight;
    float *bias;   /* [out] */
    bool add_bias;
} rh_linear_grad;

/* A dense weight. */
rh_linear rh_linear_make(const void *weight, rh_dtype dtype, rh_layout layout, int64_t in,
                         int64_t out, const float *bias);
/* Outputs [first, first + count) of l: the q of a fused q,k,v. */
rh_linear rh_linear_outputs(const rh_linear *l, int64_t first, int64_t count);

/* Floats of scratch that the next two need for n rows (0: pass NULL). */
int64_t rh_linear_scratch(const rh_linear *l, int64_t n);
/* y [n,out] = x [n,in] W^T + b; ldx and ldy are the distances between rows. */
void rh_linear_forward(const rh_linear *l, int64_t n, const float *x, int64_t ldx, float *y,
                       int64_t ldy, float *scratch);
/* dx [n,in] = dy [n,out] W, or += */
void rh_linear_backward(const rh_linear *l, int64_t n, const float *dy, int64_t lddy, float *dx,
                        int64_t lddx, bool accumulate, float *scratch);
/* dW = dy^T x, db = column sums of dy, or +=; only if l is trained. */
void rh_linear_grads(const rh_linear *l, int64_t n, const float *x, int64_t ldx, const float *dy,
                     int64_t lddy, const rh_linear_grad *to);

/* out [cols] = sum over rows of x [rows,cols], or +=. In fixed blocks of rows. */
void rh_column_sums(int64_t rows, int64_t cols, const float *x, int64_t ldx, float *out,
                    bool accumulate);

#endif
