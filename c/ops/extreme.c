/* Largest and smallest: max, min, argmax, argmin. Ties go to the first; a nan counts as the extreme,
 * as in PyTorch. The gradient of max along a dimension goes to the element taken; that of the max of
 * a whole tensor is shared evenly among ties. Long lines are cut into spans whose extremes are
 * compared in order, so nothing depends on the number of threads. */
#include "base/parallel.h"
#include "base/pool.h"
#include "ops/fold.h"

typedef struct search {
    rh_fold fold;
    const float *x;   /* [outer, size, inner] */
    float sign;       /* 1: largest, -1: smallest */
    int64_t spans;    /* of RH_PIECE elements, in each line; inner > 1: one */
    float *best;      /* [outer, spans] or, inner > 1, [outer, inner] */
    float *value;     /* [outer, inner] */
    int64_t *index;   /* [outer, inner] or NULL */
} search;

static void search_spans(void *arg, int64_t begin, int64_t end, int worker) {
    const search *s = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i % s->spans * RH_PIECE, n = rh_min(RH_PIECE, s->fold.size - first);
        const float *x = s->x + i / s->spans * s->fold.size + first;
        s->best[i] = rh_kernels.reduce->extreme(x, n, s->sign);
    }
}

/* From the spans' extremes to the line's: the first span that has it, then the place in it. */
static void search_lines(void *arg, int64_t begin, int64_t end, int worker) {
    const search *s = arg;
    (void)worker;
    for (int64_t o = begin; o < end; o++) {
        const float *best = s->best + o * s->spans;
        float top = rh_kernels.reduce->extreme(best, s->spans, s->sign);
        s->value[o] = top;
        if (!s->index) continue;
        int64_t first = rh_kernels.reduce->find(best, s->spans, top) * RH_PIECE;
        int64_t n = rh_min(RH_PIECE, s->fold.size - first);
        s->index[o] = first + rh_kernels.reduce->find(s->x + o * s->fold.size + first, n, top);
    }
}

static void search_columns(void *arg, int64_t begin, int64_t end, int worker) {
    const search *s = arg;
    int64_t at[RH_STRIP], inner = s->fold.inner;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        rh_strip p = rh_strip_at(&s->fold, i);
        int64_t out = p.outer * inner + p.inner;
        const float *x = s->x + p.outer * s->fold.size * inner + p.inner;
        rh_kernels.reduce->extreme_columns(s->value + out, s->index ? s->index + out : at, x,
                                           s->fold.size, inner, p.width, s->sign);
    }
}

/* value [outer, inner] and index [outer, inner] (either may be NULL) of x; fold->size >= 1. */
static rh_status find_extremes(rh_ctx *ctx, const rh_fold *fold, const float *x, float sign,
                               float *value, int64_t *index) {
    search s = {.fold = *fold, .x = x, .sign = sign, .value = value, .index = index};
    bool rows = fold->inner == 1;
    s.spans = rows ? rh_ceil_div(fold->size, RH_PIECE) : 0;
    int64_t outputs = fold->outer * fold->inner;
    float *scratch = rh_alloc(ctx, (size_t)(outputs + fold->outer * s.spans) * sizeof *scratch);
    if (!scratch) return RH_ENOMEM;
    s.best = scratch + outputs;
    if (!value) s.value = scratch;
    int64_t grain = rh_strip_grain(fold);
    if (rows) {
        rh_parallel_range(fold->outer * s.spans, grain, search_spans, &s);
        rh_parallel_range(fold->outer, grain, search_lines, &s);
    } else {
        rh_parallel_range(rh_strip_count(fold), grain, search_columns, &s);
    }
    rh_free(ctx, scratch);
    return RH_OK;
}

/* The fold of a call: around option 0, or the whole tensor as one line. An error when a line is empty. */
static rh_status search_fold(rh_call *call, int *dim, rh_fold *fold) {
    const rh_tensor *x = call->in[0];
    char text[RH_SHAPE_TEXT];
    if (call->opt[0].given) RH_TRY(rh_fold_option(call, 0, dim, fold));
    else *fold = (rh_fold){1, rh_tensor_numel(x), 1};
    if (fold->size > 0) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, 0, "one element at least wanted%s, got %s",
                   call->opt[0].given ? " along the dimension" : "",
                   rh_shape_text(x->rank, x->shape, text));
}

static rh_status search_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *x = call->in[0];
    int dim = 0;
    rh_fold fold;
    RH_TRY(search_fold(call, &dim, &fold));
    bool all = !call->opt[0].given, keepdim = call->opt[1].i;
    rh_spec spec = {.dtype = RH_F32};
    for (int d = 0; d < x->rank; d++) {
        bool reduced = all || d == dim;
        if (!reduced || keepdim) spec.shape[spec.rank++] = reduced ? 1 : x->shape[d];
    }
    out[0] = spec;
    return RH_OK;
}

/* max, min: the value, and along a dimension the index too */
static rh_status extreme_shape(rh_call *call, rh_spec *out) {
    RH_TRY(search_shape(call, out));
    if (!call->opt[0].given) return RH_OK;
    call->n_out = 2;
    out[1] = out[0];
    out[1].dtype = RH_I64;
    return RH_OK;
}

static rh_status index_shape(rh_call *call, rh_spec *out) {
    RH_TRY(search_shape(call, out));
    out[0].dtype = RH_I64;
    return RH_OK;
}

static rh_status extreme_forward(rh_call *call, float sign) {
    int dim;
    rh_fold fold;
    RH_TRY(search_fold(call, &dim, &fold));
    return find_extremes(call->ctx, &fold, rh_f32(call->in[0]), sign, rh_f32(call->out[0]),
                         call->n_out == 2 ? rh_i64(call->out[1]) : NULL);
}

static rh_status index_forward(rh_call *call, float sign) {
    int dim;
    rh_fold fold;
    RH_TRY(search_fold(call, &dim, &fold));
    return find_extremes(call->ctx, &fold, rh_f32(call->in[0]), sign, NULL,
                         rh_i64(call->out[0]));
}

/* whole tensor: dx = g / ties where x = out, else 0; along a dimension: dx[index] = g, else 0 */
static rh_status extreme_backward(rh_back *b) {
    rh_call *call = b->call;
    int dim;
    rh_fold fold;
    const float *g = rh_f32(b->gout[0]);
    RH_TRY(search_fold(call, &dim, &fold));
    if (call->n_out == 2) {
        rh_pick_back(&fold, 1, rh_i64(call->out[1]), g, rh_f32(b->gin[0]), b->accumulate[0]);
        return RH_OK;
    }
    const float *x = rh_f32(call->in[0]);
    float top = *rh_f32(call->out[0]);
    int64_t ties = rh_kernels.reduce->count_equal(x, fold.size, top);
    rh_kernels.reduce->put_equal(rh_f32(b->gin[0]), x, fold.size, top, *g / (float)ties,
                                 b->accumulate[0]);
    return RH_OK;
}

static rh_status max_forward(rh_call *call) { return extreme_forward(call, 1.0f); }
static rh_status min_forward(rh_call *call) { return extreme_forward(call, -1.0f); }
static rh_status argmax_forward(rh_call *call) { return index_forward(call, 1.0f); }
static rh_status argmin_forward(rh_call *call) { return index_forward(call, -1.0f); }

static const char *const samples[] = {
    "f=[2,3,5]", "f=[2,3,5]; {dim = -1}", "f=[2,3,5]; {dim = 2, keepdim = true}",
    "f=[3,70]; {dim = 1}", "f[]", "f[1]; {dim = 1}", "f[0,3]; {dim = 2}", NULL};

#define EXTREME_SAVE (RH_SAVE_IN(0) | RH_SAVE_OUT(0) | RH_SAVE_OUT(1))

const rh_row rh_rows_extreme[] = {
    {.name = "max", .inputs = "x:f", .options = "d:dim=? b:keepdim=false", .flags = RH_MULTI,
     .save = EXTREME_SAVE, .shape = extreme_shape, .forward = max_forward,
     .backward = extreme_backward, .samples = samples,
     .doc = "largest element; along dim: largest of each line and its index, counting from 0"},
    {.name = "min", .inputs = "x:f", .options = "d:dim=? b:keepdim=false", .flags = RH_MULTI,
     .save = EXTREME_SAVE, .shape = extreme_shape, .forward = min_forward,
     .backward = extreme_backward, .samples = samples,
     .doc = "smallest element; along dim: smallest of each line and its index, counting from 0"},
    {.name = "argmax", .inputs = "x:f", .options = "d:dim=? b:keepdim=false",
     .shape = index_shape, .forward = argmax_forward, .samples = samples,
     .doc = "index of the first largest element along dim (left out: of all), counting from 0"},
    {.name = "argmin", .inputs = "x:f", .options = "d:dim=? b:keepdim=false",
     .shape = index_shape, .forward = argmin_forward, .samples = samples,
     .doc = "index of the first smallest element along dim (left out: of all), counting from 0"},
    {0}};
