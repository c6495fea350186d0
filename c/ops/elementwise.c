/* Rows of one tensor, element by element: y = op(x), and dx = g op'(x) from whichever of x and y the
 * derivative is simpler in (the row's `save`). Waiting for memory, not arithmetic, bounds them, so large
 * arrays are cut for all threads. Kernels: kernels/elementwise.c; rows of two tensors:
 * elementwise_binary.c. */
#include <math.h>

#include "base/parallel.h"
#include "base/size.h"
#include "ops/kernels/elementwise.h"
#include "ops/row.h"

enum { GRAIN = 32768, CHUNK = 512 };

/* The kernel's index and parameters for one call. Rows stand in the table at their kernel's index. */
static rh_unary kernel_of(const rh_call *call, float p[2]) {
    const rh_opt *opt = call->opt;
    rh_unary op = (rh_unary)(call->row - rh_rows_elementwise);
    p[0] = p[1] = 0.0f;
    switch (op) {
    case RH_UNARY_CLAMP:
        p[0] = opt[0].given ? (float)opt[0].f : -INFINITY;
        p[1] = opt[1].given ? (float)opt[1].f : INFINITY;
        return op;
    case RH_UNARY_POW: p[0] = (float)opt[0].f; return p[0] == 2.0f ? RH_UNARY_SQUARE : op;
    case RH_UNARY_RPOW: p[0] = (float)opt[0].f; return op;
    case RH_UNARY_GELU: return opt[0].i == 1 ? RH_UNARY_GELU_TANH : op;
    default: return op;
    }
}

typedef struct forward_job {
    rh_unary_fn kernel;
    float *y;
    const float *x, *p;
} forward_job;

static void forward_range(void *arg, int64_t begin, int64_t end, int worker) {
    const forward_job *job = arg;
    (void)worker;
    job->kernel(job->y + begin, job->x + begin, end - begin, job->p);
}

static rh_status forward(rh_call *call) {
    float p[2];
    rh_unary op = kernel_of(call, p);
    forward_job job = {rh_kernels.elementwise->unary[op], rh_f32(call->out[0]), rh_f32(call->in[0]), p};
    rh_parallel_range(rh_tensor_numel(call->out[0]), GRAIN, forward_range, &job);
    return RH_OK;
}

typedef struct backward_job {
    rh_unary_back_fn kernel;
    float *dx;
    const float *g, *v, *p;
    bool accumulate;
} backward_job;

static void backward_range(void *arg, int64_t begin, int64_t end, int worker) {
    const backward_job *job = arg;
    float terms[CHUNK];
    (void)worker;
    if (!job->accumulate) {
        job->kernel(job->dx + begin, job->g + begin, job->v + begin, end - begin, job->p);
        return;
    }
    for (int64_t i = begin; i < end; i += CHUNK) {
        int64_t n = rh_min(CHUNK, end - i);
        job->kernel(terms, job->g + i, job->v + i, n, job->p);
        rh_kernels.elementwise->add(job->dx + i, terms, n);
    }
}

static rh_status backward(rh_back *back) {
    const rh_call *call = back->call;
    float p[2];
    rh_unary op = kernel_of(call, p);
    const float *g = rh_f32(back->gout[0]), *v = g; /* neg reads no value */
    if (call->row->save & RH_SAVE_OUT(0)) v = rh_f32(call->out[0]);
    if (call->row->save & RH_SAVE_IN(0)) v = rh_f32(call->in[0]);
    backward_job job = {rh_kernels.elementwise->unary_back[op], rh_f32(back->gin[0]), g, v, p,
                        back->accumulate[0]};
    rh_parallel_range(rh_tensor_numel(back->gin[0]), GRAIN, backward_range, &job);
    return RH_OK;
}

static rh_status clamp_shape(rh_call *call, rh_spec *out) {
    const rh_opt *opt = call->opt;
    if (!opt[0].given && !opt[1].given)
        return rh_fail(call->ctx, RH_EARG, RH_NO_OPERAND, "clamp: min, max or both wanted, got none");
    for (int k = 0; k < 2; k++)
        if (opt[k].given && isnan(opt[k].f))
            return rh_fail(call->ctx, RH_EARG, RH_OPTION(k), "%s: a number wanted, got nan",
                           k == 0 ? "min" : "max");
    return rh_shape_like_first(call, out);
}

static rh_status rpow_shape(rh_call *call, rh_spec *out) {
    double base = call->opt[0].f;
    if (!(base >= 0.0))
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "base: 0 or more wanted, got %g", base);
    return rh_shape_like_first(call, out);
}

static const char *const any_sign[] = {"f[2,3]", "f[1]", "f[0,3]", NULL};
static const char *const positive[] = {"f+[2,3]", "f+[1]", "f+[0,3]", NULL};
static const char *const gelu_samples[] = {"f[2,3]", "f[0,3]", "f[2,3]; {approximate = 'tanh'}", NULL};
static const char *const clamp_samples[] = {"f[3,5]; {min = -0.5, max = 0.7}", "f[3]; {min = 0.2}",
                                            "f[0,3]; {max = 0.7}", NULL};
static const char *const pow_samples[] = {"f+[2,3]; {exponent = 2.5}", "f[2,3]; {exponent = 2}",
                                          "f+[1]; {exponent = -1}", "f+[0,3]; {exponent = 3}", NULL};
static const char *const rpow_samples[] = {"f[2,3]; {base = 2}", "f[1]; {base = 0.3}",
                                           "f[0,3]; {base = 2}", NULL};

#define ROW(NAME, SAVE, SAMPLES, DOC)                                                              \
    .name = NAME, .inputs = "x:f", .save = SAVE, .forward = forward, .backward = backward,         \
    .samples = SAMPLES, .doc = DOC

const rh_row rh_rows_elementwise[] = {
    /* y = e^x; dx = g y */
    [RH_UNARY_EXP] = {ROW("exp", RH_SAVE_OUT(0), any_sign, "e^x"), .shape = rh_shape_like_first},
    /* y = log x; dx = g / x */
    [RH_UNARY_LOG] = {ROW("log", RH_SAVE_IN(0), positive, "natural logarithm: -inf at 0, nan below"),
                      .shape = rh_shape_like_first},
    /* y = sqrt x; dx = g / (2 y) */
    [RH_UNARY_SQRT] = {ROW("sqrt", RH_SAVE_OUT(0), positive, "square root: nan below 0"),
                       .shape = rh_shape_like_first},
    /* y = 1 / sqrt x; dx = -g y^3 / 2 */
    [RH_UNARY_RSQRT] = {ROW("rsqrt", RH_SAVE_OUT(0), positive, "1 / sqrt(x)"),
                        .shape = rh_shape_like_first},
    /* y = tanh x; dx = g (1 - y^2) */
    [RH_UNARY_TANH] = {ROW("tanh", RH_SAVE_OUT(0), any_sign, "hyperbolic tangent"),
                       .shape = rh_shape_like_first},
    /* y = 1 / (1 + e^-x); dx = g y (1 - y) */
    [RH_UNARY_SIGMOID] = {ROW("sigmoid", RH_SAVE_OUT(0), any_sign, "1 / (1 + e^-x)"),
                          .shape = rh_shape_like_first},
    /* y = max(x, 0); dx = g where y > 0, else 0 */
    [RH_UNARY_RELU] = {ROW("relu", RH_SAVE_OUT(0), any_sign, "max(x, 0)"), .shape = rh_shape_like_first},
    /* y = x s, s = sigmoid(x); dx = g s (1 + x (1 - s)) */
    [RH_UNARY_SILU] = {ROW("silu", RH_SAVE_IN(0), any_sign, "x sigmoid(x)"),
                       .shape = rh_shape_like_first},
    /* y = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); dx = g sigmoid(x) */
    [RH_UNARY_SOFTPLUS] = {ROW("softplus", RH_SAVE_IN(0), any_sign, "log(1 + e^x)"),
                           .shape = rh_shape_like_first},
    /* y = log sigmoid(x) = -softplus(-x); dx = g sigmoid(-x) */
    [RH_UNARY_LOGSIGMOID] = {ROW("logsigmoid", RH_SAVE_IN(0), any_sign, "log(sigmoid(x))"),
                             .shape = rh_shape_like_first},
    /* y = |x|; dx = g sign(x), 0 at 0 */
    [RH_UNARY_ABS] = {ROW("abs", RH_SAVE_IN(0), any_sign, "|x|"), .shape = rh_shape_like_first},
    /* y = -x; dx = -g */
    [RH_UNARY_NEG] = {ROW("neg", 0, any_sign, "-x"), .shape = rh_shape_like_first},
    /* y = x^2; dx = 2 g x */
    [RH_UNARY_SQUARE] = {ROW("square", RH_SAVE_IN(0), any_sign, "x^2"), .shape = rh_shape_like_first},
    /* y = log(1 + x); dx = g / (1 + x) */
    [RH_UNARY_LOG1P] = {ROW("log1p", RH_SAVE_IN(0), positive, "log(1 + x), accurate near 0"),
                        .shape = rh_shape_like_first},
    /* y = e^x - 1; dx = g (y + 1) */
    [RH_UNARY_EXPM1] = {ROW("expm1", RH_SAVE_OUT(0), any_sign, "e^x - 1, accurate near 0"),
                        .shape = rh_shape_like_first},
    /* y = erf x; dx = g 2 / sqrt(pi) e^(-x^2) */
    [RH_UNARY_ERF] = {ROW("erf", RH_SAVE_IN(0), any_sign, "the error function"),
                      .shape = rh_shape_like_first},
    /* y = x Phi(x), or x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3) */
    [RH_UNARY_GELU] = {ROW("gelu", RH_SAVE_IN(0), gelu_samples,
                           "x Phi(x), Phi the normal distribution; approximate = 'tanh': GPT-2's form"),
                       .options = "s:approximate=none|tanh", .shape = rh_shape_like_first},
    /* y = min(max(x, min), max); dx = g where min <= x <= max, else 0 */
    [RH_UNARY_CLAMP] = {ROW("clamp", RH_SAVE_IN(0), clamp_samples,
                            "x bounded by min and max, either of which may be left out"),
                        .options = "f:min=? f:max=?", .shape = clamp_shape},
    /* y = x^e; dx = g e x^(e - 1), 0 for e = 0 */
    [RH_UNARY_POW] = {ROW("pow", RH_SAVE_IN(0), pow_samples,
                          "x^exponent; nan for x < 0 unless exponent is an integer"),
                      .options = "f:exponent", .shape = rh_shape_like_first},
    /* y = b^x; dx = g y log b */
    [RH_UNARY_RPOW] = {ROW("rpow", RH_SAVE_OUT(0), rpow_samples, "base^x for a base of 0 or more"),
                       .options = "f:base", .shape = rpow_shape},
    [RH_UNARY_ROWS] = {0},
};
