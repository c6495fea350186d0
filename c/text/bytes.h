/* Growable arrays of bytes and of token ids, and UTF-8 as the tokenizers need it: characters, and the
 * pieces in which Unicode counts what is none. Memory is the context's; an array that failed to grow
 * keeps what it had. All of text/ rests on this. */
#ifndef RH_TEXT_BYTES_H
#define RH_TEXT_BYTES_H

#include <string.h>

#include "base/context.h"

typedef struct rh_bytes {
    char *at; /* NULL while empty */
    size_t used, room;
} rh_bytes;

typedef struct rh_ids {
    uint32_t *at;
    size_t used, room;
} rh_ids;

/* Room for `more` bytes beyond those used. */
rh_status rh_bytes_reserve(rh_ctx *ctx, rh_bytes *b, size_t more);
rh_status rh_bytes_put(rh_ctx *ctx, rh_bytes *b, const void *bytes, size_t n);
void rh_bytes_free(rh_ctx *ctx, rh_bytes *b);

rh_status rh_ids_reserve(rh_ctx *ctx, rh_ids *ids, size_t more);
rh_status rh_ids_put(rh_ctx *ctx, rh_ids *ids, uint32_t id);
void rh_ids_free(rh_ctx *ctx, rh_ids *ids);

/* Grows *block, of *room elements of `size` bytes, to hold at least `wanted`. For arrays of records. */
rh_status rh_grow(rh_ctx *ctx, void **block, size_t *room, size_t wanted, size_t size);

/* ---- UTF-8 ---- */

typedef enum rh_utf8_kind {
    RH_UTF8_WHOLE,  /* a character */
    RH_UTF8_BROKEN, /* a maximal piece that begins no character */
    RH_UTF8_CUT     /* the text ends inside what may become one */
} rh_utf8_kind;

/* What stands at text, which has n > 0 bytes, and how many of them it takes. */
rh_utf8_kind rh_utf8_scan(const char *text, size_t n, size_t *length);
/* The index of the first byte that is not UTF-8; n when all are. */
size_t rh_utf8_valid(const char *text, size_t n);
/* Appends text with U+FFFD for each piece that is no character. */
rh_status rh_utf8_repair(rh_ctx *ctx, rh_bytes *out, const char *text, size_t n);

#define RH_UTF8_REPLACEMENT "\xEF\xBF\xBD"

/* Bytes of the character that begins with `first`, in valid text. */
static inline size_t rh_utf8_length_of(unsigned char first) {
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* The code point at p, in valid text; *length = its bytes. */
static inline uint32_t rh_utf8_read(const char *p, size_t *length) {
    const unsigned char *u = (const unsigned char *)p;
    *length = rh_utf8_length_of(u[0]);
    switch (*length) {
    case 1: return u[0];
    case 2: return (uint32_t)(u[0] & 31) << 6 | (u[1] & 63);
    case 3: return (uint32_t)(u[0] & 15) << 12 | (uint32_t)(u[1] & 63) << 6 | (u[2] & 63);
    default:
        return (uint32_t)(u[0] & 7) << 18 | (uint32_t)(u[1] & 63) << 12 |
               (uint32_t)(u[2] & 63) << 6 | (u[3] & 63);
    }
}

/* Writes the code point c; returns how many bytes. */
static inline size_t rh_utf8_write(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The beginning of the last character of valid text of n > 0 bytes. */
static inline size_t rh_utf8_before(const char *text, size_t n) {
    for (n--; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80;) n--;
    return n;
}

/* A hash of bytes, for tables that files and texts fill. */
static inline uint64_t rh_hash_bytes(const char *p, size_t n) {
    const uint64_t k = 0x9E3779B97F4A7C15u;
    uint64_t h = n * k, w;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * k;
        h ^= h >> 29;
    }
    w = 0;
    if (n) memcpy(&w, p, n);
    h = (h ^ w) * k;
    h = (h ^ h >> 32) * k;
    return h ^ h >> 29;
}

#endif
