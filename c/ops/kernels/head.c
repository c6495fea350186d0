#include "ops/kernels/head.h"

#include <math.h>

#include "ops/kernels/vecmath.h"

enum { BLOCK = 1024 };

/* Comparisons drop a nan, so one is looked for by itself; two plain loops are vector code everywhere. */
static float largest(const float *x, int64_t n) {
    float best = -INFINITY;
    for (int64_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= x[i] != x[i];
    return bad ? NAN : best;
}

static double sum_exp(const float *x, int64_t n, float shift) {
    double total = 0;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t end = at + BLOCK < n ? at + BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = at; i < end; i++) sum += rh_expf(x[i] - shift);
        total += sum;
    }
    return total;
}

static double mean_logit(const float *x, int64_t n, float lse) {
    double total = 0;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t end = at + BLOCK < n ? at + BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = at; i < end; i++) {
            float p = rh_expf(x[i] - lse);
            sum += p > 0 ? p * x[i] : 0; /* -inf logits count nothing */
        }
        total += sum;
    }
    return total;
}

static void softmax(float *x, int64_t n, float lse, float scale) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] = scale * rh_expf(x[i] - lse);
}

static void tilted(float *x, int64_t n, float lse, float slope, float tilt) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float p = rh_expf(x[i] - lse);
        x[i] = p > 0 ? p * (slope - tilt * x[i]) : 0;
    }
}

static double divergence(const float *a, const float *b, int64_t n, float lse_a, float lse_b) {
    double total = 0;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t end = at + BLOCK < n ? at + BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = at; i < end; i++) {
            float p = rh_expf(a[i] - lse_a);
            sum += p > 0 ? p * ((a[i] - lse_a) - (b[i] - lse_b)) : 0;
        }
        total += sum;
    }
    return total;
}

static void put_scaled(float *restrict dst, const float *restrict src, int64_t n, float factor,
                       bool accumulate) {
    if (accumulate) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dst[i] += factor * src[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dst[i] = factor * src[i];
    }
}

const rh_head_kernels RH_TABLE(head) = {.largest = largest,
                                        .sum_exp = sum_exp,
                                        .mean_logit = mean_logit,
                                        .softmax = softmax,
                                        .tilted = tilted,
                                        .divergence = divergence,
                                        .put_scaled = put_scaled};
