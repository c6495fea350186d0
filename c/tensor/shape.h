/* Rules about shapes that operations share. Each that can fail says so through rh_fail. */
#ifndef RH_TENSOR_SHAPE_H
#define RH_TENSOR_SHAPE_H

#include "tensor/tensor.h"

/* A shape and dtype without a tensor: what a shape rule answers. */
typedef struct rh_spec {
    rh_dtype dtype;
    int rank;
    int64_t shape[RH_MAX_RANK];
} rh_spec;

int64_t rh_shape_numel(int rank, const int64_t *shape);
void rh_shape_strides(int rank, const int64_t *shape, int64_t *strides);
rh_spec rh_spec_of(const rh_tensor *t);
rh_spec rh_spec_make(rh_dtype dtype, int rank, const int64_t *shape);
bool rh_spec_same_shape(const rh_spec *a, const rh_spec *b);

/* "[2,3]" into buffer, which is returned; shortened with "..." when it does not fit. */
enum { RH_SHAPE_TEXT = 192 };
const char *rh_shape_text(int rank, const int64_t *shape, char buffer[RH_SHAPE_TEXT]);

/* Turns a dimension that counts from 0, or from the end when negative, into an index below rank
 * (below 1 for rank 0, so that scalars can be reduced). The error counts from 1, as users do. */
rh_status rh_dim_resolve(rh_ctx *ctx, int operand, int64_t dim, int rank, int *out);

/* out = the shape that a and b broadcast to: aligned at the end, sizes equal or 1. */
rh_status rh_shape_broadcast(rh_ctx *ctx, int operand, int a_rank, const int64_t *a, int b_rank,
                             const int64_t *b, int *out_rank, int64_t *out);
/* Strides that show t as a tensor of the given larger shape (0 where expanded). */
void rh_broadcast_strides(const rh_tensor *t, int rank, const int64_t *shape, int64_t *strides);

#endif
