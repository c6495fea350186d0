/* Kernels of ops/elementwise*.c: for each operation one line with its value and its gradient, which the
 * macros UNARY and BINARY put into loops. Rests on vecmath.h for everything transcendental. */
#include "ops/kernels/elementwise.h"

#include "ops/kernels/vecmath.h"

#define LOOP _Pragma("omp simd") for (int64_t i = 0; i < n; i++)

static inline float silu(float x) { return x * rh_sigmoidf(x); }
static inline float silu_slope(float x) {
    float s = rh_sigmoidf(x);
    return s * (1.0f + x * (1.0f - s));
}

/* Past 30 both forms of gelu are x or 0; the bound keeps inf * 0 out of their slopes. */
static inline float within_30(float x) {
    float c = x < -30.0f ? -30.0f : x;
    return c > 30.0f ? 30.0f : c;
}

/* x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2; slope Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi) */
static inline float gelu(float x) { return 0.5f * x * (1.0f + rh_erff(x * 0.707106781f)); }
static inline float gelu_slope(float x) {
    float c = within_30(x), density = 0.398942280f * rh_expf(-0.5f * c * c);
    return 0.5f * (1.0f + rh_erff(c * 0.707106781f)) + c * density;
}

/* x s, s = sigmoid(2u), which is (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3);
 * slope s + x s (1 - s) 2u' */
static inline float gelu_tanh(float x) {
    return x * rh_sigmoidf(1.59576912f * (x + 0.044715f * (x * x * x)));
}
static inline float gelu_tanh_slope(float x) {
    float c = within_30(x), square = c * c;
    float s = rh_sigmoidf(1.59576912f * c * (1.0f + 0.044715f * square));
    return s + c * (s * (1.0f - s)) * (1.59576912f * (1.0f + 0.134145f * square));
}

static inline float clamp(float x, float low, float high) {
    float c = x < low ? low : x;
    return c > high ? high : c;
}

/* NAME_all: y = VALUE of x. NAME_back: dx = GRADIENT of g and v, which is y in the first group of lines
 * and x in the second. p: parameters. */
#define UNARY(NAME, VALUE, GRADIENT)                                                               \
    static void NAME##_all(float *restrict out, const float *restrict in, int64_t n,               \
                           const float *restrict p) {                                              \
        (void)p;                                                                                   \
        LOOP {                                                                                     \
            const float x = in[i];                                                                 \
            out[i] = VALUE;                                                                        \
        }                                                                                          \
    }                                                                                              \
    static void NAME##_back(float *restrict dx, const float *restrict upstream,                    \
                            const float *restrict saved, int64_t n, const float *restrict p) {     \
        (void)p;                                                                                   \
        LOOP {                                                                                     \
            const float g = upstream[i], v = saved[i];                                             \
            (void)v;                                                                               \
            dx[i] = GRADIENT;                                                                      \
        }                                                                                          \
    }

UNARY(exp, rh_expf(x), g * v)
UNARY(sqrt, sqrtf(x), g / (2.0f * v))
UNARY(rsqrt, 1.0f / sqrtf(x), -0.5f * g * (v * v * v))
UNARY(tanh, rh_tanhf(x), g * (1.0f - v * v))
UNARY(sigmoid, rh_sigmoidf(x), g * (v * (1.0f - v)))
UNARY(relu, x < 0.0f ? 0.0f : x, v <= 0.0f ? 0.0f : g)
UNARY(expm1, rh_expm1f(x), g * (v + 1.0f))

UNARY(log, rh_logf(x), g / v)
UNARY(log1p, rh_log1pf(x), g / (1.0f + v))
UNARY(silu, silu(x), g * silu_slope(v))
UNARY(softplus, rh_softplusf(x), g * rh_sigmoidf(v))
UNARY(logsigmoid, rh_logsigmoidf(x), g * rh_sigmoidf(-v))
UNARY(abs, fabsf(x), v > 0.0f ? g : (v < 0.0f ? -g : v)) /* 0 at 0, nan at nan */
UNARY(neg, -x, -g)
UNARY(square, x * x, 2.0f * g * v)
UNARY(erf, rh_erff(x), g * (1.12837917f * rh_expf(-v * v)))
UNARY(gelu, gelu(x), g * gelu_slope(v))
UNARY(gelu_tanh, gelu_tanh(x), g * gelu_tanh_slope(v))
UNARY(clamp, clamp(x, p[0], p[1]), ((v >= p[0]) & (v <= p[1])) ? g : 0.0f)

/* x^p[0], gradient by x: g p[0] x^(p[0] - 1), none for exponent 0 */
static void pow_all(float *restrict y, const float *restrict x, int64_t n, const float *p) {
    const rh_exponent e = rh_exponent_of(p[0]);
    LOOP y[i] = rh_powf(x[i], e);
}
static void pow_back(float *restrict dx, const float *restrict g, const float *restrict x, int64_t n,
                     const float *p) {
    const float factor = p[0];
    const rh_exponent e = rh_exponent_of(factor - 1.0f);
    if (factor == 0.0f)
        memset(dx, 0, (size_t)n * sizeof *dx);
    else
        LOOP dx[i] = g[i] * (factor * rh_powf(x[i], e));
}

/* p[0]^x for p[0] >= 0, gradient by x from the value y: g y log p[0], none where y is 0 */
static double log2_of_base(float base) {
    return base == 0.0f ? -1e60 : (base == INFINITY ? 1e60 : rh_log2d((double)base));
}
static void rpow_all(float *restrict y, const float *restrict x, int64_t n, const float *p) {
    const double l = log2_of_base(p[0]);
    LOOP y[i] = rh_exp2_times((double)x[i], l);
}
static void rpow_back(float *restrict dx, const float *restrict g, const float *restrict y, int64_t n,
                      const float *p) {
    const float log_base = rh_logf(p[0]);
    LOOP dx[i] = y[i] == 0.0f ? 0.0f : g[i] * y[i] * log_base;
}

/* d[i] = VALUE of x = a[A] and y = b[B], and of g[i] */
#define PAIRS(A, B, VALUE)                                                                         \
    LOOP {                                                                                         \
        const float x = a[A], y = b[B];                                                            \
        (void)x, (void)y;                                                                          \
        d[i] = VALUE;                                                                              \
    }
/* with a loop of its own for each pair of strides that shapes often lead to */
#define EACH_STRIDE(VALUE)                                                                         \
    if (sa == 1 && sb == 1) PAIRS(i, i, VALUE)                                                     \
    else if (sa == 1 && sb == 0) PAIRS(i, 0, VALUE)                                                \
    else if (sa == 0 && sb == 1) PAIRS(0, i, VALUE)                                                \
    else PAIRS(i * sa, i * sb, VALUE)

/* NAME_all: VALUE; NAME_by_a and NAME_by_b: the gradients. */
#define BINARY(NAME, VALUE, BY_A, BY_B)                                                            \
    static void NAME##_all(float *restrict d, const float *restrict a, int64_t sa,                 \
                           const float *restrict b, int64_t sb, int64_t n) {                       \
        EACH_STRIDE(VALUE)                                                                         \
    }                                                                                              \
    static void NAME##_by_a(float *restrict d, const float *restrict g, const float *restrict a,   \
                            int64_t sa, const float *restrict b, int64_t sb, int64_t n) {          \
        EACH_STRIDE(BY_A)                                                                          \
    }                                                                                              \
    static void NAME##_by_b(float *restrict d, const float *restrict g, const float *restrict a,   \
                            int64_t sa, const float *restrict b, int64_t sb, int64_t n) {          \
        EACH_STRIDE(BY_B)                                                                          \
    }

/* Sums read neither a nor b in backward: their gradients are passed on by copy or negated. */
#define SUM(NAME, VALUE)                                                                           \
    static void NAME##_all(float *restrict d, const float *restrict a, int64_t sa,                 \
                           const float *restrict b, int64_t sb, int64_t n) {                       \
        EACH_STRIDE(VALUE)                                                                         \
    }
SUM(add, x + y)
SUM(sub, x - y)
static void pass(float *restrict d, const float *restrict g, const float *a, int64_t sa,
                 const float *b, int64_t sb, int64_t n) {
    (void)a, (void)sa, (void)b, (void)sb;
    memcpy(d, g, (size_t)n * sizeof *d);
}
static void pass_negated(float *restrict d, const float *restrict g, const float *a, int64_t sa,
                         const float *b, int64_t sb, int64_t n) {
    (void)a, (void)sa, (void)b, (void)sb;
    LOOP d[i] = -g[i];
}

BINARY(mul, x * y, g[i] * y, g[i] * x)
BINARY(div, x / y, g[i] / y, -g[i] * ((x / y) / y))
/* nan wins, as in torch; equal values share the gradient in halves */
BINARY(maximum, x != x || x > y ? x : y, x == y ? 0.5f * g[i] : (x < y ? 0.0f : g[i]),
       x == y ? 0.5f * g[i] : (x > y ? 0.0f : g[i]))
BINARY(minimum, x != x || x < y ? x : y, x == y ? 0.5f * g[i] : (x > y ? 0.0f : g[i]),
       x == y ? 0.5f * g[i] : (x < y ? 0.0f : g[i]))
BINARY(swiglu, silu(x) * y, g[i] * y * silu_slope(x), g[i] * silu(x))

static void add_to(float *restrict dst, const float *restrict src, int64_t n) {
    LOOP dst[i] += src[i];
}

static void add_to_sums(double *restrict sums, const float *restrict x, int64_t n) {
    LOOP sums[i] += (double)x[i];
}

static double sum(const float *x, int64_t n) {
    double s = 0.0;
    _Pragma("omp simd reduction(+ : s)") for (int64_t i = 0; i < n; i++) s += (double)x[i];
    return s;
}

#define UNARY_ROWS(F)                                                                              \
    F(EXP, exp) F(LOG, log) F(SQRT, sqrt) F(RSQRT, rsqrt) F(TANH, tanh) F(SIGMOID, sigmoid)        \
    F(RELU, relu) F(SILU, silu) F(SOFTPLUS, softplus) F(LOGSIGMOID, logsigmoid) F(ABS, abs)        \
    F(NEG, neg) F(SQUARE, square) F(LOG1P, log1p) F(EXPM1, expm1) F(ERF, erf) F(GELU, gelu)        \
    F(GELU_TANH, gelu_tanh) F(CLAMP, clamp) F(POW, pow) F(RPOW, rpow)
#define BINARY_ROWS(F)                                                                             \
    F(MUL, mul) F(DIV, div) F(MAXIMUM, maximum) F(MINIMUM, minimum) F(SWIGLU, swiglu)
#define UNARY_VALUE(INDEX, NAME) [RH_UNARY_##INDEX] = NAME##_all,
#define UNARY_BACK(INDEX, NAME) [RH_UNARY_##INDEX] = NAME##_back,
#define BINARY_VALUE(INDEX, NAME) [RH_BINARY_##INDEX] = NAME##_all,
#define BINARY_BACK(INDEX, NAME) [RH_BINARY_##INDEX] = {NAME##_by_a, NAME##_by_b},

const rh_elementwise_kernels RH_TABLE(elementwise) = {
    .unary = {UNARY_ROWS(UNARY_VALUE)},
    .unary_back = {UNARY_ROWS(UNARY_BACK)},
    .binary = {[RH_BINARY_ADD] = add_all, [RH_BINARY_SUB] = sub_all, BINARY_ROWS(BINARY_VALUE)},
    .binary_back = {[RH_BINARY_ADD] = {pass, pass},
                    [RH_BINARY_SUB] = {pass, pass_negated},
                    BINARY_ROWS(BINARY_BACK)},
    .add = add_to,
    .add_to_sums = add_to_sums,
    .sum = sum,
};
