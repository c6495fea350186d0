/* The generic decoder: forward over a batch of segments as a sequence of recorded rows, one node for each
 * step of a block. Rests on autograd and the rows of ops and nn; knows nothing of names or files. */
#ifndef RH_NN_DECODER_H
#define RH_NN_DECODER_H

#include "nn/config.h"
#include "nn/parameters.h"
#include "ops/row.h"

/* Rows that the decoder calls, found once by name. */
typedef struct rh_decoder_rows {
    const rh_row *embed, *norm, *linear, *attention, *activation;
} rh_decoder_rows;

typedef struct rh_decoder {
    rh_ctx *ctx;
    rh_decoder_config config;
    rh_parameters parameters;
    rh_tensor *frequencies; /* f32 [head_dim / 2]: rotary angle for a step of position; NULL if learned */
    rh_decoder_rows rows;
} rh_decoder;

/* What a batch is to the decoder; all borrowed. */
typedef struct rh_decoder_input {
    rh_tensor *ids;       /* i64 [N] */
    rh_tensor *positions; /* i64 [N] */
    rh_tensor *segments;  /* i64 [S,3]: begin, length, parent or -1 */
} rh_decoder_input;

/* Returns new, its weights zero; frequencies (borrowed, may be NULL) as in the struct. NULL after
 * rh_fail. */
rh_decoder *rh_decoder_new(rh_ctx *ctx, const rh_decoder_config *config, rh_tensor *frequencies);
/* Takes d. */
void rh_decoder_free(rh_decoder *d);

/* *out = new tensor [N, dim]: the embeddings' sum after 0 blocks, the residual stream after `blocks` of
 * them, or, with `final` and all blocks, what the final norm makes of it. */
rh_status rh_decoder_forward(rh_decoder *d, rh_decoder_input input, int64_t blocks, bool final,
                             rh_tensor **out);

/* The output head's weight [vocab, dim], borrowed: the embedding where they are tied, NULL where the
 * decoder has no head. */
rh_tensor *rh_decoder_head(const rh_decoder *d);

#endif
