/* Matrix products on plain memory. gemm.c cuts them into panels of C by their sizes alone, each done
 * by one thread; K is never shared between pieces, so the bits of a result do not depend on the number
 * of threads. One file for each library that does a panel (gemm_openblas.c); products with few rows
 * on one side never reach it (gemm_few.c). Any size may be 0; K = 0 is a sum of nothing, so C becomes
 * beta * C. Sizes beyond the library's integers are done too, slowly. */
#ifndef RH_OPS_GEMM_H
#define RH_OPS_GEMM_H

#include "base/context.h"

/* C = alpha * op(A) op(B) + beta * C, row-major; op(A) [m,k], op(B) [k,n], C [m,n]; ld* are the
 * distances between rows as stored. beta = 0 does not read C. Runs on the thread pool. */
void rh_sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
              const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
              int64_t ldc);

/* The same on the calling thread alone: for pieces of a region of the caller's. */
void rh_sgemm_1(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                int64_t ldc);

/* `count` products of one size, whose operands stand at a + a_at[i], b + b_at[i], c + c_at[i]. The
 * c_at differ; or equal ones follow one another when beta is 1, and are then added in that order. */
void rh_sgemm_batch(int64_t count, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
                    float alpha, const float *a, const int64_t *a_at, int64_t lda, const float *b,
                    const int64_t *b_at, int64_t ldb, float beta, float *c, const int64_t *c_at,
                    int64_t ldc);

/* C = A op(B) + beta * C, where B is stored in bf16 and A is plain [m,k]. B is widened block by block
 * into `scratch`, rh_sgemm_bf16_scratch(m) floats taken before (NULL where that is 0). */
void rh_sgemm_bf16(bool trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                   const uint16_t *b, int64_t ldb, float beta, float *c, int64_t ldc, float *scratch);
int64_t rh_sgemm_bf16_scratch(int64_t m);

/* Has the library map its work buffers in every pool thread now: later it may hang when it can't.
 * To be called again when the number of threads has grown. */
void rh_gemm_warm_up(void);
/* The library's name of the kernels it took, e.g. "SkylakeX", "Zen"; its version text. */
const char *rh_gemm_core(void);
const char *rh_gemm_version(void);

#endif
