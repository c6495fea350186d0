/* Attention of one query row for each sequence over its cached keys, which lie in pages. A sequence's
 * keys are cut into chunks of a fixed count, each with a softmax of its own (a piece for each chunk
 * and group of heads: the group's keys are read once for all its heads); then the chunks of a
 * sequence are joined in order. No products of gemm.h: there is nothing to do but to read the cache. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/attention.h"
#include "ops/kernels/attention.h"

enum { CHUNK = 512 };

/* `keys` keys of a sequence from key `skip` of a page on. */
typedef struct chunk {
    int64_t sequence, page, skip, keys;
} chunk;

typedef struct decode {
    const rh_decode *d;
    chunk *chunks;
    int64_t *first;   /* [sequences + 1] chunks of a sequence */
    float *max, *sum; /* [chunks, H] */
    float *o;         /* [chunks, H, D], weighted by exp(score - max) */
    float *s;         /* [rh_threads()] scores [H/G, CHUNK] and factors [H/G] */
} decode;

static int64_t keys_of(const rh_decode *d, int64_t sequence) {
    int64_t keys = 0;
    for (int64_t p = d->first[sequence]; p < d->first[sequence + 1]; p++) keys += d->pages[p].count;
    return keys;
}

static int64_t seen_of(const rh_decode *d, int64_t sequence) {
    int64_t keys = keys_of(d, sequence);
    return d->window > 0 ? rh_min(keys, d->window) : keys;
}

/* Chunks of one sequence, beginning at the first key that it sees. */
static int64_t cut_sequence(const rh_decode *d, int64_t sequence, chunk *out) {
    int64_t left = seen_of(d, sequence), skip = keys_of(d, sequence) - left, n = 0;
    int64_t page = d->first[sequence];
    for (; left > 0; left -= out[n++].keys) {
        while (skip >= d->pages[page].count) skip -= d->pages[page++].count;
        out[n] = (chunk){sequence, page, skip, rh_min(CHUNK, left)};
        skip += out[n].keys;
    }
    return n;
}

/* A chunk's pages in turn: *k and *v become the next run of keys, whose number is returned; 0: no more. */
static int64_t next_run(const rh_decode *d, chunk *c, int64_t group, const float **k,
                        const float **v) {
    if (c->keys == 0) return 0;
    while (c->skip >= d->pages[c->page].count) c->skip -= d->pages[c->page++].count;
    const rh_kv_page *page = &d->pages[c->page];
    int64_t at = c->skip * d->row + group * d->head, n = rh_min(c->keys, page->count - c->skip);
    *k = page->k + at;
    *v = page->v + at;
    c->keys -= n;
    c->skip += n;
    return n;
}

static void decode_piece(void *arg, int64_t piece, int worker) {
    const decode *x = arg;
    const rh_decode *d = x->d;
    int64_t index = piece / d->groups, group = piece % d->groups, heads = d->heads / d->groups;
    int64_t at = index * d->heads + group * heads, n, done;
    float *s = x->s + worker * heads * (CHUNK + 1), *factor = s + heads * CHUNK;
    float *o = x->o + at * d->size;
    const float *k, *v, *q = rh_heads_at(&d->q, x->chunks[index].sequence, group * heads);
    float alpha = d->softcap > 0 ? d->scale / d->softcap : d->scale;
    chunk c = x->chunks[index];
    rh_attention_tile t = {heads, c.keys, CHUNK, 0, c.keys, 0, 0, d->softcap, NULL};
    for (done = 0; (n = next_run(d, &c, group, &k, &v)); done += n)
        rh_kernels.attention->scores(q, d->q.head, heads, k, d->row, n, d->size, alpha, s + done,
                                     CHUNK);
    for (int64_t r = 0; r < heads; r++) x->max[at + r] = -INFINITY, x->sum[at + r] = 0;
    rh_kernels.attention->softmax(&t, s, x->max + at, x->sum + at, factor);
    memset(o, 0, (size_t)(heads * d->size) * sizeof *o);
    c = x->chunks[index];
    for (done = 0; (n = next_run(d, &c, group, &k, &v)); done += n)
        rh_kernels.attention->weigh(s + done, CHUNK, heads, v, d->row, n, d->size, o, d->size);
}

/* out of one sequence = its chunks, brought to a common maximum */
static void join_piece(void *arg, int64_t sequence, int worker) {
    (void)worker;
    const decode *x = arg;
    const rh_decode *d = x->d;
    for (int64_t h = 0; h < d->heads; h++) {
        float max = -INFINITY, sum = 0, *out = rh_heads_at(&d->out, sequence, h);
        memset(out, 0, (size_t)d->size * sizeof *out);
        for (int64_t c = x->first[sequence]; c < x->first[sequence + 1]; c++)
            max = fmaxf(max, x->max[c * d->heads + h]);
        for (int64_t c = x->first[sequence]; c < x->first[sequence + 1]; c++) {
            int64_t at = c * d->heads + h;
            float weight = expf(x->max[at] - max), *o = x->o + at * d->size;
            sum += weight * x->sum[at];
            rh_kernels.attention->weigh(&weight, 1, 1, o, 0, 1, d->size, out, 0);
        }
        float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
        rh_kernels.attention->scale_rows(out, 0, 1, d->size, &factor);
    }
}

/* One block for everything, `chunks` of them. */
static void *take_memory(rh_ctx *ctx, const rh_decode *d, int64_t chunks, decode *x) {
    size_t n = (size_t)chunks, heads = (size_t)d->heads, size = (size_t)d->size;
    size_t list = n * sizeof(chunk) + (size_t)(d->sequences + 1) * sizeof(int64_t);
    size_t slots = (size_t)rh_threads() * (size_t)(d->heads / d->groups) * (CHUNK + 1);
    char *memory = rh_alloc(ctx, list + (slots + n * heads * (size + 2)) * sizeof(float));
    if (!memory) return NULL;
    x->chunks = (chunk *)memory;
    x->first = (int64_t *)(x->chunks + n);
    x->s = (float *)(memory + list);
    x->o = x->s + slots;
    x->max = x->o + n * heads * size;
    x->sum = x->max + n * heads;
    return memory;
}

rh_status rh_attention_decode(rh_ctx *ctx, const rh_decode *d) {
    decode x = {.d = d};
    int64_t chunks = 0;
    for (int64_t s = 0; s < d->sequences; s++) chunks += rh_ceil_div(seen_of(d, s), CHUNK);
    void *memory = take_memory(ctx, d, chunks, &x);
    if (!memory) return RH_ENOMEM;
    x.first[0] = 0;
    for (int64_t s = 0; s < d->sequences; s++)
        x.first[s + 1] = x.first[s] + cut_sequence(d, s, x.chunks + x.first[s]);
    rh_parallel(chunks * d->groups, decode_piece, &x);
    rh_parallel(d->sequences, join_piece, &x);
    rh_free(ctx, memory);
    return RH_OK;
}
