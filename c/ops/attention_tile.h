/* Geometry shared by attention's forward and backward. A segment's chain (its ancestors, then itself)
 * is one line of columns; a block of queries is worked off in tiles of RH_ATTENTION_COLUMNS of them,
 * and a tile's columns lie in one or more segments: its parts, walked from the youngest up. */
#ifndef RH_OPS_ATTENTION_TILE_H
#define RH_OPS_ATTENTION_TILE_H

#include "base/size.h"
#include "ops/attention.h"
#include "ops/kernels/attention.h"

/* A block of queries for one head, and the columns that any of its rows sees. */
typedef struct rh_tile_walk {
    const rh_attention *a;
    const rh_attention_block *block;
    int64_t head, group;
    int64_t query;      /* row of q */
    int64_t position;   /* column that stands for row 0 itself; negative: it sees nothing */
    int64_t begin, end; /* columns */
} rh_tile_walk;

rh_tile_walk rh_tile_walk_of(const rh_attention *a, const rh_attention_block *block, int64_t head);
/* Score pairs of the block, for sharing out work. */
int64_t rh_tile_cost(const rh_attention *a, const rh_attention_block *block);

/* `count` columns of a tile from `column` on: rows of k and v from `key` on, in one segment. */
typedef struct rh_tile_part {
    int64_t segment, column, key, count;
} rh_tile_part;

/* The next part of columns [begin, end), or false. *segment starts as the block's segment. */
bool rh_tile_next_part(const rh_attention_plan *plan, int64_t begin, int64_t end, int64_t *segment,
                       rh_tile_part *part);

/* s [rows, cols] = the raw scores q.k of columns [begin, begin + t->cols), scaled as the kernels want
 * them; sets all of t. `bias` [RH_ATTENTION_COLUMNS] is room for the mask. */
void rh_tile_scores(const rh_tile_walk *w, int64_t begin, float *s, float *bias,
                    rh_attention_tile *t);

#endif
