#include "nn/session.h"

#include <string.h>

#include "base/pool.h"
#include "base/size.h"
#include "nn/weights.h"

rh_session *rh_session_new(rh_ctx *ctx, rh_decoder *d, int64_t slots) {
    const rh_decoder_config *c = &d->config;
    if (!c->head) {
        rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "a decoder with an output head wanted");
        return NULL;
    }
    if (slots < 1 || slots > INT32_MAX) {
        rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "slots: 1 to %d wanted, got %lld", INT32_MAX,
                (long long)slots);
        return NULL;
    }
    rh_session *s = rh_alloc_zero(ctx, sizeof *s);
    if (!s) return NULL;
    s->ctx = ctx;
    s->d = d;
    s->slot = rh_alloc(ctx, (size_t)slots * sizeof *s->slot);
    s->seen = s->slot ? rh_alloc_zero(ctx, (size_t)slots * sizeof *s->seen) : NULL;
    if (!s->seen ||
        rh_cache_open(ctx, c->layers, c->kv_heads, c->head_dim, slots, &s->cache) != RH_OK) {
        rh_session_free(s);
        return NULL;
    }
    return s;
}

void rh_session_free(rh_session *s) {
    rh_ctx *ctx = s->ctx;
    if (s->cache.sequence) rh_cache_close(&s->cache);
    rh_free(ctx, s->room.memory);
    rh_free(ctx, s->logits);
    rh_free(ctx, s->slot);
    rh_free(ctx, s->seen);
    rh_free(ctx, s);
}

void rh_session_end(rh_session *s, int64_t slot) { rh_cache_end(&s->cache, slot); }

/* Checks before anything is changed. */

static rh_status check_slot(rh_session *s, int64_t slot) {
    if (slot < 0 || slot >= s->cache.n)
        return rh_fail(s->ctx, RH_EARG, RH_NO_OPERAND, "slot %lld: 1 to %lld wanted",
                       (long long)slot + 1, (long long)s->cache.n);
    if (s->seen[slot] == s->feeds)
        return rh_fail(s->ctx, RH_EARG, RH_NO_OPERAND, "slot %lld is named twice",
                       (long long)slot + 1);
    s->seen[slot] = s->feeds;
    return RH_OK;
}

static rh_status check_sequence(rh_session *s, int64_t slot, int64_t length, const int64_t *ids) {
    const rh_decoder_config *c = &s->d->config;
    int64_t after = s->cache.sequence[slot].length + length;
    if (length < 1)
        return rh_fail(s->ctx, RH_EARG, RH_NO_OPERAND, "slot %lld: no tokens", (long long)slot + 1);
    if (c->position == RH_POSITION_LEARNED && after > c->context)
        return rh_fail(s->ctx, RH_EARG, RH_NO_OPERAND,
                       "slot %lld: %lld tokens, the context is %lld", (long long)slot + 1,
                       (long long)after, (long long)c->context);
    for (int64_t i = 0; i < length; i++)
        if (ids[i] < 0 || ids[i] >= c->vocab)
            return rh_fail(s->ctx, RH_EARG, RH_NO_OPERAND, "token id %lld: 0 to %lld wanted",
                           (long long)ids[i], (long long)c->vocab - 1);
    return RH_OK;
}

static rh_status check_feed(rh_session *s, rh_feed f) {
    const int64_t *ids = f.ids;
    s->feeds++;
    for (int64_t i = 0; i < f.n; i++) {
        RH_TRY(check_slot(s, f.slot[i]));
        RH_TRY(check_sequence(s, f.slot[i], f.length[i], ids));
        ids += f.length[i];
    }
    return RH_OK;
}

/* Takes what the whole feed needs, so that it rarely fails halfway. */
static rh_status take_memory(rh_session *s, rh_feed f, int64_t tokens) {
    int64_t rows = tokens == f.n ? tokens : rh_min(tokens, RH_SESSION_CHUNK);
    for (int64_t i = 0; i < f.n; i++)
        RH_TRY(rh_cache_reserve(&s->cache, f.slot[i],
                                s->cache.sequence[f.slot[i]].length + f.length[i]));
    if (rows > s->room.rows) RH_TRY(rh_pass_room_make(s->ctx, s->d, rows, &s->room));
    if (f.n <= s->logits_room) return RH_OK;
    rh_free(s->ctx, s->logits);
    s->logits_room = 0;
    s->logits = rh_alloc(s->ctx, (size_t)(f.n * s->d->config.vocab) * sizeof *s->logits);
    if (!s->logits) return RH_ENOMEM;
    s->logits_room = f.n;
    return RH_OK;
}

/* A feed on its way: the sequence to go on with, and how many of its tokens were computed. */
typedef struct progress {
    int64_t next, done;
    const int64_t *ids;
    rh_pass_part *part; /* [n] */
} progress;

static void add_part(rh_session *s, rh_pass *pass, rh_feed f, progress *at, int64_t rows) {
    const rh_pass_room *r = &s->room;
    int64_t slot = f.slot[at->next];
    rh_cached *sequence = &s->cache.sequence[slot];
    at->part[pass->parts++] = (rh_pass_part){slot, pass->rows, rows, sequence->length};
    for (int64_t i = 0; i < rows; i++) {
        r->ids[pass->rows + i] = sequence->ids[sequence->length + i] = at->ids[i];
        r->position[pass->rows + i] = sequence->length + i;
        r->sequence[pass->rows + i] = slot;
    }
    pass->rows += rows;
    at->ids += rows;
    at->done += rows;
}

/* The residual stream behind a part's last token. */
static void keep_last(const rh_session *s, const rh_pass_part *p, float *to) {
    int64_t dim = s->d->config.dim;
    memcpy(to, s->room.x + (p->row + p->rows - 1) * dim, (size_t)dim * sizeof *to);
}

/* One pass over the next tokens, at most as many as there is room for; last [n, dim] gets the
 * residual stream behind each sequence that it finishes. */
static rh_status feed_chunk(rh_session *s, rh_feed f, progress *at, float *last) {
    rh_pass pass = {.ctx = s->ctx, .d = s->d, .cache = &s->cache, .room = &s->room,
                    .part = at->part};
    int64_t first = at->next;
    while (at->next < f.n && pass.rows < s->room.rows) {
        int64_t rows = rh_min(f.length[at->next] - at->done, s->room.rows - pass.rows);
        add_part(s, &pass, f, at, rows);
        if (at->done < f.length[at->next]) break;
        at->next++;
        at->done = 0;
    }
    RH_TRY(rh_pass_run(&pass));
    for (int64_t i = 0; i < pass.parts; i++) {
        s->cache.sequence[pass.part[i].sequence].length += pass.part[i].rows;
        if (first + i < at->next)
            keep_last(s, &pass.part[i], last + (first + i) * s->d->config.dim);
    }
    return RH_OK;
}

/* logits [n, vocab] = norm(last) head^T */
static rh_status make_logits(rh_session *s, int64_t n, const float *last, float *normed) {
    rh_weights head = {0};
    float *scratch;
    rh_weights_add(&head, rh_decoder_head(s->d), NULL, false);
    RH_TRY(rh_weights_scratch(s->ctx, &head, n, &scratch));
    rh_pass_final_norm(s->d, n, last, normed);
    rh_weights_forward(&head, n, normed, s->logits, scratch);
    rh_free(s->ctx, scratch);
    return RH_OK;
}

static rh_status run(rh_session *s, rh_feed f, void *memory) {
    int64_t size = f.n * s->d->config.dim;
    progress at = {.ids = f.ids, .part = memory};
    float *last = (float *)(at.part + f.n);
    while (at.next < f.n) RH_TRY(feed_chunk(s, f, &at, last));
    return make_logits(s, f.n, last, last + size);
}

/* Sequences' lengths before the feed, to return to. */
static void roll_back(rh_session *s, rh_feed f, const int64_t *before) {
    for (int64_t i = 0; i < f.n; i++) s->cache.sequence[f.slot[i]].length = before[i];
}

rh_status rh_session_feed(rh_session *s, rh_feed f) {
    int64_t tokens = 0;
    s->fed = 0;
    RH_TRY(check_feed(s, f));
    for (int64_t i = 0; i < f.n; i++) tokens += f.length[i];
    RH_TRY(take_memory(s, f, tokens));
    size_t row = sizeof(rh_pass_part) + sizeof(int64_t) + 2 * sizeof(float) * (size_t)s->d->config.dim;
    char *memory = rh_alloc(s->ctx, (size_t)f.n * row);
    if (!memory) return RH_ENOMEM;
    int64_t *before = (int64_t *)memory;
    for (int64_t i = 0; i < f.n; i++) before[i] = s->cache.sequence[f.slot[i]].length;
    rh_status status = run(s, f, before + f.n);
    if (status != RH_OK) roll_back(s, f, before);
    else s->fed = f.n;
    if (status == RH_OK) memcpy(s->slot, f.slot, (size_t)f.n * sizeof *s->slot);
    rh_free(s->ctx, memory);
    return status;
}
