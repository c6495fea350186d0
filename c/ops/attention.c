/* Plans of attention: segments checked, sorted by tree and cut into blocks of queries; and the
 * geometry of tiles (attention_tile.h) that forward and backward share. A plan knows neither heads nor
 * windows, so one serves every layer of a step. */
#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "ops/attention_tile.h"
#include "ops/gemm.h"

/* ---- plans ---- */

static int64_t blocks_of(const rh_segment *s) { return rh_ceil_div(s->queries, RH_ATTENTION_ROWS); }

static rh_status take_memory(rh_ctx *ctx, const rh_segment *segments, int64_t n,
                             rh_attention_plan *plan) {
    int64_t blocks = 0;
    for (int64_t i = 0; i < n; i++) blocks += blocks_of(&segments[i]);
    size_t segment_bytes = (size_t)n * sizeof *plan->segments;
    size_t block_bytes = (size_t)blocks * sizeof *plan->blocks;
    char *memory = rh_alloc(ctx, segment_bytes + block_bytes + (size_t)(n + 1) * sizeof *plan->trees);
    if (!memory) return RH_ENOMEM;
    plan->memory = memory;
    plan->segments = (rh_segment *)memory;
    plan->blocks = (rh_attention_block *)(memory + segment_bytes);
    plan->trees = (rh_attention_tree *)(memory + segment_bytes + block_bytes);
    plan->n_segments = n;
    plan->n_blocks = blocks;
    return RH_OK;
}

/* tree[i] = number of i's tree, by order of roots; at[t] = how many segments it has. */
static int64_t number_trees(const rh_segment *segments, int64_t n, int64_t *tree, int64_t *at) {
    int64_t trees = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t parent = segments[i].parent;
        tree[i] = parent < 0 ? trees : tree[parent];
        if (parent < 0) at[trees++] = 0;
        at[tree[i]]++;
    }
    return trees;
}

/* Copies segments in order of trees, of which tree t has count[t]; tree[i] becomes the new place of
 * segment i. */
static void sort_by_tree(const rh_segment *segments, int64_t *tree, int64_t *count,
                         rh_attention_plan *plan) {
    int64_t *next = count, first = 0;
    for (int64_t t = 0; t < plan->n_trees; t++) {
        plan->trees[t] = (rh_attention_tree){.segment = first};
        first += count[t];
        next[t] = plan->trees[t].segment;
    }
    for (int64_t i = 0; i < plan->n_segments; i++) {
        rh_attention_tree *home = &plan->trees[tree[i]];
        int64_t place = next[tree[i]]++;
        rh_segment *s = &plan->segments[place];
        *s = segments[i];
        s->local = home->keys;
        home->keys += s->keys;
        s->start = 0;
        tree[i] = place;
        if (s->parent < 0) continue;
        s->parent = tree[s->parent];
        s->start = plan->segments[s->parent].start + plan->segments[s->parent].keys;
    }
}

static void cut_into_blocks(rh_attention_plan *plan) {
    rh_attention_block *block = plan->blocks;
    int64_t tree = 0;
    for (int64_t i = 0; i < plan->n_segments; i++) {
        if (tree < plan->n_trees && plan->trees[tree].segment == i)
            plan->trees[tree++].block = block - plan->blocks;
        int64_t queries = plan->segments[i].queries;
        for (int64_t q = 0; q < queries; q += RH_ATTENTION_ROWS)
            *block++ = (rh_attention_block){i, q, rh_min(RH_ATTENTION_ROWS, queries - q)};
    }
    plan->trees[plan->n_trees] = (rh_attention_tree){plan->n_segments, plan->n_blocks, 0};
}

rh_status rh_attention_plan_make(rh_ctx *ctx, const rh_segment *segments, int64_t n,
                                 rh_attention_plan *plan) {
    memset(plan, 0, sizeof *plan);
    int64_t *tree = rh_alloc(ctx, 2 * (size_t)n * sizeof *tree);
    if (!tree) return RH_ENOMEM;
    rh_status status = take_memory(ctx, segments, n, plan);
    if (status == RH_OK) {
        plan->n_trees = number_trees(segments, n, tree, tree + n);
        sort_by_tree(segments, tree, tree + n, plan);
        cut_into_blocks(plan);
    }
    rh_free(ctx, tree);
    return status;
}

void rh_attention_plan_free(rh_ctx *ctx, rh_attention_plan *plan) {
    rh_free(ctx, plan->memory);
    memset(plan, 0, sizeof *plan);
}

/* ---- segments from users ---- */

/* One row, but for overlaps. Users count segments from 0, as contents of i64 tensors do. */
static rh_status check_row(rh_ctx *ctx, int operand, const int64_t *row, int64_t i,
                           int64_t tokens) {
    long long begin = row[0], length = row[1], parent = row[2];
    if (begin < 0 || length < 0 || begin > tokens || length > tokens - begin)
        return rh_fail(ctx, RH_EARG, operand,
                       "segment %lld: begin %lld, length %lld is outside the batch of %lld tokens",
                       (long long)i, begin, length, (long long)tokens);
    if (parent < -1 || parent >= i)
        return rh_fail(ctx, RH_EARG, operand,
                       "segment %lld: parent %lld; an earlier segment or -1 wanted", (long long)i,
                       parent);
    return RH_OK;
}

/* owner[t] = the segment of token t */
static rh_status check_cover(rh_ctx *ctx, int operand, const int64_t *rows, int64_t n,
                             int64_t tokens, int64_t *owner) {
    for (int64_t t = 0; t < tokens; t++) owner[t] = -1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t t = rows[3 * i]; t < rows[3 * i] + rows[3 * i + 1]; t++) {
            if (owner[t] >= 0)
                return rh_fail(ctx, RH_EARG, operand,
                               "segments %lld and %lld overlap: both hold token %lld",
                               (long long)owner[t], (long long)i, (long long)t);
            owner[t] = i;
        }
    for (int64_t t = 0; t < tokens; t++)
        if (owner[t] < 0)
            return rh_fail(ctx, RH_EARG, operand, "token %lld of %lld is in no segment",
                           (long long)t, (long long)tokens);
    return RH_OK;
}

static rh_status check_rows(rh_ctx *ctx, int operand, const int64_t *rows, int64_t n,
                            int64_t tokens) {
    for (int64_t i = 0; i < n; i++) RH_TRY(check_row(ctx, operand, rows + 3 * i, i, tokens));
    size_t bytes = SIZE_MAX; /* a batch without heads may have any number of tokens */
    rh_size_mul((size_t)tokens, sizeof(int64_t), &bytes);
    int64_t *owner = rh_alloc(ctx, bytes);
    if (!owner) return RH_ENOMEM;
    rh_status status = check_cover(ctx, operand, rows, n, tokens, owner);
    rh_free(ctx, owner);
    return status;
}

rh_status rh_attention_plan_read(rh_ctx *ctx, int operand, const int64_t *rows, int64_t n,
                                 int64_t tokens, rh_attention_plan *plan) {
    RH_TRY(check_rows(ctx, operand, rows, n, tokens));
    rh_segment *segments = rh_alloc(ctx, (size_t)n * sizeof *segments);
    if (!segments) return RH_ENOMEM;
    for (int64_t i = 0; i < n; i++) {
        const int64_t *row = rows + 3 * i;
        segments[i] = (rh_segment){row[0], row[1], row[0], row[1], row[2], NULL, 0, 0};
    }
    rh_status status = rh_attention_plan_make(ctx, segments, n, plan);
    rh_free(ctx, segments);
    return status;
}

/* ---- tiles ---- */

rh_tile_walk rh_tile_walk_of(const rh_attention *a, const rh_attention_block *block, int64_t head) {
    const rh_segment *s = &a->plan->segments[block->segment];
    int64_t all = s->start + s->keys;
    rh_tile_walk w = {a, block, head, head / (a->heads / a->groups), s->query + block->first, 0, 0, all};
    w.position = all - s->queries + block->first;
    if (a->causal) w.end = rh_max(0, rh_min(all, w.position + block->rows));
    if (a->window > 0) w.begin = rh_max(0, w.position - a->window + 1);
    return w;
}

int64_t rh_tile_cost(const rh_attention *a, const rh_attention_block *block) {
    rh_tile_walk w = rh_tile_walk_of(a, block, 0);
    return rh_max(0, w.end - w.begin) * block->rows;
}

bool rh_tile_next_part(const rh_attention_plan *plan, int64_t begin, int64_t end, int64_t *segment,
                       rh_tile_part *part) {
    while (*segment >= 0) {
        const rh_segment *s = &plan->segments[*segment];
        int64_t from = rh_max(begin, s->start), to = rh_min(end, s->start + s->keys);
        *part = (rh_tile_part){*segment, from - begin, s->key + from - s->start, to - from};
        *segment = s->start > begin ? s->parent : -1;
        if (from < to) return true;
    }
    return false;
}

/* A mask becomes 0 and -inf beside the scores. */
static bool write_bias(const rh_segment *s, const rh_tile_part *p, float *bias) {
    for (int64_t j = 0; j < p->count; j++)
        bias[p->column + j] = s->mask && !s->mask[p->key - s->key + j] ? -INFINITY : 0.0f;
    return s->mask != NULL;
}

void rh_tile_scores(const rh_tile_walk *w, int64_t begin, float *s, float *bias,
                    rh_attention_tile *t) {
    const rh_attention *a = w->a;
    int64_t segment = w->block->segment, cols = rh_min(RH_ATTENTION_COLUMNS, w->end - begin);
    *t = (rh_attention_tile){.rows = w->block->rows, .cols = cols, .stride = cols, .end = cols};
    t->softcap = a->softcap;
    if (a->causal) t->end = w->position + 1 - begin, t->step_end = 1;
    if (a->window > 0) t->begin = t->end - a->window, t->step_begin = 1;
    float alpha = a->softcap > 0 ? a->scale / a->softcap : a->scale;
    const float *q = rh_heads_at(&a->q, w->query, w->head);
    bool masked = false;
    rh_tile_part p;
    while (rh_tile_next_part(a->plan, begin, begin + cols, &segment, &p)) {
        rh_sgemm_1(false, true, t->rows, p.count, a->size, alpha, q, a->q.row,
                   rh_heads_at(&a->k, p.key, w->group), a->k.row, 0, s + p.column, t->stride);
        masked |= write_bias(&a->plan->segments[p.segment], &p, bias);
    }
    if (masked) t->bias = bias;
}
