/* Products where one side of C has few rows or columns: generation, value heads, scores. Bound by
 * reading the large operand; see kernels/gemm.h. */
#ifndef RH_OPS_GEMM_FEW_H
#define RH_OPS_GEMM_FEW_H

#include "ops/kernels/gemm.h"

/* Describes the product of rh_sgemm_1 for the kernels if it is one of few rows; *dots tells which
 * kernel. Uses the arguments' meaning alone, no values. */
bool rh_gemm_few_plan(rh_gemm_few *p, bool *dots, bool trans_a, bool trans_b, int64_t m, int64_t n,
                      int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                      int64_t ldb, float beta, float *c, int64_t ldc);
/* Are m rows few for this kernel and this storage of W? */
bool rh_gemm_few_fits(bool dots, bool bf16, int64_t m);

void rh_gemm_few_run_1(const rh_gemm_few *p, bool dots);
/* On the thread pool, in pieces of the large side of C. */
void rh_gemm_few_run(const rh_gemm_few *p, bool dots);

#endif
