/* Products in which one side has few rows: one token or a handful of them against a weight. They are
 * bound by reading the weight, which a general product packs into another buffer first; these read it
 * once, in f32 or bf16. */
#ifndef RH_OPS_KERNELS_GEMM_H
#define RH_OPS_KERNELS_GEMM_H

#include "ops/kernels/isa.h"

typedef struct rh_gemm_few {
    int64_t m, n, k;
    float alpha, beta;              /* beta = 0 does not read C */
    const float *x;                 /* X [m,k] */
    int64_t x_row, x_k;             /* distances between its rows, and along k */
    const void *w;                  /* W, f32 or bf16 */
    int64_t ldw;
    bool bf16;
    float *c;                       /* C [m,n] */
    int64_t c_row, c_col;
} rh_gemm_few;

typedef struct rh_gemm_kernels {
    /* C = alpha X W^T + beta C, W [n,k]; x_k is 1. */
    void (*dots)(const rh_gemm_few *p);
    /* C = alpha X W + beta C, W [k,n]; c_col is 1. */
    void (*axpys)(const rh_gemm_few *p);
    /* dst[i] = src[i] as f32 */
    void (*widen)(float *dst, const uint16_t *src, int64_t n);
} rh_gemm_kernels;

#endif
