#include "nn/parameters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/autograd.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "tensor/shape.h"

/* What there is to know of a role: its name, and how its weights begin. */
typedef enum start { MATRIX, RESIDUAL, ONES, ZEROS } start;
static const struct { const char *name; start start; } roles[RH_ROLES] = {
    [RH_EMBED] = {"embed.weight", MATRIX},     [RH_POSITION] = {"position.weight", MATRIX},
    [RH_NORM1_W] = {"norm1.weight", ONES},     [RH_NORM1_B] = {"norm1.bias", ZEROS},
    [RH_QKV_W] = {"qkv.weight", MATRIX},       [RH_Q_W] = {"q.weight", MATRIX},
    [RH_K_W] = {"k.weight", MATRIX},           [RH_V_W] = {"v.weight", MATRIX},
    [RH_QKV_B] = {"qkv.bias", ZEROS},          [RH_Q_B] = {"q.bias", ZEROS},
    [RH_K_B] = {"k.bias", ZEROS},              [RH_V_B] = {"v.bias", ZEROS},
    [RH_ATTN_W] = {"attn.weight", RESIDUAL},   [RH_ATTN_B] = {"attn.bias", ZEROS},
    [RH_NORM2_W] = {"norm2.weight", ONES},     [RH_NORM2_B] = {"norm2.bias", ZEROS},
    [RH_GATE_W] = {"gate.weight", MATRIX},     [RH_UP_W] = {"up.weight", MATRIX},
    [RH_GATE_B] = {"gate.bias", ZEROS},        [RH_UP_B] = {"up.bias", ZEROS},
    [RH_DOWN_W] = {"down.weight", RESIDUAL},   [RH_DOWN_B] = {"down.bias", ZEROS},
    [RH_NORM_W] = {"norm.weight", ONES},       [RH_NORM_B] = {"norm.bias", ZEROS},
    [RH_HEAD_W] = {"head.weight", MATRIX},
};

static bool in_layers(rh_role role) { return role >= RH_NORM1_W && role <= RH_DOWN_B; }

/* Shape of a role's tensor; rank 0 where the config has none. A matrix is [out,in] unless in_out. */
static int matrix(const rh_decoder_config *c, int64_t out, int64_t in, bool has, int64_t *shape) {
    shape[0] = c->in_out ? in : out;
    shape[1] = c->in_out ? out : in;
    return has ? 2 : 0;
}

static int table(int64_t rows, int64_t dim, bool has, int64_t *shape) {
    shape[0] = rows;
    shape[1] = dim;
    return has ? 2 : 0;
}

static int vector(int64_t n, bool has, int64_t *shape) {
    shape[0] = n;
    return has ? 1 : 0;
}

static int role_shape(const rh_decoder_config *c, rh_role role, int64_t *s) {
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim, d = c->dim, f = c->hidden;
    bool split = !c->fused_qkv;
    switch (role) {
    case RH_EMBED: return table(c->vocab, d, true, s);
    case RH_POSITION: return table(c->context, d, c->position == RH_POSITION_LEARNED, s);
    case RH_NORM1_W: case RH_NORM2_W: case RH_NORM_W: return vector(d, true, s);
    case RH_NORM1_B: case RH_NORM2_B: case RH_NORM_B: return vector(d, c->norm_bias, s);
    case RH_QKV_W: return matrix(c, q + 2 * kv, d, !split, s);
    case RH_Q_W: return matrix(c, q, d, split, s);
    case RH_K_W: case RH_V_W: return matrix(c, kv, d, split, s);
    case RH_QKV_B: return vector(q + 2 * kv, c->qkv_bias && !split, s);
    case RH_Q_B: return vector(q, c->qkv_bias && split, s);
    case RH_K_B: case RH_V_B: return vector(kv, c->qkv_bias && split, s);
    case RH_ATTN_W: return matrix(c, d, q, true, s);
    case RH_ATTN_B: return vector(d, c->attention_bias, s);
    case RH_GATE_W: return matrix(c, f, d, c->gated, s);
    case RH_UP_W: return matrix(c, f, d, true, s);
    case RH_GATE_B: return vector(f, c->mlp_bias && c->gated, s);
    case RH_UP_B: return vector(f, c->mlp_bias, s);
    case RH_DOWN_W: return matrix(c, d, f, true, s);
    case RH_DOWN_B: return vector(d, c->mlp_bias, s);
    case RH_HEAD_W: return table(c->vocab, d, c->head && !c->tied, s);
    default: return 0;
    }
}

/* The place of the i-th tensor of a walk over all places in arena order, or -1 behind the last one. */
static int64_t next_place(int64_t place, int64_t layers) {
    int64_t layer = place / RH_ROLES;
    rh_role role = (rh_role)(place % RH_ROLES + 1);
    if (place >= 0 && role == RH_NORM_W && layer + 1 < layers)
        return (layer + 1) * RH_ROLES + RH_NORM1_W;
    if (role == RH_NORM_W) return RH_NORM_W;
    if (role == RH_ROLES) return -1;
    return layer * RH_ROLES + role;
}

/* Each tensor begins at a multiple of 16 numbers, a 64-byte line, except the parts of a fused matrix,
 * which follow each other without a gap. */
enum { LINE = 16 };
static bool joins_before(const rh_decoder_config *c, rh_role role) {
    bool gate = c->gated && (role == RH_UP_W || role == RH_UP_B);
    return gate || role == RH_K_W || role == RH_V_W || role == RH_K_B || role == RH_V_B;
}

typedef struct extent {
    int64_t tensors, numbers; /* numbers: with the gaps between tensors */
    int64_t count;            /* without */
} extent;

static bool measure(const rh_decoder_config *c, extent *out) {
    *out = (extent){0};
    for (int64_t place = 0; place >= 0; place = next_place(place, c->layers)) {
        int64_t shape[RH_MAX_RANK], n;
        rh_role role = (rh_role)(place % RH_ROLES);
        int rank = role_shape(c, role, shape);
        if (rank == 0) continue;
        if (!rh_i64_mul(shape[0], rank == 2 ? shape[1] : 1, &n)) return false;
        if (!joins_before(c, role))
            out->numbers = (int64_t)rh_round_up((size_t)out->numbers, LINE);
        if (out->numbers > INT64_MAX / 8 - n) return false;
        out->numbers += n;
        out->count += n;
        out->tensors++;
    }
    return true;
}

rh_status rh_parameters_count(rh_ctx *ctx, const rh_decoder_config *config, int64_t *count) {
    extent e;
    RH_TRY(rh_decoder_config_check(ctx, config));
    if (!measure(config, &e))
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "more parameters than memory can ever hold");
    *count = e.count;
    return RH_OK;
}

static rh_tensor *leaf(const rh_parameters *p, int rank, const int64_t *shape, int64_t at) {
    int64_t strides[RH_MAX_RANK];
    rh_shape_strides(rank, shape, strides);
    rh_tensor *t = rh_tensor_view(p->arena, rank, shape, strides, at);
    if (t && rh_requires_grad_set(t, true) != RH_OK) {
        rh_tensor_release(t);
        return NULL;
    }
    return t;
}

static rh_status fill(rh_parameters *p, const rh_decoder_config *c) {
    int64_t at = 0;
    for (int64_t place = 0; place >= 0; place = next_place(place, c->layers)) {
        int64_t shape[RH_MAX_RANK];
        rh_role role = (rh_role)(place % RH_ROLES);
        int rank = role_shape(c, role, shape);
        if (rank == 0) continue;
        if (!joins_before(c, role)) at = (int64_t)rh_round_up((size_t)at, LINE);
        rh_tensor *t = leaf(p, rank, shape, at);
        if (!t) return RH_ENOMEM;
        p->place[p->n] = place;
        p->list[p->n++] = t;
        p->at[place] = t;
        at += rh_tensor_numel(t);
    }
    return RH_OK;
}

rh_status rh_parameters_new(rh_ctx *ctx, const rh_decoder_config *config, rh_parameters *p) {
    extent e;
    *p = (rh_parameters){.ctx = ctx, .layers = config->layers};
    if (!measure(config, &e))
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "more parameters than memory can ever hold");
    p->arena = rh_tensor_zeros(ctx, RH_F32, 1, &e.numbers);
    p->list = rh_alloc_zero(ctx, (size_t)e.tensors * sizeof *p->list);
    p->place = rh_alloc_zero(ctx, (size_t)e.tensors * sizeof *p->place);
    p->at = rh_alloc_zero(ctx, (size_t)(config->layers * RH_ROLES) * sizeof *p->at);
    rh_status status = p->arena && p->list && p->place && p->at ? fill(p, config) : RH_ENOMEM;
    if (status != RH_OK) rh_parameters_free(p);
    return status;
}

void rh_parameters_free(rh_parameters *p) {
    for (int64_t i = 0; i < p->n; i++) rh_tensor_release(p->list[i]);
    rh_free(p->ctx, p->list);
    rh_free(p->ctx, p->place);
    rh_free(p->ctx, p->at);
    rh_tensor_release(p->arena);
    *p = (rh_parameters){.ctx = p->ctx};
}

const char *rh_parameter_name(const rh_parameters *p, int64_t i, char buffer[RH_PARAMETER_NAME]) {
    rh_role role = (rh_role)(p->place[i] % RH_ROLES);
    if (in_layers(role))
        snprintf(buffer, RH_PARAMETER_NAME, "layers.%lld.%s", (long long)(p->place[i] / RH_ROLES),
                 roles[role].name);
    else
        snprintf(buffer, RH_PARAMETER_NAME, "%s", roles[role].name);
    return buffer;
}

static void init_one(float *w, int64_t n, start how, double deviation, uint64_t seed,
                     uint64_t stream) {
    if (how == ONES || how == ZEROS) {
        for (int64_t i = 0; i < n; i++) w[i] = how == ONES ? 1.0f : 0.0f;
        return;
    }
    rh_rng_normal(seed, stream, 0, w, n);
    for (int64_t i = 0; i < n; i++) w[i] *= (float)deviation;
}

void rh_parameters_init(rh_parameters *p, uint64_t seed, double deviation) {
    double residual = deviation / sqrt(2.0 * (double)p->layers);
    for (int64_t i = 0; i < p->n; i++) {
        start how = roles[p->place[i] % RH_ROLES].start;
        init_one(rh_f32(p->list[i]), rh_tensor_numel(p->list[i]), how,
                 how == RESIDUAL ? residual : deviation, seed, (uint64_t)p->place[i]);
    }
    p->arena->storage->version++;
}
