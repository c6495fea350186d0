/* fused_linear: y = [x W1^T + b1 | x W2^T + b2 | x W3^T + b3] + residual. The weights of q, k and v, or of
 * gate and up, are parameters of their own (they have names of their own in model folders) that usually
 * lie one after another in memory; then they are one product. Rests on ops/linear.h. */
#include "base/parallel.h"
#include "base/pool.h"
#include "nn/rows.h"
#include "ops/kernels/elementwise.h"
#include "ops/linear.h"

enum { X = 0, W = 1, B = 4, RESIDUAL = 7, MOST = 3, ADD_GRAIN = 1 << 15 };

/* Weights side by side; part i writes columns [at[i], at[i] + part[i].out) of y. */
typedef struct parts {
    int n;
    rh_linear part[MOST];
    int64_t at[MOST];
    int64_t out; /* columns in all */
} parts;

static rh_layout layout_of(const rh_call *c) { return c->opt[0].i ? RH_IN_OUT : RH_OUT_IN; }

static rh_linear linear_of(const rh_call *c, int i) {
    const rh_tensor *w = c->in[W + i];
    bool in_out = c->opt[0].i;
    const void *data = w->dtype == RH_BF16 ? (void *)rh_bf16(w) : (void *)rh_f32(w);
    return rh_linear_make(data, w->dtype, layout_of(c), w->shape[in_out ? 0 : 1],
                          w->shape[in_out ? 1 : 0], c->in[B + i] ? rh_f32(c->in[B + i]) : NULL);
}

static parts all_parts(const rh_call *c) {
    parts p = {0};
    for (int i = 0; i < MOST && c->in[W + i]; i++) {
        p.part[i] = linear_of(c, i);
        p.at[i] = p.out;
        p.out += p.part[i].out;
        p.n++;
    }
    return p;
}

/* Does b's weight (and bias) stand right behind a's, so that both are rows of one matrix? */
static bool follows(const rh_linear *a, const rh_linear *b) {
    size_t bytes = (size_t)(a->out * a->in) * rh_dtype_size(a->dtype);
    bool weight = a->layout == RH_OUT_IN && a->dtype == b->dtype &&
                  (const char *)b->weight == (const char *)a->weight + bytes;
    return weight && (a->bias ? b->bias == a->bias + a->out : !b->bias);
}

static parts joined(parts p) {
    parts r = {.out = p.out};
    for (int i = 0; i < p.n; i++) {
        rh_linear *last = r.n > 0 ? &r.part[r.n - 1] : NULL;
        if (last && follows(last, &p.part[i])) {
            last->out += p.part[i].out;
        } else {
            r.at[r.n] = p.at[i];
            r.part[r.n++] = p.part[i];
        }
    }
    return r;
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

typedef struct addition {
    float *to;
    const float *from;
} addition;

static void add_range(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const addition *a = arg;
    rh_kernels.elementwise->add(a->to + begin, a->from + begin, end - begin);
}

static void add_all(float *to, const float *from, int64_t n) {
    addition a = {to, from};
    rh_parallel_range(n, ADD_GRAIN, add_range, &a);
}

static rh_status scratch_for(rh_ctx *ctx, const parts *p, int64_t n, float **scratch) {
    int64_t most = 0;
    for (int i = 0; i < p->n; i++) {
        int64_t need = rh_linear_scratch(&p->part[i], n);
        most = need > most ? need : most;
    }
    *scratch = most > 0 ? rh_alloc(ctx, (size_t)most * sizeof(float)) : NULL;
    return most > 0 && !*scratch ? RH_ENOMEM : RH_OK;
}

static rh_status forward(rh_call *c) {
    parts p = joined(all_parts(c));
    int64_t n = c->in[X]->shape[0], in = c->in[X]->shape[1];
    float *scratch, *y = rh_f32(c->out[0]);
    RH_TRY(scratch_for(c->ctx, &p, n, &scratch));
    for (int i = 0; i < p.n; i++)
        rh_linear_forward(&p.part[i], n, rh_f32(c->in[X]), in, y + p.at[i], p.out, scratch);
    rh_free(c->ctx, scratch);
    if (c->in[RESIDUAL]) add_all(y, rh_f32(c->in[RESIDUAL]), n * p.out);
    return RH_OK;
}

static rh_status backward_x(rh_back *b, const parts *p) {
    rh_call *c = b->call;
    int64_t n = c->in[X]->shape[0], in = c->in[X]->shape[1];
    float *scratch;
    RH_TRY(scratch_for(c->ctx, p, n, &scratch));
    for (int i = 0; i < p->n; i++)
        rh_linear_backward(&p->part[i], n, rh_f32(b->gout[0]) + p->at[i], p->out,
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

static void backward_weights(rh_back *b, parts p) {
    rh_call *c = b->call;
    int64_t n = c->in[X]->shape[0], in = c->in[X]->shape[1];
    for (int i = 0; i < p.n;) {
        rh_linear l = p.part[i];
        rh_linear_grad to = grad_of(b, i);
        int next = i + 1;
        for (; next < p.n; next++) {
            rh_linear_grad behind = grad_of(b, next);
            if (!grads_follow(&l, &to, &behind)) break;
            l.out += p.part[next].out;
        }
        l.trained = true;
        rh_linear_grads(&l, n, rh_f32(c->in[X]), in, rh_f32(b->gout[0]) + p.at[i], p.out, &to);
        i = next;
    }
}

static rh_status backward(rh_back *b) {
    parts each = all_parts(b->call), few = joined(each);
    if (b->gin[X]) RH_TRY(backward_x(b, &few));
    backward_weights(b, each);
    rh_tensor *residual = b->gin[RESIDUAL];
    if (!residual) return RH_OK;
    if (b->accumulate[RESIDUAL])
        add_all(rh_f32(residual), rh_f32(b->gout[0]), rh_tensor_numel(residual));
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
