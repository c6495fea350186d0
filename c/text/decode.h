/* Decoders of tokenizer.json: from tokens back to text, one token at a time. What comes out is whole
 * characters: bytes that may yet become one wait, and those that can't are U+FFFD. Decoding a list of
 * tokens is nothing but feeding them one by one, so a stream gives the same text. */
#ifndef RH_TEXT_DECODE_H
#define RH_TEXT_DECODE_H

#include "text/bytes.h"
#include "text/pattern.h"

typedef enum rh_decoder_kind {
    RH_DECODE_JOIN,          /* a space between tokens: what no decoder at all means */
    RH_DECODE_BYTE_LEVEL,    /* from the visible alphabet to bytes, all in one token */
    RH_DECODE_BYTE_FALLBACK, /* runs of <0xXX> to bytes; in a run that isn't UTF-8 each is U+FFFD */
    RH_DECODE_REPLACE,       /* every match of `pattern` by `content` */
    RH_DECODE_FUSE,          /* all tokens become one */
    RH_DECODE_STRIP,         /* up to `start` and `stop` of the character `content` at a token's ends */
    RH_DECODE_METASPACE      /* `content` becomes a space; in the first token nothing, when `drop` */
} rh_decoder_kind;

typedef struct rh_decoder_step {
    rh_decoder_kind kind;
    rh_pattern *pattern; /* owns */
    rh_bytes content;
    size_t start, stop;
    bool drop;
    bool gather; /* fuses, and what follows needs the one token whole */
    bool parts;  /* its one token comes in parts */
} rh_decoder_step;

typedef struct rh_decoder {
    rh_decoder_step *steps;
    size_t n, room;
} rh_decoder;

/* Adds a step and takes what it owns, also on failure. */
rh_status rh_decoder_add(rh_ctx *ctx, rh_decoder *d, rh_decoder_step step);
/* After the last step: sets gather and parts. */
void rh_decoder_finish(rh_decoder *d);
void rh_decoder_close(rh_ctx *ctx, rh_decoder *d);

/* One text in the making. */
typedef struct rh_decoding_state {
    rh_bytes held; /* what waits */
    rh_bytes text; /* what the step made of the token at hand */
    size_t count;  /* of tokens, of characters stripped at the start */
    size_t tail;   /* characters that wait whether they are stripped at the end */
    bool begun;    /* strip: past the start */
} rh_decoding_state;

typedef struct rh_decoding {
    const rh_decoder *decoder;  /* borrows */
    rh_decoding_state *states;  /* [n], one for each step */
    size_t n;
    rh_bytes *out;              /* borrows */
} rh_decoding;

rh_status rh_decoding_open(rh_ctx *ctx, rh_decoding *d, const rh_decoder *decoder);
void rh_decoding_close(rh_ctx *ctx, rh_decoding *d);
/* Appends to out what is complete with this token. */
rh_status rh_decoding_feed(rh_ctx *ctx, rh_decoding *d, const char *token, size_t n, rh_bytes *out);
/* Appends the rest; afterwards the decoding is as new. */
rh_status rh_decoding_finish(rh_ctx *ctx, rh_decoding *d, rh_bytes *out);

#endif
