#include "nn/session_pass.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "nn/weights.h"
#include "ops/kernels/elementwise.h"
#include "ops/norm.h"
#include "ops/rope.h"

enum { TOKENS = 64, ACTIVATE = 1 << 14 }; /* rows of a piece of copying; floats of one of activation */

typedef struct widths {
    int64_t dim, qkv, mix, up, act, half;
} widths;

static widths widths_of(const rh_decoder *d) {
    const rh_decoder_config *c = &d->config;
    return (widths){.dim = c->dim, .qkv = (c->heads + 2 * c->kv_heads) * c->head_dim,
                    .mix = c->heads * c->head_dim, .up = (c->gated ? 2 : 1) * c->hidden,
                    .act = c->hidden, .half = d->frequencies ? c->head_dim / 2 : 0};
}

rh_status rh_pass_room_make(rh_ctx *ctx, const rh_decoder *d, int64_t rows, rh_pass_room *room) {
    widths w = widths_of(d);
    int64_t floats = 2 * w.dim + w.qkv + w.mix + w.up + w.act + 2 * w.half;
    size_t bytes;
    rh_free(ctx, room->memory);
    *room = (rh_pass_room){0};
    if (!rh_size_mul((size_t)rows, (size_t)floats * sizeof(float) + 3 * sizeof(int64_t), &bytes))
        return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "%lld tokens are too many", (long long)rows);
    room->memory = rh_alloc(ctx, bytes);
    if (!room->memory) return RH_ENOMEM;
    room->rows = rows;
    room->ids = room->memory;
    room->position = room->ids + rows;
    room->sequence = room->position + rows;
    room->x = (float *)(room->sequence + rows);
    room->h = room->x + rows * w.dim;
    room->qkv = room->h + rows * w.dim;
    room->mix = room->qkv + rows * w.qkv;
    room->up = room->mix + rows * w.mix;
    room->act = room->up + rows * w.up;
    room->cos = room->act + rows * w.act;
    room->sin = room->cos + rows * w.half;
    return RH_OK;
}

/* What the halves of a block have in common: the norm before, products with weights, the sum after. */

static void norm(const rh_decoder *d, int64_t layer, rh_role weight, rh_role bias, int64_t n,
                 const float *x, float *y) {
    const rh_parameters *p = &d->parameters;
    const rh_tensor *b = rh_parameter(p, layer, bias);
    const float *w = rh_f32(rh_parameter(p, layer, weight));
    float eps = (float)d->config.norm_eps;
    if (d->config.norm == RH_LAYER_NORM)
        rh_layer_norm_forward(n, d->config.dim, x, w, b ? rh_f32(b) : NULL, eps, y, NULL, NULL);
    else
        rh_rms_norm_forward(n, d->config.dim, x, w, eps, y, NULL);
}

void rh_pass_final_norm(const rh_decoder *d, int64_t n, const float *x, float *y) {
    norm(d, 0, RH_NORM_W, RH_NORM_B, n, x, y);
}

/* y = x times the layer's weights of these roles (weight, bias, weight, bias, ..., RH_ROLES), joined */
static rh_status product(const rh_pass *p, int64_t layer, const rh_role *roles, const float *x,
                         float *y) {
    const rh_parameters *all = &p->d->parameters;
    rh_weights each = {0};
    float *scratch;
    for (; *roles != RH_ROLES; roles += 2)
        rh_weights_add(&each, rh_parameter(all, layer, roles[0]), rh_parameter(all, layer, roles[1]),
                       p->d->config.in_out);
    rh_weights w = rh_weights_joined(&each);
    RH_TRY(rh_weights_scratch(p->ctx, &w, p->rows, &scratch));
    rh_weights_forward(&w, p->rows, x, y, scratch);
    rh_free(p->ctx, scratch);
    return RH_OK;
}

static rh_status project_qkv(const rh_pass *p, int64_t layer) {
    static const rh_role fused[] = {RH_QKV_W, RH_QKV_B, RH_ROLES};
    static const rh_role split[] = {RH_Q_W, RH_Q_B, RH_K_W, RH_K_B, RH_V_W, RH_V_B, RH_ROLES};
    const rh_pass_room *r = p->room;
    RH_TRY(product(p, layer, p->d->config.fused_qkv ? fused : split, r->h, r->qkv));
    if (!p->d->frequencies) return RH_OK;
    const rh_decoder_config *c = &p->d->config;
    rh_rope_view view = {.tokens = p->rows, .heads = c->heads + c->kv_heads,
                         .head_dim = c->head_dim, .run = p->rows,
                         .token_stride = widths_of(p->d).qkv, .head_stride = c->head_dim};
    rh_rope_apply(&view, r->qkv, r->cos, r->sin, false, r->qkv, false);
    return RH_OK;
}

/* Attention: the rows' keys and values go to the cache, then each row looks back over its sequence. */

typedef struct layer_job {
    const rh_pass *p;
    int64_t layer;
    float *k, *v;       /* [all keys, G D] */
    const int64_t *key; /* [parts] first key of each */
} layer_job;

static void store_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const layer_job *j = arg;
    const rh_pass_room *r = j->p->room;
    widths w = widths_of(j->p->d);
    for (int64_t i = begin; i < end; i++) {
        const float *k = r->qkv + i * w.qkv + w.mix;
        rh_cache_store(j->p->cache, r->sequence[i], j->layer, r->position[i], k,
                       k + (w.qkv - w.mix) / 2);
    }
}

static void gather_part(void *arg, int64_t i, int worker) {
    (void)worker;
    const layer_job *j = arg;
    const rh_pass_part *part = &j->p->part[i];
    int64_t at = j->key[i] * j->p->cache->groups * j->p->cache->size;
    rh_cache_gather(j->p->cache, part->sequence, j->layer, part->past + part->rows, j->k + at,
                    j->v + at);
}

static float scale_of(const rh_decoder *d) {
    return (float)(1.0 / sqrt((double)d->config.head_dim));
}

/* What attention needs beside the room: of one pass, for all layers. */
typedef struct looking {
    void *memory;
    rh_segment *segment;         /* [parts] */
    rh_attention_plan plan;      /* several rows for a part: */
    int64_t *key;                /* [parts] */
    float *k, *v;                /* [keys, G D] */
    rh_kv_page *pages;           /* one row for each part: [all pages] */
    int64_t *first;              /* [parts + 1] */
} looking;

static bool is_step(const rh_pass *p) { return p->rows == p->parts; }

/* One row for each sequence: it reads the pages in place. */
static rh_status attend_step(const rh_pass *p, int64_t layer, const looking *l) {
    const rh_decoder_config *c = &p->d->config;
    widths w = widths_of(p->d);
    l->first[0] = 0;
    for (int64_t i = 0; i < p->parts; i++)
        l->first[i + 1] = l->first[i] + rh_cache_pages(p->cache, p->part[i].sequence, layer,
                                                       p->part[i].past + 1, l->pages + l->first[i]);
    rh_decode d = {.sequences = p->parts, .heads = c->heads, .groups = c->kv_heads,
                   .size = c->head_dim, .scale = scale_of(p->d),
                   .q = {p->room->qkv, w.qkv, c->head_dim}, .out = {p->room->mix, w.mix, c->head_dim},
                   .pages = l->pages, .first = l->first, .row = c->head_dim,
                   .head = RH_CACHE_PAGE * c->head_dim};
    return rh_attention_decode(p->ctx, &d);
}

static rh_status attend_chunk(const rh_pass *p, int64_t layer, const looking *l) {
    const rh_decoder_config *c = &p->d->config;
    widths w = widths_of(p->d);
    int64_t row = c->kv_heads * c->head_dim;
    layer_job j = {p, layer, l->k, l->v, l->key};
    rh_parallel(p->parts, gather_part, &j);
    rh_attention a = {.plan = &l->plan, .heads = c->heads, .groups = c->kv_heads,
                      .size = c->head_dim, .causal = true, .scale = scale_of(p->d),
                      .q = {p->room->qkv, w.qkv, c->head_dim}, .k = {l->k, row, c->head_dim},
                      .v = {l->v, row, c->head_dim}, .out = {p->room->mix, w.mix, c->head_dim}};
    return rh_attention_forward(p->ctx, &a);
}

static rh_status look_step(const rh_pass *p, looking *l) {
    int64_t pages = 0;
    for (int64_t i = 0; i < p->parts; i++)
        pages += rh_ceil_div(p->part[i].past + 1, RH_CACHE_PAGE);
    l->memory = rh_alloc(p->ctx, (size_t)pages * sizeof *l->pages +
                                     (size_t)(p->parts + 1) * sizeof *l->first);
    if (!l->memory) return RH_ENOMEM;
    l->pages = l->memory;
    l->first = (int64_t *)(l->pages + pages);
    return RH_OK;
}

static rh_status look_chunk(const rh_pass *p, looking *l) {
    int64_t keys = 0, n = p->parts, row = p->cache->groups * p->cache->size;
    for (int64_t i = 0; i < n; i++) keys += p->part[i].past + p->part[i].rows;
    l->memory = rh_alloc(p->ctx, (size_t)n * (sizeof *l->segment + sizeof *l->key) +
                                     (size_t)(2 * keys * row) * sizeof *l->k);
    if (!l->memory) return RH_ENOMEM;
    l->segment = l->memory;
    l->key = (int64_t *)(l->segment + n);
    l->k = (float *)(l->key + n);
    l->v = l->k + keys * row;
    keys = 0;
    for (int64_t i = 0; i < n; i++) {
        const rh_pass_part *part = &p->part[i];
        l->key[i] = keys;
        l->segment[i] = (rh_segment){.query = part->row, .queries = part->rows, .key = keys,
                                     .keys = part->past + part->rows, .parent = -1};
        keys += part->past + part->rows;
    }
    return rh_attention_plan_make(p->ctx, l->segment, n, &l->plan);
}

static void look_end(const rh_pass *p, looking *l) {
    if (l->plan.memory) rh_attention_plan_free(p->ctx, &l->plan);
    rh_free(p->ctx, l->memory);
}

static rh_status attention_half(const rh_pass *p, int64_t layer, const looking *l) {
    static const rh_role out[] = {RH_ATTN_W, RH_ATTN_B, RH_ROLES};
    const rh_pass_room *r = p->room;
    layer_job j = {.p = p, .layer = layer};
    norm(p->d, layer, RH_NORM1_W, RH_NORM1_B, p->rows, r->x, r->h);
    RH_TRY(project_qkv(p, layer));
    rh_parallel_range(p->rows, TOKENS, store_rows, &j);
    RH_TRY(is_step(p) ? attend_step(p, layer, l) : attend_chunk(p, layer, l));
    RH_TRY(product(p, layer, out, r->mix, r->h));
    rh_add_all(r->x, r->h, p->rows * p->d->config.dim);
    return RH_OK;
}

/* The feed-forward half. */

static rh_unary unary_of(rh_activation activation) {
    switch (activation) {
    case RH_GELU: return RH_UNARY_GELU;
    case RH_GELU_TANH: return RH_UNARY_GELU_TANH;
    case RH_RELU: return RH_UNARY_RELU;
    default: return RH_UNARY_SILU;
    }
}

static void activate_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const rh_pass *p = arg;
    int64_t n = p->d->config.hidden;
    rh_unary op = unary_of(p->d->config.activation);
    for (int64_t i = begin; i < end; i++) {
        float *y = p->room->act + i * n;
        const float *x = p->room->up + (p->d->config.gated ? 2 : 1) * n * i;
        if (p->d->config.gated)
            rh_kernels.elementwise->binary[RH_BINARY_SWIGLU](y, x, 1, x + n, 1, n);
        else
            rh_kernels.elementwise->unary[op](y, x, n, NULL);
    }
}

static rh_status mlp_half(const rh_pass *p, int64_t layer) {
    static const rh_role gated[] = {RH_GATE_W, RH_GATE_B, RH_UP_W, RH_UP_B, RH_ROLES};
    static const rh_role plain[] = {RH_UP_W, RH_UP_B, RH_ROLES};
    static const rh_role down[] = {RH_DOWN_W, RH_DOWN_B, RH_ROLES};
    const rh_pass_room *r = p->room;
    const rh_decoder_config *c = &p->d->config;
    norm(p->d, layer, RH_NORM2_W, RH_NORM2_B, p->rows, r->x, r->h);
    RH_TRY(product(p, layer, c->gated ? gated : plain, r->h, r->up));
    rh_parallel_range(p->rows, rh_max(ACTIVATE / c->hidden, 1), activate_rows, (void *)p);
    RH_TRY(product(p, layer, down, r->act, r->h));
    rh_add_all(r->x, r->h, p->rows * c->dim);
    return RH_OK;
}

static void embed_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const rh_pass *p = arg;
    const rh_tensor *positions = rh_parameter(&p->d->parameters, 0, RH_POSITION);
    const float *table = rh_f32(rh_parameter(&p->d->parameters, 0, RH_EMBED));
    int64_t dim = p->d->config.dim;
    for (int64_t i = begin; i < end; i++) {
        float *x = p->room->x + i * dim;
        memcpy(x, table + p->room->ids[i] * dim, (size_t)dim * sizeof *x);
        if (positions)
            rh_kernels.elementwise->add(x, rh_f32(positions) + p->room->position[i] * dim, dim);
    }
}

rh_status rh_pass_run(const rh_pass *p) {
    const rh_pass_room *r = p->room;
    looking l = {0};
    rh_status status = is_step(p) ? look_step(p, &l) : look_chunk(p, &l);
    rh_parallel_range(p->rows, TOKENS, embed_rows, (void *)p);
    if (p->d->frequencies)
        rh_rope_table(p->rows, p->d->config.head_dim / 2, r->position, rh_f32(p->d->frequencies),
                      r->cos, r->sin);
    for (int64_t layer = 0; status == RH_OK && layer < p->d->config.layers; layer++) {
        status = attention_half(p, layer, &l);
        if (status == RH_OK) status = mlp_half(p, layer);
    }
    look_end(p, &l);
    return status;
}
