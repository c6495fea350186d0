/* A generation session over a decoder: sequences in numbered slots, each with its keys and values in a
 * paged cache, fed with tokens and answering with the logits behind the last one. Nothing is recorded.
 * Its buffers grow to the largest call and stay. Rests on nn/session_pass.h. */
#ifndef RH_NN_SESSION_H
#define RH_NN_SESSION_H

#include "nn/session_pass.h"

typedef struct rh_session {
    rh_ctx *ctx;
    rh_decoder *d; /* borrows: outlives the session's last feed */
    rh_cache cache;
    rh_pass_room room;
    float *logits;   /* [fed, vocab]: of the last feed's sequences, in their order */
    int64_t *slot;   /* [slots]: of each row of logits */
    int64_t fed, logits_room;
    int64_t feeds, *seen; /* [slots]: the last feed that named a slot */
} rh_session;

/* Tokens for some sequences: slot[i] gets the next length[i] of ids. A slot that is empty begins at
 * position 0, another one goes on. */
typedef struct rh_feed {
    int64_t n;
    const int64_t *slot, *length; /* [n]; slots count from 0 and differ, lengths from 1 */
    const int64_t *ids;           /* [sum of lengths] */
} rh_feed;

/* Returns new, or NULL after rh_fail: the decoder has an output head, slots is at least 1. */
rh_session *rh_session_new(rh_ctx *ctx, rh_decoder *d, int64_t slots);
/* Takes s. */
void rh_session_free(rh_session *s);

/* Computes the tokens, several for a sequence in chunks of at most RH_SESSION_CHUNK, and leaves logits.
 * On failure every sequence is as it was. With learned positions a token past the context is RH_EARG. */
enum { RH_SESSION_CHUNK = 512 };
rh_status rh_session_feed(rh_session *s, rh_feed feed);

/* Forgets a slot's sequence; its memory serves others. */
void rh_session_end(rh_session *s, int64_t slot);

/* The ids that a slot was fed, and their number. */
static inline const int64_t *rh_session_ids(const rh_session *s, int64_t slot, int64_t *n) {
    *n = s->cache.sequence[slot].length;
    return s->cache.sequence[slot].ids;
}

#endif
