/* Elementary functions for loops: no branches, no calls, no tables, so that the compiler turns a
 * plain loop over them into vector code for each instruction set. Errors in units of the last place
 * are given at each function, measured over all floats of its range. */
#ifndef RH_OPS_KERNELS_VECMATH_H
#define RH_OPS_KERNELS_VECMATH_H

#include <stdint.h>
#include <string.h>

static inline float rh_bits_to_f32(int32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline int32_t rh_f32_to_bits(float f) {
    int32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* e^x. Range reduction x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial for e^r, and 2^n in two factors so
 * that subnormal results and the largest floats come out right. Below 1.5 ulp; inf above 88.73, 0 below
 * -103.98; nan stays nan. */
static inline float rh_expf(float x) {
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float n = c * 1.44269504f + round;
    int32_t e = rh_f32_to_bits(n) - rh_f32_to_bits(round);
    n -= round;
    float r = c - n * 0.693359375f; /* ln 2 in two parts; the first product is exact */
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int32_t half = e >> 1;
    return p * rh_bits_to_f32((half + 127) << 23) * rh_bits_to_f32((e - half + 127) << 23);
}

#endif
