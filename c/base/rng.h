/* Random numbers by counter: Philox 4x32-10 (Salmon et al. 2011). A draw is a function of
 * (seed, stream, counter) alone; there is no state to lose, save or share. */
#ifndef RH_BASE_RNG_H
#define RH_BASE_RNG_H

#include <stdint.h>

/* Four 32-bit words for (seed, stream, counter): key = seed, counter block = {counter, stream}. */
void rh_philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);

/* Uniform in [0, 1) with 24 bits. */
static inline float rh_u32_to_unit(uint32_t u) { return (float)(u >> 8) * 0x1p-24f; }

/* out[i] = draw number first + i of the stream. */
void rh_rng_uniform(uint64_t seed, uint64_t stream, uint64_t first, float *out, int64_t n);
/* Normal, mean 0 and deviation 1 (Box-Muller on pairs of words of one block). */
void rh_rng_normal(uint64_t seed, uint64_t stream, uint64_t first, float *out, int64_t n);

#endif
