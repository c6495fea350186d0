/* Rows of losses. Cross-entropy rests on loss.h; the others on kernels alone. Sums are taken over fixed
 * blocks in double, then block by block in order. */
#include "ops/loss.h"

#include <math.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/kernels/loss.h"
#include "ops/row.h"

static float *f32_or_null(const rh_tensor *t) { return t ? rh_f32(t) : NULL; }

static rh_status want_same_shape(rh_call *call) {
    const rh_tensor *a = call->in[0], *b = call->in[1];
    char s[RH_SHAPE_TEXT], t[RH_SHAPE_TEXT];
    if (rh_tensor_same_shape(a, b)) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, 1, "%s and %s: same shape wanted",
                   rh_shape_text(a->rank, a->shape, s), rh_shape_text(b->rank, b->shape, t));
}

/* cross_entropy */

enum { IGNORE, REDUCTION, SMOOTHING };
enum { MEAN, SUM, NONE };

/* Logits may be shells; classes stand last. */
static rh_cross_entropy cross_entropy_of(const rh_call *call) {
    const rh_tensor *x = call->in[0];
    int64_t classes = x->shape[x->rank - 1];
    return (rh_cross_entropy){rh_shape_numel(x->rank - 1, x->shape), classes, rh_f32(x), classes,
                              rh_i64(call->in[1]), call->opt[IGNORE].i, (float)call->opt[SMOOTHING].f};
}

static rh_status check_targets(rh_call *call) {
    rh_cross_entropy c = cross_entropy_of(call);
    for (int64_t i = 0; i < c.rows; i++)
        if (c.target[i] != c.ignore && (c.target[i] < 0 || c.target[i] >= c.classes))
            return rh_fail(call->ctx, RH_EARG, 1,
                           "target %lld at element %lld: 0 to %lld wanted, or ignore_index %lld",
                           (long long)c.target[i], (long long)i + 1, (long long)c.classes - 1,
                           (long long)c.ignore);
    return RH_OK;
}

static rh_status cross_entropy_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *x = call->in[0], *target = call->in[1];
    char s[RH_SHAPE_TEXT], t[RH_SHAPE_TEXT];
    double smoothing = call->opt[SMOOTHING].f;
    if (x->rank < 1)
        return rh_fail(call->ctx, RH_EARG, 0, "at least 1 dimension wanted, got a scalar");
    rh_spec want = rh_spec_make(RH_I64, x->rank - 1, x->shape), got = rh_spec_of(target);
    if (!rh_spec_same_shape(&want, &got))
        return rh_fail(call->ctx, RH_EARG, 1, "target %s for logits %s: one for each row wanted",
                       rh_shape_text(got.rank, got.shape, t), rh_shape_text(x->rank, x->shape, s));
    if (!(smoothing >= 0 && smoothing <= 1))
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(SMOOTHING),
                       "label_smoothing: 0 to 1 wanted, got %g", smoothing);
    bool none = call->opt[REDUCTION].i == NONE;
    out[0] = rh_spec_make(RH_F32, none ? want.rank : 0, want.shape);
    return check_targets(call);
}

/* What the sum is divided by: rows that are not ignored, when the mean is wanted. */
static double divisor(const rh_call *call, const rh_cross_entropy *c) {
    double n = 0;
    if (call->opt[REDUCTION].i != MEAN) return 1;
    for (int64_t i = 0; i < c->rows; i++) n += c->target[i] != c->ignore;
    return n;
}

/* The mean of no rows is nan, as in torch. */
static void reduce_losses(const rh_call *call, const rh_cross_entropy *c, const float *loss) {
    double sum = 0;
    for (int64_t i = 0; i < c->rows; i++) sum += loss[i];
    *rh_f32(call->out[0]) = (float)(sum / divisor(call, c));
}

static rh_status cross_entropy_forward(rh_call *call) {
    rh_cross_entropy c = cross_entropy_of(call);
    bool none = call->opt[REDUCTION].i == NONE;
    int64_t shape[2] = {none ? 2 : 3, c.rows}; /* max, log_sum, and losses that have no other place */
    rh_tensor *rows = rh_tensor_new(call->ctx, RH_F32, 2, shape);
    if (!rows) return RH_ENOMEM;
    float *max = rh_f32(rows), *loss = none ? rh_f32(call->out[0]) : max + 2 * c.rows;
    rh_cross_entropy_forward(&c, loss, max, max + c.rows);
    if (!none) reduce_losses(call, &c, loss);
    if (call->recording) call->saved[0] = rows;
    else rh_tensor_release(rows);
    return RH_OK;
}

static rh_status cross_entropy_backward(rh_back *back) {
    rh_call *call = back->call;
    if (!back->gin[0]) return RH_OK;
    rh_cross_entropy c = cross_entropy_of(call);
    const float *max = rh_f32(call->saved[0]), *g = rh_f32(back->gout[0]);
    bool none = call->opt[REDUCTION].i == NONE;
    float scale = none ? 0.0f : (float)(*g / divisor(call, &c));
    rh_cross_entropy_backward(&c, max, max + c.rows, none ? g : &scale, none, rh_f32(back->gin[0]),
                              c.classes, back->accumulate[0]);
    return RH_OK;
}

/* means over elements: mse_loss, bce_with_logits */

enum { BLOCK = 1 << 14 };

typedef double (*sum_fn)(int64_t n, const float *a, const float *b);

typedef struct sum_job {
    sum_fn sum;
    const float *a, *b;
    double *part;
} sum_job;

static void sum_block(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const sum_job *j = arg;
    j->part[begin / BLOCK] = j->sum(end - begin, j->a + begin, j->b + begin);
}

static rh_status scalar_shape(rh_call *call, rh_spec *out) {
    out[0] = rh_spec_make(RH_F32, 0, NULL);
    return want_same_shape(call);
}

static rh_status mean_of(rh_call *call, sum_fn sum) {
    int64_t n = rh_tensor_numel(call->in[0]), blocks = rh_ceil_div(n, BLOCK);
    sum_job j = {sum, rh_f32(call->in[0]), rh_f32(call->in[1]), NULL};
    double total = 0;
    j.part = rh_alloc(call->ctx, (size_t)blocks * sizeof *j.part);
    if (!j.part) return RH_ENOMEM;
    rh_parallel_range(n, BLOCK, sum_block, &j);
    for (int64_t b = 0; b < blocks; b++) total += j.part[b];
    rh_free(call->ctx, j.part);
    *rh_f32(call->out[0]) = (float)(total / (double)n);
    return RH_OK;
}

static rh_status mse_forward(rh_call *call) { return mean_of(call, rh_kernels.loss->squares); }
static rh_status bce_forward(rh_call *call) { return mean_of(call, rh_kernels.loss->bce); }

typedef struct back_job {
    const float *a, *b;
    float scale;
    float *da, *db;
    bool add_a, add_b;
} back_job;

static back_job back_of(const rh_back *back) {
    const rh_tensor *a = back->call->in[0], *b = back->call->in[1];
    return (back_job){rh_f32(a), rh_f32(b), *rh_f32(back->gout[0]) / (float)rh_tensor_numel(a),
                      f32_or_null(back->gin[0]), f32_or_null(back->gin[1]), back->accumulate[0],
                      back->accumulate[1]};
}

static void mse_block(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const back_job *j = arg;
    const float *a = j->a + begin, *b = j->b + begin;
    int64_t n = end - begin;
    if (j->da) rh_kernels.loss->squares_back(n, a, b, j->scale, j->da + begin, j->add_a);
    if (j->db) rh_kernels.loss->squares_back(n, b, a, j->scale, j->db + begin, j->add_b);
}

static void bce_block(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const back_job *j = arg;
    const float *x = j->a + begin, *t = j->b + begin;
    int64_t n = end - begin;
    if (j->da) rh_kernels.loss->bce_back(n, x, t, j->scale, j->da + begin, j->add_a);
    if (j->db) rh_kernels.loss->bce_back_target(n, x, j->scale, j->db + begin, j->add_b);
}

static rh_status mse_backward(rh_back *back) {
    back_job j = back_of(back);
    rh_parallel_range(rh_tensor_numel(back->call->in[0]), BLOCK, mse_block, &j);
    return RH_OK;
}

static rh_status bce_backward(rh_back *back) {
    back_job j = back_of(back);
    rh_parallel_range(rh_tensor_numel(back->call->in[0]), BLOCK, bce_block, &j);
    return RH_OK;
}

/* kl_div: both inputs are logits */

typedef struct kl_job {
    int64_t v;
    const float *p, *q;
    float *p_max, *p_log, *q_max, *q_log, *kl; /* [rows] each */
    float scale;
    float *dp, *dq;
    bool add_p, add_q;
} kl_job;

static rh_status kl_shape(rh_call *call, rh_spec *out) {
    if (call->in[0]->rank < 1)
        return rh_fail(call->ctx, RH_EARG, 0, "at least 1 dimension wanted, got a scalar");
    return scalar_shape(call, out);
}

static int64_t kl_rows(const rh_tensor *x) { return rh_shape_numel(x->rank - 1, x->shape); }

static kl_job kl_of(const rh_call *call, const rh_tensor *kept) {
    const rh_tensor *p = call->in[0], *q = call->in[1];
    int64_t rows = kl_rows(p);
    float *k = rh_f32(kept);
    return (kl_job){.v = p->shape[p->rank - 1], .p = rh_f32(p), .q = rh_f32(q), .p_max = k,
                    .p_log = k + rows, .q_max = k + 2 * rows, .q_log = k + 3 * rows, .kl = k + 4 * rows};
}

static void kl_stats(int64_t v, const float *x, float *max, float *log_sum) {
    *max = rh_kernels.loss->max(v, x);
    *log_sum = logf(rh_kernels.loss->exp_sum(v, x, *max));
}

static void kl_forward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const kl_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        const float *p = j->p + i * j->v, *q = j->q + i * j->v;
        kl_stats(j->v, p, &j->p_max[i], &j->p_log[i]);
        kl_stats(j->v, q, &j->q_max[i], &j->q_log[i]);
        rh_loss_row a = {p, j->p_max[i], j->p_log[i]}, b = {q, j->q_max[i], j->q_log[i]};
        j->kl[i] = (float)rh_kernels.loss->kl(j->v, &a, &b);
    }
}

static void kl_backward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const kl_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * j->v;
        rh_loss_row a = {j->p + at, j->p_max[i], j->p_log[i]}, b = {j->q + at, j->q_max[i], j->q_log[i]};
        rh_kernels.loss->kl_back(j->v, &a, &b, j->kl[i], j->scale, j->dp ? j->dp + at : NULL, j->add_p,
                                 j->dq ? j->dq + at : NULL, j->add_q);
    }
}

static int64_t kl_grain(const kl_job *j) { return rh_max(BLOCK / rh_max(j->v, 1), 1); }

static rh_status kl_forward(rh_call *call) {
    int64_t rows = kl_rows(call->in[0]), shape[2] = {5, rows};
    rh_tensor *kept = rh_tensor_new(call->ctx, RH_F32, 2, shape);
    if (!kept) return RH_ENOMEM;
    kl_job j = kl_of(call, kept);
    double sum = 0;
    rh_parallel_range(rows, kl_grain(&j), kl_forward_rows, &j);
    for (int64_t i = 0; i < rows; i++) sum += j.kl[i];
    *rh_f32(call->out[0]) = (float)(sum / (double)rows);
    if (call->recording) call->saved[0] = kept;
    else rh_tensor_release(kept);
    return RH_OK;
}

static rh_status kl_backward(rh_back *back) {
    kl_job j = kl_of(back->call, back->call->saved[0]);
    int64_t rows = kl_rows(back->call->in[0]);
    j.scale = *rh_f32(back->gout[0]) / (float)rows;
    j.dp = f32_or_null(back->gin[0]), j.add_p = back->accumulate[0];
    j.dq = f32_or_null(back->gin[1]), j.add_q = back->accumulate[1];
    rh_parallel_range(rows, kl_grain(&j), kl_backward_rows, &j);
    return RH_OK;
}

static const char *const cross_entropy_samples[] = {
    "f[6,5] i<5[6]", "f[6,5] i<5[6]; {label_smoothing = 0.1}", "f[4,5] i<5[4]; {reduction = 'sum'}",
    "f[2,3,5] i<5[2,3]; {reduction = 'none'}", "f[6,5] i<5[6]; {ignore_index = 2}", "f[5] i<5[]",
    "f[3,1] i<1[3]", "f[0,5] i<5[0]; {reduction = 'sum'}", NULL};
static const char *const mse_samples[] = {"f[3,5] f[3,5]", "f[1] f[1]", "f[] f[]", NULL};
static const char *const kl_samples[] = {"f[3,5] f[3,5]", "f[2,2,3] f[2,2,3]", "f[4] f[4]", "f[2,1] f[2,1]", NULL};

const rh_row rh_rows_loss[] = {
    /* (1 - s) (-log softmax(x)[target]) + s mean of -log softmax(x) */
    {.name = "cross_entropy",
     .inputs = "logits:f target:i",
     .options = "i:ignore_index=-100 s:reduction=mean|sum|none f:label_smoothing=0",
     .save = RH_SAVE_IN(0) | RH_SAVE_IN(1),
     .shape = cross_entropy_shape,
     .forward = cross_entropy_forward,
     .backward = cross_entropy_backward,
     .samples = cross_entropy_samples,
     .doc = "-log softmax(logits)[target] for logits [...,classes] and target [...] (counting from 0); "
            "the mean is over targets that are not ignore_index"},
    /* mean of (a - b)^2 */
    {.name = "mse_loss",
     .inputs = "a:f b:f",
     .save = RH_SAVE_ALL_IN,
     .shape = scalar_shape,
     .forward = mse_forward,
     .backward = mse_backward,
     .samples = mse_samples,
     .doc = "mean of the squared differences of two tensors of one shape"},
    /* mean of max(x,0) - x t + log(1 + e^-|x|) */
    {.name = "bce_with_logits",
     .inputs = "logits:f target:f",
     .save = RH_SAVE_ALL_IN,
     .shape = scalar_shape,
     .forward = bce_forward,
     .backward = bce_backward,
     .samples = mse_samples,
     .doc = "mean of -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)) for logits x and targets t of one shape"},
    /* mean over rows of sum of q (log q - log p), p = softmax(logp), q = softmax(logq) */
    {.name = "kl_div",
     .inputs = "logp:f logq:f",
     .save = RH_SAVE_ALL_IN,
     .shape = kl_shape,
     .forward = kl_forward,
     .backward = kl_backward,
     .samples = kl_samples,
     .doc = "KL(softmax(logq) || softmax(logp)) of logits [...,classes], mean over rows"},
    {0}};
