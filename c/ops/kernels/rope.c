/* Angles in double: positions times frequencies reach thousands of turns, of which only the last part
 * counts. */
#include "ops/kernels/rope.h"

#include <string.h>

static void angles(int64_t half, float position, const float *frequency, float *restrict cos,
                   float *restrict sin) {
    const double round = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        double angle = (double)(position * frequency[i]);
        double n = angle * 0.63661977236758134308 + round; /* quarter turns */
        int64_t quarter;
        memcpy(&quarter, &n, sizeof quarter);
        n -= round;
        double r = angle - n * 1.57079632679489655800 - n * 6.12323399573676603587e-17, q = r * r;
        double s = r * (1 + q * (-1.0 / 6 + q * (1.0 / 120 + q * (-1.0 / 5040 + q * (1.0 / 362880)))));
        double c = 1 + q * (-0.5 + q * (1.0 / 24 + q * (-1.0 / 720 + q * (1.0 / 40320 + q * (-1.0 / 3628800)))));
        double even = quarter & 1 ? c : s, odd = quarter & 1 ? s : c;
        sin[i] = (float)(quarter & 2 ? -even : even);
        cos[i] = (float)((quarter + 1) & 2 ? -odd : odd);
    }
}

static void rotate(int64_t half, const float *x, const float *cos, const float *sin, float sign,
                   float *out, bool accumulate) {
    if (accumulate) {
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            float a = x[i], b = x[i + half], c = cos[i], s = sign * sin[i];
            out[i] = out[i] + (a * c - b * s);
            out[i + half] = out[i + half] + (b * c + a * s);
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            float a = x[i], b = x[i + half], c = cos[i], s = sign * sin[i];
            out[i] = a * c - b * s;
            out[i + half] = b * c + a * s;
        }
    }
}

const rh_rope_kernels RH_TABLE(rope) = {.angles = angles, .rotate = rotate};
