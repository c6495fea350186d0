/* See added.h. The trie is laid out level by level over the tokens sorted by their reversed text: a
 * node is a range of them, its children the ranges in which the next byte is the same. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "text/added.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/pool.h"

rh_status rh_added_put(rh_ctx *ctx, rh_added *a, const char *text, size_t n, rh_added_token token) {
    void *tokens = a->tokens;
    rh_status status = rh_grow(ctx, &tokens, &a->room, a->n + 1, sizeof *a->tokens);
    a->tokens = tokens;
    RH_TRY(status);
    if (n > RH_ADDED_MOST - a->text.used)
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "the added tokens are over the limit of %d bytes",
                       RH_ADDED_MOST);
    token.begin = a->text.used;
    token.length = (uint32_t)n;
    RH_TRY(rh_bytes_put(ctx, &a->text, text, n));
    a->tokens[a->n++] = token;
    return RH_OK;
}

void rh_added_close(rh_ctx *ctx, rh_added *a) {
    rh_bytes_free(ctx, &a->text);
    rh_free(ctx, a->tokens);
    rh_free(ctx, a->first);
    rh_free(ctx, a->label);
    rh_free(ctx, a->back);
    rh_free(ctx, a->longest);
    rh_free(ctx, a->hits);
    *a = (rh_added){0};
}

/* ---- the automaton ---- */

/* The byte at depth d of the reversed token. */
static uint8_t byte_at(const rh_added *a, uint32_t token, size_t d) {
    const rh_added_token *t = &a->tokens[token];
    return (uint8_t)a->text.at[t->begin + t->length - 1 - d];
}

static int compare_reversed(const void *pa, const void *pb, void *arg) {
    const rh_added *a = arg;
    uint32_t i = *(const uint32_t *)pa, j = *(const uint32_t *)pb;
    uint32_t m = a->tokens[i].length, n = a->tokens[j].length;
    for (size_t d = 0; d < m && d < n; d++)
        if (byte_at(a, i, d) != byte_at(a, j, d)) return byte_at(a, i, d) < byte_at(a, j, d) ? -1 : 1;
    if (m != n) return m < n ? -1 : 1;
    return i < j ? -1 : 1;
}

/* While the trie grows: the tokens below each node, as a range of `order`. */
typedef struct builder {
    rh_added *a;
    uint32_t *order, *low, *high; /* [n], [most], [most] */
} builder;

/* Gives node v, at `depth`, its children. */
static void branch(builder *b, uint32_t v, size_t depth) {
    rh_added *a = b->a;
    uint32_t i = b->low[v], high = b->high[v];
    a->first[v] = (uint32_t)a->nodes;
    a->longest[v] = RH_NO_TOKEN;
    for (; i < high && a->tokens[b->order[i]].length == depth; i++)
        if (a->longest[v] == RH_NO_TOKEN) a->longest[v] = b->order[i]; /* the first that was put */
    while (i < high) {
        uint32_t child = (uint32_t)a->nodes++;
        a->label[child] = byte_at(a, b->order[i], depth);
        b->low[child] = i;
        while (i < high && byte_at(a, b->order[i], depth) == a->label[child]) i++;
        b->high[child] = i;
    }
}

static void make_trie(builder *b) {
    rh_added *a = b->a;
    b->low[0] = 0;
    b->high[0] = (uint32_t)a->n;
    a->nodes = 1;
    uint32_t v = 0;
    for (size_t depth = 0; v < a->nodes; depth++)
        for (uint32_t end = (uint32_t)a->nodes; v < end; v++) branch(b, v, depth);
    a->first[v] = (uint32_t)a->nodes;
}

/* The child of v by a byte, or 0. */
static uint32_t child_of(const rh_added *a, uint32_t v, uint8_t byte) {
    uint32_t low = a->first[v], high = a->first[v + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (a->label[middle] < byte) low = middle + 1;
        else high = middle;
    }
    return low < a->first[v + 1] && a->label[low] == byte ? low : 0;
}

/* Where the automaton goes from v with a byte. */
static uint32_t step(const rh_added *a, uint32_t v, uint8_t byte) {
    for (; v; v = a->back[v]) {
        uint32_t child = child_of(a, v, byte);
        if (child) return child;
    }
    return a->root[byte];
}

/* Parents and their back links come before children: nodes are in order of depth. */
static void link_back(rh_added *a) {
    for (unsigned byte = 0; byte < 256; byte++) a->root[byte] = child_of(a, 0, (uint8_t)byte);
    a->back[0] = 0;
    for (uint32_t v = 0; v < a->nodes; v++)
        for (uint32_t c = a->first[v]; c < a->first[v + 1]; c++) {
            a->back[c] = v ? step(a, a->back[v], a->label[c]) : 0;
            if (a->longest[c] == RH_NO_TOKEN) a->longest[c] = a->longest[a->back[c]];
        }
}

static rh_status build(rh_ctx *ctx, rh_added *a, builder *b) {
    size_t most = a->text.used + 1;
    a->first = rh_alloc(ctx, (most + 1) * sizeof *a->first);
    a->label = rh_alloc(ctx, most);
    a->back = rh_alloc(ctx, most * sizeof *a->back);
    a->longest = rh_alloc(ctx, most * sizeof *a->longest);
    b->order = rh_alloc(ctx, a->n * sizeof *b->order);
    b->low = rh_alloc(ctx, most * sizeof *b->low);
    b->high = rh_alloc(ctx, most * sizeof *b->high);
    if (!a->first || !a->label || !a->back || !a->longest || !b->order || !b->low || !b->high)
        return RH_ENOMEM;
    for (uint32_t i = 0; i < a->n; i++) b->order[i] = i;
    qsort_r(b->order, a->n, sizeof *b->order, compare_reversed, a);
    make_trie(b);
    link_back(a);
    return RH_OK;
}

rh_status rh_added_finish(rh_ctx *ctx, rh_added *a) {
    builder b = {.a = a};
    rh_status status = a->n ? build(ctx, a, &b) : RH_OK;
    rh_free(ctx, b.order);
    rh_free(ctx, b.low);
    rh_free(ctx, b.high);
    return status;
}

/* ---- matching ---- */

/* Leaves in hits the longest token at each place where one begins, the last place first. */
static rh_status find_hits(rh_ctx *ctx, rh_added *a, const char *text, size_t n) {
    uint32_t v = 0;
    a->hits_used = 0;
    for (size_t i = n; i-- > 0;) {
        v = v ? step(a, v, (uint8_t)text[i]) : a->root[(uint8_t)text[i]];
        if (!v || a->longest[v] == RH_NO_TOKEN) continue;
        void *hits = a->hits;
        rh_status status = rh_grow(ctx, &hits, &a->hits_room, a->hits_used + 1, sizeof *a->hits);
        a->hits = hits;
        RH_TRY(status);
        a->hits[a->hits_used++] = (rh_added_hit){i, a->longest[v]};
    }
    return RH_OK;
}

static bool is_blank(uint32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Letters drawn in circles and squares: symbols by category, alphabetic all the same. */
static bool is_enclosed_letter(uint32_t c) {
    return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
           (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

/* Letters, marks, digits, letter numbers, connectors, joiners. */
static bool is_word(uint32_t c) {
    switch (utf8proc_category((int32_t)c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_PC: return true;
    default: return c == 0x200C || c == 0x200D || is_enclosed_letter(c);
    }
}

static bool stands_alone(const char *text, size_t n, size_t begin, size_t end) {
    size_t length;
    if (begin > 0 && is_word(rh_utf8_read(text + rh_utf8_before(text, begin), &length))) return false;
    return end == n || !is_word(rh_utf8_read(text + end, &length));
}

static size_t strip_left(const char *text, size_t from, size_t begin) {
    for (size_t length; begin > from;) {
        size_t before = rh_utf8_before(text, begin);
        if (!is_blank(rh_utf8_read(text + before, &length))) break;
        begin = before;
    }
    return begin;
}

static size_t strip_right(const char *text, size_t n, size_t end) {
    for (size_t length; end < n && is_blank(rh_utf8_read(text + end, &length));) end += length;
    return end;
}

/* `done`: the end of the last token with the blanks that it took; `last`: without them. Where a token
 * begins in those blanks, what it leaves of them is text again; if it takes blanks before it, too, it
 * gets what is left of it behind them. */
rh_status rh_added_split(rh_ctx *ctx, rh_added *a, const char *text, size_t n, rh_segment_fn fn,
                         void *arg) {
    size_t done = 0, last = 0;
    a->hits_used = 0;
    if (a->n) RH_TRY(find_hits(ctx, a, text, n));
    for (size_t i = a->hits_used; i-- > 0;) {
        const rh_added_token *t = &a->tokens[a->hits[i].token];
        size_t begin = a->hits[i].begin, end = begin + t->length;
        if (begin < last) continue;
        last = end;
        if (t->single_word && !stands_alone(text, n, begin, end)) continue;
        if (t->lstrip) begin = begin < done ? done : strip_left(text, done, begin);
        if (t->rstrip) end = strip_right(text, n, end);
        if (begin > done) RH_TRY(fn(arg, text + done, begin - done, NULL));
        if (begin < end) RH_TRY(fn(arg, text + begin, end - begin, t));
        done = end;
    }
    return done < n ? fn(arg, text + done, n - done, NULL) : RH_OK;
}
