/* Added tokens: recognised in text as they stand, the leftmost first and of those that begin at one
 * place the longest. One pass over the text, from its end, whatever the tokens: an Aho-Corasick
 * automaton of the tokens read backwards tells for each place the longest token that begins there. */
#ifndef RH_TEXT_ADDED_H
#define RH_TEXT_ADDED_H

#include "text/bytes.h"

typedef struct rh_added_token {
    size_t begin;    /* in rh_added.text */
    uint32_t length; /* above 0 */
    uint32_t id;
    bool single_word;    /* not inside a longer word */
    bool lstrip, rstrip; /* takes the blanks before, after it */
} rh_added_token;

typedef struct rh_added_hit {
    size_t begin;
    uint32_t token;
} rh_added_hit;

typedef struct rh_added {
    rh_bytes text;
    rh_added_token *tokens;
    size_t n, room;
    /* the automaton, once rh_added_finish has made it; nodes in order of depth, 0 is the root */
    size_t nodes;
    uint32_t *first;   /* [nodes + 1]: children of v are first[v] .. first[v + 1] - 1 */
    uint8_t *label;    /* [nodes]: the byte that leads to a node; ascending among siblings */
    uint32_t *back;    /* [nodes]: the longest other node that ends like this one */
    uint32_t *longest; /* [nodes]: the longest token that ends here, or RH_NO_TOKEN */
    uint32_t root[256];
    rh_added_hit *hits; /* in the text at hand, the last one first */
    size_t hits_used, hits_room;
} rh_added;

#define RH_NO_TOKEN UINT32_MAX

enum { RH_ADDED_MOST = 8 << 20 }; /* bytes of all tokens together */

/* Adds a token (its begin and length are set here); n > 0. */
rh_status rh_added_put(rh_ctx *ctx, rh_added *a, const char *text, size_t n, rh_added_token token);
/* Makes the automaton; nothing may be put afterwards. Of two tokens with
 * one text the first counts. */
rh_status rh_added_finish(rh_ctx *ctx, rh_added *a);
void rh_added_close(rh_ctx *ctx, rh_added *a);

/* What stands in a text: a token, or the part between two. */
typedef rh_status (*rh_segment_fn)(void *arg, const char *text, size_t n, const rh_added_token *token);
/* Calls fn for the parts and tokens of valid UTF-8, in order; parts are not empty. */
rh_status rh_added_split(rh_ctx *ctx, rh_added *a, const char *text, size_t n, rh_segment_fn fn,
                         void *arg);

#endif
