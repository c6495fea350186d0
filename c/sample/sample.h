/* From a row of logits to the next token: processors in the order of transformers' generate (repetition
 * penalty, least number of new tokens, temperature, top-k, top-p, min-p), then a draw. A draw depends on
 * the row, the seed, the sequence's stream and the new token's index alone. Rests on base/rng.h and
 * ops/kernels. */
#ifndef RH_SAMPLE_SAMPLE_H
#define RH_SAMPLE_SAMPLE_H

#include "base/context.h"

typedef struct rh_sampling {
    double repetition_penalty; /* > 0; 1: none */
    double temperature;        /* > 0 */
    double top_p, min_p;       /* 0..1; top_p 1, min_p 0: none */
    int64_t top_k;             /* 0: none */
    int64_t min_new_tokens;    /* until there are so many, `stop` is ruled out */
    bool greedy;               /* the likeliest, of equal ones the lowest id; nothing from temperature on */
    uint64_t seed;
    int64_t n_stop;
    const int64_t *stop;       /* [n_stop] ids; those outside of a row are no matter */
} rh_sampling;

typedef struct rh_sample_row {
    const int64_t *ids; /* [n] borrows: prompt and new tokens, which the penalty is for */
    int64_t n;
    uint64_t stream;
    int64_t index;      /* of the new token, from 0 */
} rh_sample_row;

/* Bytes of scratch for one row; 0 when a row is too long. */
size_t rh_sample_scratch(int64_t vocab);

/* What the processors make of a row of logits x [vocab], in place: -inf is ruled out. */
void rh_process_logits(const rh_sampling *s, const rh_sample_row *row, float *x, int64_t vocab,
                       void *scratch);

/* The next id of a processed row x [vocab], which is written over; -1 when x has a nan, +inf, or nothing
 * above -inf. */
int64_t rh_draw(const rh_sampling *s, const rh_sample_row *row, float *x, int64_t vocab);

/* Both over rows of x [n, vocab]. RH_EDATA when a row has no next id. */
rh_status rh_sample(rh_ctx *ctx, const rh_sampling *s, int64_t n, int64_t vocab, float *x,
                    const rh_sample_row *rows, int64_t *next);

#endif
