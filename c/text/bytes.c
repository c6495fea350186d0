/* See bytes.h. Arrays double, so that filling one costs time in proportion to its length. */
#include "text/bytes.h"

#include "base/pool.h"
#include "base/size.h"

rh_status rh_grow(rh_ctx *ctx, void **block, size_t *room, size_t wanted, size_t size) {
    enum { FIRST = 64 };
    size_t bytes, more = *room < FIRST ? FIRST : *room * 2;
    if (wanted <= *room) return RH_OK;
    if (more < wanted) more = wanted;
    if (!rh_size_mul(more, size, &bytes)) bytes = SIZE_MAX;
    void *bigger = rh_alloc(ctx, bytes);
    if (!bigger) return RH_ENOMEM;
    if (*block) memcpy(bigger, *block, *room * size);
    rh_free(ctx, *block);
    *block = bigger;
    *room = more;
    return RH_OK;
}

rh_status rh_bytes_reserve(rh_ctx *ctx, rh_bytes *b, size_t more) {
    size_t wanted;
    if (!rh_size_add(b->used, more, &wanted)) wanted = SIZE_MAX;
    void *block = b->at;
    rh_status status = rh_grow(ctx, &block, &b->room, wanted, 1);
    b->at = block;
    return status;
}

rh_status rh_bytes_put(rh_ctx *ctx, rh_bytes *b, const void *bytes, size_t n) {
    if (n == 0) return RH_OK;
    RH_TRY(rh_bytes_reserve(ctx, b, n));
    memcpy(b->at + b->used, bytes, n);
    b->used += n;
    return RH_OK;
}

void rh_bytes_free(rh_ctx *ctx, rh_bytes *b) {
    rh_free(ctx, b->at);
    *b = (rh_bytes){0};
}

rh_status rh_ids_reserve(rh_ctx *ctx, rh_ids *ids, size_t more) {
    void *block = ids->at;
    rh_status status = rh_grow(ctx, &block, &ids->room, ids->used + more, sizeof *ids->at);
    ids->at = block;
    return status;
}

rh_status rh_ids_put(rh_ctx *ctx, rh_ids *ids, uint32_t id) {
    RH_TRY(rh_ids_reserve(ctx, ids, 1));
    ids->at[ids->used++] = id;
    return RH_OK;
}

void rh_ids_free(rh_ctx *ctx, rh_ids *ids) {
    rh_free(ctx, ids->at);
    *ids = (rh_ids){0};
}

/* ---- UTF-8 ---- */

/* How many bytes follow `first`, and the range of the second one; 0 when it begins no longer one. */
static int follow(unsigned char first, unsigned char *low, unsigned char *high) {
    *low = 0x80;
    *high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF) return 1;
    if (first >= 0xE0 && first <= 0xEF) {
        if (first == 0xE0) *low = 0xA0;  /* shorter forms exist below */
        if (first == 0xED) *high = 0x9F; /* surrogates above */
        return 2;
    }
    if (first < 0xF0 || first > 0xF4) return 0;
    if (first == 0xF0) *low = 0x90;
    if (first == 0xF4) *high = 0x8F; /* U+10FFFF is the last */
    return 3;
}

rh_utf8_kind rh_utf8_scan(const char *text, size_t n, size_t *length) {
    const unsigned char *p = (const unsigned char *)text;
    unsigned char low, high;
    *length = 1;
    if (p[0] < 0x80) return RH_UTF8_WHOLE;
    size_t rest = (size_t)follow(p[0], &low, &high);
    if (rest == 0) return RH_UTF8_BROKEN;
    for (; *length <= rest; ++*length, low = 0x80, high = 0xBF) {
        if (*length == n) return RH_UTF8_CUT;
        if (p[*length] < low || p[*length] > high) return RH_UTF8_BROKEN;
    }
    return RH_UTF8_WHOLE;
}

size_t rh_utf8_valid(const char *text, size_t n) {
    size_t i = 0, length;
    for (uint64_t w; i < n; i += length) {
        for (; n - i >= 8; i += 8) {
            memcpy(&w, text + i, 8);
            if (w & 0x8080808080808080u) break;
        }
        if (i == n || rh_utf8_scan(text + i, n - i, &length) != RH_UTF8_WHOLE) break;
    }
    return i;
}

rh_status rh_utf8_repair(rh_ctx *ctx, rh_bytes *out, const char *text, size_t n) {
    for (size_t i = 0, length; i < n; i += length) {
        size_t good = rh_utf8_valid(text + i, n - i);
        RH_TRY(rh_bytes_put(ctx, out, text + i, good));
        i += good;
        length = 0;
        if (i == n) break;
        rh_utf8_scan(text + i, n - i, &length);
        RH_TRY(rh_bytes_put(ctx, out, RH_UTF8_REPLACEMENT, 3));
    }
    return RH_OK;
}
