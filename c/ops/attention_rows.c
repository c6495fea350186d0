/* The rows over attention's core: `attention` for sequences of one length, heads before tokens, and
 * `segment_attention` for ragged batches, tokens before heads. Forward keeps the log-sum-exp of each
 * (token, head) as saved[0]; one query a sequence without a gradient to come goes to the decoding path. */
#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "base/size.h"
#include "ops/attention.h"
#include "ops/row.h"

enum { Q, K, V, LAST }; /* inputs; the last is the mask or the segments */

/* ---- what both check ---- */

/* H heads of q and G groups of k, both at dimension `at`: H is a multiple of G. */
static rh_status check_heads(rh_call *call, int at) {
    long long h = call->in[Q]->shape[at], g = call->in[K]->shape[at];
    if (g == 0 ? h == 0 : h % g == 0) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, K, "k has %lld heads, q %lld: no multiple of k's", g, h);
}

static rh_status check_values(rh_call *call) {
    const rh_tensor *k = call->in[K], *v = call->in[V];
    char got[RH_SHAPE_TEXT], want[RH_SHAPE_TEXT];
    if (rh_tensor_same_shape(k, v)) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, V, "v is %s, k %s: the same shape wanted",
                   rh_shape_text(v->rank, v->shape, got), rh_shape_text(k->rank, k->shape, want));
}

static rh_status check_number(rh_call *call, int option, const char *name, bool positive) {
    const rh_opt *o = &call->opt[option];
    if (!o->given || (isfinite(o->f) && (!positive || o->f > 0))) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, RH_OPTION(option), "%s: a finite number%s wanted, got %g",
                   name, positive ? " above 0" : "", o->f);
}

/* scale, window and softcap stand one after another from option `first` on. */
static rh_status check_options(rh_call *call, int first) {
    const rh_opt *window = &call->opt[first + 1];
    RH_TRY(check_number(call, first, "scale", false));
    if (window->given && window->i < 1)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(first + 1), "window: 1 or more wanted, got %lld",
                       (long long)window->i);
    return check_number(call, first + 2, "softcap", true);
}

static void read_options(const rh_call *call, int first, rh_attention *a) {
    const rh_opt *opt = call->opt + first;
    a->scale = opt[0].given ? (float)opt[0].f : 1.0f / sqrtf((float)a->size);
    a->window = opt[1].given ? opt[1].i : 0;
    a->softcap = opt[2].given ? (float)opt[2].f : 0.0f;
}

/* ---- what both run ---- */

/* Fills the core's call but for out and lse, and makes its plan. */
typedef rh_status (*setup_fn)(const rh_call *call, rh_attention *a, rh_attention_plan *plan);

static rh_heads with_data(rh_heads layout, const rh_tensor *t) {
    layout.data = t ? rh_f32(t) : NULL;
    return layout;
}

/* Rows of q times heads: q without its last dimension. */
static rh_status save_lse(rh_call *call) {
    const rh_tensor *q = call->in[Q];
    call->saved[0] = rh_tensor_new(call->ctx, RH_F32, q->rank - 1, q->shape);
    return call->saved[0] ? RH_OK : call->ctx->error.code;
}

static rh_status run_core(rh_call *call, rh_attention *a) {
    if (rh_tensor_numel(call->out[0]) == 0) return RH_OK;
    if (call->recording) RH_TRY(save_lse(call));
    a->out = with_data(a->q, call->out[0]);
    a->lse = call->recording ? rh_f32(call->saved[0]) : NULL;
    return rh_attention_forward(call->ctx, a);
}

static rh_status run_forward(rh_call *call, setup_fn setup) {
    rh_attention a = {0};
    rh_attention_plan plan;
    RH_TRY(setup(call, &a, &plan));
    a.plan = &plan;
    rh_status status = run_core(call, &a);
    rh_attention_plan_free(call->ctx, &plan);
    return status;
}

static rh_attention_grad grad_of(const rh_back *back, int i, rh_heads layout) {
    return (rh_attention_grad){with_data(layout, back->gin[i]), back->accumulate[i]};
}

/* Nothing came out, so nothing goes back. */
static rh_status write_zeros(rh_back *back) {
    for (int i = Q; i <= V; i++)
        if (back->gin[i] && !back->accumulate[i])
            memset(rh_f32(back->gin[i]), 0, (size_t)rh_tensor_numel(back->gin[i]) * sizeof(float));
    return RH_OK;
}

static rh_status run_backward(rh_back *back, setup_fn setup) {
    rh_call *call = back->call;
    rh_attention a = {0};
    rh_attention_plan plan;
    if (rh_tensor_numel(call->out[0]) == 0) return write_zeros(back);
    RH_TRY(setup(call, &a, &plan));
    a.plan = &plan;
    a.out = with_data(a.q, call->out[0]);
    a.lse = rh_f32(call->saved[0]);
    rh_heads dout = with_data(a.q, back->gout[0]);
    rh_attention_grad dq = grad_of(back, Q, a.q), dk = grad_of(back, K, a.k), dv = grad_of(back, V, a.v);
    rh_status status = rh_attention_backward(call->ctx, &a, &dout, &dq, &dk, &dv);
    rh_attention_plan_free(call->ctx, &plan);
    return status;
}

/* ---- attention(q [B,H,T,D], k, v [B,G,S,D], mask? [B,S]) ---- */

enum { CAUSAL, SCALE, WINDOW };

static rh_status dense_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *q = call->in[Q], *k = call->in[K];
    RH_TRY(rh_want_rank(call, Q, 4));
    RH_TRY(rh_want_rank(call, K, 4));
    RH_TRY(rh_want_size(call, K, 0, q->shape[0]));
    RH_TRY(rh_want_size(call, K, 3, q->shape[3]));
    RH_TRY(check_heads(call, 1));
    RH_TRY(check_values(call));
    if (call->in[LAST]) {
        RH_TRY(rh_want_rank(call, LAST, 2));
        RH_TRY(rh_want_size(call, LAST, 0, q->shape[0]));
        RH_TRY(rh_want_size(call, LAST, 1, k->shape[2]));
    }
    RH_TRY(check_options(call, SCALE));
    if (call->opt[WINDOW].given && !call->opt[CAUSAL].i)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(WINDOW), "window: needs causal = true");
    return rh_shape_like_first(call, out);
}

/* Sequence b is a segment of T queries and S keys; its rows count in vectors of D, over heads too. */
static rh_status dense_plan(const rh_call *call, rh_attention_plan *plan) {
    const rh_tensor *q = call->in[Q], *k = call->in[K], *mask = call->in[LAST];
    int64_t n = q->shape[0], queries = q->shape[2], keys = k->shape[2];
    rh_segment *segments = rh_alloc(call->ctx, (size_t)n * sizeof *segments);
    if (!segments) return RH_ENOMEM;
    for (int64_t b = 0; b < n; b++)
        segments[b] = (rh_segment){.query = b * q->shape[1] * queries, .queries = queries,
                                   .key = b * k->shape[1] * keys, .keys = keys, .parent = -1,
                                   .mask = mask ? rh_i64(mask) + b * keys : NULL};
    rh_status status = rh_attention_plan_make(call->ctx, segments, n, plan);
    rh_free(call->ctx, segments);
    return status;
}

static void dense_layout(const rh_call *call, rh_attention *a) {
    const rh_tensor *q = call->in[Q], *k = call->in[K];
    a->heads = q->shape[1], a->groups = k->shape[1], a->size = q->shape[3];
    a->q = (rh_heads){rh_f32(q), a->size, q->shape[2] * a->size};
    a->k = (rh_heads){rh_f32(k), a->size, k->shape[2] * a->size};
    a->v = with_data(a->k, call->in[V]);
    a->lse_head = q->shape[2];
    a->causal = call->opt[CAUSAL].i;
    read_options(call, SCALE, a);
}

static rh_status dense_setup(const rh_call *call, rh_attention *a, rh_attention_plan *plan) {
    dense_layout(call, a);
    return dense_plan(call, plan);
}

enum { PAGE = 256 };

/* pages and first of sequences of `keys` keys, as a cache in pages would give them */
static void write_pages(const rh_attention *a, int64_t keys, int64_t sequences, rh_kv_page *pages,
                        int64_t *first) {
    int64_t n = first[0] = 0;
    for (int64_t b = 0; b < sequences; first[++b] = n)
        for (int64_t j = 0; j < keys; j += PAGE) {
            int64_t at = (b * a->groups * keys + j) * a->size;
            pages[n++] = (rh_kv_page){a->k.data + at, a->v.data + at, rh_min(PAGE, keys - j)};
        }
}

static rh_status decode(rh_call *call) {
    rh_attention a = {0};
    dense_layout(call, &a);
    int64_t n = call->in[Q]->shape[0], keys = call->in[K]->shape[2];
    size_t pages = (size_t)(n * rh_ceil_div(keys, PAGE));
    rh_kv_page *list = rh_alloc(call->ctx, pages * sizeof *list + (size_t)(n + 1) * sizeof(int64_t));
    if (!list) return RH_ENOMEM;
    rh_decode d = {.sequences = n, .heads = a.heads, .groups = a.groups, .size = a.size,
                   .window = a.window, .scale = a.scale, .softcap = a.softcap, .pages = list,
                   .first = (int64_t *)(list + pages), .row = a.k.row, .head = a.k.head};
    write_pages(&a, keys, n, list, (int64_t *)(list + pages));
    d.q = (rh_heads){a.q.data, a.heads * a.size, a.size};
    d.out = with_data(d.q, call->out[0]);
    rh_status status = rh_attention_decode(call->ctx, &d);
    rh_free(call->ctx, list);
    return status;
}

static rh_status dense_forward(rh_call *call) {
    bool one = call->in[Q]->shape[2] == 1 && !call->in[LAST] && !call->recording;
    if (rh_tensor_numel(call->out[0]) == 0) return RH_OK; /* sizes beside a 0 may be anything */
    return one ? decode(call) : run_forward(call, dense_setup);
}

static rh_status dense_backward(rh_back *back) { return run_backward(back, dense_setup); }

/* ---- segment_attention(q [N,H,D], k, v [N,G,D], segments? [S,3]) ---- */

enum { SEGMENT_SCALE };

static rh_status segment_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *q = call->in[Q];
    RH_TRY(rh_want_rank(call, Q, 3));
    RH_TRY(rh_want_rank(call, K, 3));
    RH_TRY(rh_want_size(call, K, 0, q->shape[0]));
    RH_TRY(rh_want_size(call, K, 2, q->shape[2]));
    RH_TRY(check_heads(call, 1));
    RH_TRY(check_values(call));
    if (call->in[LAST]) {
        RH_TRY(rh_want_rank(call, LAST, 2));
        RH_TRY(rh_want_size(call, LAST, 1, 3));
    }
    RH_TRY(check_options(call, SEGMENT_SCALE));
    return rh_shape_like_first(call, out);
}

static rh_status segment_setup(const rh_call *call, rh_attention *a, rh_attention_plan *plan) {
    const rh_tensor *q = call->in[Q], *k = call->in[K], *segments = call->in[LAST];
    int64_t tokens = q->shape[0], all[3] = {0, tokens, -1};
    a->heads = q->shape[1], a->groups = k->shape[1], a->size = q->shape[2];
    a->q = (rh_heads){rh_f32(q), a->heads * a->size, a->size};
    a->k = (rh_heads){rh_f32(k), a->groups * a->size, a->size};
    a->v = with_data(a->k, call->in[V]);
    a->lse_head = tokens;
    a->causal = true;
    read_options(call, SEGMENT_SCALE, a);
    return rh_attention_plan_read(call->ctx, LAST, segments ? rh_i64(segments) : all,
                                  segments ? segments->shape[0] : 1, tokens, plan);
}

static rh_status segment_forward(rh_call *call) { return run_forward(call, segment_setup); }
static rh_status segment_backward(rh_back *back) { return run_backward(back, segment_setup); }

/* ---- the table ---- */

static const char *const dense_samples[] = {
    "f[2,2,3,4] f[2,1,5,4] f[2,1,5,4]",
    "f[1,4,1,3] f[1,2,4,3] f[1,2,4,3]; {scale = 0.3}",
    "f[2,2,5,3] f[2,2,4,3] f[2,2,4,3]; {causal = false}",
    "f[2,2,4,3] f[2,2,6,3] f[2,2,6,3] i<2[2,6]; {window = 3, softcap = 1.5}",
    "f[0,2,3,4] f[0,1,3,4] f[0,1,3,4]",
    NULL,
};

static const char *const segment_samples[] = {
    "f[5,4,3] f[5,2,3] f[5,2,3]",
    "f[1,2,3] f[1,1,3] f[1,1,3]; {scale = 0.3}",
    "f[6,2,3] f[6,2,3] f[6,2,3] -; {window = 3, softcap = 1.5}",
    "f[0,2,3] f[0,1,3] f[0,1,3]",
    NULL,
};

const rh_row rh_rows_attention[] = {
    /* out = softmax(scale q k^T) v over the keys that a query sees; query head h reads k's head
     * h / (H/G); the T queries stand at the end of the S keys; 0 where no key is seen */
    {.name = "attention",
     .inputs = "q:f k:f v:f mask:i?",
     .options = "b:causal=true f:scale=? i:window=? f:softcap=?",
     .save = RH_SAVE_ALL_IN | RH_SAVE_OUT(0),
     .shape = dense_shape,
     .forward = dense_forward,
     .backward = dense_backward,
     .samples = dense_samples,
     .doc = "attention of q [B,H,T,D] over k and v [B,G,S,D], mask [B,S] (0 hides a key): [B,H,T,D]"},
    /* the same for tokens laid end to end: a token sees its segment up to itself and all of the
     * segment's ancestors; a segment is {begin, length, parent or -1}, counted from 0 */
    {.name = "segment_attention",
     .inputs = "q:f k:f v:f segments:i?",
     .options = "f:scale=? i:window=? f:softcap=?",
     .save = RH_SAVE_ALL_IN | RH_SAVE_OUT(0),
     .shape = segment_shape,
     .forward = segment_forward,
     .backward = segment_backward,
     .samples = segment_samples,
     .doc = "causal attention of q [N,H,D] over k and v [N,G,D] within segments [S,3] (left out: one "
            "segment) and their ancestors: [N,H,D]"},
    {0},
};
