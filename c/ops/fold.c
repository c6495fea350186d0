/* Folding around a dimension, and running a function over lines. See fold.h. */
#include "ops/fold.h"

#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"

rh_fold rh_fold_at(int rank, const int64_t *shape, int dim) {
    rh_fold f = {1, 1, 1};
    for (int d = 0; d < rank; d++) {
        if (d < dim) f.outer *= shape[d];
        else if (d == dim) f.size = shape[d];
        else f.inner *= shape[d];
    }
    return f;
}

rh_status rh_fold_option(rh_call *call, int k, int *dim, rh_fold *fold) {
    const rh_tensor *t = call->in[0];
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(k), call->opt[k].i, t->rank, dim));
    *fold = rh_fold_at(t->rank, t->shape, *dim);
    return RH_OK;
}

/* Lines brought together at a time: 16 floats are a cache line of every row. They stand PAD floats more
 * than their size apart, because lines a power of two apart would share few places of the cache. */
enum { GATHERED = 16, PAD = 16 };

typedef struct lines_run {
    const rh_lines *job;
    float *scratch; /* [workers, per_worker]; NULL when lines are contiguous as they stand */
    int64_t per_worker;
} lines_run;

/* rows[j] [size, then PAD] <- the j-th of `width` columns of x [size, inner] */
static void bring(float *rows, const float *x, int64_t size, int64_t inner, int64_t width) {
    for (int64_t r = 0; r < size; r++)
        for (int64_t j = 0; j < width; j++) rows[j * (size + PAD) + r] = x[r * inner + j];
}

static void put_back(float *x, const float *rows, int64_t size, int64_t inner, int64_t width,
                     bool add) {
    for (int64_t r = 0; r < size; r++)
        for (int64_t j = 0; j < width; j++)
            x[r * inner + j] = rows[j * (size + PAD) + r] + (add ? x[r * inner + j] : 0.0f);
}

/* `width` lines from column `at` of block o on */
static void run_gathered(const rh_lines *job, float *scratch, int64_t o, int64_t at,
                         int64_t width) {
    int64_t inner = job->fold.inner;
    float *room[3], *out;
    for (int k = 0; k < job->n_in; k++) {
        room[k] = scratch;
        scratch += GATHERED * (job->in_size[k] + PAD);
        bring(room[k], job->in[k] + o * job->in_size[k] * inner + at, job->in_size[k], inner,
              width);
    }
    out = scratch;
    for (int64_t j = 0; j < width; j++) {
        const float *in[3];
        for (int k = 0; k < job->n_in; k++) in[k] = room[k] + j * (job->in_size[k] + PAD);
        job->line(in, out + j * (job->out_size + PAD), job->fold.size, false);
    }
    put_back(job->out + o * job->out_size * inner + at, out, job->out_size, inner, width,
             job->add);
}

static void run_strips(void *arg, int64_t begin, int64_t end, int worker) {
    const lines_run *run = arg;
    const rh_lines *job = run->job;
    for (int64_t i = begin; i < end; i++) {
        rh_strip s = rh_strip_at(&job->fold, i);
        if (run->scratch) {
            for (int64_t j = 0; j < s.width; j += GATHERED)
                run_gathered(job, run->scratch + worker * run->per_worker, s.outer, s.inner + j,
                             rh_min(GATHERED, s.width - j));
            continue;
        }
        const float *in[3];
        for (int k = 0; k < job->n_in; k++) in[k] = job->in[k] + s.outer * job->in_size[k];
        job->line(in, job->out + s.outer * job->out_size, job->fold.size, job->add);
    }
}

rh_status rh_lines_run(rh_ctx *ctx, const rh_lines *job) {
    lines_run run = {.job = job};
    if (job->fold.inner != 1) {
        run.per_worker = job->out_size + PAD;
        for (int k = 0; k < job->n_in; k++) run.per_worker += job->in_size[k] + PAD;
        run.per_worker *= GATHERED;
        run.scratch = rh_alloc(ctx, (size_t)(run.per_worker * rh_threads()) * sizeof(float));
        if (!run.scratch) return RH_ENOMEM;
    }
    rh_parallel_range(rh_strip_count(&job->fold), rh_strip_grain(&job->fold), run_strips, &run);
    rh_free(ctx, run.scratch);
    return RH_OK;
}

typedef struct pick {
    const rh_fold *fold;
    int64_t picked;
    const int64_t *index;
    const float *g;
    float *dst;
    bool add;
} pick;

/* pieces are blocks of `outer`: no two write the same element */
static void pick_blocks(void *arg, int64_t begin, int64_t end, int worker) {
    const pick *p = arg;
    int64_t inner = p->fold->inner, size = p->fold->size;
    (void)worker;
    for (int64_t o = begin; o < end; o++) {
        float *dst = p->dst + o * size * inner;
        if (!p->add) memset(dst, 0, (size_t)(size * inner) * sizeof *dst);
        for (int64_t k = o * p->picked; k < (o + 1) * p->picked; k++)
            for (int64_t i = 0; i < inner; i++)
                dst[p->index[k * inner + i] * inner + i] += p->g[k * inner + i];
    }
}

void rh_pick_back(const rh_fold *fold, int64_t picked, const int64_t *index, const float *g,
                  float *dst, bool add) {
    pick p = {fold, picked, index, g, dst, add};
    int64_t block = rh_max(1, fold->size * fold->inner);
    rh_parallel_range(fold->outer, rh_max(1, RH_PIECE / block), pick_blocks, &p);
}
