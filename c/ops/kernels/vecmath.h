/* Elementary functions for loops: no branches, no calls, no tables, so that the compiler turns a
 * plain loop over them into vector code for each instruction set. All are defined for every float:
 * subnormals, both infinities, nan (which stays nan). Constants of the polynomials are minimax fits.
 * Errors in units of the last place (ulp) bound the largest of every 31st float against double precision,
 * with and without fused multiply-add. */
#ifndef RH_OPS_KERNELS_VECMATH_H
#define RH_OPS_KERNELS_VECMATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float rh_bits_to_f32(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t rh_f32_to_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline double rh_bits_to_f64(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static inline uint64_t rh_f64_to_bits(double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

/* 2^e for -127 < e < 128; any other e gives some float */
static inline float rh_exp2i(int32_t e) { return rh_bits_to_f32((uint32_t)(e + 127) << 23); }

/* x = n ln 2 + *r with |*r| <= ln 2 / 2; returns n. |x| < 2^20. */
static inline int32_t rh_split_exp(float x, float *r) {
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float n = x * 1.44269504f + round;
    int32_t e = (int32_t)(rh_f32_to_bits(n) - rh_f32_to_bits(round));
    n -= round;
    *r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* ln 2 in two parts; the first product is exact */
    return e;
}

/* e^r - 1 for |r| <= ln 2 / 2 */
static inline float rh_expm1_near_0(float r) {
    float p = 1.99075846e-4f;
    p = p * r + 1.39485928e-3f;
    p = p * r + 8.3333198e-3f;
    p = p * r + 4.16663177e-2f;
    p = p * r + 1.66666657e-1f;
    p = p * r + 0.5f;
    return p * (r * r) + r;
}

/* e^x; inf above 88.72, 0 below -103.97. 2^n is taken in two factors, so that subnormal results and the
 * largest floats come out right. 1.0 ulp. */
static inline float rh_expf(float x) {
    float c = x < -104.0f ? -104.0f : x, r;
    c = c > 89.0f ? 89.0f : c;
    int32_t e = rh_split_exp(c, &r), half = e >> 1;
    return (1.0f + rh_expm1_near_0(r)) * rh_exp2i(half) * rh_exp2i(e - half);
}

/* e^x - 1. 1.5 ulp. */
static inline float rh_expm1f(float x) {
    float c = x < -25.0f ? -25.0f : x, r;
    c = c > 89.0f ? 89.0f : c;
    int32_t e = rh_split_exp(c, &r);
    float s = rh_exp2i(e - 1); /* half of 2^n: 2^128 is no float */
    return 2.0f * (s * rh_expm1_near_0(r) + (s - 0.5f));
}

/* e ln 2 + log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2) */
static inline float rh_log_sum(float e, float f) {
    float p = -7.63450414e-2f;
    p = p * f + 1.27615795e-1f;
    p = p * f - 1.31601945e-1f;
    p = p * f + 1.42017841e-1f;
    p = p * f - 1.66233703e-1f;
    p = p * f + 2.00012267e-1f;
    p = p * f - 2.50008196e-1f;
    p = p * f + 3.33333313e-1f;
    float square = f * f;
    float tail = p * (f * square) - e * 2.12194440e-4f - 0.5f * square;
    return tail + f + e * 0.693359375f;
}

/* v = 2^e * (returned m), sqrt(1/2) <= m < sqrt(2), for a normal v > 0 */
static inline float rh_split_log(float v, int32_t *e) {
    uint32_t bits = rh_f32_to_bits(v) - 0x3f3504f3u; /* bits of sqrt(1/2) */
    *e = (int32_t)bits >> 23;
    return rh_bits_to_f32((bits & 0x7fffffu) + 0x3f3504f3u);
}

/* r, the logarithm for 0 < v < inf, and what it is elsewhere */
static inline float rh_log_ends(float v, float r) {
    r = v > 0.0f ? r : (v == 0.0f ? -INFINITY : NAN);
    return v < INFINITY ? r : v;
}

/* log x; -inf at 0, nan below. 0.9 ulp. */
static inline float rh_logf(float x) {
    int32_t e;
    float m = rh_split_log(x < FLT_MIN ? x * 8388608.0f : x, &e);
    float n = (float)(x < FLT_MIN ? e - 23 : e);
    return rh_log_ends(x, rh_log_sum(n, m - 1.0f));
}

/* log(1 + x); -inf at -1, nan below. What 1 + x loses in rounding is put back into the fraction.
 * 1.5 ulp. */
static inline float rh_log1pf(float x) {
    int32_t e;
    float u = 1.0f + x, m = rh_split_log(u, &e);
    float lost = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x);
    float scale = e < 32 ? rh_exp2i(-e) : 0.0f;
    float f = e == 0 ? x : (m - 1.0f) + lost * scale;
    float r = rh_log_ends(u, rh_log_sum((float)e, f));
    return u < INFINITY ? r : x;
}

/* tanh x = -t / (t + 2), t = e^(-2|x|) - 1. 2.5 ulp. */
static inline float rh_tanhf(float x) {
    float t = rh_expm1f(-2.0f * fabsf(x));
    return copysignf(t / (t + 2.0f), x);
}

/* 1 / (1 + e^-x), accurate in both tails. 2.4 ulp. */
static inline float rh_sigmoidf(float x) {
    float z = rh_expf(-fabsf(x));
    return (x < 0.0f ? z : 1.0f) / (1.0f + z);
}

/* log(1 + e^x) = max(x, 0) + log(1 + z), z = e^-|x| <= 1; above sqrt(2) - 1 as log 2 + log((1 + z) / 2).
 * 1.7 ulp. */
static inline float rh_softplusf(float x) {
    float z = rh_expf(-fabsf(x));
    float f = z > 0.41421356f ? 0.5f * (z - 1.0f) : z;
    return (x > 0.0f ? x : 0.0f) + rh_log_sum(z > 0.41421356f ? 1.0f : 0.0f, f);
}

/* log(1 / (1 + e^-x)) */
static inline float rh_logsigmoidf(float x) { return -rh_softplusf(-x); }

/* The error function: a polynomial below 1, 1 - e^q(x) above. 1.4 ulp. */
static inline float rh_erff(float x) {
    float a = fabsf(x), s = a * a, t = a > 3.95f ? 3.95f : a; /* erf 3.95 rounds to 1 */
    float p = 7.85385782e-5f;
    p = p * s - 8.01019196e-4f;
    p = p * s + 5.18832635e-3f;
    p = p * s - 2.68538129e-2f;
    p = p * s + 1.12835854e-1f;
    p = p * s - 3.7612626e-1f;
    p = p * s + 1.28379166e-1f;
    float q = -1.59530464e-5f;
    q = q * t + 3.61675018e-4f;
    q = q * t - 3.74266249e-3f;
    q = q * t + 2.37616058e-2f;
    q = q * t - 1.05778813e-1f;
    q = q * t - 6.36024117e-1f;
    q = q * t - 1.12797284f;
    q = q * t - 1.94398352e-4f;
    return copysignf(a < 1.0f ? a + a * p : 1.0f - rh_expf(q), x);
}

/* log2 of a normal v > 0 to 1e-12: exponent and atanh series of the fraction */
static inline double rh_log2d(double v) {
    uint64_t bits = rh_f64_to_bits(v);
    double m = rh_bits_to_f64((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
    double e = rh_bits_to_f64(bits >> 52 | 0x4330000000000000u) - 4503599627370496.0 - 1023.0;
    e = m > 1.41421356 ? e + 1.0 : e;
    m = m > 1.41421356 ? 0.5 * m : m;
    double s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z + 1.0 / 3.0;
    p = p * z + 1.0;
    return e + 2.88539008177792681 * (s * p);
}

/* 2^t to 1e-11, |t| <= 1000 */
static inline double rh_exp2d(double t) {
    const double round = 6755399441055744.0; /* 1.5 * 2^52 */
    double n = t + round;
    uint64_t scale = (rh_f64_to_bits(n) + 1023) << 52;
    double z = (t - (n - round)) * 0.693147180559945309;
    double p = 1.0 / 362880;
    p = p * z + 1.0 / 40320;
    p = p * z + 1.0 / 5040;
    p = p * z + 1.0 / 720;
    p = p * z + 1.0 / 120;
    p = p * z + 1.0 / 24;
    p = p * z + 1.0 / 6;
    p = p * z + 0.5;
    p = p * z + 1.0;
    p = p * z + 1.0;
    return p * rh_bits_to_f64(scale);
}

/* 2^(x l) for any x; l is a logarithm to base 2, +-1e60 where it is infinite (which keeps 0 l at 0). */
static inline float rh_exp2_times(double x, double l) {
    double t = x * l;
    t = t > 400.0 ? 400.0 : t;
    return (float)rh_exp2d(t < -400.0 ? -400.0 : t);
}

/* What x^y needs of y alone: made before a loop, which then has no branches. */
typedef struct rh_exponent {
    double y;          /* within +-1e30 */
    float of_negative; /* factor for x < 0: 1 or -1, nan when y is no integer */
    float of_nan;
} rh_exponent;

static inline rh_exponent rh_exponent_of(float y) {
    float c = y > 16777216.0f ? 16777216.0f : (y > -16777216.0f ? y : -16777216.0f);
    int32_t whole = (int32_t)c; /* every float from 2^24 on is an even integer */
    return (rh_exponent){
        .y = y > 1e30f ? 1e30 : (y < -1e30f ? -1e30 : (double)y),
        .of_negative = (float)whole != c ? NAN : (whole & 1 ? -1.0f : 1.0f),
        .of_nan = y == 0.0f ? 1.0f : NAN,
    };
}

/* x^y in double, rounded once: 0.51 ulp. nan for x < 0 (-inf too) when y is no integer; 1 for y = 0 and
 * for x = 1. -0 counts as 0. */
static inline float rh_powf(float x, rh_exponent e) {
    float a = fabsf(x);
    double l = rh_log2d((double)a);
    l = a > 0.0f ? l : -1e60;
    l = a < INFINITY ? l : 1e60;
    float r = rh_exp2_times(e.y, l);
    r = x < 0.0f ? r * e.of_negative : r;
    r = x == x ? r : e.of_nan;
    return x == 1.0f ? 1.0f : r;
}

#endif
