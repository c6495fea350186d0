/* Matrix products on plain memory. One file for each library that can do them (gemm_openblas.c).
 * Products are cut into panels of C by their sizes alone, each done by one thread, and K is never
 * split: the bits of a result do not depend on the number of threads. */
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

/* Has the library map its work buffers in every pool thread now: later it may hang when it can't. */
void rh_gemm_warm_up(void);
/* The library's name of the kernels it took, e.g. "SkylakeX", "Zen"; its version text. */
const char *rh_gemm_core(void);
const char *rh_gemm_version(void);

#endif
