#include "base/rng.h"

#include <math.h>

enum { ROUNDS = 10 };

static inline void multiply(uint32_t a, uint32_t b, uint32_t *hi, uint32_t *lo) {
    uint64_t p = (uint64_t)a * b;
    *hi = (uint32_t)(p >> 32);
    *lo = (uint32_t)p;
}

void rh_philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t hi0, lo0, hi1, lo1;
        multiply(0xD2511F53u, c0, &hi0, &lo0);
        multiply(0xCD9E8D57u, c2, &hi1, &lo1);
        c0 = hi1 ^ c1 ^ k0;
        c1 = lo1;
        c2 = hi0 ^ c3 ^ k1;
        c3 = lo0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Draw d is word d % 4 of block d / 4. */
void rh_rng_uniform(uint64_t seed, uint64_t stream, uint64_t first, float *out, int64_t n) {
    uint32_t block[4];
    for (int64_t i = 0; i < n; i++) {
        uint64_t draw = first + (uint64_t)i;
        if (i == 0 || draw % 4 == 0) rh_philox(seed, stream, draw / 4, block);
        out[i] = rh_u32_to_unit(block[draw % 4]);
    }
}

/* Words 2j and 2j+1 of a block make normals 2j and 2j+1: r cos t and r sin t. */
void rh_rng_normal(uint64_t seed, uint64_t stream, uint64_t first, float *out, int64_t n) {
    uint32_t block[4];
    for (int64_t i = 0; i < n; i++) {
        uint64_t draw = first + (uint64_t)i;
        if (i == 0 || draw % 4 == 0) rh_philox(seed, stream, draw / 4, block);
        const uint32_t *pair = block + (draw % 4 & 2);
        double u = ((double)pair[0] + 1.0) * 0x1p-32; /* (0, 1]: its log is finite */
        double angle = 6.283185307179586 * ((double)pair[1] * 0x1p-32);
        double r = sqrt(-2.0 * log(u));
        out[i] = (float)(draw % 2 == 0 ? r * cos(angle) : r * sin(angle));
    }
}
