/* Two rows, cross_entropy_head and logprob_head; see head.h. The weight is [vocab, dim]. */
#include "loss/head.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/gemm.h"
#include "ops/kernels/head.h"

float rh_log_sum_exp(const float *x, int64_t n) {
    float top = rh_kernels.head->largest(x, n);
    if (!isfinite(top)) return top;
    return (float)(top + log(rh_kernels.head->sum_exp(x, n, top)));
}

static bool wants_gradient(const rh_call *c, int i) { return c->wanted >> i & 1; }

/* Both rows: rows [M] of hidden and the id that each is read for [M]. */
static rh_status check_ids(rh_call *c, int operand, int64_t limit, const char *what) {
    RH_TRY(rh_want_rank(c, operand, 1));
    RH_TRY(rh_want_size(c, operand, 0, c->in[2]->shape[0]));
    const int64_t *id = rh_i64(c->in[operand]);
    for (int64_t i = 0, n = c->in[operand]->shape[0]; i < n; i++)
        if (id[i] < 0 || id[i] >= limit)
            return rh_fail(c->ctx, RH_EARG, operand, "%s %lld at %lld: 0 to %lld wanted", what,
                           (long long)id[i], (long long)i + 1, (long long)limit - 1);
    return RH_OK;
}

static rh_status check_inputs(rh_call *c) {
    RH_TRY(rh_want_rank(c, 0, 2));
    RH_TRY(rh_want_rank(c, 1, 2));
    RH_TRY(rh_want_size(c, 1, 1, c->in[0]->shape[1]));
    RH_TRY(rh_want_rank(c, 2, 1));
    RH_TRY(check_ids(c, 2, c->in[0]->shape[0], "row"));
    return check_ids(c, 3, c->in[1]->shape[0], "id");
}

static rh_spec per_id(const rh_call *c, rh_dtype dtype) {
    return rh_spec_make(dtype, 1, c->in[2]->shape);
}

static void gather_rows(const rh_call *c, int64_t first, int64_t n, float *out) {
    int64_t dim = c->in[0]->shape[1];
    const int64_t *row = rh_i64(c->in[2]) + first;
    for (int64_t i = 0; i < n; i++)
        memcpy(out + i * dim, rh_f32(c->in[0]) + row[i] * dim, (size_t)dim * sizeof *out);
}

/* dst[row[i]] += factor src[i]. A row can be asked for several times, so one after another. */
static void add_rows(rh_tensor *dst, const int64_t *row, const float *src, int64_t n,
                     float factor) {
    int64_t dim = dst->shape[1];
    for (int64_t i = 0; i < n; i++)
        rh_kernels.head->put_scaled(rh_f32(dst) + row[i] * dim, src + i * dim, dim, factor, true);
}

static void clear_unless(bool keep, rh_tensor *t) {
    if (t && !keep) memset(rh_f32(t), 0, (size_t)rh_tensor_numel(t) * sizeof(float));
}

/* ---- cross_entropy_head: loss = sum_i w_i (lse_i - logit_i[id_i]) / divide ---- */

static rh_status cross_entropy_shape(rh_call *c, rh_spec *out) {
    RH_TRY(check_inputs(c));
    if (c->in[4]) {
        RH_TRY(rh_want_rank(c, 4, 1));
        RH_TRY(rh_want_size(c, 4, 0, c->in[2]->shape[0]));
    }
    if (!(c->opt[0].f > 0))
        return rh_fail(c->ctx, RH_EARG, RH_OPTION(0), "divide %g: above 0 wanted", c->opt[0].f);
    c->n_out = 3;
    out[0] = rh_spec_make(RH_F32, 0, NULL);
    out[1] = per_id(c, RH_F32);
    out[2] = per_id(c, RH_BOOL);
    return RH_OK;
}

typedef struct cross_entropy_job {
    int64_t first, vocab;
    const int64_t *id;
    const float *weight; /* [M], or NULL for ones */
    float divide;
    float *logits, *hidden; /* of the chunk: [rows,vocab], [rows,dim] */
    float *nll;             /* [M] */
    uint8_t *hit;           /* [M] */
    bool gradient;
} cross_entropy_job;

/* One token: its loss, whether its id leads, and, in place, the gradient of its logits. */
static void cross_entropy_token(void *arg, int64_t i, int worker) {
    (void)worker;
    const cross_entropy_job *j = arg;
    int64_t at = j->first + i, id = j->id[at];
    float *x = j->logits + i * j->vocab;
    float lse = rh_log_sum_exp(x, j->vocab), w = (j->weight ? j->weight[at] : 1.0f) / j->divide;
    j->nll[at] = lse - x[id];
    j->hit[at] = x[id] >= rh_kernels.head->largest(x, j->vocab);
    if (!j->gradient) return;
    rh_kernels.head->softmax(x, j->vocab, lse, w);
    x[id] -= w;
}

/* saved[0] = dHidden [M,D] for each id asked, saved[1] = dW [V,D]: each only where it is wanted. */
static rh_status make_saved(rh_call *c) {
    int64_t hidden[2] = {c->in[2]->shape[0], c->in[0]->shape[1]};
    if (wants_gradient(c, 0)) {
        c->saved[0] = rh_tensor_new(c->ctx, RH_F32, 2, hidden);
        if (!c->saved[0]) return RH_ENOMEM;
    }
    if (wants_gradient(c, 1)) {
        c->saved[1] = rh_tensor_new(c->ctx, RH_F32, 2, c->in[1]->shape);
        if (!c->saved[1]) return RH_ENOMEM;
        clear_unless(hidden[0] > 0, c->saved[1]);
    }
    return RH_OK;
}

static void cross_entropy_chunk(rh_call *c, const cross_entropy_job *j, int64_t n) {
    int64_t dim = c->in[0]->shape[1];
    const float *w = rh_f32(c->in[1]);
    gather_rows(c, j->first, n, j->hidden);
    rh_sgemm(false, true, n, j->vocab, dim, 1, j->hidden, dim, w, dim, 0, j->logits, j->vocab);
    rh_parallel(n, cross_entropy_token, (void *)j);
    if (c->saved[0])
        rh_sgemm(false, false, n, dim, j->vocab, 1, j->logits, j->vocab, w, dim, 0,
                 rh_f32(c->saved[0]) + j->first * dim, dim);
    if (c->saved[1])
        rh_sgemm(true, false, j->vocab, dim, n, 1, j->logits, j->vocab, j->hidden, dim,
                 j->first > 0 ? 1 : 0, rh_f32(c->saved[1]), dim);
}

static rh_status cross_entropy_forward(rh_call *c) {
    int64_t n = c->in[2]->shape[0], dim = c->in[0]->shape[1], vocab = c->in[1]->shape[0];
    int64_t rows = rh_min(n, RH_HEAD_CHUNK);
    RH_TRY(make_saved(c));
    float *memory = rh_alloc(c->ctx, (size_t)(rows * (vocab + dim)) * sizeof *memory);
    if (!memory) return RH_ENOMEM;
    cross_entropy_job j = {.vocab = vocab, .id = rh_i64(c->in[3]), .divide = (float)c->opt[0].f,
                           .weight = c->in[4] ? rh_f32(c->in[4]) : NULL, .logits = memory,
                           .hidden = memory + rows * vocab, .nll = rh_f32(c->out[1]),
                           .hit = rh_bool(c->out[2]), .gradient = c->saved[0] || c->saved[1]};
    for (; j.first < n; j.first += RH_HEAD_CHUNK)
        cross_entropy_chunk(c, &j, rh_min(RH_HEAD_CHUNK, n - j.first));
    rh_free(c->ctx, memory);
    double loss = 0;
    for (int64_t i = 0; i < n; i++) loss += (double)(j.weight ? j.weight[i] : 1.0f) * j.nll[i];
    *rh_f32(c->out[0]) = (float)(loss / c->opt[0].f);
    return RH_OK;
}

/* The gradients were made in forward; here they are only scaled by the loss's own gradient. */
static rh_status cross_entropy_backward(rh_back *b) {
    rh_call *c = b->call;
    float g = *rh_f32(b->gout[0]);
    clear_unless(b->accumulate[0], b->gin[0]);
    if (b->gin[0])
        add_rows(b->gin[0], rh_i64(c->in[2]), rh_f32(c->saved[0]), c->in[2]->shape[0], g);
    if (b->gin[1])
        rh_kernels.head->put_scaled(rh_f32(b->gin[1]), rh_f32(c->saved[1]),
                                    rh_tensor_numel(b->gin[1]), g, b->accumulate[1]);
    return RH_OK;
}

/* ---- logprob_head: z = scale * hidden[row] W^T;  logp = z[id] - lse,  entropy = lse - sum p z ---- */

static rh_status logprob_shape(rh_call *c, rh_spec *out) {
    RH_TRY(check_inputs(c));
    c->n_out = 2;
    out[0] = out[1] = per_id(c, RH_F32);
    return RH_OK;
}

/* One chunk's work on logits; forward reads them, backward turns them into their gradient. */
typedef struct logprob_job {
    int64_t first, vocab;
    const int64_t *id;
    float *logits, *lse, *logp, *entropy;
    float scale;
    const float *g_logp, *g_entropy; /* backward; either may be NULL */
} logprob_job;

static void logprob_token(void *arg, int64_t i, int worker) {
    (void)worker;
    const logprob_job *j = arg;
    int64_t at = j->first + i;
    float *x = j->logits + i * j->vocab;
    float lse = rh_log_sum_exp(x, j->vocab);
    j->lse[at] = lse;
    j->logp[at] = x[j->id[at]] - lse;
    j->entropy[at] = (float)(lse - rh_kernels.head->mean_logit(x, j->vocab, lse));
}

/* d logp / d z_k = [k = id] - p_k;  d entropy / d z_k = -p_k (z_k - lse + entropy). Together
 * p_k (slope - tilt z_k) with slope = -g + ge (lse - entropy), tilt = ge; the factor of z = scale x W^T
 * is left to the products. */
static void logprob_token_backward(void *arg, int64_t i, int worker) {
    (void)worker;
    const logprob_job *j = arg;
    int64_t at = j->first + i;
    float g = j->g_logp ? j->g_logp[at] : 0, ge = j->g_entropy ? j->g_entropy[at] : 0;
    float *x = j->logits + i * j->vocab;
    rh_kernels.head->tilted(x, j->vocab, j->lse[at], ge * (j->lse[at] - j->entropy[at]) - g, ge);
    x[j->id[at]] += g;
}

static void logits_of(const rh_call *c, const logprob_job *j, float *hidden, int64_t n) {
    int64_t dim = c->in[0]->shape[1];
    gather_rows(c, j->first, n, hidden);
    rh_sgemm(false, true, n, j->vocab, dim, j->scale, hidden, dim, rh_f32(c->in[1]), dim, 0,
             j->logits, j->vocab);
}

/* Memory for one chunk: gathered hidden rows, then logits. */
static float *chunk_memory(rh_call *c, int64_t extra_rows, logprob_job *j) {
    int64_t rows = rh_min(c->in[2]->shape[0], RH_HEAD_CHUNK), dim = c->in[0]->shape[1];
    int64_t vocab = c->in[1]->shape[0];
    float *memory = rh_alloc(
        c->ctx, (size_t)(rows * vocab + rows * dim * (1 + extra_rows)) * sizeof *memory);
    j->vocab = vocab;
    j->logits = memory;
    j->id = rh_i64(c->in[3]);
    j->scale = (float)c->opt[0].f;
    return memory;
}

static rh_status logprob_forward(rh_call *c) {
    logprob_job j = {.logp = rh_f32(c->out[0]), .entropy = rh_f32(c->out[1])};
    int64_t n = c->in[2]->shape[0];
    c->saved[0] = rh_tensor_new(c->ctx, RH_F32, 1, &n);
    float *memory = c->saved[0] ? chunk_memory(c, 0, &j) : NULL;
    if (!memory) return RH_ENOMEM;
    j.lse = rh_f32(c->saved[0]);
    float *hidden = memory + rh_min(n, RH_HEAD_CHUNK) * j.vocab;
    for (j.first = 0; j.first < n; j.first += RH_HEAD_CHUNK) {
        int64_t rows = rh_min(RH_HEAD_CHUNK, n - j.first);
        logits_of(c, &j, hidden, rows);
        rh_parallel(rows, logprob_token, &j);
    }
    rh_free(c->ctx, memory);
    return RH_OK;
}

static rh_status logprob_backward(rh_back *b) {
    rh_call *c = b->call;
    logprob_job j = {.lse = rh_f32(c->saved[0]), .entropy = rh_f32(c->out[1])};
    j.g_logp = b->gout[0] ? rh_f32(b->gout[0]) : NULL;
    j.g_entropy = b->gout[1] ? rh_f32(b->gout[1]) : NULL;
    int64_t n = c->in[2]->shape[0], dim = c->in[0]->shape[1], chunk = rh_min(n, RH_HEAD_CHUNK);
    float *memory = chunk_memory(c, 1, &j);
    if (!memory) return RH_ENOMEM;
    float *hidden = memory + chunk * j.vocab, *dhidden = hidden + chunk * dim;
    for (int i = 0; i < 2; i++) clear_unless(b->accumulate[i], b->gin[i]);
    for (j.first = 0; j.first < n; j.first += RH_HEAD_CHUNK) {
        int64_t rows = rh_min(RH_HEAD_CHUNK, n - j.first);
        logits_of(c, &j, hidden, rows);
        rh_parallel(rows, logprob_token_backward, &j);
        if (b->gin[1])
            rh_sgemm(true, false, j.vocab, dim, rows, j.scale, j.logits, j.vocab, hidden, dim, 1,
                     rh_f32(b->gin[1]), dim);
        if (!b->gin[0]) continue;
        rh_sgemm(false, false, rows, dim, j.vocab, j.scale, j.logits, j.vocab, rh_f32(c->in[1]),
                 dim, 0, dhidden, dim);
        add_rows(b->gin[0], rh_i64(c->in[2]) + j.first, dhidden, rows, 1);
    }
    rh_free(c->ctx, memory);
    return RH_OK;
}

static const char *const cross_entropy_samples[] = {
    "f[4,3] f[5,3] i<4[6] i<5[6]; {divide = 3}", "f[4,3] f[5,3] i<4[4] i<5[4] c[4]",
    "f[1,2] f[3,2] i<1[1] i<3[1]", "f[2,3] f[5,3] i<2[0] i<5[0]", NULL};
static const char *const logprob_samples[] = {
    "f[4,3] f[5,3] i<4[6] i<5[6]", "f[4,3] f[5,3] i<4[3] i<5[3]; {scale = 0.7}",
    "f[1,2] f[3,2] i<1[1] i<3[1]", "f[2,3] f[5,3] i<2[0] i<5[0]", NULL};

const rh_row rh_rows_head[] = {
    {.name = "cross_entropy_head",
     .inputs = "hidden:f weight:f rows:i ids:i weights:c?",
     .options = "f:divide=1",
     .flags = RH_MULTI | RH_ONLY_FIRST,
     .save = RH_SAVE_IN(2),
     .shape = cross_entropy_shape,
     .forward = cross_entropy_forward,
     .backward = cross_entropy_backward,
     .samples = cross_entropy_samples,
     .doc = "hidden [N,D], weight [V,D]: loss = sum over i of weights[i] * -log p(ids[i] | "
            "hidden[rows[i]]) / divide; also each -log p [M], and whether its id leads [M]; logits are "
            "never held for more than 512 ids"},
    {.name = "logprob_head",
     .inputs = "hidden:f weight:f rows:i ids:i",
     .options = "f:scale=1",
     .flags = RH_MULTI,
     .save = RH_SAVE_ALL_IN | RH_SAVE_OUT(1),
     .shape = logprob_shape,
     .forward = logprob_forward,
     .backward = logprob_backward,
     .samples = logprob_samples,
     .doc = "hidden [N,D], weight [V,D]: log p(ids[i]) [M] and entropy [M] of the distribution that "
            "softmax(scale * hidden[rows[i]] weight^T) gives"},
    {0}};
