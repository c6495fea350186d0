/* Sums over any set of dimensions, and what is made of sums: mean, var, std, norm. How they are cut
 * and added is in sums.c. */
#include <math.h>

#include "base/pool.h"
#include "ops/sums.h"

static rh_spec reduced_spec(const rh_tensor *x, unsigned mask, bool keepdim) {
    rh_spec out = {.dtype = RH_F32};
    for (int d = 0; d < x->rank; d++) {
        bool reduced = mask >> d & 1;
        if (!reduced || keepdim) out.shape[out.rank++] = reduced ? 1 : x->shape[d];
    }
    return out;
}

static rh_status reduced_shape(rh_call *call, rh_spec *out, bool keepdim) {
    unsigned mask;
    RH_TRY(rh_mask_option(call, 0, &mask));
    out[0] = reduced_spec(call->in[0], mask, keepdim);
    return RH_OK;
}

static rh_status shape_mean(rh_call *call, rh_spec *out) {
    return reduced_shape(call, out, call->opt[1].i);
}

static rh_status shape_sum(rh_call *call, rh_spec *out) {
    rh_dtype dtype = call->in[0]->dtype;
    if (dtype == RH_BF16)
        return rh_fail(call->ctx, RH_EARG, 0, "x: f32, i64 or bool wanted, got bf16");
    RH_TRY(reduced_shape(call, out, call->opt[1].i));
    out[0].dtype = dtype == RH_F32 ? RH_F32 : RH_I64;
    return RH_OK;
}

static rh_status shape_var(rh_call *call, rh_spec *out) {
    return reduced_shape(call, out, call->opt[2].i);
}

/* How many elements go into each output. */
static int64_t reduced_count(const rh_tensor *x, unsigned mask) {
    int64_t n = 1;
    for (int d = 0; d < x->rank; d++)
        if (mask >> d & 1) n *= x->shape[d];
    return n;
}

/* Integers wrap as Lua's do. */
static rh_status sum_integers(rh_call *call, unsigned mask) {
    rh_fold f;
    rh_tensor *x = rh_arrange(call->in[0], mask, &f);
    if (!x) return RH_ENOMEM;
    bool wide = x->dtype == RH_I64;
    int64_t *out = rh_i64(call->out[0]);
    for (int64_t o = 0; o < f.outer; o++)
        for (int64_t i = 0; i < f.inner; i++) {
            uint64_t total = 0;
            for (int64_t k = 0, at = o * f.size * f.inner + i; k < f.size; k++, at += f.inner)
                total += wide ? (uint64_t)rh_i64(x)[at] : (uint64_t)rh_bool(x)[at];
            out[o * f.inner + i] = (int64_t)total;
        }
    rh_tensor_release(x);
    return RH_OK;
}

/* out = sum of x */
static rh_status sum_forward(rh_call *call) {
    unsigned mask;
    RH_TRY(rh_mask_option(call, 0, &mask));
    if (call->in[0]->dtype != RH_F32) return sum_integers(call, mask);
    return rh_sum_over(call->ctx, call->out[0], call->in[0], mask, false);
}

/* dx = g */
static rh_status sum_backward(rh_back *b) {
    unsigned mask;
    RH_TRY(rh_mask_option(b->call, 0, &mask));
    rh_spread(b->gin[0], mask, NULL, rh_f32(b->gout[0]), NULL, b->accumulate[0]);
    return RH_OK;
}

/* out = sum of x / n; nan where n = 0 */
static rh_status mean_forward(rh_call *call) {
    unsigned mask;
    RH_TRY(sum_forward(call));
    RH_TRY(rh_mask_option(call, 0, &mask));
    float *out = rh_f32(call->out[0]), n = (float)reduced_count(call->in[0], mask);
    for (int64_t i = 0, outputs = rh_tensor_numel(call->out[0]); i < outputs; i++) out[i] /= n;
    return RH_OK;
}

/* dx = g / n */
static rh_status mean_backward(rh_back *b) {
    unsigned mask;
    RH_TRY(rh_mask_option(b->call, 0, &mask));
    int64_t outputs = rh_tensor_numel(b->gout[0]);
    float *factor = rh_alloc(b->call->ctx, (size_t)outputs * sizeof *factor);
    if (!factor) return RH_ENOMEM;
    float n = (float)reduced_count(b->gin[0], mask);
    for (int64_t i = 0; i < outputs; i++) factor[i] = rh_f32(b->gout[0])[i] / n;
    rh_spread(b->gin[0], mask, NULL, factor, NULL, b->accumulate[0]);
    rh_free(b->call->ctx, factor);
    return RH_OK;
}

/* n - 1, or n for the biased form */
static double var_divisor(const rh_call *call, const rh_tensor *x, unsigned mask) {
    return (double)(reduced_count(x, mask) - (call->opt[1].i ? 1 : 0));
}

/* mean [outputs] and total [outputs] (new, rh_free): the squares of the distances from it. */
static rh_status distances(rh_call *call, unsigned mask, float *mean, double **total) {
    rh_fold f;
    rh_tensor *x = rh_arrange(call->in[0], mask, &f);
    *total = x ? rh_fold_sums(call->ctx, &f, rh_f32(x), false, NULL) : NULL;
    if (*total) {
        for (int64_t i = 0; i < f.outer * f.inner; i++)
            mean[i] = (float)((*total)[i] / (double)f.size);
        rh_free(call->ctx, *total);
        *total = rh_fold_sums(call->ctx, &f, rh_f32(x), true, mean);
    }
    rh_tensor_release(x);
    return *total ? RH_OK : RH_ENOMEM;
}

/* out = sum of (x - mean)^2 / (n - 1), or its root; keeps the mean */
static rh_status deviation_forward(rh_call *call, bool root) {
    unsigned mask;
    double *total;
    rh_tensor *out = call->out[0];
    RH_TRY(rh_mask_option(call, 0, &mask));
    call->saved[0] = rh_tensor_new(call->ctx, RH_F32, out->rank, out->shape);
    if (!call->saved[0]) return RH_ENOMEM;
    RH_TRY(distances(call, mask, rh_f32(call->saved[0]), &total));
    double n = var_divisor(call, call->in[0], mask);
    for (int64_t i = 0, outputs = rh_tensor_numel(out); i < outputs; i++) {
        double var = n > 0 ? total[i] / n : (double)NAN;
        rh_f32(out)[i] = (float)(root ? sqrt(var) : var);
    }
    rh_free(call->ctx, total);
    return RH_OK;
}

/* var: dx = 2 g (x - mean) / (n - 1);  std: dx = g (x - mean) / ((n - 1) std), 0 where std = 0 */
static rh_status deviation_backward(rh_back *b, bool root) {
    rh_call *call = b->call;
    unsigned mask;
    RH_TRY(rh_mask_option(call, 0, &mask));
    int64_t outputs = rh_tensor_numel(b->gout[0]);
    float *factor = rh_alloc(call->ctx, (size_t)outputs * sizeof *factor);
    if (!factor) return RH_ENOMEM;
    double n = var_divisor(call, b->gin[0], mask);
    const float *g = rh_f32(b->gout[0]), *std = root ? rh_f32(call->out[0]) : NULL;
    for (int64_t i = 0; i < outputs; i++) {
        double f = n > 0 ? g[i] / n : (double)NAN;
        factor[i] = (float)(!root ? 2 * f : std[i] == 0.0f ? 0.0 : f / std[i]);
    }
    rh_spread(b->gin[0], mask, rh_f32(call->in[0]), factor, rh_f32(call->saved[0]), b->accumulate[0]);
    rh_free(call->ctx, factor);
    return RH_OK;
}

static rh_status var_forward(rh_call *call) { return deviation_forward(call, false); }
static rh_status var_backward(rh_back *b) { return deviation_backward(b, false); }
static rh_status std_forward(rh_call *call) { return deviation_forward(call, true); }
static rh_status std_backward(rh_back *b) { return deviation_backward(b, true); }

static rh_status shape_scalar(rh_call *call, rh_spec *out) {
    (void)call;
    out[0] = rh_spec_make(RH_F32, 0, NULL);
    return RH_OK;
}

/* out = sqrt(sum of x^2) */
static rh_status norm_forward(rh_call *call) {
    rh_fold f = {1, rh_tensor_numel(call->in[0]), 1};
    double *total = rh_fold_sums(call->ctx, &f, rh_f32(call->in[0]), true, NULL);
    if (!total) return RH_ENOMEM;
    *rh_f32(call->out[0]) = (float)sqrt(*total);
    rh_free(call->ctx, total);
    return RH_OK;
}

/* dx = g x / norm, 0 where the norm is 0 */
static rh_status norm_backward(rh_back *b) {
    float norm = *rh_f32(b->call->out[0]), g = *rh_f32(b->gout[0]);
    float factor = norm == 0.0f ? 0.0f : g / norm;
    rh_spread(b->gin[0], ~0u, rh_f32(b->call->in[0]), &factor, NULL, b->accumulate[0]);
    return RH_OK;
}

static const char *const sum_samples[] = {
    "f[2,3,5]", "f[2,3,5]; {dim = -1}", "f[2,3,5]; {dim = 2, keepdim = true}",
    "f[2,3,5]; {dim = {1, 3}}", "f[2,3,2,3]; {dim = {2, 4}, keepdim = true}", "f[]", "f[1]",
    "f[0,3]", "f[0,3]; {dim = 1}", "f[70,3]; {dim = 1}", NULL};
static const char *const mean_samples[] = {
    "f[2,3,5]", "f[2,3,5]; {dim = -1}", "f[2,3,5]; {dim = 2, keepdim = true}",
    "f[2,3,5]; {dim = {1, 3}}", "f[]", "f[1]", "f[0,3]; {dim = 2}", NULL};
static const char *const var_samples[] = {
    "f[3,5]", "f[3,5]; {dim = -1}", "f[3,5]; {dim = 1, keepdim = true}",
    "f[2,3,5]; {dim = {1, 3}, unbiased = false}", "f[1]; {unbiased = false}", "f[0,3]; {dim = 2}",
    NULL};
static const char *const std_samples[] = {
    "f=[3,5]", "f=[3,5]; {dim = -1}", "f=[3,5]; {dim = 1, keepdim = true}",
    "f=[2,3,5]; {dim = {1, 3}, unbiased = false}", "f=[0,3]; {dim = 2}", NULL};
static const char *const norm_samples[] = {"f[3,5]", "f[1]", "f[]", "f[0]", NULL};

const rh_row rh_rows_reduce[] = {
    {.name = "sum", .inputs = "x:a", .options = "D:dim=? b:keepdim=false", .shape = shape_sum,
     .forward = sum_forward, .backward = sum_backward, .samples = sum_samples,
     .doc = "sum over the dimensions dim (one, a list; left out: all); i64 for i64 and bool"},
    {.name = "mean", .inputs = "x:f", .options = "D:dim=? b:keepdim=false", .shape = shape_mean,
     .forward = mean_forward, .backward = mean_backward, .samples = mean_samples,
     .doc = "mean over the dimensions dim (one, a list; left out: all); nan over none"},
    {.name = "var", .inputs = "x:f", .options = "D:dim=? b:unbiased=true b:keepdim=false",
     .save = RH_SAVE_IN(0), .shape = shape_var, .forward = var_forward,
     .backward = var_backward, .samples = var_samples,
     .doc = "variance over the dimensions dim: squared distances from the mean over n - 1, or n"},
    {.name = "std", .inputs = "x:f", .options = "D:dim=? b:unbiased=true b:keepdim=false",
     .save = RH_SAVE_IN(0) | RH_SAVE_OUT(0), .shape = shape_var, .forward = std_forward,
     .backward = std_backward, .samples = std_samples,
     .doc = "standard deviation over the dimensions dim: the root of var"},
    {.name = "norm", .inputs = "x:f", .save = RH_SAVE_IN(0) | RH_SAVE_OUT(0),
     .shape = shape_scalar, .forward = norm_forward, .backward = norm_backward,
     .samples = norm_samples, .doc = "root of the sum of squares of all elements"},
    {0}};
