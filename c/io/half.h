/* The 16-bit float types that files hold, as bits. To f32 is exact: subnormals, infinities and NaNs
 * with their payload. To bf16 rounds to nearest even; a NaN stays one. */
#ifndef RH_IO_HALF_H
#define RH_IO_HALF_H

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

static inline float rh_bf16_to_f32(uint16_t h) { return rh_bits_to_f32((uint32_t)h << 16); }

/* 1 sign, 5 exponent (bias 15), 10 mantissa bits. A subnormal m is m * 2^-24, exact in f32. */
static inline float rh_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, m = h & 0x3FF;
    uint32_t normal = (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | m << 13;
    return rh_bits_to_f32(sign | (exponent ? normal : rh_f32_to_bits((float)m * 0x1p-24f)));
}

static inline uint16_t rh_f32_to_bf16(float f) {
    uint32_t bits = rh_f32_to_bits(f);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

#endif
