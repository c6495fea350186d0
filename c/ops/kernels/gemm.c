/* Few-row products. Each function is written once over both storage types: `bf16` is a constant where
 * it is inlined. Order of summation depends on m, n, k alone. */
#include "ops/kernels/gemm.h"

#include "ops/kernels/vecmath.h"

#define INLINE static inline __attribute__((always_inline))

INLINE float weight(const void *w, int64_t i, bool bf16) {
    if (!bf16) return ((const float *)w)[i];
    return rh_bits_to_f32((uint32_t)((const uint16_t *)w)[i] << 16);
}

INLINE const void *row_of(const void *w, int64_t at, bool bf16) {
    return bf16 ? (const void *)((const uint16_t *)w + at) : (const void *)((const float *)w + at);
}

INLINE void put(const rh_gemm_few *p, int64_t r, int64_t o, float sum) {
    float *c = p->c + r * p->c_row + o * p->c_col;
    *c = p->alpha * sum + (p->beta == 0.0f ? 0.0f : p->beta * *c);
}

/* Rows o..o+3 of W with rows r, r+1 of X: eight sums, each weight is loaded once for two. */
INLINE void dots_4x2(const rh_gemm_few *p, int64_t o, int64_t r, bool bf16) {
    const void *w0 = row_of(p->w, o * p->ldw, bf16), *w1 = row_of(w0, p->ldw, bf16);
    const void *w2 = row_of(w1, p->ldw, bf16), *w3 = row_of(w2, p->ldw, bf16);
    const float *x = p->x + r * p->x_row, *y = x + p->x_row;
    float a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    int64_t k = p->k;
#pragma omp simd reduction(+ : a0, a1, a2, a3, b0, b1, b2, b3)
    for (int64_t i = 0; i < k; i++) {
        float v0 = weight(w0, i, bf16), v1 = weight(w1, i, bf16);
        float v2 = weight(w2, i, bf16), v3 = weight(w3, i, bf16);
        a0 += v0 * x[i], a1 += v1 * x[i], a2 += v2 * x[i], a3 += v3 * x[i];
        b0 += v0 * y[i], b1 += v1 * y[i], b2 += v2 * y[i], b3 += v3 * y[i];
    }
    put(p, r, o, a0), put(p, r, o + 1, a1), put(p, r, o + 2, a2), put(p, r, o + 3, a3);
    r++;
    put(p, r, o, b0), put(p, r, o + 1, b1), put(p, r, o + 2, b2), put(p, r, o + 3, b3);
}

INLINE void dots_4x1(const rh_gemm_few *p, int64_t o, int64_t r, bool bf16) {
    const void *w0 = row_of(p->w, o * p->ldw, bf16), *w1 = row_of(w0, p->ldw, bf16);
    const void *w2 = row_of(w1, p->ldw, bf16), *w3 = row_of(w2, p->ldw, bf16);
    const float *x = p->x + r * p->x_row;
    float a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    int64_t k = p->k;
#pragma omp simd reduction(+ : a0, a1, a2, a3)
    for (int64_t i = 0; i < k; i++) {
        a0 += weight(w0, i, bf16) * x[i], a1 += weight(w1, i, bf16) * x[i];
        a2 += weight(w2, i, bf16) * x[i], a3 += weight(w3, i, bf16) * x[i];
    }
    put(p, r, o, a0), put(p, r, o + 1, a1), put(p, r, o + 2, a2), put(p, r, o + 3, a3);
}

INLINE void dots_1x1(const rh_gemm_few *p, int64_t o, int64_t r, bool bf16) {
    const void *w = row_of(p->w, o * p->ldw, bf16);
    const float *x = p->x + r * p->x_row;
    float a = 0;
    int64_t k = p->k;
#pragma omp simd reduction(+ : a)
    for (int64_t i = 0; i < k; i++) a += weight(w, i, bf16) * x[i];
    put(p, r, o, a);
}

INLINE void dots_of(const rh_gemm_few *p, bool bf16) {
    int64_t o = 0;
    for (; o + 4 <= p->n; o += 4) {
        int64_t r = 0;
        for (; r + 2 <= p->m; r += 2) dots_4x2(p, o, r, bf16);
        if (r < p->m) dots_4x1(p, o, r, bf16);
    }
    for (; o < p->n; o++)
        for (int64_t r = 0; r < p->m; r++) dots_1x1(p, o, r, bf16);
}

static void dots(const rh_gemm_few *p) {
    if (p->bf16) dots_of(p, true);
    else dots_of(p, false);
}

/* c += x[0] W[i] + ... + x[3] W[i+3], and the same for a second row of C. */
INLINE void axpy_4x2(const rh_gemm_few *p, int64_t i, int64_t r, bool bf16) {
    const void *w0 = row_of(p->w, i * p->ldw, bf16), *w1 = row_of(w0, p->ldw, bf16);
    const void *w2 = row_of(w1, p->ldw, bf16), *w3 = row_of(w2, p->ldw, bf16);
    const float *x = p->x + r * p->x_row + i * p->x_k, *y = x + p->x_row;
    float *restrict c = p->c + r * p->c_row, *restrict d = c + p->c_row;
    float s = p->alpha, x0 = s * x[0], x1 = s * x[p->x_k], x2 = s * x[2 * p->x_k];
    float x3 = s * x[3 * p->x_k], y0 = s * y[0], y1 = s * y[p->x_k], y2 = s * y[2 * p->x_k];
    float y3 = s * y[3 * p->x_k];
    int64_t n = p->n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        float v0 = weight(w0, j, bf16), v1 = weight(w1, j, bf16);
        float v2 = weight(w2, j, bf16), v3 = weight(w3, j, bf16);
        c[j] += (x0 * v0 + x1 * v1) + (x2 * v2 + x3 * v3);
        d[j] += (y0 * v0 + y1 * v1) + (y2 * v2 + y3 * v3);
    }
}

INLINE void axpy_4x1(const rh_gemm_few *p, int64_t i, int64_t r, bool bf16) {
    const void *w0 = row_of(p->w, i * p->ldw, bf16), *w1 = row_of(w0, p->ldw, bf16);
    const void *w2 = row_of(w1, p->ldw, bf16), *w3 = row_of(w2, p->ldw, bf16);
    const float *x = p->x + r * p->x_row + i * p->x_k;
    float *restrict c = p->c + r * p->c_row;
    float s = p->alpha, x0 = s * x[0], x1 = s * x[p->x_k], x2 = s * x[2 * p->x_k];
    float x3 = s * x[3 * p->x_k];
    int64_t n = p->n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        c[j] += (x0 * weight(w0, j, bf16) + x1 * weight(w1, j, bf16)) +
                (x2 * weight(w2, j, bf16) + x3 * weight(w3, j, bf16));
}

INLINE void axpy_1x1(const rh_gemm_few *p, int64_t i, int64_t r, bool bf16) {
    const void *w = row_of(p->w, i * p->ldw, bf16);
    float *restrict c = p->c + r * p->c_row;
    float x = p->alpha * p->x[r * p->x_row + i * p->x_k];
    int64_t n = p->n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) c[j] += x * weight(w, j, bf16);
}

static void scale_rows(const rh_gemm_few *p) {
    for (int64_t r = 0; r < p->m; r++) {
        float *c = p->c + r * p->c_row;
        if (p->beta == 0.0f) memset(c, 0, (size_t)p->n * sizeof *c);
        else if (p->beta != 1.0f)
            for (int64_t j = 0; j < p->n; j++) c[j] *= p->beta;
    }
}

INLINE void axpys_of(const rh_gemm_few *p, bool bf16) {
    int64_t i = 0;
    for (; i + 4 <= p->k; i += 4) {
        int64_t r = 0;
        for (; r + 2 <= p->m; r += 2) axpy_4x2(p, i, r, bf16);
        if (r < p->m) axpy_4x1(p, i, r, bf16);
    }
    for (; i < p->k; i++)
        for (int64_t r = 0; r < p->m; r++) axpy_1x1(p, i, r, bf16);
}

static void axpys(const rh_gemm_few *p) {
    scale_rows(p);
    if (p->bf16) axpys_of(p, true);
    else axpys_of(p, false);
}

static void widen(float *restrict dst, const uint16_t *restrict src, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dst[i] = weight(src, i, true);
}

const rh_gemm_kernels RH_TABLE(gemm) = {.dots = dots, .axpys = axpys, .widen = widen};
