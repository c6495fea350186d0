/* Matrix products by OpenBLAS, which is kept at one thread: panels go to the pool's threads. */
#include <cblas.h>

#include "base/parallel.h"
#include "base/size.h"
#include "ops/gemm.h"

#ifndef OPENBLAS_VERSION
#error "this cblas.h is not OpenBLAS's: use the flags of `pkg-config --cflags openblas`"
#endif

void rh_sgemm_1(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                int64_t ldc) {
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                trans_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void rh_sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
              const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
              int64_t ldc) {
    rh_sgemm_1(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void rh_sgemm_batch(int64_t count, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
                    float alpha, const float *a, const int64_t *a_at, int64_t lda, const float *b,
                    const int64_t *b_at, int64_t ldb, float beta, float *c, const int64_t *c_at,
                    int64_t ldc) {
    for (int64_t i = 0; i < count; i++)
        rh_sgemm_1(trans_a, trans_b, m, n, k, alpha, a + a_at[i], lda, b + b_at[i], ldb, beta,
                   c + c_at[i], ldc);
}

void rh_gemm_warm_up(void) {
    float a[64] = {0}, b[64] = {0}, c[64];
    openblas_set_num_threads(1);
    rh_sgemm_1(false, false, 8, 8, 8, 1, a, 8, b, 8, 0, c, 8);
}

const char *rh_gemm_core(void) { return openblas_get_corename(); }
const char *rh_gemm_version(void) { return openblas_get_config(); }
