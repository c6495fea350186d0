/* Byte-pair encoding: a piece of text becomes characters, and the pair of neighbours that stands first
 * in the list of merges becomes one token, again and again. Pieces are valid UTF-8 that the
 * pre-tokenizer made; short ones are remembered. Rests on text/vocab.h. */
#ifndef RH_TEXT_BPE_H
#define RH_TEXT_BPE_H

#include "text/vocab.h"

typedef struct rh_merge {
    uint32_t left, right; /* ids; RH_NO_ID: an empty slot */
    uint32_t rank;        /* its place in the list */
    uint32_t id;          /* of the token they become */
} rh_merge;

#define RH_NO_ID UINT32_MAX

enum { RH_BPE_LOW = 0x250 }; /* characters below are looked up in a table */

typedef struct rh_bpe_word rh_bpe_word;     /* one remembered piece */
typedef struct rh_bpe_symbol rh_bpe_symbol; /* of a long piece */

typedef struct rh_bpe {
    const rh_vocab *vocab; /* borrows */
    rh_merge *merges;      /* [mask + 1], open-addressed by the pair */
    size_t mask;
    bool ignore_merges;    /* a piece that is a token is not taken apart */
    bool byte_fallback;    /* unknown characters become the tokens <0x00> .. <0xFF> */
    bool fuse_unk;         /* neighbouring unknown characters become one token */
    uint32_t unk;          /* RH_NO_ID: unknown characters vanish */
    uint32_t bytes[256];   /* id of <0xXX>, or RH_NO_ID */
    uint32_t low[RH_BPE_LOW];
    rh_bpe_word *words;
    rh_ids scratch;        /* characters of the piece at hand */
    rh_bpe_symbol *symbols; /* long pieces only */
    uint64_t *heap;
    size_t symbols_room, heap_room;
} rh_bpe;

/* Room for `merges` merges; the vocabulary is complete. The flags and unk are the caller's to set. */
rh_status rh_bpe_open(rh_ctx *ctx, rh_bpe *bpe, const rh_vocab *vocab, size_t merges);
void rh_bpe_close(rh_ctx *ctx, rh_bpe *bpe);
/* The merge at place `rank`; of two with one pair the later counts. */
void rh_bpe_put(rh_bpe *bpe, rh_merge merge);
/* Appends the ids of a piece. */
rh_status rh_bpe_encode(rh_ctx *ctx, rh_bpe *bpe, const char *text, size_t n, rh_ids *out);

#endif
