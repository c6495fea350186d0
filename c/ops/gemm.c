/* Products cut into panels for the pool. The sizes of panels come from measurements: fewer than 256
 * rows or columns, or more than a few panels, and each panel packing its operands anew costs 5 to 50 %;
 * edges at multiples of 16 keep the library's inner tiles whole. */
#include "ops/gemm.h"

#include "base/parallel.h"
#include "base/size.h"
#include "ops/gemm_few.h"

enum {
    PANEL = 256,        /* least rows or columns of a panel */
    PANELS = 4,
    WIDE = 2048,        /* panels of sides longer than PANELS times this */
    SMALL = 1 << 18,    /* multiply-adds that are not worth waking a thread for */
    WIDE_N = 192,       /* block of a bf16 operand that is widened at once: [WIDE_K, WIDE_N] */
    WIDE_K = 1024
};

typedef struct product {
    bool trans_a, trans_b;
    int64_t m, n, k;
    float alpha;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float beta;
    float *c;
    int64_t ldc;
    bool along_m; /* panels are ranges of rows of C, else of columns */
} product;

/* m * n * k, capped: only compared with thresholds */
static int64_t work_of(int64_t m, int64_t n, int64_t k) {
    int64_t mn, mnk;
    if (!rh_i64_mul(m, n, &mn) || !rh_i64_mul(mn, k, &mnk)) return INT64_MAX;
    return mnk;
}

/* Length of a panel along a side of this length. */
static int64_t panel_length(int64_t side) {
    int64_t panels = side > PANELS * WIDE ? rh_ceil_div(side, WIDE)
                                          : rh_min(rh_max(side / PANEL, 1), PANELS);
    return (int64_t)rh_round_up((size_t)rh_ceil_div(side, panels), 16);
}

static void panel(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const product *p = arg;
    int64_t m = p->m, n = p->n;
    const float *a = p->a, *b = p->b;
    float *c = p->c;
    if (p->along_m) {
        m = end - begin;
        a += p->trans_a ? begin : begin * p->lda;
        c += begin * p->ldc;
    } else {
        n = end - begin;
        b += p->trans_b ? begin * p->ldb : begin;
        c += begin;
    }
    rh_sgemm_1(p->trans_a, p->trans_b, m, n, p->k, p->alpha, a, p->lda, b, p->ldb, p->beta, c, p->ldc);
}

void rh_sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
              const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
              int64_t ldc) {
    rh_gemm_few few;
    bool dots;
    if (m <= 0 || n <= 0) return;
    if (work_of(m, n, k) <= SMALL) {
        rh_sgemm_1(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    } else if (rh_gemm_few_plan(&few, &dots, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta,
                                c, ldc)) {
        rh_gemm_few_run(&few, dots);
    } else {
        product p = {trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, m >= n};
        int64_t side = rh_max(m, n);
        rh_parallel_range(side, panel_length(side), panel, &p);
    }
}

typedef struct batch {
    const product *p; /* of each; a, b, c are where offsets count from */
    const int64_t *a_at, *b_at, *c_at;
    int64_t count;
} batch;

/* Products in [begin, end); those that add to one C belong to the piece of the first of them. */
static void batch_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const batch *j = arg;
    const product *p = j->p;
    while (begin > 0 && begin < end && j->c_at[begin] == j->c_at[begin - 1]) begin++;
    if (begin == end) return;
    while (end < j->count && j->c_at[end] == j->c_at[end - 1]) end++;
    for (int64_t i = begin; i < end; i++)
        rh_sgemm_1(p->trans_a, p->trans_b, p->m, p->n, p->k, p->alpha, p->a + j->a_at[i], p->lda,
                   p->b + j->b_at[i], p->ldb, p->beta, p->c + j->c_at[i], p->ldc);
}

/* Few, or all to one C, and large: each product is cut into panels in its turn. */
static bool panels_serve_better(int64_t count, const int64_t *c_at, int64_t m, int64_t n, int64_t k) {
    bool few = count < PANELS || c_at[0] == c_at[count - 1];
    return few && rh_max(m, n) >= 2 * PANEL && work_of(m, n, k) > SMALL;
}

void rh_sgemm_batch(int64_t count, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
                    float alpha, const float *a, const int64_t *a_at, int64_t lda, const float *b,
                    const int64_t *b_at, int64_t ldb, float beta, float *c, const int64_t *c_at,
                    int64_t ldc) {
    if (m <= 0 || n <= 0) return;
    if (panels_serve_better(count, c_at, m, n, k)) {
        for (int64_t i = 0; i < count; i++)
            rh_sgemm(trans_a, trans_b, m, n, k, alpha, a + a_at[i], lda, b + b_at[i], ldb, beta,
                     c + c_at[i], ldc);
        return;
    }
    product p = {trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, true};
    batch j = {&p, a_at, b_at, c_at, count};
    int64_t each = work_of(m, n, rh_max(k, 1));
    rh_parallel_range(count, rh_max(SMALL / each, 1), batch_piece, &j);
}

/* B in bf16 */
typedef struct wide {
    bool trans_b;
    int64_t m, n, k;
    const float *a; /* [m,k] */
    int64_t lda;
    const uint16_t *b;
    int64_t ldb;
    float beta;
    float *c;       /* [m,n] */
    int64_t ldc;
    float *scratch; /* [rh_threads(), WIDE_K * WIDE_N] */
} wide;

/* dst [rows,cols] dense = the block of src, widened */
static void widen_block(float *dst, const uint16_t *src, int64_t ld, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++) rh_kernels.gemm->widen(dst + r * cols, src + r * ld, cols);
}

static void scale_block(float *c, int64_t ldc, int64_t m, int64_t n, float beta) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

/* Columns [begin, end) of C; k goes by in blocks, in order. */
static void wide_panel(void *arg, int64_t begin, int64_t end, int worker) {
    const wide *w = arg;
    float *block = w->scratch + (int64_t)worker * WIDE_K * WIDE_N, *c = w->c + begin;
    int64_t n = end - begin;
    if (w->k == 0) scale_block(c, w->ldc, w->m, n, w->beta);
    for (int64_t i = 0; i < w->k; i += WIDE_K) {
        int64_t k = rh_min(WIDE_K, w->k - i);
        if (w->trans_b) widen_block(block, w->b + begin * w->ldb + i, w->ldb, n, k);
        else widen_block(block, w->b + i * w->ldb + begin, w->ldb, k, n);
        rh_sgemm_1(false, w->trans_b, w->m, n, k, 1.0f, w->a + i, w->lda, block, w->trans_b ? k : n,
                   i == 0 ? w->beta : 1.0f, c, w->ldc);
    }
}

int64_t rh_sgemm_bf16_scratch(int64_t m) {
    bool few = rh_gemm_few_fits(true, true, m) && rh_gemm_few_fits(false, true, m);
    return few ? 0 : (int64_t)rh_threads() * WIDE_K * WIDE_N;
}

void rh_sgemm_bf16(bool trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                   const uint16_t *b, int64_t ldb, float beta, float *c, int64_t ldc, float *scratch) {
    if (m <= 0 || n <= 0) return;
    if (rh_gemm_few_fits(trans_b, true, m)) {
        rh_gemm_few p = {m, n, k, 1.0f, beta, a, lda, 1, b, ldb, true, c, ldc, 1};
        rh_gemm_few_run(&p, trans_b);
        return;
    }
    wide w = {trans_b, m, n, k, a, lda, b, ldb, beta, c, ldc, scratch};
    rh_parallel_range(n, WIDE_N, wide_panel, &w);
}
