/* See normalize.h. ASCII is its own normal form and composes with nothing before it, so only runs of
 * other characters, each with the ASCII one before it, are decomposed and composed. Marks are put in
 * order here, not by utf8proc, whose exchange sort takes hours for a megabyte of them. */
#include "text/normalize.h"

#include <utf8proc.h>

#include "base/pool.h"

enum { FEW_MARKS = 32, CLASSES = 256 };

rh_status rh_normalizer_add(rh_ctx *ctx, rh_normalizer *z, rh_normalizer_step step) {
    void *steps = z->steps;
    rh_status status = rh_grow(ctx, &steps, &z->room, z->n + 1, sizeof *z->steps);
    z->steps = steps;
    if (status == RH_OK) {
        z->steps[z->n++] = step;
    } else {
        rh_pattern_free(step.pattern);
        rh_bytes_free(ctx, &step.content);
    }
    return status;
}

void rh_normalizer_close(rh_ctx *ctx, rh_normalizer *z) {
    for (size_t i = 0; i < z->n; i++) {
        rh_pattern_free(z->steps[i].pattern);
        rh_bytes_free(ctx, &z->steps[i].content);
    }
    rh_free(ctx, z->steps);
    rh_bytes_free(ctx, &z->texts[0]);
    rh_bytes_free(ctx, &z->texts[1]);
    rh_free(ctx, z->chars);
    *z = (rh_normalizer){0};
}

/* ---- Unicode's normal forms ---- */

static int class_of(int32_t c) { return utf8proc_get_property(c)->combining_class; }

static void order_few(int32_t *chars, size_t n) {
    for (size_t i = 1; i < n; i++) {
        int32_t c = chars[i];
        size_t j = i;
        for (; j > 0 && class_of(chars[j - 1]) > class_of(c); j--) chars[j] = chars[j - 1];
        chars[j] = c;
    }
}

/* The same by counting, into spare[0..n). */
static void order_many(int32_t *chars, size_t n, int32_t *spare) {
    size_t places[CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++) places[class_of(chars[i]) + 1]++;
    for (int c = 0; c < CLASSES; c++) places[c + 1] += places[c];
    for (size_t i = 0; i < n; i++) spare[places[class_of(chars[i])]++] = chars[i];
    memcpy(chars, spare, n * sizeof *chars);
}

/* Puts each run of marks (class above 0) in the order of their classes, stable. */
static void order_marks(int32_t *chars, size_t n, int32_t *spare) {
    for (size_t i = 0, end; i < n; i = end + 1) {
        for (end = i; end < n && class_of(chars[end]) > 0;) end++;
        if (end - i > FEW_MARKS) order_many(chars + i, end - i, spare);
        else order_few(chars + i, end - i);
    }
}

static rh_status reserve_chars(rh_ctx *ctx, rh_normalizer *z, size_t n) {
    void *chars = z->chars;
    rh_status status = rh_grow(ctx, &chars, &z->chars_room, n, sizeof *z->chars);
    z->chars = chars;
    return status;
}

/* The decomposed characters of text into z->chars; as much room again stays behind them. */
static rh_status decompose(rh_ctx *ctx, rh_normalizer *z, utf8proc_option_t options, const char *text,
                           size_t n, size_t *out) {
    enum { LONGEST = 32 }; /* U+FDFA becomes 18 */
    *out = 0;
    for (size_t i = 0, length; i < n; i += length) {
        int boundary = 0;
        int32_t c = (int32_t)rh_utf8_read(text + i, &length);
        RH_TRY(reserve_chars(ctx, z, 2 * (*out + LONGEST)));
        utf8proc_ssize_t got = utf8proc_decompose_char(c, z->chars + *out, LONGEST, options, &boundary);
        if (got < 0 || got > LONGEST) z->chars[*out] = c, got = 1;
        *out += (size_t)got;
    }
    return RH_OK;
}

static rh_status put_run(rh_ctx *ctx, rh_normalizer *z, utf8proc_option_t options, const char *text,
                         size_t n, rh_bytes *out) {
    size_t count;
    RH_TRY(decompose(ctx, z, options, text, n, &count));
    order_marks(z->chars, count, z->chars + count);
    if (options & UTF8PROC_COMPOSE)
        count = (size_t)utf8proc_normalize_utf32(z->chars, (utf8proc_ssize_t)count, options);
    RH_TRY(rh_bytes_reserve(ctx, out, 4 * count));
    for (size_t i = 0; i < count; i++)
        out->used += rh_utf8_write((uint32_t)z->chars[i], out->at + out->used);
    return RH_OK;
}

static rh_status put_form(rh_ctx *ctx, rh_normalizer *z, utf8proc_option_t options, const char *text,
                          size_t n, rh_bytes *out) {
    for (size_t i = 0; i < n;) {
        size_t begin = i, end;
        while (i < n && !(text[i] & 0x80)) i++;
        if (i < n && i > begin) i--; /* the run's marks may compose with it */
        RH_TRY(rh_bytes_put(ctx, out, text + begin, i - begin));
        for (end = i < n ? i + 1 : i; end < n && text[end] & 0x80;) end++;
        RH_TRY(put_run(ctx, z, options, text + i, end - i, out));
        i = end;
    }
    return RH_OK;
}

/* ---- the other steps ---- */

rh_status rh_replace(rh_ctx *ctx, rh_pattern *pattern, const rh_bytes *content, const char *text,
                     size_t n, rh_bytes *out) {
    rh_matches m = rh_matches_of(pattern, text, n);
    size_t done = 0;
    for (bool found;;) {
        RH_TRY(rh_matches_next(&m, &found));
        if (!found) return rh_bytes_put(ctx, out, text + done, n - done);
        RH_TRY(rh_bytes_put(ctx, out, text + done, m.begin - done));
        RH_TRY(rh_bytes_put(ctx, out, content->at, content->used));
        done = m.end;
    }
}

static rh_status put_lower(rh_ctx *ctx, const char *text, size_t n, rh_bytes *out) {
    enum { I_WITH_DOT = 0x130 }; /* the one character whose small form is two */
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c = rh_utf8_read(text + i, &length);
        RH_TRY(rh_bytes_reserve(ctx, out, 8));
        uint32_t small = c == I_WITH_DOT ? 'i' : (uint32_t)utf8proc_tolower((int32_t)c);
        out->used += rh_utf8_write(small, out->at + out->used);
        if (c == I_WITH_DOT) out->used += rh_utf8_write(0x307, out->at + out->used);
    }
    return RH_OK;
}

static rh_status run_step(rh_ctx *ctx, rh_normalizer *z, const rh_normalizer_step *step,
                          const char *text, size_t n, rh_bytes *out) {
    switch (step->kind) {
    case RH_NORMALIZE_NFC: return put_form(ctx, z, UTF8PROC_STABLE | UTF8PROC_COMPOSE, text, n, out);
    case RH_NORMALIZE_NFD: return put_form(ctx, z, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, text, n, out);
    case RH_NORMALIZE_NFKC:
        return put_form(ctx, z, UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE, text, n, out);
    case RH_NORMALIZE_NFKD:
        return put_form(ctx, z, UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, text, n, out);
    case RH_NORMALIZE_PREPEND:
        if (n > 0) RH_TRY(rh_bytes_put(ctx, out, step->content.at, step->content.used));
        return rh_bytes_put(ctx, out, text, n);
    case RH_NORMALIZE_REPLACE: return rh_replace(ctx, step->pattern, &step->content, text, n, out);
    case RH_NORMALIZE_LOWERCASE: return put_lower(ctx, text, n, out);
    }
    return RH_OK;
}

/* Whether a step leaves ASCII alone, as most text is. */
static bool keeps_ascii(const rh_normalizer_step *step) { return step->kind <= RH_NORMALIZE_NFKD; }

static bool is_ascii(const char *text, size_t n) {
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) any |= (unsigned char)text[i];
    return !(any & 0x80);
}

rh_status rh_normalize(rh_ctx *ctx, rh_normalizer *z, const char *text, size_t n, const char **out,
                       size_t *out_n) {
    int turn = 0;
    for (size_t i = 0; i < z->n; i++) {
        if (keeps_ascii(&z->steps[i]) && is_ascii(text, n)) continue;
        rh_bytes *to = &z->texts[turn ^= 1];
        to->used = 0;
        RH_TRY(run_step(ctx, z, &z->steps[i], text, n, to));
        text = to->at ? to->at : "";
        n = to->used;
    }
    *out = text;
    *out_n = n;
    return RH_OK;
}
