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

#endif
