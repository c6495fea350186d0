/* Attention forward: out = softmax(q k^T) v, a piece for each (block of queries, head). Tiles of a
 * block come in order; a running maximum and sum (online softmax) tie them together. Pieces write
 * disjoint rows of out. Rests on attention_tile.h. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "ops/attention_tile.h"
#include "ops/gemm.h"

typedef struct scratch {
    float s[RH_ATTENTION_ROWS * RH_ATTENTION_COLUMNS];
    float bias[RH_ATTENTION_COLUMNS];
    float max[RH_ATTENTION_ROWS], sum[RH_ATTENTION_ROWS], factor[RH_ATTENTION_ROWS];
} scratch;

typedef struct forward {
    const rh_attention *a;
    scratch *scratch; /* [rh_threads()] */
} forward;

/* out (+)= P V of one tile */
static void add_values(const rh_tile_walk *w, int64_t begin, const rh_attention_tile *t,
                       scratch *x) {
    const rh_attention *a = w->a;
    float *out = rh_heads_at(&a->out, w->query, w->head);
    float beta = begin > w->begin ? 1.0f : 0.0f;
    int64_t segment = w->block->segment;
    if (beta != 0.0f)
        rh_kernels.attention->scale_rows(out, a->out.row, t->rows, a->size, x->factor);
    for (rh_tile_part p; rh_tile_next_part(a->plan, begin, begin + t->cols, &segment, &p); beta = 1)
        rh_sgemm_1(false, false, t->rows, a->size, p.count, 1, x->s + p.column, t->stride,
                   rh_heads_at(&a->v, p.key, w->group), a->v.row, beta, out, a->out.row);
}

/* Divides by the sums and keeps max + log(sum). */
static void finish(const rh_tile_walk *w, scratch *x) {
    const rh_attention *a = w->a;
    int64_t rows = w->block->rows;
    float *out = rh_heads_at(&a->out, w->query, w->head);
    float *lse = a->lse ? a->lse + w->query + w->head * a->lse_head : NULL;
    for (int64_t i = 0; i < rows; i++) {
        bool none = x->sum[i] == 0.0f;
        x->factor[i] = none ? 0.0f : 1.0f / x->sum[i];
        if (lse) lse[i] = none ? INFINITY : x->max[i] + logf(x->sum[i]);
    }
    if (w->end > w->begin) {
        rh_kernels.attention->scale_rows(out, a->out.row, rows, a->size, x->factor);
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        memset(out + i * a->out.row, 0, (size_t)a->size * sizeof *out);
}

static void forward_piece(void *arg, int64_t piece, int worker) {
    forward *f = arg;
    scratch *x = &f->scratch[worker];
    const rh_attention *a = f->a;
    rh_tile_walk w = rh_tile_walk_of(a, &a->plan->blocks[piece / a->heads], piece % a->heads);
    for (int i = 0; i < RH_ATTENTION_ROWS; i++) x->max[i] = -INFINITY, x->sum[i] = 0;
    for (int64_t begin = w.begin; begin < w.end; begin += RH_ATTENTION_COLUMNS) {
        rh_attention_tile t;
        rh_tile_scores(&w, begin, x->s, x->bias, &t);
        rh_kernels.attention->softmax(&t, x->s, x->max, x->sum, x->factor);
        add_values(&w, begin, &t, x);
    }
    finish(&w, x);
}

rh_status rh_attention_forward(rh_ctx *ctx, const rh_attention *a) {
    forward f = {a, rh_alloc(ctx, (size_t)rh_threads() * sizeof(scratch))};
    if (!f.scratch) return RH_ENOMEM;
    rh_parallel(a->plan->n_blocks * a->heads, forward_piece, &f);
    rh_free(ctx, f.scratch);
    return RH_OK;
}
