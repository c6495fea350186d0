/* Products with a weight (linear.h) and the rows of products: `linear` here, `matmul` in matmul.c. */
#include "ops/linear.h"

#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/gemm.h"
#include "ops/matmul.h"

rh_linear rh_linear_make(const void *weight, rh_dtype dtype, rh_layout layout, int64_t in,
                         int64_t out, const float *bias) {
    return (rh_linear){weight, dtype, layout, in, out, layout == RH_OUT_IN ? in : out, bias, true};
}

rh_linear rh_linear_outputs(const rh_linear *l, int64_t first, int64_t count) {
    rh_linear part = *l;
    int64_t at = l->layout == RH_OUT_IN ? first * l->ld : first;
    part.weight = (const char *)l->weight + (size_t)at * rh_dtype_size(l->dtype);
    part.out = count;
    if (l->bias) part.bias = l->bias + first;
    return part;
}

int64_t rh_linear_scratch(const rh_linear *l, int64_t n) {
    return l->dtype == RH_BF16 ? rh_sgemm_bf16_scratch(n) : 0;
}

/* C [n,cols] = A [n,k] op(W) + beta C */
static void times_weight(const rh_linear *l, bool trans, int64_t n, int64_t cols, int64_t k,
                         const float *a, int64_t lda, float beta, float *c, int64_t ldc,
                         float *scratch) {
    if (l->dtype == RH_BF16)
        rh_sgemm_bf16(trans, n, cols, k, a, lda, l->weight, l->ld, beta, c, ldc, scratch);
    else
        rh_sgemm(false, trans, n, cols, k, 1.0f, a, lda, l->weight, l->ld, beta, c, ldc);
}

typedef struct fill_job {
    const float *bias;
    int64_t out;
    float *y;
    int64_t ldy;
} fill_job;

static void fill_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const fill_job *f = arg;
    for (int64_t i = begin; i < end; i++)
        memcpy(f->y + i * f->ldy, f->bias, (size_t)f->out * sizeof(float));
}

/* The bias goes into y first and the product is added: the library would write zeros there anyway, so
 * the bias costs no pass of its own. */
void rh_linear_forward(const rh_linear *l, int64_t n, const float *x, int64_t ldx, float *y,
                       int64_t ldy, float *scratch) {
    if (n <= 0 || l->out <= 0) return;
    if (l->bias) {
        fill_job f = {l->bias, l->out, y, ldy};
        rh_parallel_range(n, rh_max((1 << 16) / l->out, 1), fill_rows, &f);
    }
    times_weight(l, l->layout == RH_OUT_IN, n, l->out, l->in, x, ldx, l->bias ? 1.0f : 0.0f, y, ldy,
                 scratch);
}

void rh_linear_backward(const rh_linear *l, int64_t n, const float *dy, int64_t lddy, float *dx,
                        int64_t lddx, bool accumulate, float *scratch) {
    times_weight(l, l->layout == RH_IN_OUT, n, l->in, l->out, dy, lddy, accumulate ? 1.0f : 0.0f, dx,
                 lddx, scratch);
}

void rh_linear_grads(const rh_linear *l, int64_t n, const float *x, int64_t ldx, const float *dy,
                     int64_t lddy, const rh_linear_grad *to) {
    if (!l->trained) return;
    float beta = to->add_weight ? 1.0f : 0.0f;
    if (to->weight && l->layout == RH_OUT_IN)
        rh_sgemm(true, false, l->out, l->in, n, 1.0f, dy, lddy, x, ldx, beta, to->weight, l->ld);
    else if (to->weight)
        rh_sgemm(true, false, l->in, l->out, n, 1.0f, x, ldx, dy, lddy, beta, to->weight, l->ld);
    if (to->bias) rh_column_sums(n, l->out, dy, lddy, to->bias, to->add_bias);
}

typedef struct sums_job {
    int64_t rows;
    const float *x;
    int64_t ldx;
    float *out;
    bool accumulate;
} sums_job;

/* A strip of columns. Sums of 32 rows are added to a total in double, so that rounding does not grow
 * with the number of rows. */
static void sum_strip(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const sums_job *s = arg;
    double total[64] = {0};
    int64_t n = end - begin;
    for (int64_t first = 0; first < s->rows; first += 32) {
        float block[64] = {0};
        for (int64_t i = first; i < rh_min(first + 32, s->rows); i++) {
            const float *row = s->x + i * s->ldx + begin;
            for (int64_t j = 0; j < n; j++) block[j] += row[j];
        }
        for (int64_t j = 0; j < n; j++) total[j] += block[j];
    }
    for (int64_t j = 0; j < n; j++)
        s->out[begin + j] = (float)(total[j] + (s->accumulate ? s->out[begin + j] : 0.0));
}

void rh_column_sums(int64_t rows, int64_t cols, const float *x, int64_t ldx, float *out,
                    bool accumulate) {
    sums_job s = {rows, x, ldx, out, accumulate};
    rh_parallel_range(cols, 64, sum_strip, &s);
}

/* linear: y [...,out] = x [...,in] W^T + b */

static rh_layout layout_of(const rh_call *call) { return call->opt[0].i == 0 ? RH_OUT_IN : RH_IN_OUT; }

static rh_linear linear_of(const rh_call *call) {
    const rh_tensor *w = call->in[1], *bias = call->in[2];
    rh_layout layout = layout_of(call);
    int in = layout == RH_OUT_IN;
    return rh_linear_make(w->storage ? rh_f32(w) : NULL, RH_F32, layout, w->shape[in], w->shape[1 - in],
                          bias && bias->storage ? rh_f32(bias) : NULL);
}

/* Rows of x when its last dimension has `in` elements: also right when in = 0. */
static int64_t rows_of(const rh_tensor *x) { return rh_shape_numel(x->rank - 1, x->shape); }

static rh_status linear_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *x = call->in[0], *w = call->in[1];
    char a[RH_SHAPE_TEXT], b[RH_SHAPE_TEXT];
    if (x->rank < 1)
        return rh_fail(call->ctx, RH_EARG, 0, "at least 1 dimension wanted, got a scalar");
    RH_TRY(rh_want_rank(call, 1, 2));
    bool out_in = layout_of(call) == RH_OUT_IN;
    int64_t in = w->shape[out_in ? 1 : 0], n_out = w->shape[out_in ? 0 : 1];
    if (x->shape[x->rank - 1] != in)
        return rh_fail(call->ctx, RH_EARG, 1, "x %s, weight %s as %s: x has %lld inputs, the weight %lld",
                       rh_shape_text(x->rank, x->shape, a), rh_shape_text(2, w->shape, b),
                       out_in ? "[out,in]" : "[in,out]", (long long)x->shape[x->rank - 1],
                       (long long)in);
    if (call->in[2]) {
        RH_TRY(rh_want_rank(call, 2, 1));
        RH_TRY(rh_want_size(call, 2, 0, n_out));
    }
    out[0] = rh_spec_of(x);
    out[0].shape[x->rank - 1] = n_out;
    return RH_OK;
}

static rh_status linear_forward(rh_call *call) {
    rh_linear l = linear_of(call);
    rh_linear_forward(&l, rows_of(call->in[0]), rh_f32(call->in[0]), l.in, rh_f32(call->out[0]), l.out,
                      NULL);
    return RH_OK;
}

static rh_status linear_backward(rh_back *back) {
    rh_call *call = back->call;
    rh_linear l = linear_of(call);
    int64_t n = rows_of(call->in[0]);
    const float *dy = rh_f32(back->gout[0]);
    if (back->gin[0])
        rh_linear_backward(&l, n, dy, l.out, rh_f32(back->gin[0]), l.in, back->accumulate[0], NULL);
    rh_linear_grad to = {back->gin[1] ? rh_f32(back->gin[1]) : NULL, back->accumulate[1],
                         back->gin[2] ? rh_f32(back->gin[2]) : NULL, back->accumulate[2]};
    rh_linear_grads(&l, n, rh_f32(call->in[0]), l.in, dy, l.out, &to);
    return RH_OK;
}

static const char *const linear_samples[] = {
    "f[2,3,5] f[4,5] f[4]", "f[3,5] f[4,5] -", "f[3,5] f[5,4] f[4]; {layout = 'in_out'}", "f[5] f[1,5] f[1]",
    "f[0,5] f[4,5] f[4]", "f[3,0] f[4,0] f[4]", NULL};

const rh_row rh_rows_linear[] = {
    {.name = "linear",
     .inputs = "x:f weight:f bias:f?",
     .options = "s:layout=out_in|in_out",
     .save = RH_SAVE_IN(0) | RH_SAVE_IN(1),
     .shape = linear_shape,
     .forward = linear_forward,
     .backward = linear_backward,
     .samples = linear_samples,
     .doc = "x [...,in] times weight [out,in] (or [in,out]) transposed, plus bias [out]"},
    {.name = "matmul",
     .inputs = "a:f b:f",
     .flags = RH_STRIDED,
     .save = RH_SAVE_IN(0) | RH_SAVE_IN(1),
     .shape = rh_matmul_shape,
     .forward = rh_matmul_forward,
     .backward = rh_matmul_backward,
     .samples = rh_matmul_samples,
     .doc = "product of matrices [...,m,k] x [...,k,n]; leading dimensions broadcast, vectors are a row "
            "on the left, a column on the right"},
    {0}};
