/* Rows that answer true or false, and the cast between dtypes. Comparisons take two f32 or two i64
 * operands of any strides and broadcast; nan equals nothing. None but a cast to f32 has a gradient.
 * Walks: broadcast.h. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "ops/broadcast.h"

/* In the order of the table. */
typedef enum relation { EQ, NE, LT, LE, GT, GE, AND, OR, RELATIONS } relation;

typedef struct pair_job {
    const rh_walk *w; /* operands: out, a, b */
    relation relation;
    const rh_tensor *out, *a, *b;
} pair_job;

#define EACH(OP)                                                                                   \
    for (int64_t i = 0; i < n; i++) out[i] = a[i * sa] OP b[i * sb];                               \
    break
#define COMPARE                                                                                    \
    switch (r) {                                                                                   \
    case EQ: EACH(==);                                                                             \
    case NE: EACH(!=);                                                                             \
    case LT: EACH(<);                                                                              \
    case LE: EACH(<=);                                                                             \
    case GT: EACH(>);                                                                              \
    case GE: EACH(>=);                                                                             \
    default: break;                                                                                \
    }

static void compare_f32(relation r, uint8_t *out, const float *a, int64_t sa, const float *b,
                        int64_t sb, int64_t n) {
    COMPARE
}

static void compare_i64(relation r, uint8_t *out, const int64_t *a, int64_t sa, const int64_t *b,
                        int64_t sb, int64_t n) {
    COMPARE
}

static void combine(relation r, uint8_t *out, const uint8_t *a, int64_t sa, const uint8_t *b,
                    int64_t sb, int64_t n) {
    if (r == AND)
        for (int64_t i = 0; i < n; i++) out[i] = a[i * sa] & b[i * sb];
    else
        for (int64_t i = 0; i < n; i++) out[i] = a[i * sa] | b[i * sb];
}

static void pair_run(void *arg, const int64_t *at, int64_t n) {
    const pair_job *job = arg;
    uint8_t *out = rh_bool(job->out) + at[0];
    int64_t sa = rh_walk_step(job->w, 1), sb = rh_walk_step(job->w, 2);
    if (job->a->dtype == RH_F32)
        compare_f32(job->relation, out, rh_f32(job->a) + at[1], sa, rh_f32(job->b) + at[2], sb, n);
    else if (job->a->dtype == RH_I64)
        compare_i64(job->relation, out, rh_i64(job->a) + at[1], sa, rh_i64(job->b) + at[2], sb, n);
    else
        combine(job->relation, out, rh_bool(job->a) + at[1], sa, rh_bool(job->b) + at[2], sb, n);
}

static rh_status pair_shape(rh_call *call, rh_spec *out) {
    RH_TRY(rh_want_same_dtype(call, 0, 1));
    return rh_shape_broadcast_inputs(call, 0, RH_BOOL, out);
}

static rh_status pair_forward(rh_call *call) {
    const rh_tensor *out = call->out[0], *operands[] = {out, call->in[0], call->in[1]};
    rh_walk w;
    rh_walk_make(&w, out->rank, out->shape, operands, 3);
    pair_job job = {&w, (relation)(call->row - rh_rows_compare), out, call->in[0], call->in[1]};
    rh_walk_all(&w, pair_run, &job);
    return RH_OK;
}

static rh_status bool_like_first(rh_call *call, rh_spec *out) {
    *out = rh_spec_of(call->in[0]);
    out->dtype = RH_BOOL;
    return RH_OK;
}

/* A contiguous pass from one tensor to another. */
typedef struct pass_job {
    const rh_tensor *out, *in;
} pass_job;

static void run_pass(rh_call *call, rh_range_fn fn) {
    pass_job job = {call->out[0], call->in[0]};
    rh_parallel_range(rh_tensor_numel(job.out), RH_WALK_GRAIN, fn, &job);
}

static void not_range(void *arg, int64_t begin, int64_t end, int worker) {
    const pass_job *job = arg;
    uint8_t *out = rh_bool(job->out);
    const uint8_t *in = rh_bool(job->in);
    (void)worker;
    for (int64_t i = begin; i < end; i++) out[i] = !in[i];
}

static rh_status not_forward(rh_call *call) {
    run_pass(call, not_range);
    return RH_OK;
}

static void finite_range(void *arg, int64_t begin, int64_t end, int worker) {
    const pass_job *job = arg;
    uint8_t *out = rh_bool(job->out);
    const float *in = rh_f32(job->in);
    (void)worker;
    for (int64_t i = begin; i < end; i++) out[i] = fabsf(in[i]) < INFINITY;
}

static rh_status finite_forward(rh_call *call) {
    run_pass(call, finite_range);
    return RH_OK;
}

/* Towards zero; what an i64 cannot hold becomes the nearest it can, nan becomes 0. */
static int64_t whole(float x) {
    if (x >= 0x1p63f) return INT64_MAX;
    if (x < -0x1p63f) return INT64_MIN;
    return x == x ? (int64_t)x : 0;
}

#define CAST(VALUE) for (int64_t i = begin; i < end; i++) out[i] = VALUE

static void to_f32(void *arg, int64_t begin, int64_t end, int worker) {
    const pass_job *job = arg;
    float *out = rh_f32(job->out);
    (void)worker;
    switch (job->in->dtype) {
    case RH_I64: CAST((float)rh_i64(job->in)[i]); break;
    case RH_BOOL: CAST((float)rh_bool(job->in)[i]); break;
    default: memcpy(out + begin, rh_f32(job->in) + begin, (size_t)(end - begin) * sizeof *out);
    }
}

static void to_i64(void *arg, int64_t begin, int64_t end, int worker) {
    const pass_job *job = arg;
    int64_t *out = rh_i64(job->out);
    (void)worker;
    switch (job->in->dtype) {
    case RH_I64: CAST(rh_i64(job->in)[i]); break;
    case RH_BOOL: CAST(rh_bool(job->in)[i]); break;
    default: CAST(whole(rh_f32(job->in)[i]));
    }
}

static void to_bool(void *arg, int64_t begin, int64_t end, int worker) {
    const pass_job *job = arg;
    uint8_t *out = rh_bool(job->out);
    (void)worker;
    switch (job->in->dtype) {
    case RH_I64: CAST(rh_i64(job->in)[i] != 0); break;
    case RH_BOOL: CAST(rh_bool(job->in)[i]); break;
    default: CAST(rh_f32(job->in)[i] != 0.0f);
    }
}

/* Words of the option, in order. */
static const struct { rh_dtype dtype; rh_range_fn cast; } targets[] = {
    {RH_F32, to_f32}, {RH_I64, to_i64}, {RH_BOOL, to_bool}};

static rh_status to_shape(rh_call *call, rh_spec *out) {
    if (call->in[0]->dtype == RH_BF16)
        return rh_fail(call->ctx, RH_EARG, 0, "f32, i64 or bool wanted, got bf16");
    *out = rh_spec_of(call->in[0]);
    out->dtype = targets[call->opt[0].i].dtype;
    return RH_OK;
}

static rh_status to_forward(rh_call *call) {
    run_pass(call, targets[call->opt[0].i].cast);
    return RH_OK;
}

/* Only f32 outputs are given a gradient, and only f32 inputs want one. */
static rh_status to_backward(rh_back *back) {
    rh_grad_put(back->gin[0], rh_f32(back->gout[0]), back->accumulate[0]);
    return RH_OK;
}

static const char *const comparisons[] = {"f[2,3] f[2,3]", "i<3[2,1,3] i<3[4,1]", "f[0,3] f[3]", NULL};
static const char *const combinations[] = {"b[2,3] b[2,3]", "b[2,1,3] b[4,1]", "b[0,3] b[3]", NULL};
static const char *const not_samples[] = {"b[2,3]", "b[0,3]", NULL};
static const char *const finite_samples[] = {"f[2,3]", "f[0,3]", NULL};
static const char *const to_samples[] = {"f[2,3]; {dtype = 'f32'}", "f[0,3]; {dtype = 'f32'}", NULL};

#define COMPARISON(NAME, DOC)                                                                      \
    {.name = NAME, .inputs = "a:n b:n", .flags = RH_STRIDED, .shape = pair_shape,                  \
     .forward = pair_forward, .samples = comparisons, .doc = DOC}
#define COMBINATION(NAME, DOC)                                                                     \
    {.name = NAME, .inputs = "a:b b:b", .flags = RH_STRIDED, .shape = pair_shape,                  \
     .forward = pair_forward, .samples = combinations, .doc = DOC}

const rh_row rh_rows_compare[] = {
    [EQ] = COMPARISON("eq", "a == b, broadcasting: a bool tensor"),
    [NE] = COMPARISON("ne", "a ~= b, broadcasting: a bool tensor"),
    [LT] = COMPARISON("lt", "a < b, broadcasting: a bool tensor"),
    [LE] = COMPARISON("le", "a <= b, broadcasting: a bool tensor"),
    [GT] = COMPARISON("gt", "a > b, broadcasting: a bool tensor"),
    [GE] = COMPARISON("ge", "a >= b, broadcasting: a bool tensor"),
    [AND] = COMBINATION("logical_and", "a and b, broadcasting, of bool tensors"),
    [OR] = COMBINATION("logical_or", "a or b, broadcasting, of bool tensors"),
    {.name = "logical_not", .inputs = "x:b", .shape = bool_like_first, .forward = not_forward,
     .samples = not_samples, .doc = "not x, of a bool tensor"},
    {.name = "isfinite", .inputs = "x:f", .shape = bool_like_first, .forward = finite_forward,
     .samples = finite_samples, .doc = "neither infinite nor nan: a bool tensor"},
    /* x as another dtype; dx = g when both are f32 */
    {.name = "to", .inputs = "x:a", .options = "s:dtype=f32|i64|bool", .shape = to_shape,
     .forward = to_forward, .backward = to_backward, .samples = to_samples,
     .doc = "x as f32, i64 (towards zero, bounded by its range, nan as 0) or bool (true unless 0)"},
    {0},
};
