/* softmax, log_softmax, logsumexp and cumsum: functions of whole lines along one dimension, run by
 * rh_lines_run (fold.h). Rows of softmax take three passes over the line: largest, exponentials with
 * their sum, scale. A row of up to some ten thousand floats stays in cache between them, so the
 * exponentials bound it; with one pass over memory in and one out. */
#include <math.h>

#include "ops/fold.h"

#define K (rh_kernels.reduce)

/* A call's lines; the caller adds inputs. */
static rh_status lines_of(rh_call *call, rh_line_fn line, rh_lines *job) {
    int dim;
    *job = (rh_lines){.line = line};
    RH_TRY(rh_fold_option(call, 0, &dim, &job->fold));
    job->out_size = job->fold.size;
    return RH_OK;
}

static void add_input(rh_lines *job, const rh_tensor *t, int64_t size) {
    job->in[job->n_in] = rh_f32(t);
    job->in_size[job->n_in++] = size;
}

/* line(in[0]) -> out, both like input 0 */
static rh_status run_like(rh_call *call, rh_line_fn line) {
    rh_lines job;
    RH_TRY(lines_of(call, line, &job));
    add_input(&job, call->in[0], job.fold.size);
    job.out = rh_f32(call->out[0]);
    return rh_lines_run(call->ctx, &job);
}

/* line(g, y) -> dx; y NULL: line(g) */
static rh_status run_back(rh_back *b, rh_line_fn line, const rh_tensor *y) {
    rh_lines job;
    RH_TRY(lines_of(b->call, line, &job));
    add_input(&job, b->gout[0], job.fold.size);
    if (y) add_input(&job, y, job.fold.size);
    job.out = rh_f32(b->gin[0]);
    job.add = b->accumulate[0];
    return rh_lines_run(b->call->ctx, &job);
}

static rh_status like_shape(rh_call *call, rh_spec *out) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(call, 0, &dim, &fold));
    return rh_shape_like_first(call, out);
}

/* y = e^(x - m) / sum e^(x - m), m the largest */
static void softmax_line(const float *const *in, float *y, int64_t n, bool add) {
    (void)add;
    if (n == 0) return;
    double s = K->exp_store(y, in[0], n, K->extreme(in[0], n, 1.0f));
    K->scale(y, n, (float)(1.0 / s));
}

/* dx = y (g - sum(g y)) */
static void softmax_line_back(const float *const *in, float *dx, int64_t n, bool add) {
    K->softmax_back(dx, in[1], in[0], n, (float)K->dot(in[0], in[1], n), add);
}

static rh_status softmax_forward(rh_call *call) { return run_like(call, softmax_line); }
static rh_status softmax_backward(rh_back *b) {
    return run_back(b, softmax_line_back, b->call->out[0]);
}

/* y = x - m - log sum e^(x - m) */
static void log_softmax_line(const float *const *in, float *y, int64_t n, bool add) {
    (void)add;
    if (n == 0) return;
    float m = K->extreme(in[0], n, 1.0f);
    K->shift(y, in[0], n, m, (float)log(K->exp_sum(in[0], n, m)));
}

/* dx = g - e^y sum(g) */
static void log_softmax_line_back(const float *const *in, float *dx, int64_t n, bool add) {
    K->log_softmax_back(dx, in[1], in[0], n, (float)K->sum(in[0], n), add);
}

static rh_status log_softmax_forward(rh_call *call) { return run_like(call, log_softmax_line); }
static rh_status log_softmax_backward(rh_back *b) {
    return run_back(b, log_softmax_line_back, b->call->out[0]);
}

static rh_status logsumexp_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *x = call->in[0];
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(call, 0, &dim, &fold));
    out[0] = (rh_spec){.dtype = RH_F32};
    for (int d = 0; d < x->rank; d++)
        if (d != dim || call->opt[1].i) out[0].shape[out[0].rank++] = d == dim ? 1 : x->shape[d];
    return RH_OK;
}

/* y = m + log sum e^(x - m); -inf for no elements. An infinite m is not taken away: inf - inf is nan. */
static void logsumexp_line(const float *const *in, float *y, int64_t n, bool add) {
    (void)add;
    float m = n > 0 ? K->extreme(in[0], n, 1.0f) : 0.0f;
    if (isinf(m)) m = 0.0f;
    *y = (float)(m + log(K->exp_sum(in[0], n, m)));
}

/* dx = g e^(x - y);  in: x, y, g */
static void logsumexp_line_back(const float *const *in, float *dx, int64_t n, bool add) {
    K->put_exp(dx, in[0], n, *in[1], *in[2], add);
}

static rh_status logsumexp_forward(rh_call *call) {
    rh_lines job;
    RH_TRY(lines_of(call, logsumexp_line, &job));
    add_input(&job, call->in[0], job.fold.size);
    job.out = rh_f32(call->out[0]);
    job.out_size = 1;
    return rh_lines_run(call->ctx, &job);
}

static rh_status logsumexp_backward(rh_back *b) {
    rh_lines job;
    RH_TRY(lines_of(b->call, logsumexp_line_back, &job));
    add_input(&job, b->call->in[0], job.fold.size);
    add_input(&job, b->call->out[0], 1);
    add_input(&job, b->gout[0], 1);
    job.out = rh_f32(b->gin[0]);
    job.add = b->accumulate[0];
    return rh_lines_run(b->call->ctx, &job);
}

/* y[i] = x[0] + ... + x[i], carried in double */
static void cumsum_line(const float *const *in, float *y, int64_t n, bool add) {
    double s = 0;
    (void)add;
    for (int64_t i = 0; i < n; i++) y[i] = (float)(s += in[0][i]);
}

/* dx[i] = g[i] + ... + g[n - 1] */
static void cumsum_line_back(const float *const *in, float *dx, int64_t n, bool add) {
    double s = 0;
    for (int64_t i = n - 1; i >= 0; i--) {
        s += in[0][i];
        dx[i] = (float)s + (add ? dx[i] : 0.0f);
    }
}

static rh_status cumsum_forward(rh_call *call) { return run_like(call, cumsum_line); }
static rh_status cumsum_backward(rh_back *b) { return run_back(b, cumsum_line_back, NULL); }

static const char *const samples[] = {"f[2,3,5]", "f[2,3,5]; {dim = 1}", "f[2,3,5]; {dim = 2}",
                                      "f[3,40]",  "f[]",                 "f[1]",
                                      "f[0,3]",   "f[3,0]",              NULL};
static const char *const logsumexp_samples[] = {
    "f[2,3,5]", "f[2,3,5]; {dim = 2}", "f[3,40]; {dim = 1, keepdim = true}", "f[]", "f[1]",
    "f[0,3]", NULL};

const rh_row rh_rows_softmax[] = {
    {.name = "softmax", .inputs = "x:f", .options = "d:dim=-1", .save = RH_SAVE_OUT(0),
     .shape = like_shape, .forward = softmax_forward, .backward = softmax_backward,
     .samples = samples, .doc = "e^x divided by its sum along dim"},
    {.name = "log_softmax", .inputs = "x:f", .options = "d:dim=-1", .save = RH_SAVE_OUT(0),
     .shape = like_shape, .forward = log_softmax_forward, .backward = log_softmax_backward,
     .samples = samples, .doc = "x less the logarithm of the sum of e^x along dim"},
    {.name = "logsumexp", .inputs = "x:f", .options = "d:dim=-1 b:keepdim=false",
     .save = RH_SAVE_IN(0) | RH_SAVE_OUT(0), .shape = logsumexp_shape,
     .forward = logsumexp_forward, .backward = logsumexp_backward, .samples = logsumexp_samples,
     .doc = "logarithm of the sum of e^x along dim"},
    {.name = "cumsum", .inputs = "x:f", .options = "d:dim=-1", .shape = like_shape,
     .forward = cumsum_forward, .backward = cumsum_backward, .samples = samples,
     .doc = "sums of the first 1, 2, ... elements along dim"},
    {0}};
