/* Normalizers of tokenizer.json: what is done to text before it is split. A chain of steps, each from
 * valid UTF-8 to valid UTF-8. Unicode's forms rest on utf8proc, replacements on text/pattern.h. */
#ifndef RH_TEXT_NORMALIZE_H
#define RH_TEXT_NORMALIZE_H

#include "text/bytes.h"
#include "text/pattern.h"

typedef enum rh_normalizer_kind {
    RH_NORMALIZE_NFC, RH_NORMALIZE_NFD, RH_NORMALIZE_NFKC, RH_NORMALIZE_NFKD,
    RH_NORMALIZE_PREPEND,  /* `content` before text that is not empty */
    RH_NORMALIZE_REPLACE,  /* every match of `pattern` by `content` */
    RH_NORMALIZE_LOWERCASE
} rh_normalizer_kind;

typedef struct rh_normalizer_step {
    rh_normalizer_kind kind;
    rh_pattern *pattern; /* owns */
    rh_bytes content;
} rh_normalizer_step;

typedef struct rh_normalizer {
    rh_normalizer_step *steps;
    size_t n, room;
    rh_bytes texts[2]; /* results of the last two steps */
    int32_t *chars;    /* of the run that a Unicode form works on */
    size_t chars_room;
} rh_normalizer;

/* Adds a step and takes what it owns, also on failure. */
rh_status rh_normalizer_add(rh_ctx *ctx, rh_normalizer *z, rh_normalizer_step step);
void rh_normalizer_close(rh_ctx *ctx, rh_normalizer *z);
/* *out, *out_n = the result, which stays until the next call; it may be `text` itself. */
rh_status rh_normalize(rh_ctx *ctx, rh_normalizer *z, const char *text, size_t n, const char **out,
                       size_t *out_n);
/* Appends text with each match of the pattern replaced by content. */
rh_status rh_replace(rh_ctx *ctx, rh_pattern *pattern, const rh_bytes *content, const char *text,
                     size_t n, rh_bytes *out);

#endif
