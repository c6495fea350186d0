/* Keys and values of sequences that are being generated, in pages of RH_CACHE_PAGE tokens. A page holds
 * its tokens for all layers, [layers, {k, v}, groups, tokens, D], so that a group's keys follow one
 * another, and is a block of the context's pool: a sequence takes pages as it grows, and those of one
 * that ended serve the next. Beside them stand the ids of its tokens. Rests on base/pool and
 * ops/attention.h. */
#ifndef RH_NN_CACHE_H
#define RH_NN_CACHE_H

#include "ops/attention.h"

enum { RH_CACHE_PAGE = 32 };

typedef struct rh_cached {
    int64_t length;          /* tokens that are there */
    int64_t pages, room;     /* pages taken; room for so many pointers */
    float **page;            /* [room] */
    int64_t *ids;            /* [room * RH_CACHE_PAGE] */
} rh_cached;

typedef struct rh_cache {
    rh_ctx *ctx;
    int64_t layers, groups, size; /* size: of a head, D */
    int64_t n;
    rh_cached *sequence; /* [n] */
} rh_cache;

/* Fills *c with n empty sequences. */
rh_status rh_cache_open(rh_ctx *ctx, int64_t layers, int64_t groups, int64_t size, int64_t n,
                        rh_cache *c);
void rh_cache_close(rh_cache *c);

/* Takes pages so that the sequence has room for `tokens` tokens; its length stays. */
rh_status rh_cache_reserve(rh_cache *c, int64_t sequence, int64_t tokens);
/* Gives a sequence's pages back: it is empty again. */
void rh_cache_end(rh_cache *c, int64_t sequence);

/* Writes a token's k and v [groups, D] of a layer; there is room. */
void rh_cache_store(const rh_cache *c, int64_t sequence, int64_t layer, int64_t token,
                    const float *k, const float *v);
/* k, v [tokens, groups, D] = the first tokens of a layer */
void rh_cache_gather(const rh_cache *c, int64_t sequence, int64_t layer, int64_t tokens, float *k,
                     float *v);
/* Fills `out` with the pages of a layer that hold the first tokens: rows D apart, groups
 * RH_CACHE_PAGE * D. Returns how many. */
int64_t rh_cache_pages(const rh_cache *c, int64_t sequence, int64_t layer, int64_t tokens,
                       rh_kv_page *out);

#endif
