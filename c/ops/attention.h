/* Attention over ragged batches, on plain memory: the core under the rows of attention_rows.c and
 * under the decoder. Tokens stand in segments; a token sees its own segment up to itself and the whole
 * of its segment's ancestors, as if the chain of segments were one sequence. Scores exist only as
 * tiles of RH_ATTENTION_ROWS queries by RH_ATTENTION_COLUMNS keys: forward keeps the log-sum-exp of
 * each (token, head), backward makes the tiles again from it. Work is cut by shapes alone. Rests on
 * one-thread products (gemm.h) and on kernels/attention.h. */
#ifndef RH_OPS_ATTENTION_H
#define RH_OPS_ATTENTION_H

#include "base/context.h"

enum { RH_ATTENTION_ROWS = 64, RH_ATTENTION_COLUMNS = 256 };

/* Vectors by (row, head): element d stands at data[row * this->row + head * this->head + d], so that
 * q, k and v may be slices of one buffer, and tokens or heads may come first. */
typedef struct rh_heads {
    float *data;
    int64_t row, head;
} rh_heads;

static inline float *rh_heads_at(const rh_heads *x, int64_t row, int64_t head) {
    return x->data + row * x->row + head * x->head;
}

typedef struct rh_segment {
    int64_t query, queries; /* rows of q: first, count; they stand at the end of the keys */
    int64_t key, keys;      /* rows of k and v: first, count */
    int64_t parent;         /* an earlier segment, or -1 */
    const int64_t *mask;    /* [keys], borrows: 0 hides a key; NULL: all are seen */
    int64_t start;          /* set by the plan: keys of all ancestors */
    int64_t local;          /* set by the plan: keys of its tree's segments before it */
} rh_segment;

/* Up to RH_ATTENTION_ROWS queries of one segment, counted from the segment's first. */
typedef struct rh_attention_block {
    int64_t segment, first, rows;
} rh_attention_block;

/* Where a tree's segments and blocks begin; it ends where the next begins. */
typedef struct rh_attention_tree {
    int64_t segment, block, keys;
} rh_attention_tree;

/* A batch's segments, sorted by tree, and its blocks of queries. Serves any number of calls. */
typedef struct rh_attention_plan {
    rh_segment *segments;        /* [n_segments]; parents are indices into this list */
    rh_attention_block *blocks;  /* [n_blocks] */
    rh_attention_tree *trees;    /* [n_trees + 1] */
    int64_t n_segments, n_blocks, n_trees;
    void *memory;
} rh_attention_plan;

/* Fills a plan from segments (borrows; each parent is -1 or a lower index). Different segments have
 * different keys and different queries. */
rh_status rh_attention_plan_make(rh_ctx *ctx, const rh_segment *segments, int64_t n,
                                 rh_attention_plan *plan);
/* The same from rows {begin, length, parent or -1} [n,3] of a batch of `tokens` tokens, after checking
 * that they cover every token once and that parents come earlier. Errors speak of `operand`. */
rh_status rh_attention_plan_read(rh_ctx *ctx, int operand, const int64_t *rows, int64_t n,
                                 int64_t tokens, rh_attention_plan *plan);
void rh_attention_plan_free(rh_ctx *ctx, rh_attention_plan *plan);

typedef struct rh_attention {
    const rh_attention_plan *plan;
    int64_t heads, groups, size; /* H, G, D: query head h reads group h / (H/G); H is a multiple of G */
    bool causal;                 /* false: a query sees every key of its chain */
    int64_t window;              /* > 0: a query sees itself and the window - 1 keys before; needs causal */
    float scale;
    float softcap;               /* > 0: score = softcap * tanh(scale * q.k / softcap) */
    rh_heads q, k, v;            /* q [N,H,D], k and v [M,G,D]; read only */
    rh_heads out;                /* [N,H,D] */
    float *lse;                  /* log-sum-exp of row n, head h at lse[n + h * lse_head]; +inf where */
    int64_t lse_head;            /* no key is seen. NULL: not kept (forward only) */
} rh_attention;

/* out = softmax(scores) v; 0 where no key is seen. */
rh_status rh_attention_forward(rh_ctx *ctx, const rh_attention *a);

/* One gradient to compute; data NULL: not wanted. */
typedef struct rh_attention_grad {
    rh_heads to;
    bool accumulate; /* add; else every row of the plan's segments is overwritten */
} rh_attention_grad;

/* From dout [N,H,D], and out and lse of forward: dq [N,H,D], dk and dv [M,G,D]. */
rh_status rh_attention_backward(rh_ctx *ctx, const rh_attention *a, const rh_heads *dout,
                                const rh_attention_grad *dq, const rh_attention_grad *dk,
                                const rh_attention_grad *dv);

/* A run of cached keys and values: key j of group g at k + j * row + g * head of rh_decode. */
typedef struct rh_kv_page {
    const float *k, *v;
    int64_t count;
} rh_kv_page;

/* One query row for each sequence, which sees all cached keys (its own among them) or the last
 * `window`. Bound by memory: fastest when a group's keys of a page follow one another (row = D). */
typedef struct rh_decode {
    int64_t sequences, heads, groups, size;
    int64_t window; /* 0: none */
    float scale, softcap;
    rh_heads q, out;         /* [sequences,H,D] */
    const rh_kv_page *pages; /* sequence s reads pages first[s] to first[s+1] - 1, oldest first */
    const int64_t *first;    /* [sequences + 1] */
    int64_t row, head;
} rh_decode;

rh_status rh_attention_decode(rh_ctx *ctx, const rh_decode *d);

#endif
