/* Rows of two tensors, element by element, of any strides and broadcasting: out = op(a, b). Gradients of
 * an operand that was expanded are summed over the dimensions it was expanded along. Sums, differences
 * and products of integers wrap around. Walks: broadcast.h; kernels: kernels/elementwise.c. */
#include "ops/broadcast.h"
#include "ops/kernels/elementwise.h"

/* Rows stand in the table at their kernel's index. */
static rh_binary op_of(const rh_call *call) { return (rh_binary)(call->row - rh_rows_binary); }

static rh_status shape(rh_call *call, rh_spec *out) {
    RH_TRY(rh_want_same_dtype(call, 0, 1));
    return rh_shape_broadcast_inputs(call, 0, call->in[0]->dtype, out);
}

typedef struct forward_job {
    const rh_walk *w;
    rh_binary op;
    rh_binary_fn kernel;
    const rh_tensor *out, *a, *b;
} forward_job;

static void run_f32(void *arg, const int64_t *at, int64_t n) {
    const forward_job *job = arg;
    job->kernel(rh_f32(job->out) + at[0], rh_f32(job->a) + at[1], rh_walk_step(job->w, 1),
                rh_f32(job->b) + at[2], rh_walk_step(job->w, 2), n);
}

/* Unsigned inside: an overflow wraps around. */
static void run_i64(void *arg, const int64_t *at, int64_t n) {
    const forward_job *job = arg;
    int64_t *out = rh_i64(job->out) + at[0];
    const int64_t *a = rh_i64(job->a) + at[1], *b = rh_i64(job->b) + at[2];
    int64_t sa = rh_walk_step(job->w, 1), sb = rh_walk_step(job->w, 2);
    for (int64_t i = 0; i < n; i++) {
        uint64_t x = (uint64_t)a[i * sa], y = (uint64_t)b[i * sb];
        out[i] = (int64_t)(job->op == RH_BINARY_ADD ? x + y : job->op == RH_BINARY_SUB ? x - y : x * y);
    }
}

static rh_status forward(rh_call *call) {
    const rh_tensor *out = call->out[0], *operands[] = {out, call->in[0], call->in[1]};
    rh_walk w;
    rh_walk_make(&w, out->rank, out->shape, operands, 3);
    rh_binary op = op_of(call);
    forward_job job = {&w, op, rh_kernels.elementwise->binary[op], out, call->in[0], call->in[1]};
    rh_walk_all(&w, out->dtype == RH_I64 ? run_i64 : run_f32, &job);
    return RH_OK;
}

/* Operands of the walk back: g, a, b, and the destination. a and b are NULL where the row saves neither. */
typedef struct backward_job {
    const rh_walk *w;
    rh_binary_back_fn kernel;
    const float *g, *a, *b;
} backward_job;

static void gradient_terms(void *arg, const int64_t *at, int64_t n, float *out) {
    const backward_job *job = arg;
    const float *a = job->a ? job->a + at[1] : NULL, *b = job->b ? job->b + at[2] : NULL;
    job->kernel(out, job->g + at[0], a, rh_walk_step(job->w, 1), b, rh_walk_step(job->w, 2), n);
}

static rh_status gradient_of(rh_back *back, int i) {
    const rh_call *call = back->call;
    const rh_tensor *g = back->gout[0], *a = call->in[0], *b = call->in[1];
    const rh_tensor *operands[] = {g, a, b, back->gin[i]};
    bool saved = call->row->save != 0;
    rh_walk w;
    rh_walk_make(&w, g->rank, g->shape, operands, 4);
    backward_job job = {&w, rh_kernels.elementwise->binary_back[op_of(call)][i], rh_f32(g),
                        saved ? rh_f32(a) : NULL, saved ? rh_f32(b) : NULL};
    return rh_walk_sum(&w, 3, gradient_terms, &job, back->gin[i], back->accumulate[i]);
}

static rh_status backward(rh_back *back) {
    for (int i = 0; i < 2; i++)
        if (back->gin[i]) RH_TRY(gradient_of(back, i));
    return RH_OK;
}

static const char *const samples[] = {"f[2,3] f[2,3]", "f[2,1,3] f[4,1]", "f[2,3] f[1]",
                                      "f[0,3] f[3]", "f[3] f[2,0,3]", NULL};
static const char *const quotients[] = {"f[2,3] f+[2,3]", "f[2,1,3] f+[4,1]", "f[2,3] f+[1]",
                                        "f[0,3] f+[3]", NULL};
static const char *const apart[] = {"f=[2,3] f=[2,3]", "f=[2,1,3] f=[4,1]", "f=[2,3] f=[1]",
                                    "f=[0,3] f=[3]", NULL};

#define ROW(NAME, INPUTS, SAVE, SAMPLES, DOC)                                                      \
    {.name = NAME, .inputs = INPUTS, .flags = RH_STRIDED, .save = SAVE, .shape = shape,            \
     .forward = forward, .backward = backward, .samples = SAMPLES, .doc = DOC}

const rh_row rh_rows_binary[] = {
    /* a + b; da = g, db = g */
    [RH_BINARY_ADD] = ROW("add", "a:n b:n", 0, samples, "a + b, broadcasting"),
    /* a - b; da = g, db = -g */
    [RH_BINARY_SUB] = ROW("sub", "a:n b:n", 0, samples, "a - b, broadcasting"),
    /* a b; da = g b, db = g a */
    [RH_BINARY_MUL] = ROW("mul", "a:n b:n", RH_SAVE_ALL_IN, samples, "a * b, broadcasting"),
    /* a / b; da = g / b, db = -g a / b^2 */
    [RH_BINARY_DIV] = ROW("div", "a:f b:f", RH_SAVE_ALL_IN, quotients, "a / b, broadcasting"),
    /* max(a, b); the gradient goes to the larger, in halves where both are equal */
    [RH_BINARY_MAXIMUM] =
        ROW("maximum", "a:f b:f", RH_SAVE_ALL_IN, apart, "the larger of a and b, broadcasting"),
    /* min(a, b); the gradient goes to the smaller, in halves where both are equal */
    [RH_BINARY_MINIMUM] =
        ROW("minimum", "a:f b:f", RH_SAVE_ALL_IN, apart, "the smaller of a and b, broadcasting"),
    /* silu(gate) up; dgate = g up silu'(gate), dup = g silu(gate) */
    [RH_BINARY_SWIGLU] = ROW("swiglu", "gate:f up:f", RH_SAVE_ALL_IN, samples,
                             "silu(gate) * up, broadcasting: the gate of Llama's MLP"),
    [RH_BINARY_OPS] = {0},
};
