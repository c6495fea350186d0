/* The tokens of a tokenizer: from id to text and from text to id. Ids may have gaps; no text and no id
 * stands twice. A token is in the model, or was added to it, or both: the model's look-ups see only
 * its own. Texts lie in one block, the table from texts to ids is open-addressed. */
#ifndef RH_TEXT_VOCAB_H
#define RH_TEXT_VOCAB_H

#include "text/bytes.h"

/* Hostile files end here, before anything is allocated for them. */
enum { RH_VOCAB_MOST = 1 << 20, RH_TOKEN_MOST = 1 << 16 };

enum {
    RH_TOKEN_MODEL = 1,  /* the model's own */
    RH_TOKEN_ADDED = 2,  /* recognised in text before the model sees it */
    RH_TOKEN_SPECIAL = 4 /* left out of decoded text on request */
};

typedef struct rh_token {
    size_t begin, shown;    /* in rh_vocab.text */
    uint32_t length, shown_length;
    uint8_t kind;           /* 0: no token has this id */
} rh_token;

typedef struct rh_vocab {
    rh_bytes text;
    rh_token *tokens; /* [room] by id */
    size_t room;
    size_t ids;       /* above the greatest id */
    size_t count;     /* of tokens */
    uint32_t *slots;  /* [mask + 1]: id + 1, or 0; at most half are taken */
    size_t mask;
} rh_vocab;

/* Room for `count` tokens before it has to grow. */
rh_status rh_vocab_open(rh_ctx *ctx, rh_vocab *v, size_t count);
void rh_vocab_close(rh_ctx *ctx, rh_vocab *v);
/* Adds a token; neither text nor id may be there, id < RH_VOCAB_MOST. */
rh_status rh_vocab_put(rh_ctx *ctx, rh_vocab *v, const char *text, size_t n, uint32_t id, int kind);
/* From now on the token with this id decodes to another text. It is found by its own as before. */
rh_status rh_vocab_show(rh_ctx *ctx, rh_vocab *v, uint32_t id, const char *text, size_t n);
/* The id of a token of any kind, or -1. */
int64_t rh_vocab_find(const rh_vocab *v, const char *text, size_t n);
/* The id of a token of the model, or -1. */
int64_t rh_vocab_find_model(const rh_vocab *v, const char *text, size_t n);
/* The token with this id, or NULL. */
static inline const rh_token *rh_vocab_token(const rh_vocab *v, uint64_t id) {
    return id < v->ids && v->tokens[id].kind ? &v->tokens[id] : NULL;
}

#endif
