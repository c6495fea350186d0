/* Losses: sums over long rows run in f32 lanes, sums over all elements in double. */
#include "ops/kernels/loss.h"

#include <math.h>

#include "ops/kernels/vecmath.h"

enum { LANES = 32 };

/* Lanes of their own: compilers do not take a maximum of floats apart by themselves. */
static float max(int64_t v, const float *x) {
    float m[LANES], top = -INFINITY;
    int64_t i = 0;
    for (int j = 0; j < LANES; j++) m[j] = -INFINITY;
    for (; i + LANES <= v; i += LANES)
        for (int j = 0; j < LANES; j++) m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
    for (int j = 0; j < LANES; j++) top = m[j] > top ? m[j] : top;
    for (; i < v; i++) top = x[i] > top ? x[i] : top;
    return top;
}

static float exp_sum(int64_t v, const float *x, float top) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < v; i++) s += rh_expf(x[i] - top);
    return s;
}

static float sum_below(int64_t v, const float *x, float top) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < v; i++) s += x[i] - top;
    return s;
}

static inline float log_p(const rh_loss_row *r, int64_t i) { return r->x[i] - r->max - r->log_sum; }

static void softmax(int64_t v, const rh_loss_row *row, float scale, float shift, float *out,
                    bool accumulate) {
    const rh_loss_row r = *row;
    if (accumulate) {
#pragma omp simd
        for (int64_t i = 0; i < v; i++) out[i] += scale * rh_expf(log_p(&r, i)) + shift;
    } else {
#pragma omp simd
        for (int64_t i = 0; i < v; i++) out[i] = scale * rh_expf(log_p(&r, i)) + shift;
    }
}

/* A class that q excludes adds nothing, even where p excludes it too. */
static double kl(int64_t v, const rh_loss_row *p, const rh_loss_row *q) {
    const rh_loss_row a = *p, b = *q;
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < v; i++) {
        float lq = log_p(&b, i), e = rh_expf(lq), d = e * (lq - log_p(&a, i));
        s += e == 0.0f ? 0.0f : d;
    }
    return s;
}

static void kl_back(int64_t v, const rh_loss_row *p, const rh_loss_row *q, float value, float scale,
                    float *dp, bool add_p, float *dq, bool add_q) {
    const rh_loss_row a = *p, b = *q;
    int64_t p_n = dp ? v : 0, q_n = dq ? v : 0;
#pragma omp simd
    for (int64_t i = 0; i < p_n; i++) {
        float g = scale * (rh_expf(log_p(&a, i)) - rh_expf(log_p(&b, i)));
        dp[i] = add_p ? dp[i] + g : g;
    }
#pragma omp simd
    for (int64_t i = 0; i < q_n; i++) {
        float lq = log_p(&b, i), e = rh_expf(lq), g = scale * e * (lq - log_p(&a, i) - value);
        g = e == 0.0f ? 0.0f : g;
        dq[i] = add_q ? dq[i] + g : g;
    }
}

static double squares(int64_t n, const float *a, const float *b) {
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) {
        float d = a[i] - b[i];
        s += (double)(d * d);
    }
    return s;
}

static void squares_back(int64_t n, const float *a, const float *b, float scale, float *da,
                         bool accumulate) {
    float s = 2.0f * scale;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) da[i] = (accumulate ? da[i] : 0.0f) + s * (a[i] - b[i]);
}

/* softplus(x) - x t, with the large parts taken from each other before the small one is added */
static double bce(int64_t n, const float *x, const float *t) {
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) {
        float top = x[i] > 0.0f ? x[i] : 0.0f;
        s += (double)(top - x[i] * t[i] + rh_softplusf(-fabsf(x[i])));
    }
    return s;
}

static void bce_back(int64_t n, const float *x, const float *t, float scale, float *dx, bool accumulate) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dx[i] = (accumulate ? dx[i] : 0.0f) + scale * (rh_sigmoidf(x[i]) - t[i]);
}

static void bce_back_target(int64_t n, const float *x, float scale, float *dt, bool accumulate) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dt[i] = (accumulate ? dt[i] : 0.0f) - scale * x[i];
}

const rh_loss_kernels RH_TABLE(loss) = {.max = max, .exp_sum = exp_sum, .sum_below = sum_below,
                                        .softmax = softmax, .kl = kl, .kl_back = kl_back,
                                        .squares = squares, .squares_back = squares_back, .bce = bce,
                                        .bce_back = bce_back, .bce_back_target = bce_back_target};
