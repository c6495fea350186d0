#include "nn/cache.h"

#include <string.h>

#include "base/pool.h"
#include "base/size.h"

rh_status rh_cache_open(rh_ctx *ctx, int64_t layers, int64_t groups, int64_t size, int64_t n,
                        rh_cache *c) {
    size_t bytes;
    *c = (rh_cache){.ctx = ctx, .layers = layers, .groups = groups, .size = size, .n = n};
    if (!rh_size_mul((size_t)n, sizeof *c->sequence, &bytes))
        return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "%lld sequences are too many", (long long)n);
    c->sequence = rh_alloc_zero(ctx, bytes);
    return c->sequence ? RH_OK : RH_ENOMEM;
}

void rh_cache_close(rh_cache *c) {
    for (int64_t i = 0; i < c->n && c->sequence; i++) rh_cache_end(c, i);
    rh_free(c->ctx, c->sequence);
    c->sequence = NULL;
}

void rh_cache_end(rh_cache *c, int64_t sequence) {
    rh_cached *s = &c->sequence[sequence];
    for (int64_t i = 0; i < s->pages; i++) rh_free(c->ctx, s->page[i]);
    rh_free(c->ctx, s->page);
    rh_free(c->ctx, s->ids);
    *s = (rh_cached){0};
}

/* Floats of a group's keys in one page; of one layer's keys and values. */
static int64_t group_floats(const rh_cache *c) { return RH_CACHE_PAGE * c->size; }
static int64_t layer_floats(const rh_cache *c) { return 2 * c->groups * group_floats(c); }

/* Room for at least `pages` pointers and their ids; doubled, so that copying stays cheap. */
static rh_status widen(rh_cache *c, rh_cached *s, int64_t pages) {
    if (pages <= s->room) return RH_OK;
    int64_t room = rh_max(pages, 2 * s->room);
    float **page = rh_alloc(c->ctx, (size_t)room * sizeof *page);
    int64_t *ids = page ? rh_alloc(c->ctx, (size_t)room * RH_CACHE_PAGE * sizeof *ids) : NULL;
    if (!ids) {
        rh_free(c->ctx, page);
        return RH_ENOMEM;
    }
    if (s->pages > 0) {
        memcpy(page, s->page, (size_t)s->pages * sizeof *page);
        memcpy(ids, s->ids, (size_t)s->length * sizeof *ids);
    }
    rh_free(c->ctx, s->page);
    rh_free(c->ctx, s->ids);
    s->page = page;
    s->ids = ids;
    s->room = room;
    return RH_OK;
}

rh_status rh_cache_reserve(rh_cache *c, int64_t sequence, int64_t tokens) {
    rh_cached *s = &c->sequence[sequence];
    int64_t pages = rh_ceil_div(tokens, RH_CACHE_PAGE);
    RH_TRY(widen(c, s, pages));
    while (s->pages < pages) {
        float *page = rh_alloc(c->ctx, (size_t)(c->layers * layer_floats(c)) * sizeof *page);
        if (!page) return RH_ENOMEM;
        s->page[s->pages++] = page;
    }
    return RH_OK;
}

/* A layer's keys in a page; its values follow them. */
static float *keys_at(const rh_cache *c, int64_t sequence, int64_t layer, int64_t page) {
    return c->sequence[sequence].page[page] + layer * layer_floats(c);
}

static void copy_heads(const rh_cache *c, float *to, int64_t to_group, const float *from,
                       int64_t from_group) {
    for (int64_t g = 0; g < c->groups; g++)
        memcpy(to + g * to_group, from + g * from_group, (size_t)c->size * sizeof *to);
}

void rh_cache_store(const rh_cache *c, int64_t sequence, int64_t layer, int64_t token,
                    const float *k, const float *v) {
    float *to = keys_at(c, sequence, layer, token / RH_CACHE_PAGE) + token % RH_CACHE_PAGE * c->size;
    copy_heads(c, to, group_floats(c), k, c->size);
    copy_heads(c, to + layer_floats(c) / 2, group_floats(c), v, c->size);
}

void rh_cache_gather(const rh_cache *c, int64_t sequence, int64_t layer, int64_t tokens, float *k,
                     float *v) {
    int64_t row = c->groups * c->size;
    for (int64_t t = 0; t < tokens; t++) {
        const float *from = keys_at(c, sequence, layer, t / RH_CACHE_PAGE) +
                            t % RH_CACHE_PAGE * c->size;
        copy_heads(c, k + t * row, c->size, from, group_floats(c));
        copy_heads(c, v + t * row, c->size, from + layer_floats(c) / 2, group_floats(c));
    }
}

int64_t rh_cache_pages(const rh_cache *c, int64_t sequence, int64_t layer, int64_t tokens,
                       rh_kv_page *out) {
    int64_t n = rh_ceil_div(tokens, RH_CACHE_PAGE);
    for (int64_t i = 0; i < n; i++) {
        const float *k = keys_at(c, sequence, layer, i);
        out[i] = (rh_kv_page){k, k + layer_floats(c) / 2,
                              rh_min(RH_CACHE_PAGE, tokens - i * RH_CACHE_PAGE)};
    }
    return n;
}
