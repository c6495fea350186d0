/* See vocab.h. */
#include "text/vocab.h"

#include "base/pool.h"

/* A table in which `wanted` tokens take at most half of the slots. */
static uint32_t *make_slots(rh_ctx *ctx, size_t wanted, size_t *mask) {
    size_t n = 64;
    while (n < wanted * 2) n *= 2;
    *mask = n - 1;
    return rh_alloc_zero(ctx, n * sizeof(uint32_t));
}

rh_status rh_vocab_open(rh_ctx *ctx, rh_vocab *v, size_t count) {
    *v = (rh_vocab){0};
    v->slots = make_slots(ctx, count, &v->mask);
    return v->slots ? RH_OK : RH_ENOMEM;
}

void rh_vocab_close(rh_ctx *ctx, rh_vocab *v) {
    rh_bytes_free(ctx, &v->text);
    rh_free(ctx, v->tokens);
    rh_free(ctx, v->slots);
    *v = (rh_vocab){0};
}

/* The slot where text stands or would stand. */
static size_t slot_of(const rh_vocab *v, const char *text, size_t n) {
    size_t i = rh_hash_bytes(text, n) & v->mask;
    for (; v->slots[i]; i = (i + 1) & v->mask) {
        const rh_token *t = &v->tokens[v->slots[i] - 1];
        if (t->length == n && (n == 0 || memcmp(v->text.at + t->begin, text, n) == 0)) break;
    }
    return i;
}

int64_t rh_vocab_find(const rh_vocab *v, const char *text, size_t n) {
    return v->slots ? (int64_t)v->slots[slot_of(v, text, n)] - 1 : -1;
}

int64_t rh_vocab_find_model(const rh_vocab *v, const char *text, size_t n) {
    int64_t id = rh_vocab_find(v, text, n);
    return id >= 0 && v->tokens[id].kind & RH_TOKEN_MODEL ? id : -1;
}

static rh_status widen(rh_ctx *ctx, rh_vocab *v) {
    size_t mask;
    uint32_t *slots = make_slots(ctx, v->mask + 1, &mask);
    if (!slots) return RH_ENOMEM;
    rh_free(ctx, v->slots);
    v->slots = slots;
    v->mask = mask;
    for (uint32_t id = 0; id < v->ids; id++) {
        const rh_token *t = &v->tokens[id];
        if (t->kind) v->slots[slot_of(v, v->text.at + t->begin, t->length)] = id + 1;
    }
    return RH_OK;
}

rh_status rh_vocab_put(rh_ctx *ctx, rh_vocab *v, const char *text, size_t n, uint32_t id, int kind) {
    size_t before = v->room;
    void *tokens = v->tokens;
    if ((v->count + 1) * 2 > v->mask + 1) RH_TRY(widen(ctx, v));
    RH_TRY(rh_grow(ctx, &tokens, &v->room, (size_t)id + 1, sizeof *v->tokens));
    v->tokens = tokens;
    if (v->room > before) memset(v->tokens + before, 0, (v->room - before) * sizeof *v->tokens);
    rh_token token = {v->text.used, v->text.used, (uint32_t)n, (uint32_t)n, (uint8_t)kind};
    RH_TRY(rh_bytes_put(ctx, &v->text, text, n));
    v->tokens[id] = token;
    v->slots[slot_of(v, text, n)] = id + 1;
    v->count++;
    if (id >= v->ids) v->ids = (size_t)id + 1;
    return RH_OK;
}

rh_status rh_vocab_show(rh_ctx *ctx, rh_vocab *v, uint32_t id, const char *text, size_t n) {
    size_t begin = v->text.used;
    RH_TRY(rh_bytes_put(ctx, &v->text, text, n));
    v->tokens[id].shown = begin;
    v->tokens[id].shown_length = (uint32_t)n;
    return RH_OK;
}
