/* Kernels of gather and scatter. A strip is `width` lines of an index tensor that stand next to one
 * another: index [n, width], its rows `row` apart. Element i of each row belongs to the line that
 * begins at at[i] in the tensor indexed, whose elements are `step` apart. */
#ifndef RH_OPS_KERNELS_INDEX_H
#define RH_OPS_KERNELS_INDEX_H

#include "ops/kernels/isa.h"

typedef struct rh_index_kernels {
    /* Place of the first id outside 0 .. limit - 1; n where there is none. */
    int64_t (*first_outside)(const int64_t *id, int64_t n, int64_t limit);
    void (*add)(float *dst, const float *src, int64_t n); /* dst += src */
    /* out [n, width], rows `row` apart like index's: out (+)= x[at[i] + index step] */
    void (*gather)(float *out, const float *x, const int64_t *index, const int64_t *at, int64_t n,
                   int64_t row, int64_t width, int64_t step, bool add);
    /* In the order of rows, so that the last of several wins: out[at[i] + index step] = src [n, width],
     * rows `row` apart; and the same with += */
    void (*scatter)(float *out, const float *src, const int64_t *index, const int64_t *at,
                    int64_t n, int64_t row, int64_t width, int64_t step);
    void (*scatter_add)(float *out, const float *src, const int64_t *index, const int64_t *at,
                        int64_t n, int64_t row, int64_t width, int64_t step);
    /* From the last row to the first: src (+)= out[at[i] + index step], which then becomes 0, so that
     * of several only the one that won in scatter gets something */
    void (*unscatter)(float *out, float *src, const int64_t *index, const int64_t *at, int64_t n,
                      int64_t row, int64_t width, int64_t step, bool add);
} rh_index_kernels;

#endif
