#include "tensor/shape.h"

#include <stdio.h>
#include <string.h>

int64_t rh_shape_numel(int rank, const int64_t *shape) {
    int64_t n = 1;
    for (int d = 0; d < rank; d++) n *= shape[d];
    return n;
}

void rh_shape_strides(int rank, const int64_t *shape, int64_t *strides) {
    int64_t step = 1;
    for (int d = rank - 1; d >= 0; d--) {
        strides[d] = step;
        step *= shape[d] > 0 ? shape[d] : 1;
    }
}

rh_spec rh_spec_make(rh_dtype dtype, int rank, const int64_t *shape) {
    rh_spec spec = {.dtype = dtype, .rank = rank};
    if (rank > 0) memcpy(spec.shape, shape, (size_t)rank * sizeof *shape);
    return spec;
}

rh_spec rh_spec_of(const rh_tensor *t) { return rh_spec_make(t->dtype, t->rank, t->shape); }

static bool same_shape(int a_rank, const int64_t *a, int b_rank, const int64_t *b) {
    return a_rank == b_rank && (a_rank == 0 || memcmp(a, b, (size_t)a_rank * sizeof *a) == 0);
}

bool rh_spec_same_shape(const rh_spec *a, const rh_spec *b) {
    return same_shape(a->rank, a->shape, b->rank, b->shape);
}

bool rh_tensor_same_shape(const rh_tensor *a, const rh_tensor *b) {
    return same_shape(a->rank, a->shape, b->rank, b->shape);
}

const char *rh_shape_text(int rank, const int64_t *shape, char buffer[RH_SHAPE_TEXT]) {
    int used = snprintf(buffer, RH_SHAPE_TEXT, "[");
    for (int d = 0; d < rank && used < RH_SHAPE_TEXT - 32; d++)
        used += snprintf(buffer + used, (size_t)(RH_SHAPE_TEXT - used), d ? ",%lld" : "%lld",
                         (long long)shape[d]);
    snprintf(buffer + used, (size_t)(RH_SHAPE_TEXT - used), "]");
    return buffer;
}

rh_status rh_dim_resolve(rh_ctx *ctx, int operand, int64_t dim, int rank, int *out) {
    int64_t limit = rank > 0 ? rank : 1;
    if (dim < -limit || dim >= limit)
        return rh_fail(ctx, RH_EARG, operand, "dimension %lld of a tensor with %d",
                       (long long)(dim < 0 ? dim : dim + 1), rank);
    *out = (int)(dim < 0 ? dim + limit : dim);
    return RH_OK;
}

rh_status rh_shape_broadcast(rh_ctx *ctx, int operand, int a_rank, const int64_t *a, int b_rank,
                             const int64_t *b, int *out_rank, int64_t *out) {
    int rank = a_rank > b_rank ? a_rank : b_rank;
    for (int back = 1; back <= rank; back++) {
        int64_t sa = back <= a_rank ? a[a_rank - back] : 1;
        int64_t sb = back <= b_rank ? b[b_rank - back] : 1;
        if (sa != sb && sa != 1 && sb != 1) {
            char ta[RH_SHAPE_TEXT], tb[RH_SHAPE_TEXT];
            return rh_fail(ctx, RH_EARG, operand,
                           "%s and %s do not broadcast: sizes %lld and %lld at dimension %d",
                           rh_shape_text(a_rank, a, ta), rh_shape_text(b_rank, b, tb),
                           (long long)sa, (long long)sb, -back);
        }
        out[rank - back] = sa == 1 ? sb : sa;
    }
    *out_rank = rank;
    return RH_OK;
}

void rh_broadcast_strides(const rh_tensor *t, int rank, const int64_t *shape, int64_t *strides) {
    for (int d = 0; d < rank; d++) {
        int own = d - (rank - t->rank);
        strides[d] = own < 0 || (t->shape[own] == 1 && shape[d] != 1) ? 0 : t->strides[own];
    }
}
