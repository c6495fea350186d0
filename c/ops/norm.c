/* layer_norm and rms_norm: over rows of memory (norm.h), and as rows of the table. */
#include "ops/norm.h"

#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/kernels/norm.h"
#include "ops/row.h"

enum { PIECE = 1 << 14, /* floats: rows that one piece of a forward does */
       BLOCKS = 64 };   /* at most: partial sums of the weights' gradients */

typedef struct norm_job {
    bool layer; /* else rms */
    int64_t rows, d;
    const float *x, *weight, *bias;
    float eps, *y, *mean, *rstd;
    const float *dy;
    const rh_norm_grad *to;
    int64_t block;  /* rows of a block */
    float *dw, *db; /* [blocks,d] or NULL */
} norm_job;

static void forward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const norm_job *j = arg;
    float mean, rstd;
    for (int64_t i = begin; i < end; i++) {
        const float *x = j->x + i * j->d;
        float *y = j->y + i * j->d;
        if (j->layer) rh_kernels.norm->layer(j->d, x, j->weight, j->bias, j->eps, y, &mean, &rstd);
        else rh_kernels.norm->rms(j->d, x, j->weight, j->eps, y, &rstd);
        if (j->mean) j->mean[i] = mean;
        if (j->rstd) j->rstd[i] = rstd;
    }
}

static int64_t grain(int64_t d) { return rh_max(PIECE / rh_max(d, 1), 1); }

void rh_layer_norm_forward(int64_t rows, int64_t d, const float *x, const float *weight,
                           const float *bias, float eps, float *y, float *mean, float *rstd) {
    norm_job j = {.layer = true, .rows = rows, .d = d, .x = x, .weight = weight, .bias = bias,
                  .eps = eps, .y = y, .mean = mean, .rstd = rstd};
    rh_parallel_range(rows, grain(d), forward_rows, &j);
}

void rh_rms_norm_forward(int64_t rows, int64_t d, const float *x, const float *weight, float eps,
                         float *y, float *rstd) {
    norm_job j = {.rows = rows, .d = d, .x = x, .weight = weight, .eps = eps, .y = y, .rstd = rstd};
    rh_parallel_range(rows, grain(d), forward_rows, &j);
}

static int64_t block_of(int64_t rows, int64_t d) {
    return rh_max(grain(d), rh_ceil_div(rows, BLOCKS));
}

int64_t rh_norm_scratch(int64_t rows, int64_t d, const rh_norm_grad *to) {
    int64_t blocks = rh_ceil_div(rows, block_of(rows, d));
    return blocks * d * ((to->weight != NULL) + (to->bias != NULL));
}

/* One block of rows, and its sums for the weights. */
static void backward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const norm_job *j = arg;
    int64_t at = begin / j->block * j->d;
    float *dw = j->dw ? j->dw + at : NULL, *db = j->db ? j->db + at : NULL;
    if (dw) memset(dw, 0, (size_t)j->d * sizeof *dw);
    if (db) memset(db, 0, (size_t)j->d * sizeof *db);
    for (int64_t i = begin; i < end; i++) {
        const float *x = j->x + i * j->d, *dy = j->dy + i * j->d;
        float *dx = j->to->x ? j->to->x + i * j->d : NULL;
        if (j->layer)
            rh_kernels.norm->layer_back(j->d, dy, x, j->weight, j->mean[i], j->rstd[i], dx,
                                        j->to->add_x, dw, db);
        else
            rh_kernels.norm->rms_back(j->d, dy, x, j->weight, j->rstd[i], dx, j->to->add_x, dw);
    }
}

/* to [d] = (or +=) sum of part [blocks,d], in order */
static void sum_blocks(int64_t blocks, int64_t d, const float *part, float *to, bool accumulate) {
    if (!to) return;
    if (!accumulate) memset(to, 0, (size_t)d * sizeof *to);
    for (int64_t b = 0; b < blocks; b++) rh_kernels.norm->add(d, to, part + b * d);
}

static void backward(norm_job *j, float *scratch) {
    j->block = block_of(j->rows, j->d);
    int64_t blocks = rh_ceil_div(j->rows, j->block);
    j->dw = j->to->weight ? scratch : NULL;
    j->db = j->to->bias ? scratch + (j->dw ? blocks * j->d : 0) : NULL;
    rh_parallel_range(j->rows, j->block, backward_rows, j);
    sum_blocks(blocks, j->d, j->dw, j->to->weight, j->to->add_weight);
    sum_blocks(blocks, j->d, j->db, j->to->bias, j->to->add_bias);
}

void rh_layer_norm_backward(int64_t rows, int64_t d, const float *dy, const float *x,
                            const float *weight, const float *mean, const float *rstd,
                            const rh_norm_grad *to, float *scratch) {
    norm_job j = {.layer = true, .rows = rows, .d = d, .x = x, .weight = weight, .mean = (float *)mean,
                  .rstd = (float *)rstd, .dy = dy, .to = to};
    backward(&j, scratch);
}

void rh_rms_norm_backward(int64_t rows, int64_t d, const float *dy, const float *x,
                          const float *weight, const float *rstd, const rh_norm_grad *to,
                          float *scratch) {
    norm_job j = {.rows = rows, .d = d, .x = x, .weight = weight, .rstd = (float *)rstd, .dy = dy,
                  .to = to};
    backward(&j, scratch);
}

/* rows of the table */

static int64_t last_size(const rh_tensor *x) { return x->shape[x->rank - 1]; }
static int64_t rows_of(const rh_tensor *x) { return rh_shape_numel(x->rank - 1, x->shape); }
static float *f32_or_null(const rh_tensor *t) { return t ? rh_f32(t) : NULL; }

static rh_status norm_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *x = call->in[0];
    if (x->rank < 1)
        return rh_fail(call->ctx, RH_EARG, 0, "at least 1 dimension wanted, got a scalar");
    for (int i = 1; i < call->n_in; i++) {
        if (!call->in[i]) continue;
        RH_TRY(rh_want_rank(call, i, 1));
        RH_TRY(rh_want_size(call, i, 0, last_size(x)));
    }
    out[0] = rh_spec_of(x);
    return RH_OK;
}

/* saved[i] = new [rows] if this call is recorded */
static rh_status keep_rows(rh_call *call, int i) {
    int64_t rows = rows_of(call->in[0]);
    if (!call->recording) return RH_OK;
    call->saved[i] = rh_tensor_new(call->ctx, RH_F32, 1, &rows);
    return call->saved[i] ? RH_OK : RH_ENOMEM;
}

static rh_status layer_norm_forward(rh_call *call) {
    const rh_tensor *x = call->in[0];
    RH_TRY(keep_rows(call, 0));
    RH_TRY(keep_rows(call, 1));
    rh_layer_norm_forward(rows_of(x), last_size(x), rh_f32(x), f32_or_null(call->in[1]),
                          f32_or_null(call->in[2]), (float)call->opt[0].f, rh_f32(call->out[0]),
                          f32_or_null(call->saved[0]), f32_or_null(call->saved[1]));
    return RH_OK;
}

static rh_status rms_norm_forward(rh_call *call) {
    const rh_tensor *x = call->in[0];
    RH_TRY(keep_rows(call, 0));
    rh_rms_norm_forward(rows_of(x), last_size(x), rh_f32(x), f32_or_null(call->in[1]),
                        (float)call->opt[0].f, rh_f32(call->out[0]), f32_or_null(call->saved[0]));
    return RH_OK;
}

static rh_status norm_backward(rh_back *back) {
    rh_call *call = back->call;
    const rh_tensor *x = call->in[0];
    bool layer = call->n_in == 3;
    rh_norm_grad to = {f32_or_null(back->gin[0]), back->accumulate[0], f32_or_null(back->gin[1]),
                       back->accumulate[1], layer ? f32_or_null(back->gin[2]) : NULL,
                       layer && back->accumulate[2]};
    int64_t rows = rows_of(x), d = last_size(x), room = rh_norm_scratch(rows, d, &to);
    float *scratch = room ? rh_alloc(call->ctx, (size_t)room * sizeof *scratch) : NULL;
    if (room && !scratch) return RH_ENOMEM;
    const float *dy = rh_f32(back->gout[0]), *w = f32_or_null(call->in[1]);
    const float *first = rh_f32(call->saved[0]);
    if (layer)
        rh_layer_norm_backward(rows, d, dy, rh_f32(x), w, first, rh_f32(call->saved[1]), &to, scratch);
    else
        rh_rms_norm_backward(rows, d, dy, rh_f32(x), w, first, &to, scratch);
    rh_free(call->ctx, scratch);
    return RH_OK;
}

static const char *const layer_norm_samples[] = {
    "f[2,3,12] f[12] f[12]", "f[3,12] - -", "f[3,12] f[12] -", "f[5] f[5] f[5]; {eps = 1e-2}", "f[3,1] f[1] f[1]; {eps = 1}",
    "f[0,5] f[5] f[5]", NULL};
static const char *const rms_norm_samples[] = {
    "f[2,3,12] f[12]", "f[3,12] -", "f[5] f[5]; {eps = 1e-2}", "f[3,1] f[1]; {eps = 1}", "f[0,5] f[5]", NULL};

const rh_row rh_rows_norm[] = {
    /* y = (x - mean) / sqrt(variance + eps) * weight + bias, over the last dimension */
    {.name = "layer_norm",
     .inputs = "x:f weight:f? bias:f?",
     .options = "f:eps=1e-5",
     .save = RH_SAVE_IN(0) | RH_SAVE_IN(1),
     .shape = norm_shape,
     .forward = layer_norm_forward,
     .backward = norm_backward,
     .samples = layer_norm_samples,
     .doc = "x [...,d] with mean 0 and variance 1 over the last dimension, times weight [d], plus bias [d]"},
    /* y = x / sqrt(mean of x^2 + eps) * weight */
    {.name = "rms_norm",
     .inputs = "x:f weight:f?",
     .options = "f:eps=1e-6",
     .save = RH_SAVE_IN(0) | RH_SAVE_IN(1),
     .shape = norm_shape,
     .forward = rms_norm_forward,
     .backward = norm_backward,
     .samples = rms_norm_samples,
     .doc = "x [...,d] divided by the root of its mean square over the last dimension, times weight [d]"},
    {0}};
