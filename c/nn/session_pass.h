/* One pass of some tokens through the blocks of a decoder without recording: what a generation session
 * does with each chunk of prompts and with each step. Keys and values go to the cache. Rests on the
 * functions under the rows of ops and on nn/weights.h. */
#ifndef RH_NN_SESSION_PASS_H
#define RH_NN_SESSION_PASS_H

#include "nn/cache.h"
#include "nn/decoder.h"

/* Tokens of one sequence: rows [row, row + rows) of the pass, behind `past` tokens in the cache. */
typedef struct rh_pass_part {
    int64_t sequence, row, rows, past;
} rh_pass_part;

/* Where a pass works, for so many rows; each array has its rows one after another. */
typedef struct rh_pass_room {
    int64_t rows;
    void *memory;
    int64_t *ids, *position, *sequence;       /* [rows] */
    float *x, *h;                             /* [rows, dim]: the residual stream; what a half adds to it */
    float *qkv, *mix;                         /* [rows, (H + 2G) D], [rows, H D] */
    float *up, *act;                          /* [rows, F or 2F], [rows, F] */
    float *cos, *sin;                         /* [rows, D / 2] */
} rh_pass_room;

typedef struct rh_pass {
    rh_ctx *ctx;
    const rh_decoder *d;
    const rh_cache *cache;          /* has room for all rows */
    const rh_pass_room *room;       /* ids, position and sequence are filled */
    int64_t rows;
    const rh_pass_part *part;       /* [parts], in the order of rows */
    int64_t parts;
} rh_pass;

/* Room for `rows` rows in place of what *room has. */
rh_status rh_pass_room_make(rh_ctx *ctx, const rh_decoder *d, int64_t rows, rh_pass_room *room);

/* Leaves the residual stream behind all blocks in room->x. */
rh_status rh_pass_run(const rh_pass *p);

/* y [n, dim] = the final norm of x [n, dim]. */
void rh_pass_final_norm(const rh_decoder *d, int64_t n, const float *x, float *y);

#endif
