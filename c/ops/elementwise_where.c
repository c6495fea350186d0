/* Rows that choose between values by a mask: where and masked_fill, of any strides and broadcasting, on
 * f32 and i64. Gradients reach only the chosen values. Walks: broadcast.h. */
#include <math.h>

#include "ops/broadcast.h"

/* What a run needs: out = mask ? a : b. masked_fill's value is a scalar operand `a` of its own. */
typedef struct choice {
    const rh_walk *w; /* operands: out, mask, a, b */
    rh_dtype dtype;
    void *out;
    const uint8_t *mask;
    const void *a, *b;
} choice;

static void run_f32(const choice *c, const int64_t *at, int64_t n) {
    float *out = (float *)c->out + at[0];
    const uint8_t *mask = c->mask + at[1];
    const float *a = (const float *)c->a + at[2], *b = (const float *)c->b + at[3];
    int64_t sm = rh_walk_step(c->w, 1), sa = rh_walk_step(c->w, 2), sb = rh_walk_step(c->w, 3);
    for (int64_t i = 0; i < n; i++) out[i] = mask[i * sm] ? a[i * sa] : b[i * sb];
}

static void run_i64(const choice *c, const int64_t *at, int64_t n) {
    int64_t *out = (int64_t *)c->out + at[0];
    const uint8_t *mask = c->mask + at[1];
    const int64_t *a = (const int64_t *)c->a + at[2], *b = (const int64_t *)c->b + at[3];
    int64_t sm = rh_walk_step(c->w, 1), sa = rh_walk_step(c->w, 2), sb = rh_walk_step(c->w, 3);
    for (int64_t i = 0; i < n; i++) out[i] = mask[i * sm] ? a[i * sa] : b[i * sb];
}

static void run(void *arg, const int64_t *at, int64_t n) {
    const choice *c = arg;
    if (c->dtype == RH_I64) run_i64(c, at, n);
    else run_f32(c, at, n);
}

static const void *data_of(const rh_tensor *t) {
    return t->dtype == RH_I64 ? (const void *)rh_i64(t) : (const void *)rh_f32(t);
}

static rh_status where_shape(rh_call *call, rh_spec *out) {
    RH_TRY(rh_want_same_dtype(call, 1, 2));
    return rh_shape_broadcast_inputs(call, 0, call->in[1]->dtype, out);
}

static rh_status where_forward(rh_call *call) {
    const rh_tensor *out = call->out[0], *mask = call->in[0], *a = call->in[1], *b = call->in[2];
    const rh_tensor *operands[] = {out, mask, a, b};
    rh_walk w;
    rh_walk_make(&w, out->rank, out->shape, operands, 4);
    choice c = {&w, out->dtype, (void *)data_of(out), rh_bool(mask), data_of(a), data_of(b)};
    rh_walk_all(&w, run, &c);
    return RH_OK;
}

static rh_status fill_shape(rh_call *call, rh_spec *out) {
    double value = call->opt[0].f;
    /* -2^63 <= value < 2^63 and whole: what an i64 holds */
    bool fits = value >= -0x1p63 && value < 0x1p63 && value == floor(value);
    if (call->in[0]->dtype == RH_I64 && !fits)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(0),
                       "value: an integer wanted to fill an i64 tensor, got %.17g", value);
    return rh_shape_broadcast_inputs(call, 0, call->in[0]->dtype, out);
}

static rh_status fill_forward(rh_call *call) {
    const rh_tensor *out = call->out[0], *x = call->in[0], *mask = call->in[1];
    float value = (float)call->opt[0].f;
    int64_t whole = out->dtype == RH_I64 ? (int64_t)call->opt[0].f : 0;
    const rh_tensor scalar = {.rank = 0}; /* only its shape is read: the value is expanded */
    const rh_tensor *operands[] = {out, mask, &scalar, x};
    rh_walk w;
    rh_walk_make(&w, out->rank, out->shape, operands, 4);
    choice c = {&w, out->dtype, (void *)data_of(out), rh_bool(mask),
                out->dtype == RH_I64 ? (const void *)&whole : (const void *)&value, data_of(x)};
    rh_walk_all(&w, run, &c);
    return RH_OK;
}

/* Back: the gradient where the mask is `chosen`, else 0. Operands: g, mask, destination. */
typedef struct gradient {
    const rh_walk *w;
    const float *g;
    const uint8_t *mask;
    bool chosen;
} gradient;

static void gradient_terms(void *arg, const int64_t *at, int64_t n, float *out) {
    const gradient *job = arg;
    const float *g = job->g + at[0];
    const uint8_t *mask = job->mask + at[1];
    int64_t step = rh_walk_step(job->w, 1);
    for (int64_t i = 0; i < n; i++) out[i] = (mask[i * step] != 0) == job->chosen ? g[i] : 0.0f;
}

static rh_status gradient_of(rh_back *back, int input, const rh_tensor *mask, bool chosen) {
    const rh_tensor *g = back->gout[0], *operands[] = {g, mask, back->gin[input]};
    if (!back->gin[input]) return RH_OK;
    rh_walk w;
    rh_walk_make(&w, g->rank, g->shape, operands, 3);
    gradient job = {&w, rh_f32(g), rh_bool(mask), chosen};
    return rh_walk_sum(&w, 2, gradient_terms, &job, back->gin[input], back->accumulate[input]);
}

static rh_status where_backward(rh_back *back) {
    RH_TRY(gradient_of(back, 1, back->call->in[0], true));
    return gradient_of(back, 2, back->call->in[0], false);
}

static rh_status fill_backward(rh_back *back) { return gradient_of(back, 0, back->call->in[1], false); }

static const char *const where_samples[] = {"b[2,3] f[2,3] f[2,3]", "b[4,1] f[2,1,3] f[1]",
                                            "b[0,3] f[3] f[1]", NULL};
static const char *const fill_samples[] = {"f[2,3] b[2,3]; {value = -7}", "f[2,4,3] b[4,1]; {value = 0.5}",
                                           "f[3] b[2,3]; {value = 1}", "f[0,3] b[3]; {value = 1}", NULL};

const rh_row rh_rows_where[] = {
    /* condition ? a : b; da = g where the condition holds, db = g where it does not */
    {.name = "where", .inputs = "condition:b a:n b:n", .flags = RH_STRIDED, .save = RH_SAVE_IN(0),
     .shape = where_shape, .forward = where_forward, .backward = where_backward,
     .samples = where_samples, .doc = "a where condition is true, else b, broadcasting"},
    /* mask ? value : x; dx = g where the mask is false */
    {.name = "masked_fill", .inputs = "x:n mask:b", .options = "f:value", .flags = RH_STRIDED,
     .save = RH_SAVE_IN(1), .shape = fill_shape, .forward = fill_forward, .backward = fill_backward,
     .samples = fill_samples, .doc = "value where mask is true, else x, broadcasting"},
    {0},
};
