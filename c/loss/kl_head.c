/* kl_head: the exact divergence of two models' next-token distributions over the whole vocabulary,
 *     KL(p || q) = sum over ids k of p_k (log p_k - log q_k),
 * in chunks, so that neither batch's logits are ever held. For looking and for rewards: no gradient. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "loss/head.h"
#include "loss/rows.h"
#include "ops/gemm.h"
#include "ops/kernels/head.h"

enum { HIDDEN, WEIGHT, OTHER_HIDDEN, OTHER_WEIGHT, ROWS };

static rh_status shape(rh_call *c, rh_spec *out) {
    for (int i = HIDDEN; i <= OTHER_WEIGHT; i++) RH_TRY(rh_want_rank(c, i, 2));
    RH_TRY(rh_want_size(c, WEIGHT, 1, c->in[HIDDEN]->shape[1]));
    RH_TRY(rh_want_size(c, OTHER_WEIGHT, 1, c->in[OTHER_HIDDEN]->shape[1]));
    RH_TRY(rh_want_size(c, OTHER_WEIGHT, 0, c->in[WEIGHT]->shape[0]));
    RH_TRY(rh_want_size(c, OTHER_HIDDEN, 0, c->in[HIDDEN]->shape[0]));
    RH_TRY(rh_want_rank(c, ROWS, 1));
    const int64_t *row = rh_i64(c->in[ROWS]), limit = c->in[HIDDEN]->shape[0];
    for (int64_t i = 0, n = c->in[ROWS]->shape[0]; i < n; i++)
        if (row[i] < 0 || row[i] >= limit)
            return rh_fail(c->ctx, RH_EARG, ROWS, "row %lld at %lld: 0 to %lld wanted",
                           (long long)row[i], (long long)i + 1, (long long)limit - 1);
    out[0] = rh_spec_make(RH_F32, 1, c->in[ROWS]->shape);
    return RH_OK;
}

typedef struct job {
    int64_t first, vocab;
    float *p, *q; /* logits of the chunk [rows,vocab] */
    float *kl;    /* [M] */
} job;

static void kl_row(void *arg, int64_t i, int worker) {
    (void)worker;
    const job *j = arg;
    const float *p = j->p + i * j->vocab, *q = j->q + i * j->vocab;
    float lp = rh_log_sum_exp(p, j->vocab), lq = rh_log_sum_exp(q, j->vocab);
    j->kl[j->first + i] = (float)rh_kernels.head->divergence(p, q, j->vocab, lp, lq);
}

static void logits_of(const rh_call *c, int hidden, int64_t first, int64_t n, float *gathered,
                      float *logits) {
    int64_t dim = c->in[hidden]->shape[1], vocab = c->in[hidden + 1]->shape[0];
    const int64_t *row = rh_i64(c->in[ROWS]) + first;
    for (int64_t i = 0; i < n; i++)
        memcpy(gathered + i * dim, rh_f32(c->in[hidden]) + row[i] * dim,
               (size_t)dim * sizeof *gathered);
    rh_sgemm(false, true, n, vocab, dim, (float)c->opt[0].f, gathered, dim,
             rh_f32(c->in[hidden + 1]), dim, 0, logits, vocab);
}

static rh_status forward(rh_call *c) {
    int64_t n = c->in[ROWS]->shape[0], rows = rh_min(n, RH_HEAD_CHUNK);
    int64_t vocab = c->in[WEIGHT]->shape[0];
    int64_t dim = rh_max(c->in[HIDDEN]->shape[1], c->in[OTHER_HIDDEN]->shape[1]);
    float *memory = rh_alloc(c->ctx, (size_t)(rows * (2 * vocab + dim)) * sizeof *memory);
    if (!memory) return RH_ENOMEM;
    job j = {.vocab = vocab, .p = memory, .q = memory + rows * vocab, .kl = rh_f32(c->out[0])};
    float *gathered = j.q + rows * vocab;
    for (; j.first < n; j.first += RH_HEAD_CHUNK) {
        int64_t chunk = rh_min(RH_HEAD_CHUNK, n - j.first);
        logits_of(c, HIDDEN, j.first, chunk, gathered, j.p);
        logits_of(c, OTHER_HIDDEN, j.first, chunk, gathered, j.q);
        rh_parallel(chunk, kl_row, &j);
    }
    rh_free(c->ctx, memory);
    return RH_OK;
}

static const char *const samples[] = {"c[4,3] c[5,3] c[4,2] c[5,2] i<4[6]; {scale = 0.7}",
                                      "c[1,1] c[2,1] c[1,1] c[2,1] i<1[0]", NULL};

const rh_row rh_rows_kl_head[] = {
    {.name = "kl_head",
     .inputs = "hidden:c weight:c other_hidden:c other_weight:c rows:i",
     .options = "f:scale=1",
     .shape = shape,
     .forward = forward,
     .samples = samples,
     .doc = "hidden [N,D], weight [V,D] and another model's [N,E], [V,E]: KL(p || q) [M] of the distributions "
            "softmax(scale * hidden[rows[i]] weight^T) over all V ids"},
    {0}};
