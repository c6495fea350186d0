/* Reductions and softmax on plain memory; see reduce.h for the order of sums. The loops over lanes are
 * fully unrolled by the compiler into vector registers; exponentials go in plain loops of their own,
 * because a loop that also sums into lanes is left scalar. */
#include "ops/kernels/reduce.h"

#include "ops/kernels/vecmath.h"

enum { LANES = 32, BLOCK = 512, BLOCK_ROWS = 32, EXP_BUFFER = 1024 };

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Adds the lanes by halves. */
static inline float fold_lanes(float acc[LANES]) {
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) acc[l] += acc[l + half];
    return acc[0];
}

static float block_sum(const float *x, int64_t n) {
    float acc[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) acc[l] += x[i + l];
    float s = i > 0 ? fold_lanes(acc) : 0.0f;
    for (; i < n; i++) s += x[i];
    return s;
}

static float block_squares(const float *x, int64_t n, float center) {
    float acc[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) acc[l] += (x[i + l] - center) * (x[i + l] - center);
    float s = i > 0 ? fold_lanes(acc) : 0.0f;
    for (; i < n; i++) s += (x[i] - center) * (x[i] - center);
    return s;
}

static float block_dot(const float *x, const float *y, int64_t n) {
    float acc[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) acc[l] += x[i + l] * y[i + l];
    float s = i > 0 ? fold_lanes(acc) : 0.0f;
    for (; i < n; i++) s += x[i] * y[i];
    return s;
}

static double sum(const float *x, int64_t n) {
    double s = 0;
    for (int64_t b = 0; b < n; b += BLOCK) s += block_sum(x + b, smaller(BLOCK, n - b));
    return s;
}

static double sum_squares(const float *x, int64_t n, float center) {
    double s = 0;
    for (int64_t b = 0; b < n; b += BLOCK)
        s += block_squares(x + b, smaller(BLOCK, n - b), center);
    return s;
}

static double dot(const float *x, const float *y, int64_t n) {
    double s = 0;
    for (int64_t b = 0; b < n; b += BLOCK) s += block_dot(x + b, y + b, smaller(BLOCK, n - b));
    return s;
}

static void sum_columns(double *restrict total, const float *restrict x, int64_t rows,
                        int64_t stride, int64_t width) {
    for (int64_t j = 0; j < width; j++) total[j] = 0;
    for (int64_t b = 0; b < rows; b += BLOCK_ROWS) {
        float acc[RH_STRIP] = {0};
        for (int64_t r = b; r < smaller(rows, b + BLOCK_ROWS); r++)
            for (int64_t j = 0; j < width; j++) acc[j] += x[r * stride + j];
        for (int64_t j = 0; j < width; j++) total[j] += acc[j];
    }
}

static void sum_squares_columns(double *restrict total, const float *restrict x, int64_t rows,
                                int64_t stride, int64_t width, const float *restrict center) {
    for (int64_t j = 0; j < width; j++) total[j] = 0;
    for (int64_t b = 0; b < rows; b += BLOCK_ROWS) {
        float acc[RH_STRIP] = {0};
        for (int64_t r = b; r < smaller(rows, b + BLOCK_ROWS); r++)
            for (int64_t j = 0; j < width; j++) {
                float d = x[r * stride + j] - center[j];
                acc[j] += d * d;
            }
        for (int64_t j = 0; j < width; j++) total[j] += acc[j];
    }
}

static void put_constant(float *dst, int64_t n, float a, bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) dst[i] += a;
    else
        for (int64_t i = 0; i < n; i++) dst[i] = a;
}

static void put_affine(float *restrict dst, const float *restrict x, int64_t n, float a, float c,
                       bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) dst[i] += a * (x[i] - c);
    else
        for (int64_t i = 0; i < n; i++) dst[i] = a * (x[i] - c);
}

static void put_vector(float *restrict dst, int64_t n, const float *restrict a, bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) dst[i] += a[i];
    else
        for (int64_t i = 0; i < n; i++) dst[i] = a[i];
}

static void put_affine_vector(float *restrict dst, const float *restrict x, int64_t n,
                              const float *restrict a, const float *restrict c, bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) dst[i] += a[i] * (x[i] - c[i]);
    else
        for (int64_t i = 0; i < n; i++) dst[i] = a[i] * (x[i] - c[i]);
}

static float extreme(const float *x, int64_t n, float sign) {
    float best[LANES];
    int32_t odd[LANES] = {0}; /* saw a nan */
    int64_t i = 0;
    for (int l = 0; l < LANES; l++) best[l] = sign * x[0];
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float v = sign * x[i + l];
            best[l] = v > best[l] ? v : best[l];
            odd[l] |= v != v;
        }
    for (int l = 0; i < n; i++, l++) {
        float v = sign * x[i];
        best[l] = v > best[l] ? v : best[l];
        odd[l] |= v != v;
    }
    float top = best[0];
    int32_t any = odd[0];
    for (int l = 1; l < LANES; l++) {
        top = best[l] > top ? best[l] : top;
        any |= odd[l];
    }
    return any ? rh_bits_to_f32(0x7fc00000) : sign * top;
}

static int64_t find(const float *x, int64_t n, float v) {
    bool nan = v != v;
    for (int64_t b = 0; b < n; b += RH_STRIP) {
        int64_t end = smaller(n, b + RH_STRIP);
        int32_t any = 0;
        for (int64_t i = b; i < end; i++) any |= (x[i] == v) | (nan & (x[i] != x[i]));
        if (!any) continue;
        for (int64_t i = b; i < end; i++)
            if (x[i] == v || (nan && x[i] != x[i])) return i;
    }
    return n;
}

static void extreme_columns(float *restrict best, int64_t *restrict at, const float *restrict x,
                            int64_t rows, int64_t stride, int64_t width, float sign) {
    for (int64_t j = 0; j < width; j++) {
        best[j] = x[j];
        at[j] = 0;
    }
    for (int64_t r = 1; r < rows; r++)
        for (int64_t j = 0; j < width; j++) {
            float v = x[r * stride + j], b = best[j];
            bool better = sign * v > sign * b || (v != v && b == b);
            best[j] = better ? v : b;
            at[j] = better ? r : at[j];
        }
}

static int64_t count_equal(const float *x, int64_t n, float v) {
    int64_t count = 0;
    bool nan = v != v;
    for (int64_t i = 0; i < n; i++) count += (x[i] == v) | (nan & (x[i] != x[i]));
    return count;
}

static void put_equal(float *restrict dst, const float *restrict x, int64_t n, float v, float a,
                      bool add) {
    bool nan = v != v;
    for (int64_t i = 0; i < n; i++) {
        float put = (x[i] == v) | (nan & (x[i] != x[i])) ? a : 0.0f;
        dst[i] = add ? dst[i] + put : put;
    }
}

static void exp_block(float *restrict y, const float *restrict x, int64_t n, float m) {
    for (int64_t i = 0; i < n; i++) y[i] = rh_expf(x[i] - m);
}

static double exp_store(float *y, const float *x, int64_t n, float m) {
    double s = 0;
    for (int64_t b = 0; b < n; b += EXP_BUFFER) {
        int64_t k = smaller(EXP_BUFFER, n - b);
        exp_block(y + b, x + b, k, m);
        s += block_sum(y + b, k);
    }
    return s;
}

static double exp_sum(const float *x, int64_t n, float m) {
    float buffer[EXP_BUFFER];
    double s = 0;
    for (int64_t b = 0; b < n; b += EXP_BUFFER) {
        int64_t k = smaller(EXP_BUFFER, n - b);
        exp_block(buffer, x + b, k, m);
        s += block_sum(buffer, k);
    }
    return s;
}

static void scale(float *y, int64_t n, float a) {
    for (int64_t i = 0; i < n; i++) y[i] *= a;
}

static void shift(float *restrict y, const float *restrict x, int64_t n, float m, float l) {
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) - l;
}

static void put_exp(float *restrict dst, const float *restrict x, int64_t n, float m, float a,
                    bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) dst[i] += a * rh_expf(x[i] - m);
    else
        for (int64_t i = 0; i < n; i++) dst[i] = a * rh_expf(x[i] - m);
}

static void softmax_back(float *restrict dst, const float *restrict y, const float *restrict g,
                         int64_t n, float s, bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) dst[i] += y[i] * (g[i] - s);
    else
        for (int64_t i = 0; i < n; i++) dst[i] = y[i] * (g[i] - s);
}

static void log_softmax_back(float *restrict dst, const float *restrict y,
                             const float *restrict g, int64_t n, float s, bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) dst[i] += g[i] - s * rh_expf(y[i]);
    else
        for (int64_t i = 0; i < n; i++) dst[i] = g[i] - s * rh_expf(y[i]);
}

const rh_reduce_kernels RH_TABLE(reduce) = {
    .sum = sum,
    .sum_squares = sum_squares,
    .dot = dot,
    .sum_columns = sum_columns,
    .sum_squares_columns = sum_squares_columns,
    .put_constant = put_constant,
    .put_affine = put_affine,
    .put_vector = put_vector,
    .put_affine_vector = put_affine_vector,
    .extreme = extreme,
    .find = find,
    .extreme_columns = extreme_columns,
    .count_equal = count_equal,
    .put_equal = put_equal,
    .exp_store = exp_store,
    .exp_sum = exp_sum,
    .scale = scale,
    .shift = shift,
    .put_exp = put_exp,
    .softmax_back = softmax_back,
    .log_softmax_back = log_softmax_back,
};
