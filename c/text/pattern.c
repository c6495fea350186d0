/* See pattern.h. An expression is compiled anchored and tried at one place after the other. A try sees a
 * short window of the text and has few steps; when it reaches the window's end, or runs out of steps, it
 * is begun again with more of them, and that counts against the text's budget. So neither backtracking
 * nor looking far ahead from every place goes on without end, and what is found is what the whole text
 * would give: PCRE2 tells when a try touches the end of what it sees. */
#define PCRE2_CODE_UNIT_WIDTH 8
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "text/pattern.h"

#include <pcre2.h>

#include "base/pool.h"
#include "text/bytes.h"

enum {
    PATTERN_MOST = 1 << 14,
    FIRST_STEPS = 64,       /* of a try; free */
    FIRST_WINDOW = 64,      /* bytes */
    MORE = 16,              /* times as many in the next one */
    HEAP_LIMIT = 64 << 10,  /* KiB, without JIT */
    STACK_FIRST = 32 << 10, /* bytes, with JIT */
    STACK_MOST = 8 << 20
};

struct rh_pattern {
    rh_ctx *ctx;
    char *literal; /* NULL: a regular expression */
    size_t length;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *match;
    pcre2_jit_stack *stack;
    bool jit;
};

/* ---- from Oniguruma's spelling to PCRE2's ---- */

/* Unicode's White_Space and what is not; PCRE2 knows the property by name only from 10.40 on. */
#define SPACE "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define NO_SPACE \
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}" \
    "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}"

/* Oniguruma's word characters: in a class, and, by another of its tables, outside. \p{Alphabetic}, of which the
 * same holds, is L, Nl, some marks, and the circled and squared letters. */
#define WORD \
    "\\p{L}\\p{Nl}\\p{M}\\p{Nd}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
#define ALONE WORD "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"

/* What PCRE2 reads otherwise: \s has U+180E there, \w lacks marks and connectors and has all numbers,
 * and \b with it; \h is a blank to it, a hexadecimal digit to Oniguruma. */
static const struct {
    char escape;
    const char *alone, *in_class; /* "": not expressible; NULL: as it is */
} spellings[] = {
    {'s', "[" SPACE "]", SPACE},
    {'S', "[^" SPACE "]", NO_SPACE},
    {'w', "[" ALONE "]", WORD},
    {'W', "[^" ALONE "]", ""},
    {'b', "(?:(?<=[" ALONE "])(?![" ALONE "])|(?<![" ALONE "])(?=[" ALONE "]))", NULL},
    {'B', "(?:(?<=[" ALONE "])(?=[" ALONE "])|(?<![" ALONE "])(?![" ALONE "]))", NULL},
    {'h', "[0-9a-fA-F]", "0-9a-fA-F"},
    {'H', "[^0-9a-fA-F]", ""},
};

static const char *other_spelling(char c, bool in_class) {
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (spellings[i].escape == c) return in_class ? spellings[i].in_class : spellings[i].alone;
    return NULL;
}

static rh_status refuse(rh_ctx *ctx, const char *what) {
    return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "%s is not supported in a regular expression", what);
}

static rh_status put_escape(rh_ctx *ctx, rh_bytes *out, const char *p, bool in_class) {
    const char *other = other_spelling(p[1], in_class);
    if (!other) return rh_bytes_put(ctx, out, p, 2);
    if (!*other) return refuse(ctx, p[1] == 'W' ? "\\W inside [...]" : "\\H inside [...]");
    return rh_bytes_put(ctx, out, other, strlen(other));
}

/* A bracket inside a class: [:name:] is the same in both, a nested class is Oniguruma's alone. */
static rh_status put_bracket(rh_ctx *ctx, rh_bytes *out, const char *text, size_t n, size_t *i) {
    const char *end = *i + 1 < n && text[*i + 1] == ':' ? memmem(text + *i, n - *i, ":]", 2) : NULL;
    if (!end) return refuse(ctx, "[ inside [...]");
    size_t length = (size_t)(end + 2 - (text + *i));
    RH_TRY(rh_bytes_put(ctx, out, text + *i, length));
    *i += length - 1;
    return RH_OK;
}

static rh_status translate(rh_ctx *ctx, rh_bytes *out, const char *text, size_t n) {
    bool in_class = false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\\' && i + 1 < n) {
            RH_TRY(put_escape(ctx, out, text + i++, in_class));
            continue;
        }
        if (in_class && text[i] == '[') {
            RH_TRY(put_bracket(ctx, out, text, n, &i));
            continue;
        }
        if (in_class && text[i] == '&' && i + 1 < n && text[i + 1] == '&')
            return refuse(ctx, "&& inside [...]");
        if (text[i] == '[') in_class = true;
        else if (text[i] == ']') in_class = false;
        RH_TRY(rh_bytes_put(ctx, out, text + i, 1));
    }
    return RH_OK;
}

/* ---- compiling ---- */

static void *take(size_t bytes, void *ctx) { return rh_alloc(ctx, bytes); }
static void give(void *block, void *ctx) { rh_free(ctx, block); }

/* Without JIT (a system that forbids it) PCRE2 interprets: slower, under the same limits. */
static rh_status prepare(rh_pattern *p, pcre2_general_context *general) {
    p->data = pcre2_match_data_create(1, general);
    p->match = pcre2_match_context_create(general);
    if (!p->data || !p->match) return RH_ENOMEM;
    pcre2_set_heap_limit(p->match, HEAP_LIMIT);
    p->jit = pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) == 0;
    if (p->jit) p->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MOST, general);
    if (p->stack) pcre2_jit_stack_assign(p->match, NULL, p->stack); /* else 32 KiB of the thread's */
    return RH_OK;
}

static rh_status compile(rh_pattern *p, pcre2_general_context *general, const rh_bytes *text) {
    int error;
    PCRE2_SIZE at;
    pcre2_compile_context *options = pcre2_compile_context_create(general);
    if (!options) return RH_ENOMEM;
    pcre2_set_newline(options, PCRE2_NEWLINE_LF);
    /* Oniguruma's ^ and $ stand at every line */
    p->code = pcre2_compile((PCRE2_SPTR)(text->at ? text->at : ""), text->used,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C,
                            &error, &at, options);
    pcre2_compile_context_free(options);
    if (p->code) return prepare(p, general);
    if (error == PCRE2_ERROR_HEAP_FAILED) return RH_ENOMEM;
    char why[128] = "";
    pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
    return rh_fail(p->ctx, RH_EDATA, RH_NO_OPERAND, "the regular expression does not compile: %s", why);
}

static rh_status make_regex(rh_pattern *p, const char *text, size_t n) {
    rh_bytes other = {0};
    if (n > PATTERN_MOST)
        return rh_fail(p->ctx, RH_EDATA, RH_NO_OPERAND,
                       "a regular expression of %zu bytes: the limit is %d", n, PATTERN_MOST);
    rh_status status = translate(p->ctx, &other, text, n);
    if (status == RH_OK) {
        pcre2_general_context *general = pcre2_general_context_create(take, give, p->ctx);
        status = general ? compile(p, general, &other) : RH_ENOMEM;
        pcre2_general_context_free(general);
    }
    rh_bytes_free(p->ctx, &other);
    return status;
}

rh_pattern *rh_pattern_regex(rh_ctx *ctx, const char *text, size_t n) {
    rh_pattern *p = rh_alloc_zero(ctx, sizeof *p);
    if (!p) return NULL;
    p->ctx = ctx;
    if (make_regex(p, text, n) == RH_OK) return p;
    rh_pattern_free(p);
    return NULL;
}

rh_pattern *rh_pattern_literal(rh_ctx *ctx, const char *text, size_t n) {
    rh_pattern *p = rh_alloc_zero(ctx, sizeof *p);
    if (!p) return NULL;
    *p = (rh_pattern){.ctx = ctx, .literal = rh_alloc(ctx, n), .length = n};
    if (p->literal) return memcpy(p->literal, text, n), p;
    rh_pattern_free(p);
    return NULL;
}

void rh_pattern_free(rh_pattern *p) {
    if (!p) return;
    pcre2_jit_stack_free(p->stack);
    pcre2_match_context_free(p->match);
    pcre2_match_data_free(p->data);
    pcre2_code_free(p->code);
    rh_free(p->ctx, p->literal);
    rh_free(p->ctx, p);
}

/* ---- matching ---- */

/* Where a window of so many bytes from `at` on ends, between characters. */
static size_t window_end(const rh_matches *m, size_t at, size_t bytes) {
    if (bytes >= m->n - at) return m->n;
    size_t end = at + bytes;
    while (end < m->n && ((unsigned char)m->text[end] & 0xC0) == 0x80) end++;
    return end;
}

static int try_once(const rh_pattern *p, const rh_matches *m, size_t at, size_t end) {
    PCRE2_SPTR text = (PCRE2_SPTR)m->text;
    uint32_t options = end < m->n ? PCRE2_PARTIAL_HARD : 0;
    return p->jit ? pcre2_jit_match(p->code, text, end, at, options, p->data, p->match)
                  : pcre2_match(p->code, text, end, at, options | PCRE2_NO_UTF_CHECK, p->data, p->match);
}

/* PCRE2's answer at one place. */
static int try_at(const rh_pattern *p, rh_matches *m, size_t at) {
    int64_t steps = FIRST_STEPS, window = FIRST_WINDOW;
    for (;;) {
        pcre2_set_match_limit(p->match, (uint32_t)steps);
        int rc = try_once(p, m, at, window_end(m, at, (size_t)window));
        if (rc != PCRE2_ERROR_PARTIAL && rc != PCRE2_ERROR_MATCHLIMIT) return rc;
        int64_t *more = rc == PCRE2_ERROR_PARTIAL ? &window : &steps;
        *more *= MORE;
        m->budget -= *more;
        if (m->budget < 0 || steps > UINT32_MAX) return PCRE2_ERROR_MATCHLIMIT;
    }
}

static rh_status gave_up(rh_ctx *ctx, size_t at, int rc) {
    char why[128] = "";
    if (rc == PCRE2_ERROR_NOMEMORY) return RH_ENOMEM;
    pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
    return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND,
                   "a regular expression of the tokenizer gave up at byte %zu of a text: %s", at + 1, why);
}

static rh_status search_regex(rh_matches *m, size_t *begin, size_t *end, bool *found) {
    const rh_pattern *p = m->pattern;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(p->data);
    for (size_t at = m->from; at <= m->n; at += at < m->n ? rh_utf8_length_of((unsigned char)m->text[at]) : 1) {
        int rc = try_at(p, m, at);
        *found = rc >= 0;
        if (rc == PCRE2_ERROR_NOMATCH) continue;
        if (rc < 0) return gave_up(p->ctx, at, rc);
        /* \K inside a look-around can put the beginning anywhere */
        *begin = ends[0] < m->from ? m->from : ends[0];
        *end = ends[1] < *begin ? *begin : ends[1];
        return RH_OK;
    }
    return RH_OK;
}

static rh_status search(rh_matches *m, size_t *begin, size_t *end, bool *found) {
    const rh_pattern *p = m->pattern;
    if (!p->literal) return search_regex(m, begin, end, found);
    const char *at = memmem(m->text + m->from, m->n - m->from, p->literal, p->length);
    *found = at != NULL;
    if (at) *begin = (size_t)(at - m->text), *end = *begin + p->length;
    return RH_OK;
}

/* An empty match right behind the last one is none: the search goes on one character further. */
rh_status rh_matches_next(rh_matches *m, bool *found) {
    size_t begin = 0, end = 0;
    for (;;) {
        *found = false;
        if (m->from > m->n) return RH_OK;
        RH_TRY(search(m, &begin, &end, found));
        if (!*found) return RH_OK;
        if (begin != end || !m->any || end != m->end) break;
        m->from += m->from < m->n ? rh_utf8_length_of((unsigned char)m->text[m->from]) : 1;
    }
    m->begin = begin;
    m->end = m->from = end;
    m->any = true;
    return RH_OK;
}
