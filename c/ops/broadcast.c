/* Walks and sums of broadcast.h. A sum is cut in one of two ways, by shape alone: blocks of terms with
 * sums of their own where destinations are few, ranges of one dimension that no two pieces share where
 * they are many. Either way a destination's terms are added in memory order, then by block. */
#include "ops/broadcast.h"

#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/kernels/elementwise.h"

enum {
    CHUNK = 512,         /* terms computed at a time: stays in the first cache */
    BLOCK = 65536,       /* terms of one partial sum */
    FEW = 4096,          /* destinations of which each block may have its own sums */
    COLUMNS = 256        /* fewest neighbouring destinations of a piece */
};

/* Can dimension d + 1 follow d as one? */
static bool mergeable(const rh_walk *w, int d) {
    for (int k = 0; k < w->operands; k++)
        if (w->stride[k][d] != w->stride[k][d + 1] * w->shape[d + 1]) return false;
    return true;
}

static void remove_dimension(rh_walk *w, int d) {
    size_t behind = (size_t)(w->rank - d - 1) * sizeof w->shape[0];
    memmove(&w->shape[d], &w->shape[d + 1], behind);
    for (int k = 0; k < w->operands; k++)
        memmove(&w->stride[k][d], &w->stride[k][d + 1], behind);
    w->rank--;
}

static void drop_ones_and_merge(rh_walk *w) {
    for (int d = w->rank - 1; d >= 0; d--)
        if (w->shape[d] == 1 && w->rank > 1) remove_dimension(w, d);
    for (int d = w->rank - 2; d >= 0; d--) {
        if (!mergeable(w, d)) continue;
        w->shape[d + 1] *= w->shape[d];
        remove_dimension(w, d);
    }
}

void rh_walk_make(rh_walk *w, int rank, const int64_t *shape, const rh_tensor *const *t,
                  int operands) {
    memset(w, 0, sizeof *w);
    w->operands = operands;
    w->rank = rank > 0 ? rank : 1;
    w->shape[0] = 1;
    for (int d = 0; d < rank; d++) w->shape[d] = shape[d];
    w->numel = rh_shape_numel(rank, shape);
    for (int k = 0; k < operands; k++) rh_broadcast_strides(t[k], rank, shape, w->stride[k]);
    drop_ones_and_merge(w);
}

int64_t rh_walk_step(const rh_walk *w, int k) { return w->stride[k][w->rank - 1]; }

/* Moves to the next row: index over all dimensions but the last, at[] with it. */
static void next_row(const rh_walk *w, int64_t *index, int64_t *at) {
    for (int d = w->rank - 2; d >= 0; d--) {
        bool carry = ++index[d] == w->shape[d];
        for (int k = 0; k < w->operands; k++)
            at[k] += carry ? w->stride[k][d] * (1 - w->shape[d]) : w->stride[k][d];
        if (!carry) return;
        index[d] = 0;
    }
}

void rh_walk_range(const rh_walk *w, int64_t begin, int64_t end, rh_run_fn fn, void *arg) {
    if (begin >= end) return;
    int64_t length = w->shape[w->rank - 1], row = begin / length, column = begin % length;
    int64_t index[RH_MAX_RANK], at[RH_WALK_OPERANDS], from[RH_WALK_OPERANDS];
    memcpy(at, w->base, sizeof at);
    for (int d = w->rank - 2; d >= 0; d--) {
        index[d] = row % w->shape[d];
        row /= w->shape[d];
        for (int k = 0; k < w->operands; k++) at[k] += index[d] * w->stride[k][d];
    }
    while (begin < end) {
        int64_t n = rh_min(length - column, end - begin);
        for (int k = 0; k < w->operands; k++) from[k] = at[k] + column * rh_walk_step(w, k);
        fn(arg, from, n);
        begin += n;
        column = 0;
        next_row(w, index, at);
    }
}

typedef struct walk_job {
    const rh_walk *w;
    rh_run_fn fn;
    void *arg;
} walk_job;

static void walk_piece(void *arg, int64_t begin, int64_t end, int worker) {
    const walk_job *job = arg;
    (void)worker;
    rh_walk_range(job->w, begin, end, job->fn, job->arg);
}

void rh_walk_all(const rh_walk *w, rh_run_fn fn, void *arg) {
    walk_job job = {w, fn, arg};
    rh_parallel_range(w->numel, RH_WALK_GRAIN, walk_piece, &job);
}

/* What all pieces of one sum share. */
typedef struct sum_job {
    const rh_walk *w;
    int to;
    rh_term_fn term;
    void *arg;
    float *dst;
    bool accumulate;
    double *sums;    /* [blocks, dst_numel] or, when cut along a dimension, [dst_numel] */
    int64_t dst_numel, blocks;
    int dim;         /* which dimension is cut */
    int64_t length;  /* of it in a piece */
} sum_job;

/* Where one piece's runs go: never two pieces to the same place. */
typedef struct sum_piece {
    const sum_job *job;
    double *sums;
} sum_piece;

/* Calls term for up to CHUNK elements of a run, from its element `done` on. */
static int64_t next_terms(const sum_job *job, const int64_t *at, int64_t done, int64_t n, float *out) {
    int64_t from[RH_WALK_OPERANDS], count = rh_min(CHUNK, n - done);
    for (int k = 0; k < job->w->operands; k++) from[k] = at[k] + done * rh_walk_step(job->w, k);
    job->term(job->arg, from, count, out);
    return count;
}

static void run_to_sums(void *arg, const int64_t *at, int64_t n) {
    const sum_piece *piece = arg;
    const sum_job *job = piece->job;
    float terms[CHUNK];
    double *sums = piece->sums + at[job->to];
    bool along = rh_walk_step(job->w, job->to) != 0;
    for (int64_t done = 0, count; done < n; done += count) {
        count = next_terms(job, at, done, n, terms);
        if (along)
            rh_kernels.elementwise->add_to_sums(sums + done, terms, count);
        else
            *sums += rh_kernels.elementwise->sum(terms, count);
    }
}

static void run_to_dst(void *arg, const int64_t *at, int64_t n) {
    const sum_job *job = arg;
    float terms[CHUNK], *dst = job->dst + at[job->to];
    if (!job->accumulate) {
        job->term(job->arg, at, n, dst);
        return;
    }
    for (int64_t done = 0, count; done < n; done += count) {
        count = next_terms(job, at, done, n, terms);
        rh_kernels.elementwise->add(dst + done, terms, count);
    }
}

static void block_piece(void *arg, int64_t block, int worker) {
    const sum_job *job = arg;
    sum_piece piece = {job, job->sums + block * job->dst_numel};
    (void)worker;
    rh_walk_range(job->w, block * BLOCK, rh_min((block + 1) * BLOCK, job->w->numel), run_to_sums,
                  &piece);
}

/* The walk restricted to a range of one dimension. */
static void cut_piece(void *arg, int64_t begin, int64_t end, int worker) {
    const sum_job *job = arg;
    sum_piece piece = {job, job->sums};
    rh_walk part = *job->w;
    (void)worker;
    part.numel = part.numel / part.shape[job->dim] * (end - begin);
    part.shape[job->dim] = end - begin;
    for (int k = 0; k < part.operands; k++) part.base[k] += begin * part.stride[k][job->dim];
    rh_walk_range(&part, 0, part.numel, run_to_sums, &piece);
}

static void finish_range(void *arg, int64_t begin, int64_t end, int worker) {
    const sum_job *job = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        double s = 0.0;
        for (int64_t b = 0; b < job->blocks; b++) s += job->sums[b * job->dst_numel + i];
        job->dst[i] = (float)(job->accumulate ? (double)job->dst[i] + s : s);
    }
}

/* The longest dimension that dst has too, and how much of it a piece takes. */
static void choose_cut(sum_job *job) {
    const rh_walk *w = job->w;
    job->dim = -1;
    for (int d = 0; d < w->rank; d++) {
        bool longer = job->dim < 0 || w->shape[d] > w->shape[job->dim];
        if (w->stride[job->to][d] != 0 && longer) job->dim = d;
    }
    int64_t pieces = rh_ceil_div(w->numel, BLOCK);
    job->length = rh_ceil_div(w->shape[job->dim], pieces);
    if (job->dim == w->rank - 1) job->length = rh_max(job->length, COLUMNS);
}

rh_status rh_walk_sum(const rh_walk *w, int to, rh_term_fn term, void *arg, rh_tensor *dst,
                      bool accumulate) {
    sum_job job = {.w = w, .to = to, .term = term, .arg = arg, .dst = rh_f32(dst),
                   .accumulate = accumulate, .dst_numel = rh_tensor_numel(dst)};
    if (job.dst_numel == w->numel) {
        rh_walk_all(w, run_to_dst, &job);
        return RH_OK;
    }
    bool few = job.dst_numel <= FEW;
    job.blocks = few ? rh_ceil_div(w->numel, BLOCK) : 1;
    job.sums = rh_alloc_zero(dst->ctx, (size_t)(job.blocks * job.dst_numel) * sizeof *job.sums);
    if (!job.sums) return RH_ENOMEM;
    if (few) {
        rh_parallel(job.blocks, block_piece, &job);
    } else if (w->numel > 0) {
        choose_cut(&job);
        rh_parallel_range(w->shape[job.dim], job.length, cut_piece, &job);
    }
    rh_parallel_range(job.dst_numel, RH_WALK_GRAIN, finish_range, &job);
    rh_free(dst->ctx, job.sums);
    return RH_OK;
}

rh_status rh_shape_broadcast_inputs(rh_call *call, int first, rh_dtype dtype, rh_spec *out) {
    *out = rh_spec_of(call->in[first]);
    out->dtype = dtype;
    for (int i = first + 1; i < call->n_in; i++) {
        int64_t shape[RH_MAX_RANK];
        RH_TRY(rh_shape_broadcast(call->ctx, i, out->rank, out->shape, call->in[i]->rank,
                                  call->in[i]->shape, &out->rank, shape));
        memcpy(out->shape, shape, (size_t)out->rank * sizeof *shape);
    }
    return RH_OK;
}

rh_status rh_want_same_dtype(rh_call *call, int a, int b) {
    rh_dtype da = call->in[a]->dtype, db = call->in[b]->dtype;
    if (da == db) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, b, "%s, but the other operand is %s: one dtype wanted (see 'to')",
                   rh_dtype_name(db), rh_dtype_name(da));
}
