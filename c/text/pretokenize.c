/* See pretokenize.h. The steps call each other in a chain as deep as the list is long; a step never
 * runs inside itself, so its buffer is free when its turn comes. */
#include "text/pretokenize.h"

#include <utf8proc.h>

#include "base/pool.h"
#include "text/alphabet.h"

typedef struct run {
    rh_ctx *ctx;
    rh_pretokenizer *p;
    rh_piece_fn fn;
    void *arg;
} run;

static rh_status run_step(const run *r, size_t step, const char *text, size_t n, bool first);

rh_status rh_pretokenizer_add(rh_ctx *ctx, rh_pretokenizer *p, rh_pretoken_step step) {
    void *steps = p->steps;
    rh_status status = rh_grow(ctx, &steps, &p->room, p->n + 1, sizeof *p->steps);
    p->steps = steps;
    if (status == RH_OK) {
        p->steps[p->n++] = step;
    } else {
        rh_pattern_free(step.pattern);
        rh_bytes_free(ctx, &step.content);
    }
    return status;
}

void rh_pretokenizer_close(rh_ctx *ctx, rh_pretokenizer *p) {
    for (size_t i = 0; i < p->n; i++) {
        rh_pattern_free(p->steps[i].pattern);
        rh_bytes_free(ctx, &p->steps[i].content);
        rh_bytes_free(ctx, &p->steps[i].text);
        rh_bytes_free(ctx, &p->steps[i].visible);
    }
    rh_free(ctx, p->steps);
    *p = (rh_pretokenizer){0};
}

/* ---- from matches to pieces ---- */

/* Parts of a text arrive in order, matches and what lies between; what may still grow waits. */
typedef struct splitter {
    const run *r;
    size_t next; /* the step that gets the pieces */
    rh_split_behavior behavior;
    bool invert, first;
    const char *text;
    size_t begin, end; /* the waiting part */
    bool waiting;
    bool after_match;  /* the part before was one */
} splitter;

static rh_status give_part(const splitter *s, size_t begin, size_t end) {
    if (begin == end) return RH_OK;
    return run_step(s->r, s->next, s->text + begin, end - begin, s->first && begin == 0);
}

static rh_status give_waiting(splitter *s) {
    bool had = s->waiting;
    s->waiting = false;
    return had ? give_part(s, s->begin, s->end) : RH_OK;
}

/* Joins the part to the waiting one, or gives that one and lets this wait. */
static rh_status join_or_wait(splitter *s, bool join, size_t begin, size_t end) {
    if (join && s->waiting) {
        s->end = end;
        return RH_OK;
    }
    RH_TRY(give_waiting(s));
    s->begin = begin;
    s->end = end;
    s->waiting = true;
    return RH_OK;
}

static rh_status put_part(splitter *s, size_t begin, size_t end, bool match) {
    bool is_match = match != s->invert, after = s->after_match;
    s->after_match = is_match;
    switch (s->behavior) {
    case RH_ISOLATED: return give_part(s, begin, end);
    case RH_REMOVED: return is_match ? RH_OK : give_part(s, begin, end);
    case RH_CONTIGUOUS: return join_or_wait(s, is_match == after, begin, end);
    case RH_MERGED_WITH_PREVIOUS: return join_or_wait(s, is_match && !after, begin, end);
    case RH_MERGED_WITH_NEXT: return join_or_wait(s, !is_match && after, begin, end);
    }
    return RH_OK;
}

/* Splits text at the pattern's matches. */
static rh_status split_at(splitter *s, rh_pattern *pattern, size_t n) {
    rh_matches m = rh_matches_of(pattern, s->text, n);
    size_t done = 0;
    for (bool found;;) {
        RH_TRY(rh_matches_next(&m, &found));
        if (!found) break;
        if (done != m.begin) RH_TRY(put_part(s, done, m.begin, false));
        RH_TRY(put_part(s, m.begin, m.end, true));
        done = m.end;
    }
    if (done != n) RH_TRY(put_part(s, done, n, false));
    return give_waiting(s);
}

/* ---- steps ---- */

static bool is_number(const char *p, size_t *length) {
    uint32_t c = rh_utf8_read(p, length);
    if (c < 0x80) return c >= '0' && c <= '9';
    utf8proc_category_t category = utf8proc_category((int32_t)c);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

static rh_status split_digits(splitter *s, size_t n) {
    size_t done = 0;
    for (size_t i = 0, length; i < n; i += length) {
        if (!is_number(s->text + i, &length)) continue;
        if (done != i) RH_TRY(put_part(s, done, i, false));
        RH_TRY(put_part(s, i, i + length, true));
        done = i + length;
    }
    if (done != n) RH_TRY(put_part(s, done, n, false));
    return give_waiting(s);
}

static bool begins_with(const char *text, size_t n, const char *with, size_t with_n) {
    return n >= with_n && memcmp(text, with, with_n) == 0;
}

/* The bytes of a piece in the visible alphabet, to the steps behind. */
static rh_status give_visible(const run *r, size_t step, const char *text, size_t n, bool first) {
    rh_bytes *out = &r->p->steps[step].visible;
    out->used = 0;
    RH_TRY(rh_bytes_reserve(r->ctx, out, 2 * n));
    for (size_t i = 0; i < n; i++)
        out->used += rh_utf8_write(rh_alphabet_char((uint8_t)text[i]), out->at + out->used);
    return run_step(r, step + 1, out->at, out->used, first);
}

static rh_status run_byte_level(const run *r, size_t step, const char *text, size_t n, bool first) {
    rh_pretoken_step *s = &r->p->steps[step];
    if (s->prepend == RH_PREPEND_ALWAYS && text[0] != ' ') {
        s->text.used = 0;
        RH_TRY(rh_bytes_put(r->ctx, &s->text, " ", 1));
        RH_TRY(rh_bytes_put(r->ctx, &s->text, text, n));
        text = s->text.at;
        n = s->text.used;
    }
    if (!s->pattern) return give_visible(r, step, text, n, first);
    rh_matches m = rh_matches_of(s->pattern, text, n);
    size_t done = 0;
    for (bool found;;) {
        RH_TRY(rh_matches_next(&m, &found));
        size_t until = found ? m.begin : n;
        if (until > done) RH_TRY(give_visible(r, step, text + done, until - done, first && done == 0));
        if (!found) return RH_OK;
        if (m.end > m.begin)
            RH_TRY(give_visible(r, step, text + m.begin, m.end - m.begin, first && m.begin == 0));
        done = m.end;
    }
}

static rh_status run_metaspace(const run *r, size_t step, const char *text, size_t n, bool first) {
    rh_pretoken_step *s = &r->p->steps[step];
    const rh_bytes *mark = &s->content;
    bool prepend = s->prepend == RH_PREPEND_ALWAYS || (s->prepend == RH_PREPEND_FIRST && first);
    s->text.used = 0;
    if (prepend && text[0] != ' ' && !begins_with(text, n, mark->at, mark->used))
        RH_TRY(rh_bytes_put(r->ctx, &s->text, mark->at, mark->used));
    for (size_t i = 0; i < n;) {
        const char *space = memchr(text + i, ' ', n - i);
        size_t until = space ? (size_t)(space - text) : n;
        RH_TRY(rh_bytes_put(r->ctx, &s->text, text + i, until - i));
        if (space) RH_TRY(rh_bytes_put(r->ctx, &s->text, mark->at, mark->used));
        i = until + 1;
    }
    if (!s->split) return run_step(r, step + 1, s->text.at, s->text.used, first);
    splitter parts = {.r = r, .next = step + 1, .behavior = RH_MERGED_WITH_NEXT, .first = first,
                      .text = s->text.at};
    return split_at(&parts, s->pattern, s->text.used);
}

static rh_status run_step(const run *r, size_t step, const char *text, size_t n, bool first) {
    if (step == r->p->n) return r->fn(r->arg, text, n);
    const rh_pretoken_step *s = &r->p->steps[step];
    splitter parts = {.r = r, .next = step + 1, .behavior = s->behavior, .invert = s->invert,
                      .first = first, .text = text};
    switch (s->kind) {
    case RH_PRETOKEN_SPLIT: return split_at(&parts, s->pattern, n);
    case RH_PRETOKEN_DIGITS: return split_digits(&parts, n);
    case RH_PRETOKEN_BYTE_LEVEL: return run_byte_level(r, step, text, n, first);
    case RH_PRETOKEN_METASPACE: return run_metaspace(r, step, text, n, first);
    }
    return RH_OK;
}

rh_status rh_pretokenize(rh_ctx *ctx, rh_pretokenizer *p, const char *text, size_t n, bool first,
                         rh_piece_fn fn, void *arg) {
    run r = {ctx, p, fn, arg};
    return n ? run_step(&r, 0, text, n, first) : RH_OK;
}
