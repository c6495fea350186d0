/* Sums over any set of dimensions, and the way back, for rows whose forward or backward is made of
 * them. A set is a mask: bit d stands for dimension d. Rests on fold.h. */
#ifndef RH_OPS_SUMS_H
#define RH_OPS_SUMS_H

#include "ops/fold.h"

/* Which dimensions option k of the call (type D) means; left out or an empty list: all. */
rh_status rh_mask_option(rh_call *call, int k, unsigned *mask);

/* Returns new: contiguous x itself, or a copy with the dimensions in mask moved to the end; and its
 * fold around them. The kept ones stay in order. Any dtype. */
rh_tensor *rh_arrange(rh_tensor *x, unsigned mask, rh_fold *fold);

/* Returns new (rh_free): the sums [outer, inner] of x [outer, size, inner], or of the squares of
 * x - center; center [outer, inner], NULL: 0. */
double *rh_fold_sums(rh_ctx *ctx, const rh_fold *fold, const float *x, bool squares,
                     const float *center);

/* dst (+)= the sum of src over the dimensions in mask. dst has src's others in order (sizes of 1 may
 * stand between them). Both contiguous f32. */
rh_status rh_sum_over(rh_ctx *ctx, rh_tensor *dst, rh_tensor *src, unsigned mask, bool add);

/* dst (+)= factor (x - center) for x of dst's shape, or factor where x is NULL; factor and center have
 * one value for each place of the dimensions not in mask, center NULL (only when mask has all): 0. */
void rh_spread(rh_tensor *dst, unsigned mask, const float *x, const float *factor,
               const float *center, bool add);

#endif
