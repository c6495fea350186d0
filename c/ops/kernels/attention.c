/* Kernels of attention (see attention.h). Loops over rows are plain; the loops over columns are what
 * the compiler turns into vector code. */
#include "ops/kernels/attention.h"

#include <math.h>

#include "ops/kernels/vecmath.h"

enum { LANES = 16 };

static inline int64_t cut(int64_t x, int64_t n) { return x < 0 ? 0 : x > n ? n : x; }

static inline void clear(float *x, int64_t n) {
    for (int64_t j = 0; j < n; j++) x[j] = 0.0f;
}

/* In lanes, which need no leave to reorder; -inf for n = 0. */
static inline float max_of(const float *x, int64_t n) {
    float lane[LANES], m = -INFINITY;
    int64_t j = 0;
    for (int l = 0; l < LANES; l++) lane[l] = -INFINITY;
    for (; j + LANES <= n; j += LANES)
#pragma omp simd
        for (int l = 0; l < LANES; l++) lane[l] = lane[l] < x[j + l] ? x[j + l] : lane[l];
    for (; j < n; j++) m = m < x[j] ? x[j] : m;
    for (int l = 0; l < LANES; l++) m = m < lane[l] ? lane[l] : m;
    return m;
}

/* Nothing to see: every score is -inf (a nan counts as seen, so that it shows in the result). */
static inline bool all_hidden(const float *x, int64_t n) {
    for (int64_t j = 0; j < n; j++)
        if (x[j] != -INFINITY) return false;
    return true;
}

/* x[j] = e^(x[j] - m); returns their sum */
static inline float exp_sum(float *x, int64_t n, float m) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        x[j] = rh_expf(x[j] - m);
        sum += x[j];
    }
    return sum;
}

/* Scores as the softmax takes them. */
static inline void cap_and_hide(float *x, int64_t n, float softcap, const float *bias) {
    if (softcap > 0.0f)
        for (int64_t j = 0; j < n; j++) x[j] = softcap * rh_tanhf(x[j]);
    if (bias)
        for (int64_t j = 0; j < n; j++) x[j] += bias[j];
}

/* The columns that row i sees; 0 to 0 where it sees none. */
static inline void seen(const rh_attention_tile *t, int64_t i, int64_t *lo, int64_t *hi) {
    *lo = cut(t->begin + i * t->step_begin, t->cols);
    *hi = cut(t->end + i * t->step_end, t->cols);
    if (*hi <= *lo) *lo = *hi = 0;
}

static void softmax(const rh_attention_tile *t, float *s, float *max, float *sum, float *factor) {
    for (int64_t i = 0; i < t->rows; i++) {
        float *x = s + i * t->stride;
        int64_t lo, hi;
        seen(t, i, &lo, &hi);
        cap_and_hide(x + lo, hi - lo, t->softcap, t->bias ? t->bias + lo : NULL);
        float m = max_of(x + lo, hi - lo);
        m = m > max[i] ? m : max[i];
        factor[i] = 1.0f;
        if (m == -INFINITY && all_hidden(x + lo, hi - lo)) {
            lo = hi = 0;
        } else {
            factor[i] = rh_expf(max[i] - m);
            sum[i] = sum[i] * factor[i] + exp_sum(x + lo, hi - lo, m);
            max[i] = m;
        }
        clear(x, lo);
        clear(x + hi, t->cols - hi);
    }
}

/* p and p (dp - delta) of seen columns without softcap or mask */
static inline void gradient_plain(float *restrict s, float *restrict dp, int64_t n, float lse,
                                  float delta) {
    for (int64_t j = 0; j < n; j++) {
        s[j] = rh_expf(s[j] - lse);
        dp[j] = s[j] * (dp[j] - delta);
    }
}

/* The same, and the derivative 1 - tanh^2 of the softcap. */
static inline void gradient_capped(float *restrict s, float *restrict dp, int64_t n, float lse,
                                   float delta, float softcap) {
    for (int64_t j = 0; j < n; j++) {
        float h = rh_tanhf(s[j]);
        s[j] = rh_expf(softcap * h - lse);
        dp[j] = s[j] * (dp[j] - delta) * (1.0f - h * h);
    }
}

static void gradient(const rh_attention_tile *t, float *s, float *dp, const float *lse,
                     const float *delta) {
    for (int64_t i = 0; i < t->rows; i++) {
        float *x = s + i * t->stride, *y = dp + i * t->stride;
        int64_t lo, hi;
        seen(t, i, &lo, &hi);
        clear(x, lo), clear(y, lo);
        clear(x + hi, t->cols - hi), clear(y + hi, t->cols - hi);
        if (t->softcap > 0.0f)
            gradient_capped(x + lo, y + lo, hi - lo, lse[i], delta[i], t->softcap);
        else gradient_plain(x + lo, y + lo, hi - lo, lse[i], delta[i]);
        for (int64_t j = lo; t->bias && j < hi; j++)
            if (t->bias[j] != 0.0f) x[j] = y[j] = 0.0f;
    }
}

static void scale_rows(float *x, int64_t stride, int64_t rows, int64_t n, const float *factor) {
    for (int64_t i = 0; i < rows; i++) {
        float f = factor[i];
        if (f != 1.0f)
            for (int64_t j = 0; j < n; j++) x[i * stride + j] *= f;
    }
}

static inline float dot(const float *a, const float *b, int64_t n) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) sum += a[j] * b[j];
    return sum;
}

static void dot_rows(const float *a, int64_t a_stride, const float *b, int64_t b_stride,
                     int64_t rows, int64_t n, float *out) {
    for (int64_t i = 0; i < rows; i++) out[i] = dot(a + i * a_stride, b + i * b_stride, n);
}

/* Four keys at a time, so that q is read once for them and their sums overlap. */
static void scores(const float *q, int64_t q_stride, int64_t heads, const float *k,
                   int64_t k_stride, int64_t keys, int64_t n, float alpha, float *s,
                   int64_t s_stride) {
    int64_t j = 0;
    for (; j + 4 <= keys; j += 4) {
        const float *a = k + j * k_stride, *b = a + k_stride, *c = b + k_stride, *d = c + k_stride;
        for (int64_t r = 0; r < heads; r++) {
            const float *x = q + r * q_stride;
            float *to = s + r * s_stride + j, sa = 0, sb = 0, sc = 0, sd = 0;
#pragma omp simd reduction(+ : sa, sb, sc, sd)
            for (int64_t i = 0; i < n; i++) {
                sa += x[i] * a[i];
                sb += x[i] * b[i];
                sc += x[i] * c[i];
                sd += x[i] * d[i];
            }
            to[0] = alpha * sa, to[1] = alpha * sb, to[2] = alpha * sc, to[3] = alpha * sd;
        }
    }
    for (; j < keys; j++)
        for (int64_t r = 0; r < heads; r++)
            s[r * s_stride + j] = alpha * dot(q + r * q_stride, k + j * k_stride, n);
}

/* Four keys at a time: o is read and written once for them. */
static void weigh(const float *p, int64_t p_stride, int64_t heads, const float *v, int64_t v_stride,
                  int64_t keys, int64_t n, float *o, int64_t o_stride) {
    int64_t j = 0;
    for (; j + 4 <= keys; j += 4) {
        const float *a = v + j * v_stride, *b = a + v_stride, *c = b + v_stride, *d = c + v_stride;
        for (int64_t r = 0; r < heads; r++) {
            const float *w = p + r * p_stride + j;
            float *x = o + r * o_stride, wa = w[0], wb = w[1], wc = w[2], wd = w[3];
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                x[i] += (wa * a[i] + wb * b[i]) + (wc * c[i] + wd * d[i]);
        }
    }
    for (; j < keys; j++)
        for (int64_t r = 0; r < heads; r++) {
            float w = p[r * p_stride + j], *x = o + r * o_stride;
#pragma omp simd
            for (int64_t i = 0; i < n; i++) x[i] += w * v[j * v_stride + i];
        }
}

const rh_attention_kernels RH_TABLE(attention) = {
    .softmax = softmax,
    .gradient = gradient,
    .scale_rows = scale_rows,
    .dot_rows = dot_rows,
    .scores = scores,
    .weigh = weigh,
};
