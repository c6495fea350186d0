/* rotary_attention: from the fused projection qkv [N, (H + 2G) D] to what attention makes of it [N, H D]:
 * q and k are turned by position (where the decoder has rotary positions), then attention goes over the
 * batch's segments. One node keeps the turned projection and a log-sum-exp for each head and token. */
#include <math.h>

#include "nn/rows.h"
#include "ops/attention.h"
#include "ops/rope.h"

enum { QKV, COS, SIN, SEGMENTS }; /* inputs */
enum { TURNED, LSE };             /* saved */

typedef struct sizes {
    int64_t n, heads, groups, size, width; /* width = (H + 2G) D */
} sizes;

static sizes sizes_of(const rh_call *c) {
    sizes s = {.n = c->in[QKV]->shape[0], .heads = c->opt[0].i, .groups = c->opt[1].i,
               .width = c->in[QKV]->shape[1]};
    s.size = s.width / (s.heads + 2 * s.groups);
    return s;
}

static rh_status check_heads(rh_call *c) {
    int64_t heads = c->opt[0].i, groups = c->opt[1].i, width = c->in[QKV]->shape[1];
    if (groups < 1 || heads < groups || heads > width || heads % groups != 0)
        return rh_fail(c->ctx, RH_EARG, RH_OPTION(0), "%lld heads for %lld groups: a multiple wanted",
                       (long long)heads, (long long)groups);
    if (width % (heads + 2 * groups) != 0)
        return rh_fail(c->ctx, RH_EARG, QKV, "width %lld: a multiple of %lld heads wanted",
                       (long long)width, (long long)(heads + 2 * groups));
    return RH_OK;
}

static rh_status check_rotation(rh_call *c) {
    if (!c->in[COS] != !c->in[SIN])
        return rh_fail(c->ctx, RH_EARG, c->in[COS] ? COS : SIN, "cos and sin go together");
    if (!c->in[COS]) return RH_OK;
    sizes s = sizes_of(c);
    if (s.size % 2 != 0)
        return rh_fail(c->ctx, RH_EARG, QKV, "head size %lld: rotary positions want an even one",
                       (long long)s.size);
    for (int i = COS; i <= SIN; i++) {
        RH_TRY(rh_want_rank(c, i, 2));
        RH_TRY(rh_want_size(c, i, 0, s.n));
        RH_TRY(rh_want_size(c, i, 1, s.size / 2));
    }
    return RH_OK;
}

static rh_status shape(rh_call *c, rh_spec *out) {
    RH_TRY(rh_want_rank(c, QKV, 2));
    RH_TRY(check_heads(c));
    RH_TRY(check_rotation(c));
    if (c->in[SEGMENTS]) {
        RH_TRY(rh_want_rank(c, SEGMENTS, 2));
        RH_TRY(rh_want_size(c, SEGMENTS, 1, 3));
    }
    sizes s = sizes_of(c);
    int64_t size[2] = {s.n, s.heads * s.size};
    out[0] = rh_spec_make(RH_F32, 2, size);
    return RH_OK;
}

static rh_heads slice(const sizes *s, float *qkv, int64_t first_head) {
    return (rh_heads){.data = qkv + first_head * s->size, .row = s->width, .head = s->size};
}

static rh_attention describe(const rh_call *c, const sizes *s, const rh_attention_plan *plan) {
    float *qkv = rh_f32(c->saved[TURNED]);
    return (rh_attention){.plan = plan, .heads = s->heads, .groups = s->groups, .size = s->size,
                          .causal = true, .scale = (float)(1.0 / sqrt((double)s->size)),
                          .q = slice(s, qkv, 0), .k = slice(s, qkv, s->heads),
                          .v = slice(s, qkv, s->heads + s->groups),
                          .out = {rh_f32(c->out[0]), s->heads * s->size, s->size},
                          .lse = rh_f32(c->saved[LSE]), .lse_head = s->n};
}

/* Turns q and k, the first H + G heads of each token, in place. */
static void turn(const rh_call *c, const sizes *s, float *qkv, bool back) {
    rh_rope_view view = {.tokens = s->n, .heads = s->heads + s->groups, .head_dim = s->size,
                         .run = s->n, .token_stride = s->width, .head_stride = s->size};
    rh_rope_apply(&view, qkv, rh_f32(c->in[COS]), rh_f32(c->in[SIN]), back, qkv, false);
}

static rh_status make_saved(rh_call *c, const sizes *s) {
    int64_t lse[2] = {s->heads, s->n};
    c->saved[LSE] = rh_tensor_new(c->ctx, RH_F32, 2, lse);
    if (!c->saved[LSE]) return RH_ENOMEM;
    if (!c->in[COS]) {
        c->saved[TURNED] = rh_tensor_detach(c->in[QKV]);
        return c->saved[TURNED] ? RH_OK : RH_ENOMEM;
    }
    c->saved[TURNED] = rh_tensor_new(c->ctx, RH_F32, 2, c->in[QKV]->shape);
    if (!c->saved[TURNED]) return RH_ENOMEM;
    rh_tensor_copy_data(c->saved[TURNED], c->in[QKV]);
    turn(c, s, rh_f32(c->saved[TURNED]), false);
    return RH_OK;
}

static rh_status plan_of(rh_call *c, const sizes *s, rh_attention_plan *plan) {
    const rh_tensor *segments = c->in[SEGMENTS];
    const int64_t all[3] = {0, s->n, -1};
    return rh_attention_plan_read(c->ctx, SEGMENTS, segments ? rh_i64(segments) : all,
                                  segments ? segments->shape[0] : 1, s->n, plan);
}

static rh_status forward(rh_call *c) {
    sizes s = sizes_of(c);
    rh_attention_plan plan;
    RH_TRY(make_saved(c, &s));
    RH_TRY(plan_of(c, &s, &plan));
    rh_attention a = describe(c, &s, &plan);
    rh_status status = rh_attention_forward(c->ctx, &a);
    rh_attention_plan_free(c->ctx, &plan);
    return status;
}

/* The gradient of the turned projection is made in `d` [N, width], then turned back in place. */
static rh_status backward_into(rh_back *b, const sizes *s, const rh_attention_plan *plan,
                               float *d) {
    rh_attention a = describe(b->call, s, plan);
    rh_heads dout = {rh_f32(b->gout[0]), s->heads * s->size, s->size};
    rh_attention_grad dq = {slice(s, d, 0), false}, dk = {slice(s, d, s->heads), false};
    rh_attention_grad dv = {slice(s, d, s->heads + s->groups), false};
    RH_TRY(rh_attention_backward(b->call->ctx, &a, &dout, &dq, &dk, &dv));
    if (b->call->in[COS]) turn(b->call, s, d, true);
    return RH_OK;
}

static rh_status backward(rh_back *b) {
    rh_call *c = b->call;
    sizes s = sizes_of(c);
    if (!b->gin[QKV]) return RH_OK;
    rh_attention_plan plan;
    RH_TRY(plan_of(c, &s, &plan));
    bool add = b->accumulate[QKV];
    rh_tensor *own = add ? rh_tensor_new(c->ctx, RH_F32, 2, c->in[QKV]->shape)
                         : rh_tensor_retain(b->gin[QKV]);
    rh_status status = own ? backward_into(b, &s, &plan, rh_f32(own)) : RH_ENOMEM;
    if (status == RH_OK && add) rh_grad_put(b->gin[QKV], rh_f32(own), true);
    rh_tensor_release(own);
    rh_attention_plan_free(c->ctx, &plan);
    return status;
}

static const char *const samples[] = {
    "f[5,16] c[5,2] c[5,2]; {heads = 2, kv_heads = 1}",
    "f[4,6]; {heads = 1, kv_heads = 1}",
    "f[1,9]; {heads = 1, kv_heads = 1}",
    NULL};

const rh_row rh_rows_rotary_attention[] = {
    {.name = "rotary_attention",
     .inputs = "qkv:f cos:c? sin:c? segments:i?",
     .options = "i:heads i:kv_heads",
     .save = RH_SAVE_IN(COS) | RH_SAVE_IN(SIN) | RH_SAVE_IN(SEGMENTS) | RH_SAVE_OUT(0),
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "qkv [N,(H+2G)D], cos and sin [N,D/2] of the tokens' rotary angles, segments [S,3] {begin, "
            "length, parent or -1} (left out: one): causal attention over the segments [N,H*D]"},
    {0}};
