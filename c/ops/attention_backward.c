/* Attention backward. With P made again from the log-sum-exp and delta = rowsum(dout * out):
 *     dv = P^T dout    dS = P * (dout v^T - delta)    dq = scale dS k    dk = scale dS^T q
 * A unit of work is (block of queries, head). Units of one tree and one group of heads add into the same
 * rows of dk and dv, so a piece is (tree, group) and does its units in order; a pair with more than
 * its share of the work is cut into several pieces by the shape alone, each of which adds into rows
 * of its own, and a second region sums those in order. Rests on attention_tile.h. */
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "ops/attention_tile.h"
#include "ops/gemm.h"

enum { SHARES = 16 }; /* a piece has at most about two of so many shares of all work */

typedef struct scratch {
    float s[RH_ATTENTION_ROWS * RH_ATTENTION_COLUMNS];
    float dp[RH_ATTENTION_ROWS * RH_ATTENTION_COLUMNS];
    float bias[RH_ATTENTION_COLUMNS];
    float delta[RH_ATTENTION_ROWS];
} scratch;

/* Part `part` of `parts` of a (tree, group): what one piece of the region does. */
typedef struct task {
    int64_t tree, group, part, parts;
    int64_t cost;   /* of all blocks of the tree, for one head */
    float *partial; /* parts > 1: dk then dv [tree's keys, D] of each part, for the whole (tree, group) */
} task;

typedef struct backward {
    const rh_attention *a;
    const rh_heads *dout;
    const rh_attention_grad *dq, *dk, *dv;
    task *tasks;
    scratch *scratch; /* [rh_threads()] */
} backward;

static const rh_attention_tree *tree_of(const backward *b, const task *p) {
    return &b->a->plan->trees[p->tree];
}

/* Where a piece adds its dk (which = 0) or dv (1): first row of a segment, and the step between rows. */
static float *target(const backward *b, const task *p, int which, int64_t segment, int64_t *row) {
    const rh_segment *s = &b->a->plan->segments[segment];
    const rh_heads *to = which ? &b->dv->to : &b->dk->to;
    *row = to->row;
    if (p->parts == 1) return rh_heads_at(to, s->key, p->group);
    *row = b->a->size;
    return p->partial + ((2 * p->part + which) * tree_of(b, p)->keys + s->local) * b->a->size;
}

/* ---- one unit ---- */

static void tile_products(const backward *b, const task *own, const rh_tile_walk *w,
                          int64_t begin, const rh_attention_tile *t, const scratch *x) {
    const rh_attention *a = b->a;
    const float *q = rh_heads_at(&a->q, w->query, w->head);
    const float *dout = rh_heads_at(b->dout, w->query, w->head);
    float beta = begin > w->begin || b->dq->accumulate ? 1.0f : 0.0f;
    int64_t segment = w->block->segment, row;
    for (rh_tile_part p; rh_tile_next_part(a->plan, begin, begin + t->cols, &segment, &p); beta = 1) {
        int64_t skip = p.key - a->plan->segments[p.segment].key;
        if (b->dv->to.data) {
            float *dv = target(b, own, 1, p.segment, &row);
            rh_sgemm_1(true, false, p.count, a->size, t->rows, 1, x->s + p.column, t->stride, dout,
                       b->dout->row, 1, dv + skip * row, row);
        }
        if (b->dk->to.data) {
            float *dk = target(b, own, 0, p.segment, &row);
            rh_sgemm_1(true, false, p.count, a->size, t->rows, a->scale, x->dp + p.column, t->stride,
                       q, a->q.row, 1, dk + skip * row, row);
        }
        if (b->dq->to.data)
            rh_sgemm_1(false, false, t->rows, a->size, p.count, a->scale, x->dp + p.column,
                       t->stride, rh_heads_at(&a->k, p.key, w->group), a->k.row, beta,
                       rh_heads_at(&b->dq->to, w->query, w->head), b->dq->to.row);
    }
}

/* dp = dout v^T of one tile */
static void tile_dp(const backward *b, const rh_tile_walk *w, int64_t begin,
                    const rh_attention_tile *t, float *dp) {
    const rh_attention *a = b->a;
    int64_t segment = w->block->segment;
    for (rh_tile_part p; rh_tile_next_part(a->plan, begin, begin + t->cols, &segment, &p);)
        rh_sgemm_1(false, true, t->rows, p.count, a->size, 1,
                   rh_heads_at(b->dout, w->query, w->head), b->dout->row,
                   rh_heads_at(&a->v, p.key, w->group), a->v.row, 0, dp + p.column, t->stride);
}

static void clear_rows(const rh_heads *x, int64_t row, int64_t head, int64_t rows, int64_t size) {
    for (int64_t i = 0; i < rows; i++)
        memset(rh_heads_at(x, row + i, head), 0, (size_t)size * sizeof(float));
}

static void unit(const backward *b, const task *own, const rh_attention_block *block,
                 int64_t head, scratch *x) {
    const rh_attention *a = b->a;
    rh_tile_walk w = rh_tile_walk_of(a, block, head);
    if (w.begin >= w.end && b->dq->to.data && !b->dq->accumulate)
        clear_rows(&b->dq->to, w.query, head, block->rows, a->size);
    rh_kernels.attention->dot_rows(rh_heads_at(b->dout, w.query, head), b->dout->row,
                                   rh_heads_at(&a->out, w.query, head), a->out.row, block->rows,
                                   a->size, x->delta);
    for (int64_t begin = w.begin; begin < w.end; begin += RH_ATTENTION_COLUMNS) {
        rh_attention_tile t;
        rh_tile_scores(&w, begin, x->s, x->bias, &t);
        tile_dp(b, &w, begin, &t, x->dp);
        rh_kernels.attention->gradient(&t, x->s, x->dp, a->lse + w.query + head * a->lse_head,
                                       x->delta);
        tile_products(b, own, &w, begin, &t, x);
    }
}

/* ---- pieces ---- */

/* What is added to is cleared first: a piece's own rows, or dk and dv where they are overwritten. */
static void clear_targets(const backward *b, const task *p) {
    const rh_attention_tree *tree = tree_of(b, p);
    int64_t size = b->a->size;
    if (p->parts > 1) {
        float *rows = p->partial + 2 * p->part * tree->keys * size;
        memset(rows, 0, 2 * (size_t)(tree->keys * size) * sizeof *rows);
        return;
    }
    for (int64_t i = tree[0].segment; i < tree[1].segment; i++) {
        const rh_segment *s = &b->a->plan->segments[i];
        if (b->dk->to.data && !b->dk->accumulate)
            clear_rows(&b->dk->to, s->key, p->group, s->keys, size);
        if (b->dv->to.data && !b->dv->accumulate)
            clear_rows(&b->dv->to, s->key, p->group, s->keys, size);
    }
}

/* Does the units of the piece's (tree, group) that begin in its share of the cost. */
static void backward_piece(void *arg, int64_t index, int worker) {
    const backward *b = arg;
    const task *p = &b->tasks[index];
    const rh_attention_tree *tree = tree_of(b, p);
    int64_t heads = b->a->heads / b->a->groups, before = 0;
    clear_targets(b, p);
    for (int64_t i = tree[0].block; i < tree[1].block; i++) {
        const rh_attention_block *block = &b->a->plan->blocks[i];
        int64_t cost = rh_tile_cost(b->a, block);
        for (int64_t h = 0; h < heads; h++, before += cost) {
            int64_t part = p->parts == 1 ? 0 : rh_min(p->parts - 1, before * p->parts / (p->cost * heads));
            if (part == p->part) unit(b, p, block, p->group * heads + h, &b->scratch[worker]);
        }
    }
}

/* to (+)= the parts of one row [size], in order */
static void sum_row(const task *p, const float *from, int64_t step, int64_t size, float *to,
                    bool accumulate) {
    if (!accumulate) memset(to, 0, (size_t)size * sizeof *to);
    for (int64_t part = 0; part < p->parts; part++)
        for (int64_t d = 0; d < size; d++) to[d] += from[part * step + d];
}

/* A cut (tree, group)'s parts share the summing: each does a range of the tree's keys. */
static void sum_piece(void *arg, int64_t index, int worker) {
    (void)worker;
    const backward *b = arg;
    const task *p = &b->tasks[index];
    const rh_attention_tree *tree = tree_of(b, p);
    if (p->parts == 1) return;
    int64_t size = b->a->size, step = 2 * tree->keys * size;
    int64_t from = p->part * tree->keys / p->parts, to = (p->part + 1) * tree->keys / p->parts;
    for (int64_t i = tree[0].segment; i < tree[1].segment; i++) {
        const rh_segment *s = &b->a->plan->segments[i];
        for (int64_t k = rh_max(from, s->local); k < rh_min(to, s->local + s->keys); k++) {
            int64_t row = s->key + k - s->local;
            const float *dk = p->partial + k * size, *dv = dk + tree->keys * size;
            if (b->dk->to.data)
                sum_row(p, dk, step, size, rh_heads_at(&b->dk->to, row, p->group), b->dk->accumulate);
            if (b->dv->to.data)
                sum_row(p, dv, step, size, rh_heads_at(&b->dv->to, row, p->group), b->dv->accumulate);
        }
    }
}

/* ---- sharing out ---- */

static int64_t tree_cost(const rh_attention *a, int64_t t) {
    const rh_attention_tree *tree = &a->plan->trees[t];
    int64_t cost = 0;
    for (int64_t i = tree[0].block; i < tree[1].block; i++)
        cost += rh_tile_cost(a, &a->plan->blocks[i]);
    return cost;
}

/* Into how many pieces each group of a tree is cut: for its share of the work, and at most its units. */
static int64_t parts_of(const rh_attention *a, int64_t t, int64_t cost, int64_t total) {
    const rh_attention_tree *tree = &a->plan->trees[t];
    int64_t units = (tree[1].block - tree[0].block) * (a->heads / a->groups);
    if (total == 0) return 1;
    return rh_max(1, rh_min(units, SHARES * cost / (total * a->groups)));
}

/* Writes the tasks (where `tasks` is no NULL); returns how many, and the floats of all partial rows. */
static int64_t share_out(const rh_attention *a, int64_t total, task *tasks, float *partial,
                         size_t *floats) {
    int64_t n = 0;
    *floats = 0;
    for (int64_t t = 0; t < a->plan->n_trees; t++) {
        int64_t cost = tree_cost(a, t), parts = parts_of(a, t, cost, total);
        size_t rows = parts > 1 ? 2 * (size_t)(parts * a->plan->trees[t].keys * a->size) : 0;
        for (int64_t g = 0; g < a->groups; g++, *floats += rows)
            for (int64_t part = 0; part < parts; part++, n++)
                if (tasks)
                    tasks[n] = (task){t, g, part, parts, cost, partial ? partial + *floats : NULL};
    }
    return n;
}

rh_status rh_attention_backward(rh_ctx *ctx, const rh_attention *a, const rh_heads *dout,
                                const rh_attention_grad *dq, const rh_attention_grad *dk,
                                const rh_attention_grad *dv) {
    int64_t total = 0;
    size_t floats;
    for (int64_t t = 0; t < a->plan->n_trees; t++) total += tree_cost(a, t);
    int64_t n = share_out(a, total, NULL, NULL, &floats);
    backward b = {a, dout, dq, dk, dv, NULL, NULL};
    float *partial = floats ? rh_alloc(ctx, floats * sizeof *partial) : NULL;
    b.tasks = rh_alloc(ctx, (size_t)n * sizeof *b.tasks);
    b.scratch = rh_alloc(ctx, (size_t)rh_threads() * sizeof *b.scratch);
    bool have = b.tasks && b.scratch && (partial || !floats);
    if (have) {
        share_out(a, total, b.tasks, partial, &floats);
        rh_parallel(n, backward_piece, &b);
        if (partial) rh_parallel(n, sum_piece, &b);
    }
    rh_free(ctx, b.scratch);
    rh_free(ctx, b.tasks);
    rh_free(ctx, partial);
    return have ? RH_OK : RH_ENOMEM;
}
