/* What the splits and replacements of tokenizer.json look for: a literal text, or a regular expression
 * as the Oniguruma library reads it. Expressions run in PCRE2 with its JIT, under limits, because the
 * file is not to be trusted; the few escapes that the two libraries read differently are rewritten
 * first. Texts are valid UTF-8. */
#ifndef RH_TEXT_PATTERN_H
#define RH_TEXT_PATTERN_H

#include "base/context.h"

typedef struct rh_pattern rh_pattern;

/* Each returns new, or NULL after rh_fail (RH_EDATA: what is wrong with it, without saying where).
 * A literal is not empty. */
rh_pattern *rh_pattern_literal(rh_ctx *ctx, const char *text, size_t n);
rh_pattern *rh_pattern_regex(rh_ctx *ctx, const char *text, size_t n);
/* Takes p, which may be NULL. */
void rh_pattern_free(rh_pattern *p);

typedef struct rh_matches {
    rh_pattern *pattern;
    const char *text;
    size_t n;
    size_t from;       /* where the next search begins */
    size_t begin, end; /* the last match */
    bool any;          /* there was one */
    int64_t budget;    /* steps that an expression may yet take beyond the few that are free */
} rh_matches;

/* A walk over the matches in text, from the left, none inside another. */
static inline rh_matches rh_matches_of(rh_pattern *pattern, const char *text, size_t n) {
    return (rh_matches){.pattern = pattern, .text = text, .n = n, .budget = 8192 + 64 * (int64_t)n};
}
/* The next one into begin, end; *found = false after the last. RH_EDATA when a limit was reached. */
rh_status rh_matches_next(rh_matches *m, bool *found);

#endif
