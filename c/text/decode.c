/* See decode.h. Each step hands what it has to the next at once; a step holds back only what later
 * tokens may change. After a step that fuses, the parts of its one token travel singly as long as
 * strips alone follow; anything else gets the token whole, at the end. */
#include "text/decode.h"

#include "base/pool.h"
#include "text/alphabet.h"
#include "text/normalize.h"

static rh_status push(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n);

rh_status rh_decoder_add(rh_ctx *ctx, rh_decoder *d, rh_decoder_step step) {
    void *steps = d->steps;
    rh_status status = rh_grow(ctx, &steps, &d->room, d->n + 1, sizeof *d->steps);
    d->steps = steps;
    if (status == RH_OK) {
        d->steps[d->n++] = step;
    } else {
        rh_pattern_free(step.pattern);
        rh_bytes_free(ctx, &step.content);
    }
    return status;
}

static bool fuses(const rh_decoder_step *s) {
    return s->kind == RH_DECODE_FUSE || s->kind == RH_DECODE_BYTE_LEVEL;
}

void rh_decoder_finish(rh_decoder *d) {
    bool parts = false, plain = true; /* plain: strips and fuses alone follow */
    for (size_t i = d->n; i-- > 0;) {
        if (fuses(&d->steps[i])) d->steps[i].gather = !plain;
        plain = plain && (d->steps[i].kind == RH_DECODE_STRIP || d->steps[i].kind == RH_DECODE_FUSE);
    }
    for (size_t i = 0; i < d->n; i++) {
        d->steps[i].parts = parts;
        parts = parts || (fuses(&d->steps[i]) && !d->steps[i].gather);
    }
}

void rh_decoder_close(rh_ctx *ctx, rh_decoder *d) {
    for (size_t i = 0; i < d->n; i++) {
        rh_pattern_free(d->steps[i].pattern);
        rh_bytes_free(ctx, &d->steps[i].content);
    }
    rh_free(ctx, d->steps);
    *d = (rh_decoder){0};
}

/* ---- bytes ---- */

/* The bytes that a token stands for; one with a character of no byte stands for itself. */
static rh_status put_alphabet(rh_ctx *ctx, rh_bytes *out, const char *text, size_t n) {
    size_t before = out->used;
    RH_TRY(rh_bytes_reserve(ctx, out, n));
    for (size_t i = 0, length; i < n; i += length) {
        int byte = rh_alphabet_byte(rh_utf8_read(text + i, &length));
        if (byte < 0) {
            out->used = before;
            return rh_bytes_put(ctx, out, text, n);
        }
        out->at[out->used++] = (char)byte;
    }
    return RH_OK;
}

/* How many of the last bytes may yet become a character. */
static size_t cut_length(const char *text, size_t n) {
    enum { LONGEST = 3 };
    for (size_t back = n < LONGEST ? n : LONGEST, length; back > 0; back--) {
        unsigned char c = (unsigned char)text[n - back];
        if (c >= 0xC0 && rh_utf8_scan(text + n - back, back, &length) == RH_UTF8_CUT && length == back)
            return back;
    }
    return 0;
}

/* Passes on the first n held bytes, as text. */
static rh_status give_held(rh_ctx *ctx, rh_decoding *d, size_t i, size_t n) {
    rh_decoding_state *s = &d->states[i];
    s->text.used = 0;
    if (n == 0) return RH_OK;
    RH_TRY(rh_utf8_repair(ctx, &s->text, s->held.at, n));
    s->held.used -= n;
    memmove(s->held.at, s->held.at + n, s->held.used);
    return push(ctx, d, i + 1, s->text.at, s->text.used);
}

static rh_status byte_level(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    rh_bytes *held = &d->states[i].held;
    RH_TRY(put_alphabet(ctx, held, text, n));
    if (d->decoder->steps[i].gather || held->used == 0) return RH_OK;
    return give_held(ctx, d, i, held->used - cut_length(held->at, held->used));
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of a token <0xXX>, or -1. */
static int fallback_byte(const char *text, size_t n) {
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static rh_status give_run(rh_ctx *ctx, rh_decoding *d, size_t i) {
    rh_decoding_state *s = &d->states[i];
    size_t n = s->held.used;
    if (n == 0) return RH_OK;
    s->held.used = 0;
    if (rh_utf8_valid(s->held.at, n) == n) return push(ctx, d, i + 1, s->held.at, n);
    for (; n > 0; n--) RH_TRY(push(ctx, d, i + 1, RH_UTF8_REPLACEMENT, 3));
    return RH_OK;
}

static rh_status byte_fallback(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    int byte = fallback_byte(text, n);
    if (byte >= 0) {
        char c = (char)byte;
        return rh_bytes_put(ctx, &d->states[i].held, &c, 1);
    }
    RH_TRY(give_run(ctx, d, i));
    return push(ctx, d, i + 1, text, n);
}

/* ---- characters ---- */

static rh_status replace(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    const rh_decoder_step *step = &d->decoder->steps[i];
    rh_bytes *out = &d->states[i].text;
    out->used = 0;
    RH_TRY(rh_replace(ctx, step->pattern, &step->content, text, n, out));
    return push(ctx, d, i + 1, out->at ? out->at : "", out->used);
}

static bool stands_at(const rh_bytes *content, const char *text, size_t n) {
    return n >= content->used && memcmp(text, content->at, content->used) == 0;
}

static rh_status metaspace(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    const rh_decoder_step *step = &d->decoder->steps[i];
    rh_decoding_state *s = &d->states[i];
    bool drop = step->drop && s->count++ == 0;
    s->text.used = 0;
    RH_TRY(rh_bytes_reserve(ctx, &s->text, n + 1));
    for (size_t at = 0, length; at < n; at += length) {
        if (stands_at(&step->content, text + at, n - at)) {
            length = step->content.used;
            if (!drop) s->text.at[s->text.used++] = ' ';
        } else {
            length = rh_utf8_length_of((unsigned char)text[at]);
            memcpy(s->text.at + s->text.used, text + at, length);
            s->text.used += length;
        }
    }
    return push(ctx, d, i + 1, s->text.at, s->text.used);
}

static rh_status strip_token(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    const rh_decoder_step *step = &d->decoder->steps[i];
    size_t size = step->content.used;
    for (size_t k = 0; k < step->start && stands_at(&step->content, text, n); k++) text += size, n -= size;
    for (size_t k = 0; k < step->stop && n >= size && stands_at(&step->content, text + n - size, size); k++)
        n -= size;
    return push(ctx, d, i + 1, text, n);
}

/* Passes on `count` of the stripped character that turned out not to be at the end. */
static rh_status give_tail(rh_ctx *ctx, rh_decoding *d, size_t i, size_t count) {
    const rh_bytes *content = &d->decoder->steps[i].content;
    d->states[i].tail -= count;
    for (; count > 0; count--) RH_TRY(push(ctx, d, i + 1, content->at, content->used));
    return RH_OK;
}

/* As strip_token, of a token that comes in parts: what may be its end waits. */
static rh_status strip_part(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    const rh_decoder_step *step = &d->decoder->steps[i];
    rh_decoding_state *s = &d->states[i];
    size_t tail = 0, size = step->content.used;
    for (; !s->begun && s->count < step->start && stands_at(&step->content, text, n); s->count++)
        text += size, n -= size;
    if (n == 0) return RH_OK;
    s->begun = true;
    while (n - tail * size >= size && stands_at(&step->content, text + n - (tail + 1) * size, size)) tail++;
    if (tail * size == n) { /* nothing else: the tail grows */
        s->tail += tail;
        return s->tail > step->stop ? give_tail(ctx, d, i, s->tail - step->stop) : RH_OK;
    }
    RH_TRY(give_tail(ctx, d, i, s->tail));
    s->tail = tail < step->stop ? tail : step->stop;
    return push(ctx, d, i + 1, text, n - s->tail * size);
}

/* ---- the chain ---- */

static rh_status join(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    if (d->states[i].count++ > 0) RH_TRY(push(ctx, d, i + 1, " ", 1));
    return push(ctx, d, i + 1, text, n);
}

static rh_status push(rh_ctx *ctx, rh_decoding *d, size_t i, const char *text, size_t n) {
    if (i == d->decoder->n) return rh_bytes_put(ctx, d->out, text, n);
    const rh_decoder_step *step = &d->decoder->steps[i];
    switch (step->kind) {
    case RH_DECODE_JOIN: return join(ctx, d, i, text, n);
    case RH_DECODE_BYTE_LEVEL: return byte_level(ctx, d, i, text, n);
    case RH_DECODE_BYTE_FALLBACK: return byte_fallback(ctx, d, i, text, n);
    case RH_DECODE_REPLACE: return replace(ctx, d, i, text, n);
    case RH_DECODE_METASPACE: return metaspace(ctx, d, i, text, n);
    case RH_DECODE_FUSE:
        return step->gather ? rh_bytes_put(ctx, &d->states[i].held, text, n)
                            : push(ctx, d, i + 1, text, n);
    case RH_DECODE_STRIP:
        return step->parts ? strip_part(ctx, d, i, text, n) : strip_token(ctx, d, i, text, n);
    }
    return RH_OK;
}

/* What step i still holds goes on. */
static rh_status release(rh_ctx *ctx, rh_decoding *d, size_t i) {
    rh_bytes *held = &d->states[i].held;
    size_t n = held->used;
    switch (d->decoder->steps[i].kind) {
    case RH_DECODE_BYTE_LEVEL: return give_held(ctx, d, i, n);
    case RH_DECODE_BYTE_FALLBACK: return give_run(ctx, d, i);
    case RH_DECODE_FUSE: held->used = 0; return n ? push(ctx, d, i + 1, held->at, n) : RH_OK;
    default: return RH_OK;
    }
}

rh_status rh_decoding_open(rh_ctx *ctx, rh_decoding *d, const rh_decoder *decoder) {
    *d = (rh_decoding){.decoder = decoder, .n = decoder->n};
    d->states = rh_alloc_zero(ctx, decoder->n * sizeof *d->states);
    return d->states ? RH_OK : RH_ENOMEM;
}

void rh_decoding_close(rh_ctx *ctx, rh_decoding *d) {
    for (size_t i = 0; d->states && i < d->n; i++) {
        rh_bytes_free(ctx, &d->states[i].held);
        rh_bytes_free(ctx, &d->states[i].text);
    }
    rh_free(ctx, d->states);
    d->states = NULL;
}

rh_status rh_decoding_feed(rh_ctx *ctx, rh_decoding *d, const char *token, size_t n, rh_bytes *out) {
    d->out = out;
    return push(ctx, d, 0, token, n);
}

rh_status rh_decoding_finish(rh_ctx *ctx, rh_decoding *d, rh_bytes *out) {
    d->out = out;
    for (size_t i = 0; i < d->decoder->n; i++) {
        RH_TRY(release(ctx, d, i));
        d->states[i].count = d->states[i].tail = 0;
        d->states[i].begun = false;
    }
    return RH_OK;
}
