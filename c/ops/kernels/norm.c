/* Layer and RMS normalization, row by row. The variance is that of the centred values, in a second pass
 * over a row that is in the cache. */
#include "ops/kernels/norm.h"

#include <math.h>

/* Four quarters of a row at once: one running sum would wait for each addition to end. */
static float sum(int64_t d, const float *x) {
    int64_t q = d / 4;
    float a = 0, b = 0, c = 0, e = 0;
#pragma omp simd reduction(+ : a, b, c, e)
    for (int64_t i = 0; i < q; i++) a += x[i], b += x[i + q], c += x[i + 2 * q], e += x[i + 3 * q];
    for (int64_t i = 4 * q; i < d; i++) a += x[i];
    return (a + b) + (c + e);
}

static inline float square(float x) { return x * x; }

static float sum_of_squares(int64_t d, const float *x, float minus) {
    int64_t q = d / 4;
    float a = 0, b = 0, c = 0, e = 0;
#pragma omp simd reduction(+ : a, b, c, e)
    for (int64_t i = 0; i < q; i++) {
        a += square(x[i] - minus), b += square(x[i + q] - minus);
        c += square(x[i + 2 * q] - minus), e += square(x[i + 3 * q] - minus);
    }
    for (int64_t i = 4 * q; i < d; i++) a += square(x[i] - minus);
    return (a + b) + (c + e);
}

/* y = (x - mean) rstd w + b */
static void scale(int64_t d, const float *x, const float *w, const float *b, float mean, float rstd,
                  float *y) {
    if (w && b) {
#pragma omp simd
        for (int64_t i = 0; i < d; i++) y[i] = (x[i] - mean) * rstd * w[i] + b[i];
    } else if (w) {
#pragma omp simd
        for (int64_t i = 0; i < d; i++) y[i] = (x[i] - mean) * rstd * w[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < d; i++) y[i] = (x[i] - mean) * rstd + (b ? b[i] : 0.0f);
    }
}

static void layer(int64_t d, const float *x, const float *w, const float *b, float eps, float *y,
                  float *mean, float *rstd) {
    *mean = sum(d, x) / (float)d;
    *rstd = 1.0f / sqrtf(sum_of_squares(d, x, *mean) / (float)d + eps);
    scale(d, x, w, b, *mean, *rstd, y);
}

static void rms(int64_t d, const float *x, const float *w, float eps, float *y, float *rstd) {
    *rstd = 1.0f / sqrtf(sum_of_squares(d, x, 0.0f) / (float)d + eps);
    scale(d, x, w, NULL, 0.0f, *rstd, y);
}

/* *g = sum of dy w, *gx = sum of dy w xhat; by halves, as above */
static inline __attribute__((always_inline)) void sums_of(int64_t d, const float *dy, const float *x,
                                                          const float *w, float mean, float rstd,
                                                          bool weighted, float *g, float *gx) {
    int64_t h = d / 2;
    float a = 0, b = 0, c = 0, e = 0;
#pragma omp simd reduction(+ : a, b, c, e)
    for (int64_t i = 0; i < h; i++) {
        float u = weighted ? dy[i] * w[i] : dy[i], v = weighted ? dy[i + h] * w[i + h] : dy[i + h];
        a += u, b += u * ((x[i] - mean) * rstd);
        c += v, e += v * ((x[i + h] - mean) * rstd);
    }
    if (d % 2) {
        float u = weighted ? dy[d - 1] * w[d - 1] : dy[d - 1];
        a += u, b += u * ((x[d - 1] - mean) * rstd);
    }
    *g = a + c;
    *gx = b + e;
}

static void sums(int64_t d, const float *dy, const float *x, const float *w, float mean, float rstd,
                 float *g, float *gx) {
    if (w) sums_of(d, dy, x, w, mean, rstd, true, g, gx);
    else sums_of(d, dy, x, w, mean, rstd, false, g, gx);
}

/* dx = rstd (dy w - g - xhat gx), g and gx being means. The weights' gradients go first: dx may be dy. */
static void input_gradient(int64_t d, const float *dy, const float *x, const float *w, float mean,
                           float rstd, float g, float gx, float *dx, bool accumulate) {
    if (w) {
#pragma omp simd
        for (int64_t i = 0; i < d; i++) {
            float v = rstd * (dy[i] * w[i] - g - (x[i] - mean) * rstd * gx);
            dx[i] = accumulate ? dx[i] + v : v;
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < d; i++) {
            float v = rstd * (dy[i] - g - (x[i] - mean) * rstd * gx);
            dx[i] = accumulate ? dx[i] + v : v;
        }
    }
}

static void weight_gradient(int64_t d, const float *dy, const float *x, float mean, float rstd,
                            float *restrict dw) {
#pragma omp simd
    for (int64_t i = 0; i < d; i++) dw[i] += dy[i] * ((x[i] - mean) * rstd);
}

static void add(int64_t d, float *restrict dst, const float *restrict src) {
#pragma omp simd
    for (int64_t i = 0; i < d; i++) dst[i] += src[i];
}

static void layer_back(int64_t d, const float *dy, const float *x, const float *w, float mean, float rstd,
                       float *dx, bool accumulate, float *dw, float *db) {
    float g, gx;
    if (dw) weight_gradient(d, dy, x, mean, rstd, dw);
    if (db) add(d, db, dy);
    if (!dx) return;
    sums(d, dy, x, w, mean, rstd, &g, &gx);
    input_gradient(d, dy, x, w, mean, rstd, g / (float)d, gx / (float)d, dx, accumulate);
}

static void rms_back(int64_t d, const float *dy, const float *x, const float *w, float rstd, float *dx,
                     bool accumulate, float *dw) {
    float g, gx;
    if (dw) weight_gradient(d, dy, x, 0.0f, rstd, dw);
    if (!dx) return;
    sums(d, dy, x, w, 0.0f, rstd, &g, &gx);
    input_gradient(d, dy, x, w, 0.0f, rstd, 0.0f, gx / (float)d, dx, accumulate);
}

const rh_norm_kernels RH_TABLE(norm) = {
    .layer = layer, .layer_back = layer_back, .rms = rms, .rms_back = rms_back, .add = add};
