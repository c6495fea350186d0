/* Kernels of reductions and of softmax. Row kernels take n contiguous floats; column kernels take a
 * strip, `rows` rows of `width` <= RH_STRIP floats that stand `stride` apart. Sums go in 32 lanes of
 * f32 over at most 512 elements (32 rows of a strip), and from there in double, in index order:
 * the same bits for the same n on one instruction set. */
#ifndef RH_OPS_KERNELS_REDUCE_H
#define RH_OPS_KERNELS_REDUCE_H

#include "ops/kernels/isa.h"

enum { RH_STRIP = 64 };

typedef struct rh_reduce_kernels {
    double (*sum)(const float *x, int64_t n);
    double (*sum_squares)(const float *x, int64_t n, float center); /* of x - center */
    double (*dot)(const float *x, const float *y, int64_t n);
    /* total [width] is written; center [width] */
    void (*sum_columns)(double *total, const float *x, int64_t rows, int64_t stride,
                        int64_t width);
    void (*sum_squares_columns)(double *total, const float *x, int64_t rows, int64_t stride,
                                int64_t width, const float *center);

    /* dst (+)= a; dst (+)= a (x - c); and the same with a and c [n] */
    void (*put_constant)(float *dst, int64_t n, float a, bool add);
    void (*put_affine)(float *dst, const float *x, int64_t n, float a, float c, bool add);
    void (*put_vector)(float *dst, int64_t n, const float *a, bool add);
    void (*put_affine_vector)(float *dst, const float *x, int64_t n, const float *a,
                              const float *c, bool add);

    /* Largest of sign * x, times sign (sign 1 or -1); nan if there is one. n >= 1. */
    float (*extreme)(const float *x, int64_t n, float sign);
    /* Index of the first element equal to v (of the first nan if v is); n where there is none. */
    int64_t (*find)(const float *x, int64_t n, float v);
    /* best, at [width]: the extreme of each column and its first row. rows >= 1. */
    void (*extreme_columns)(float *best, int64_t *at, const float *x, int64_t rows,
                            int64_t stride, int64_t width, float sign);
    int64_t (*count_equal)(const float *x, int64_t n, float v);
    /* dst (+)= a where x equals v, else 0 */
    void (*put_equal)(float *dst, const float *x, int64_t n, float v, float a, bool add);

    /* y = e^(x - m), and returns the sum of y; the same without y */
    double (*exp_store)(float *y, const float *x, int64_t n, float m);
    double (*exp_sum)(const float *x, int64_t n, float m);
    void (*scale)(float *y, int64_t n, float a);                                /* y *= a */
    void (*shift)(float *y, const float *x, int64_t n, float m, float l);       /* y = x - m - l */
    void (*put_exp)(float *dst, const float *x, int64_t n, float m, float a, bool add); /* a e^(x-m) */
    /* dst (+)= y (g - s);  dst (+)= g - s e^y */
    void (*softmax_back)(float *dst, const float *y, const float *g, int64_t n, float s, bool add);
    void (*log_softmax_back)(float *dst, const float *y, const float *g, int64_t n, float s,
                             bool add);
} rh_reduce_kernels;

#endif
