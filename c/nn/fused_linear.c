/* fused_linear: y = [x W1^T + b1 | x W2^T + b2 | x W3^T + b3] + residual: the recorded row over weights side
 * by side. Rests on nn/weights.h. */
#include "base/pool.h"
#include "nn/rows.h"
#include "nn/weights.h"

enum { X = 0, W = 1, B = 4, RESIDUAL = 7, MOST = RH_WEIGHTS };

static rh_weights all_parts(const rh_call *c) {
    rh_weights w = {0};
    for (int i = 0; i < MOST && c->in[W + i]; i++)
        rh_weights_add(&w, c->in[W + i], c->in[B + i], c->opt[0].i);
    return w;
}

static rh_status check_weight(rh_call *c, int i, int64_t in) {
    const rh_tensor *w = c->in[W + i];
    if (w->dtype != RH_F32 && w->dtype != RH_BF16)
        return rh_fail(c->ctx, RH_EARG, W + i, "a weight of f32 or bf16 wanted, got %s",
                       rh_dtype_name(w->dtype));
    RH_TRY(rh_want_rank(c, W + i, 2));
    RH_TRY(rh_want_size(c, W + i, c->opt[0].i ? 0 : 1, in));
    if (!c->in[B + i]) return RH_OK;
    RH_TRY(rh_want_rank(c, B + i, 1));
    return rh_want_size(c, B + i, 0, w->shape[c->opt[0].i ? 1 : 0]);
}

static rh_status shape(rh_call *c, rh_spec *out) {
    RH_TRY(rh_want_rank(c, X, 2));
    int64_t size[2] = {c->in[X]->shape[0], 0};
    for (int i = 0; i < MOST; i++) {
        bool gap = i > 0 && c->in[W + i] && !c->in[W + i - 1];
        if (gap || (c->in[B + i] && !c->in[W + i]))
            return rh_fail(c->ctx, RH_EARG, gap ? W + i : B + i, "no weight %d goes with this",
                           gap ? i : i + 1);
        if (!c->in[W + i]) continue;
        RH_TRY(check_weight(c, i, c->in[X]->shape[1]));
        size[1] += c->in[W + i]->shape[c->opt[0].i ? 1 : 0];
    }
    if (c->in[RESIDUAL]) {
        RH_TRY(rh_want_rank(c, RESIDUAL, 2));
        for (int d = 0; d < 2; d++) RH_TRY(rh_want_size(c, RESIDUAL, d, size[d]));
    }
    out[0] = rh_spec_make(RH_F32, 2, size);
    return RH_OK;
}

static rh_status forward(rh_call *c) {
    rh_weights each = all_parts(c), w = rh_weights_joined(&each);
    int64_t n = c->in[X]->shape[0];
    float *scratch, *y = rh_f32(c->out[0]);
    RH_TRY(rh_weights_scratch(c->ctx, &w, n, &scratch));
    rh_weights_forward(&w, n, rh_f32(c->in[X]), y, scratch);
    rh_free(c->ctx, scratch);
    if (c->in[RESIDUAL]) rh_add_all(y, rh_f32(c->in[RESIDUAL]), n * w.out);
    return RH_OK;
}

static rh_status backward_x(rh_back *b, const rh_weights *w) {
    rh_call *c = b->call;
    int64_t n = c->in[X]->shape[0], in = c->in[X]->shape[1];
    float *scratch;
    RH_TRY(rh_weights_scratch(c->ctx, w, n, &scratch));
    for (int i = 0; i < w->n; i++)
        rh_linear_backward(&w->part[i], n, rh_f32(b->gout[0]) + w->at[i], w->out,
                           rh_f32(b->gin[X]), in, i > 0 || b->accumulate[X], scratch);
    rh_free(c->ctx, scratch);
    return RH_OK;
}

static rh_linear_grad grad_of(const rh_back *b, int i) {
    rh_tensor *w = b->gin[W + i], *bias = b->gin[B + i];
    return (rh_linear_grad){.weight = w ? rh_f32(w) : NULL,
                            .add_weight = b->accumulate[W + i],
                            .bias = bias ? rh_f32(bias) : NULL,
                            .add_bias = b->accumulate[B + i]};
}

/* Do two neighbours' gradients stand behind each other too, to be written alike? */
static bool grads_follow(const rh_linear *a, const rh_linear_grad *ga, const rh_linear_grad *gb) {
    bool weight = ga->weight && gb->weight == ga->weight + a->out * a->in &&
                  ga->add_weight == gb->add_weight;
    bool bias = ga->bias ? gb->bias == ga->bias + a->out && ga->add_bias == gb->add_bias
                         : !gb->bias;
    return a->layout == RH_OUT_IN && weight && bias;
}

static void backward_weights(rh_back *b, const rh_weights *p) {
    rh_call *c = b->call;
    int64_t n = c->in[X]->shape[0], in = c->in[X]->shape[1];
    for (int i = 0; i < p->n;) {
        rh_linear l = p->part[i];
        rh_linear_grad to = grad_of(b, i);
        int next = i + 1;
        for (; next < p->n; next++) {
            rh_linear_grad behind = grad_of(b, next);
            if (!grads_follow(&l, &to, &behind)) break;
            l.out += p->part[next].out;
        }
        l.trained = true;
        rh_linear_grads(&l, n, rh_f32(c->in[X]), in, rh_f32(b->gout[0]) + p->at[i], p->out, &to);
        i = next;
    }
}

static rh_status backward(rh_back *b) {
    rh_weights each = all_parts(b->call), few = rh_weights_joined(&each);
    if (b->gin[X]) RH_TRY(backward_x(b, &few));
    backward_weights(b, &each);
    rh_tensor *residual = b->gin[RESIDUAL];
    if (!residual) return RH_OK;
    if (b->accumulate[RESIDUAL])
        rh_add_all(rh_f32(residual), rh_f32(b->gout[0]), rh_tensor_numel(residual));
    else
        rh_tensor_copy_data(residual, b->gout[0]);
    return RH_OK;
}

static const char *const samples[] = {
    "f[3,4] f[5,4] - - f[5] - - f[3,5]",
    "f[3,4] f[5,4] f[2,4] f[3,4] f[5] f[2] f[3]",
    "f[3,4] f[4,5] f[4,2] - f[5] f[2]; {layout = 'in_out'}",
    "f[2,4] f[1,4]",
    "f[0,4] f[5,4] f[2,4]",
    NULL};

const rh_row rh_rows_fused_linear[] = {
    {.name = "fused_linear",
     .inputs = "x:f w1:a w2:a? w3:a? b1:f? b2:f? b3:f? residual:f?",
     .options = "s:layout=out_in|in_out",
     .save = 0x7F, /* all but the residual */
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "x [N,in], weights [out,in] or [in,out] (f32 or bf16): [N, sum of out] = the products side "
           "by side, plus biases, plus residual"},
    {0}};
