/* Pre-tokenizers of tokenizer.json: how text is split into the pieces that byte-pair encoding sees one
 * by one. A chain of steps; each gives its pieces straight to the next, so that no list of them is
 * kept. Pieces are valid UTF-8 and never empty. */
#ifndef RH_TEXT_PRETOKENIZE_H
#define RH_TEXT_PRETOKENIZE_H

#include "text/bytes.h"
#include "text/pattern.h"

typedef enum rh_pretoken_kind {
    RH_PRETOKEN_SPLIT,      /* at the matches of `pattern` */
    RH_PRETOKEN_DIGITS,     /* at digits, one by one (RH_ISOLATED) or in runs (RH_CONTIGUOUS) */
    RH_PRETOKEN_BYTE_LEVEL, /* at `pattern` unless NULL; then a visible character for each byte */
    RH_PRETOKEN_METASPACE   /* `content` for spaces, and split before each when `split` */
} rh_pretoken_kind;

/* What becomes of the matches. */
typedef enum rh_split_behavior {
    RH_ISOLATED, RH_REMOVED, RH_MERGED_WITH_PREVIOUS, RH_MERGED_WITH_NEXT, RH_CONTIGUOUS
} rh_split_behavior;

/* When a space is put before text that has none. */
typedef enum rh_prepend { RH_PREPEND_NEVER, RH_PREPEND_FIRST, RH_PREPEND_ALWAYS } rh_prepend;

typedef struct rh_pretoken_step {
    rh_pretoken_kind kind;
    rh_pattern *pattern; /* owns */
    rh_split_behavior behavior;
    bool invert;         /* the matches are what lies between */
    bool split;
    rh_prepend prepend;
    rh_bytes content;
    rh_bytes text, visible; /* what the step made of the piece at hand */
} rh_pretoken_step;

typedef struct rh_pretokenizer {
    rh_pretoken_step *steps;
    size_t n, room;
} rh_pretokenizer;

/* Adds a step and takes what it owns, also on failure. */
rh_status rh_pretokenizer_add(rh_ctx *ctx, rh_pretokenizer *p, rh_pretoken_step step);
void rh_pretokenizer_close(rh_ctx *ctx, rh_pretokenizer *p);

typedef rh_status (*rh_piece_fn)(void *arg, const char *text, size_t n);
/* Calls fn for each piece, in order. first: nothing of the user's text stands before this one. */
rh_status rh_pretokenize(rh_ctx *ctx, rh_pretokenizer *p, const char *text, size_t n, bool first,
                         rh_piece_fn fn, void *arg);

#endif
