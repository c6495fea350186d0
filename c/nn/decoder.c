#include "nn/decoder.h"

#include <assert.h>
#include <string.h>

#include "autograd/autograd.h"
#include "base/pool.h"
#include "nn/rows.h"
#include "ops/rope.h"

/* One pass through the decoder: the batch, and its tokens' rotary angles (NULL where learned). */
typedef struct pass {
    rh_decoder_input input;
    rh_tensor *cos, *sin;
} pass;

static const rh_row *find(const rh_row *table, const char *name) {
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0) return table;
    assert(!"a row that the decoder needs");
    return NULL;
}

static const rh_row *activation_row(const rh_decoder_config *c) {
    if (c->gated) return find(rh_rows_gated_silu, "gated_silu");
    switch (c->activation) {
    case RH_GELU: case RH_GELU_TANH: return find(rh_rows_elementwise, "gelu");
    case RH_RELU: return find(rh_rows_elementwise, "relu");
    default: return find(rh_rows_elementwise, "silu");
    }
}

static rh_decoder_rows find_rows(const rh_decoder_config *c) {
    return (rh_decoder_rows){
        .embed = find(rh_rows_embed_tokens, "embed_tokens"),
        .norm = find(rh_rows_norm, c->norm == RH_RMS_NORM ? "rms_norm" : "layer_norm"),
        .linear = find(rh_rows_fused_linear, "fused_linear"),
        .attention = find(rh_rows_rotary_attention, "rotary_attention"),
        .activation = activation_row(c),
    };
}

rh_decoder *rh_decoder_new(rh_ctx *ctx, const rh_decoder_config *config, rh_tensor *frequencies) {
    if (rh_decoder_config_check(ctx, config) != RH_OK) return NULL;
    rh_decoder *d = rh_alloc_zero(ctx, sizeof *d);
    if (!d) return NULL;
    d->ctx = ctx;
    d->config = *config;
    d->rows = find_rows(config);
    if (rh_parameters_new(ctx, config, &d->parameters) != RH_OK) {
        rh_free(ctx, d);
        return NULL;
    }
    d->frequencies = frequencies ? rh_tensor_retain(frequencies) : NULL;
    return d;
}

void rh_decoder_free(rh_decoder *d) {
    rh_parameters_free(&d->parameters);
    rh_tensor_release(d->frequencies);
    rh_free(d->ctx, d);
}

rh_tensor *rh_decoder_head(const rh_decoder *d) {
    if (!d->config.head) return NULL;
    return rh_parameter(&d->parameters, 0, d->config.tied ? RH_EMBED : RH_HEAD_W);
}

/* Runs a row with one output; takes *x, the first input, and leaves the output there. On failure *x is
 * released and NULL. */
static rh_status step(rh_decoder *d, const rh_row *row, rh_tensor **x, rh_tensor *const *more,
                      int n_more, const rh_opt *opt) {
    rh_tensor *in[RH_MAX_INPUTS] = {*x}, *out[RH_MAX_OUTPUTS];
    int n_out;
    if (n_more > 0) memcpy(in + 1, more, (size_t)n_more * sizeof *in);
    rh_status status = rh_apply(d->ctx, row, in, n_more + 1, opt, out, &n_out);
    rh_tensor_release(*x);
    *x = status == RH_OK ? out[0] : NULL;
    return status;
}

static rh_opt integer(int64_t v) { return (rh_opt){.given = true, .i = v}; }

static rh_tensor *weight(const rh_decoder *d, int64_t layer, rh_role role) {
    return rh_parameter(&d->parameters, layer, role);
}

static rh_status norm(rh_decoder *d, rh_tensor **x, int64_t layer, rh_role w, rh_role b) {
    rh_tensor *more[] = {weight(d, layer, w), weight(d, layer, b)};
    rh_opt eps = {.given = true, .f = d->config.norm_eps};
    return step(d, d->rows.norm, x, more, d->config.norm == RH_LAYER_NORM ? 2 : 1, &eps);
}

/* x = x W^T + b, the outputs of up to three weights side by side, plus residual (may be NULL). */
static rh_status linear(rh_decoder *d, rh_tensor **x, int64_t layer, const rh_role w[3],
                        const rh_role b[3], rh_tensor *residual) {
    rh_tensor *more[7] = {0};
    for (int i = 0; i < 3; i++) {
        more[i] = w[i] != RH_ROLES ? weight(d, layer, w[i]) : NULL;
        more[3 + i] = b[i] != RH_ROLES ? weight(d, layer, b[i]) : NULL;
    }
    more[6] = residual;
    rh_opt layout = integer(d->config.in_out);
    return step(d, d->rows.linear, x, more, 7, &layout);
}

static rh_status project_qkv(rh_decoder *d, rh_tensor **x, int64_t layer) {
    static const rh_role fused[3] = {RH_QKV_W, RH_ROLES, RH_ROLES};
    static const rh_role fused_bias[3] = {RH_QKV_B, RH_ROLES, RH_ROLES};
    static const rh_role split[3] = {RH_Q_W, RH_K_W, RH_V_W};
    static const rh_role split_bias[3] = {RH_Q_B, RH_K_B, RH_V_B};
    bool one = d->config.fused_qkv;
    return linear(d, x, layer, one ? fused : split, one ? fused_bias : split_bias, NULL);
}

static rh_status attend(rh_decoder *d, const pass *p, rh_tensor **x) {
    rh_tensor *more[] = {p->cos, p->sin, p->input.segments};
    rh_opt opt[] = {integer(d->config.heads), integer(d->config.kv_heads)};
    return step(d, d->rows.attention, x, more, 3, opt);
}

static rh_status attention_half(rh_decoder *d, const pass *p, int64_t layer, rh_tensor **x) {
    static const rh_role w[3] = {RH_ATTN_W, RH_ROLES, RH_ROLES};
    static const rh_role b[3] = {RH_ATTN_B, RH_ROLES, RH_ROLES};
    rh_tensor *residual = rh_tensor_retain(*x);
    rh_status status = norm(d, x, layer, RH_NORM1_W, RH_NORM1_B);
    if (status == RH_OK) status = project_qkv(d, x, layer);
    if (status == RH_OK) status = attend(d, p, x);
    if (status == RH_OK) status = linear(d, x, layer, w, b, residual);
    rh_tensor_release(residual);
    return status;
}

static rh_status activate(rh_decoder *d, rh_tensor **x) {
    rh_opt approximate = integer(d->config.activation == RH_GELU_TANH);
    return step(d, d->rows.activation, x, NULL, 0, &approximate);
}

static rh_status mlp_half(rh_decoder *d, int64_t layer, rh_tensor **x) {
    const rh_role up[3] = {d->config.gated ? RH_GATE_W : RH_UP_W,
                           d->config.gated ? RH_UP_W : RH_ROLES, RH_ROLES};
    const rh_role up_bias[3] = {d->config.gated ? RH_GATE_B : RH_UP_B,
                                d->config.gated ? RH_UP_B : RH_ROLES, RH_ROLES};
    static const rh_role down[3] = {RH_DOWN_W, RH_ROLES, RH_ROLES};
    static const rh_role down_bias[3] = {RH_DOWN_B, RH_ROLES, RH_ROLES};
    rh_tensor *residual = rh_tensor_retain(*x);
    rh_status status = norm(d, x, layer, RH_NORM2_W, RH_NORM2_B);
    if (status == RH_OK) status = linear(d, x, layer, up, up_bias, NULL);
    if (status == RH_OK) status = activate(d, x);
    if (status == RH_OK) status = linear(d, x, layer, down, down_bias, residual);
    rh_tensor_release(residual);
    return status;
}

static rh_status embed(rh_decoder *d, const pass *p, rh_tensor **x) {
    rh_tensor *table = weight(d, 0, RH_POSITION);
    rh_tensor *more[] = {p->input.ids, table, table ? p->input.positions : NULL};
    *x = rh_tensor_retain(weight(d, 0, RH_EMBED));
    return step(d, d->rows.embed, x, more, 3, NULL);
}

/* The angles' cosines and sines, [N, head_dim / 2] each. */
static rh_status make_angles(rh_decoder *d, pass *p) {
    const rh_tensor *positions = p->input.positions;
    int64_t size[2] = {positions->shape[0], d->config.head_dim / 2};
    if (!d->frequencies) return RH_OK;
    p->cos = rh_tensor_new(d->ctx, RH_F32, 2, size);
    p->sin = p->cos ? rh_tensor_new(d->ctx, RH_F32, 2, size) : NULL;
    if (!p->sin) return RH_ENOMEM;
    rh_rope_table(size[0], size[1], rh_i64(positions), rh_f32(d->frequencies), rh_f32(p->cos),
                  rh_f32(p->sin));
    return RH_OK;
}

static rh_status run(rh_decoder *d, const pass *p, int64_t blocks, bool final, rh_tensor **out) {
    RH_TRY(embed(d, p, out));
    for (int64_t layer = 0; layer < blocks; layer++) {
        RH_TRY(attention_half(d, p, layer, out));
        RH_TRY(mlp_half(d, layer, out));
    }
    return final ? norm(d, out, 0, RH_NORM_W, RH_NORM_B) : RH_OK;
}

static rh_status check_input(rh_decoder *d, rh_decoder_input input) {
    if (input.positions->dtype != RH_I64 || input.positions->rank != 1 ||
        !rh_tensor_is_contiguous(input.positions) || input.ids->rank != 1 ||
        input.positions->shape[0] != input.ids->shape[0])
        return rh_fail(d->ctx, RH_EARG, RH_NO_OPERAND, "a position (i64) for each token wanted");
    return RH_OK;
}

rh_status rh_decoder_forward(rh_decoder *d, rh_decoder_input input, int64_t blocks, bool final,
                             rh_tensor **out) {
    pass p = {.input = input};
    *out = NULL;
    RH_TRY(check_input(d, input));
    rh_status status = make_angles(d, &p);
    if (status == RH_OK) status = run(d, &p, blocks, final, out);
    rh_tensor_release(p.cos);
    rh_tensor_release(p.sin);
    return status;
}
