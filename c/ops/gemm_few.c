/* Which products have few rows, and how they are cut into pieces. Cutting along n keeps each element's
 * sum in one piece. */
#include "ops/gemm_few.h"

#include "base/parallel.h"
#include "base/size.h"

enum {
    DOTS_ROWS = 8,  /* at 8 rows as fast as OpenBLAS, below it up to 4 times faster (measured) */
    AXPYS_ROWS = 4, /* twice as many of either when W is bf16: the alternative is to widen it first */
    PIECE = 1 << 16, /* weights in a piece: 256 KB */
    STRIP = 1536     /* columns: narrower strips of W's rows read memory at half its speed */
};

bool rh_gemm_few_fits(bool dots, bool bf16, int64_t m) {
    return m <= (dots ? DOTS_ROWS : AXPYS_ROWS) * (bf16 ? 2 : 1);
}

/* p is filled for plain operands; turns X if need be and says whether a kernel takes it. */
static bool plan_rows(rh_gemm_few *p, bool *dots, bool trans_x, bool trans_w) {
    *dots = trans_w;
    if (trans_x) {
        int64_t t = p->x_row;
        p->x_row = p->x_k;
        p->x_k = t;
    }
    if (p->k == 1) p->x_k = 1;
    if (p->n == 1) p->c_col = 1;
    return rh_gemm_few_fits(*dots, false, p->m) && (*dots ? p->x_k == 1 : p->c_col == 1);
}

bool rh_gemm_few_plan(rh_gemm_few *p, bool *dots, bool trans_a, bool trans_b, int64_t m, int64_t n,
                      int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                      int64_t ldb, float beta, float *c, int64_t ldc) {
    *p = (rh_gemm_few){m, n, k, alpha, beta, a, lda, 1, b, ldb, false, c, ldc, 1};
    if (m <= n && m <= DOTS_ROWS) return plan_rows(p, dots, trans_a, trans_b);
    if (n > DOTS_ROWS) return false;
    /* C^T = op(B)^T op(A)^T: the same memory with the two sides exchanged */
    *p = (rh_gemm_few){n, m, k, alpha, beta, b, ldb, 1, a, lda, false, c, 1, ldc};
    return plan_rows(p, dots, !trans_b, !trans_a);
}

void rh_gemm_few_run_1(const rh_gemm_few *p, bool dots) {
    if (dots) rh_kernels.gemm->dots(p);
    else rh_kernels.gemm->axpys(p);
}

typedef struct few_job {
    const rh_gemm_few *p;
    bool dots;
} few_job;

static void piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const few_job *job = arg;
    rh_gemm_few part = *job->p;
    int64_t at = job->dots ? begin * part.ldw : begin;
    part.n = end - begin;
    part.w = part.bf16 ? (const void *)((const uint16_t *)part.w + at)
                       : (const void *)((const float *)part.w + at);
    part.c += begin * part.c_col;
    rh_gemm_few_run_1(&part, job->dots);
}

/* Rows of W in a piece of dots: multiples of 4, which the kernel takes at once. */
static int64_t dots_grain(int64_t k) {
    return (int64_t)rh_round_up((size_t)rh_max(PIECE / rh_max(k, 1), 4), 4);
}

static int64_t axpys_grain(int64_t n) {
    int64_t pieces = rh_ceil_div(n, STRIP);
    return (int64_t)rh_round_up((size_t)rh_ceil_div(n, rh_max(pieces, 1)), 16);
}

void rh_gemm_few_run(const rh_gemm_few *p, bool dots) {
    few_job job = {p, dots};
    int64_t grain = dots ? dots_grain(p->k) : axpys_grain(p->n);
    rh_parallel_range(p->n, grain, piece, &job);
}
