/* Walking several operands of one (broadcast) shape together, and the way back: summing a gradient over
 * the dimensions an operand was expanded along. Dimensions that every operand steps through alike are
 * merged, so tensors without gaps become one long run. Rows of more than one tensor rest on it. */
#ifndef RH_OPS_BROADCAST_H
#define RH_OPS_BROADCAST_H

#include "ops/row.h"

enum {
    RH_WALK_OPERANDS = 4,
    RH_WALK_GRAIN = 32768 /* elements of a piece: such loops wait for memory, smaller ones for threads */
};

typedef struct rh_walk {
    int operands, rank; /* rank >= 1 */
    int64_t numel;
    int64_t shape[RH_MAX_RANK];
    int64_t stride[RH_WALK_OPERANDS][RH_MAX_RANK]; /* in elements; 0 where expanded */
    int64_t base[RH_WALK_OPERANDS];                /* where each operand's part begins */
} rh_walk;

/* A walk over `shape`, which every one of t[operands] broadcasts to (only shapes and strides are read:
 * shells will do). */
void rh_walk_make(rh_walk *w, int rank, const int64_t *shape, const rh_tensor *const *t, int operands);
/* Operand k's stride along a run. */
int64_t rh_walk_step(const rh_walk *w, int k);

/* Handles a run of n elements; at[k]: where operand k begins, in elements from its first. */
typedef void (*rh_run_fn)(void *arg, const int64_t *at, int64_t n);
/* Calls fn for runs that cover elements [begin, end) of the shape in row-major order. */
void rh_walk_range(const rh_walk *w, int64_t begin, int64_t end, rh_run_fn fn, void *arg);
/* Calls fn for runs that cover the shape, in pieces of RH_WALK_GRAIN elements at the same time. */
void rh_walk_all(const rh_walk *w, rh_run_fn fn, void *arg);

/* Computes the n terms of a run into out. */
typedef void (*rh_term_fn)(void *arg, const int64_t *at, int64_t n, float *out);
/* dst = the terms (or dst += them), summed over the dimensions along which operand `to`, whose shape is
 * dst's, is expanded. Sums are in double, in an order that the shape alone determines. */
rh_status rh_walk_sum(const rh_walk *w, int to, rh_term_fn term, void *arg, rh_tensor *dst,
                      bool accumulate);

/* out[0] = the shape that inputs [first, n_in) broadcast to, of the given dtype. */
rh_status rh_shape_broadcast_inputs(rh_call *call, int first, rh_dtype dtype, rh_spec *out);
/* rh_fail(RH_EARG) unless inputs a and b, which the row takes as f32 or i64, are of one dtype. */
rh_status rh_want_same_dtype(rh_call *call, int a, int b);

#endif
