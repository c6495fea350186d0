/* Sizes from users and files are multiplied and added only here, where a wrap is seen. */
#ifndef RH_BASE_SIZE_H
#define RH_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns false, and leaves *out alone, when the exact result does not fit. */
static inline bool rh_size_mul(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
static inline bool rh_size_add(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
/* r = a * b for non-negative a and b. */
static inline bool rh_i64_mul(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

/* Smallest multiple of `unit` (a power of two) that is not below n; n is far from SIZE_MAX. */
static inline size_t rh_round_up(size_t n, size_t unit) { return (n + unit - 1) & ~(unit - 1); }
static inline int64_t rh_ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }
static inline int64_t rh_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t rh_max(int64_t a, int64_t b) { return a > b ? a : b; }

#endif
