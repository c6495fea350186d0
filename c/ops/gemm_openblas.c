/* One panel by OpenBLAS, which is kept at one thread: panels go to the pool's threads (gemm.c). */
#include <cblas.h>
#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#include "base/parallel.h"
#include "base/size.h"
#include "ops/gemm.h"
#include "ops/gemm_few.h"

#ifndef OPENBLAS_VERSION
#error "this cblas.h is not OpenBLAS's: use the flags of `pkg-config --cflags openblas`"
#endif

static int64_t blas_max(void) { return sizeof(blasint) == 4 ? INT_MAX : INT64_MAX; }

/* Sizes that the library's integers can't hold (a side beyond 2^31), and k = 0, for which it wants
 * row distances that there is no reason to have. */
static void plain(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                  const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                  int64_t ldc) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float sum = 0;
            for (int64_t p = 0; p < k; p++)
                sum += a[trans_a ? p * lda + i : i * lda + p] * b[trans_b ? j * ldb + p : p * ldb + j];
            float *at = c + i * ldc + j;
            *at = alpha * sum + (beta == 0 ? 0 : beta * *at);
        }
}

/* The distance between rows when there is but one row is whatever the caller has; the library checks
 * it all the same. */
static int64_t distance(int64_t ld, int64_t rows, int64_t cols) { return rows <= 1 ? cols : ld; }

void rh_sgemm_1(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                int64_t ldc) {
    rh_gemm_few few;
    bool dots;
    if (m <= 0 || n <= 0) return;
    lda = trans_a ? distance(lda, k, m) : distance(lda, m, k);
    ldb = trans_b ? distance(ldb, n, k) : distance(ldb, k, n);
    ldc = distance(ldc, m, n);
    if (k > 0 && rh_gemm_few_plan(&few, &dots, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta,
                                  c, ldc)) {
        rh_gemm_few_run_1(&few, dots);
        return;
    }
    int64_t largest = rh_max(rh_max(rh_max(m, n), k), rh_max(rh_max(lda, ldb), ldc));
    if (k == 0 || largest > blas_max()) {
        plain(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                trans_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

enum {
    WARM_M = 64, WARM_K = 512, /* above the sizes for which some cores have kernels without a buffer */
    WARM_TIMES = 3,
    WARM_MS = 100
};

typedef struct warm_up {
    atomic_int inside; /* threads that are in a product */
    atomic_int together; /* how often all were */
    int threads;
    int64_t deadline;
} warm_up;

static int64_t milliseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The library maps a buffer for each call that is under way, so the calls must overlap. Meeting before
 * the call does not do: on a busy machine two threads take turns on one processor, and each call ends
 * within its turn. So each goes on until all have been seen inside, or it is time. */
static void warm_piece(void *arg, int64_t index, int worker) {
    (void)index, (void)worker;
    warm_up *w = arg;
    float zeros[WARM_M * WARM_K] = {0}, c[WARM_M * WARM_M];
    do {
        if (atomic_fetch_add(&w->inside, 1) + 1 == w->threads) atomic_fetch_add(&w->together, 1);
        rh_sgemm_1(false, false, WARM_M, WARM_M, WARM_K, 1, zeros, WARM_K, zeros, WARM_M, 0, c, WARM_M);
        atomic_fetch_sub(&w->inside, 1);
    } while (atomic_load(&w->together) < WARM_TIMES && milliseconds() < w->deadline);
}

void rh_gemm_warm_up(void) {
    openblas_set_num_threads(1);
    warm_up w = {.threads = rh_threads(), .deadline = milliseconds() + WARM_MS};
    rh_parallel(w.threads, warm_piece, &w);
}

const char *rh_gemm_core(void) { return openblas_get_corename(); }
const char *rh_gemm_version(void) { return openblas_get_config(); }
