/* What the operations along one dimension share. A contiguous tensor is seen as [outer, size, inner]
 * around that dimension: a line is the `size` elements at one (outer, inner), a strip is up to
 * RH_STRIP neighbouring lines. Work is cut into strips by the shape alone. */
#ifndef RH_OPS_FOLD_H
#define RH_OPS_FOLD_H

#include "base/size.h"
#include "ops/kernels/reduce.h"
#include "ops/row.h"

/* About how many elements a piece of parallel work should touch. */
enum { RH_PIECE = 65536 };

typedef struct rh_fold {
    int64_t outer, size, inner;
} rh_fold;

/* dim counts from 0; a scalar is [1, 1, 1]. */
rh_fold rh_fold_at(int rank, const int64_t *shape, int dim);
/* Resolves option k of the call (a dimension, rh_row's d) for input 0 and folds there. */
rh_status rh_fold_option(rh_call *call, int k, int *dim, rh_fold *fold);

typedef struct rh_strip {
    int64_t outer, inner; /* of its first line */
    int64_t width;        /* lines */
} rh_strip;

static inline int64_t rh_strip_count(const rh_fold *f) {
    return f->outer * rh_ceil_div(f->inner, RH_STRIP);
}
/* How many strips make a piece. */
static inline int64_t rh_strip_grain(const rh_fold *f) {
    int64_t elements = rh_max(1, f->size) * rh_min(rh_max(1, f->inner), RH_STRIP);
    return rh_max(1, RH_PIECE / elements);
}
static inline rh_strip rh_strip_at(const rh_fold *f, int64_t i) {
    if (f->inner == 1) return (rh_strip){i, 0, 1}; /* short rows are many: no divisions */
    int64_t strips = rh_ceil_div(f->inner, RH_STRIP), inner = i % strips * RH_STRIP;
    return (rh_strip){i / strips, inner, rh_min(RH_STRIP, f->inner - inner)};
}

/* A function of lines: in[k] [in_size[k], contiguous] -> out [out_size, contiguous], where each size is
 * the fold's or 1. `add`: add to out. */
typedef void (*rh_line_fn)(const float *const *in, float *out, int64_t size, bool add);

typedef struct rh_lines {
    rh_fold fold;
    rh_line_fn line;
    int n_in;            /* at most 3 */
    const float *in[3];  /* [outer, in_size, inner] */
    int64_t in_size[3];
    float *out;          /* [outer, out_size, inner] */
    int64_t out_size;
    bool add;
} rh_lines;

/* Calls it for every line. Lines whose elements stand apart (inner > 1) are brought together in
 * scratch memory, a few at a time. */
rh_status rh_lines_run(rh_ctx *ctx, const rh_lines *job);

/* Backward of operations that pick: out[o, k, i] = x[o, index[o, k, i], i], the k of a line distinct.
 * index [outer, picked, inner], g the same, dst [outer, size, inner]. */
void rh_pick_back(const rh_fold *fold, int64_t picked, const int64_t *index, const float *g,
                  float *dst, bool add);

#endif
