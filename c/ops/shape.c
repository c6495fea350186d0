/* Views: operations that show a tensor's storage through another shape and other strides. Each row has
 * one function that finds the view; forward applies it to the input, backward to the input's gradient,
 * where the gradient that came is then put: what forward did not show gets 0. */
#include <string.h>

#include "ops/sums.h"

typedef struct view {
    int rank;
    int64_t shape[RH_MAX_RANK], strides[RH_MAX_RANK], offset;
} view;

static view view_of(const rh_tensor *t) {
    view v = {.rank = t->rank, .offset = t->offset};
    memcpy(v.shape, t->shape, sizeof v.shape);
    memcpy(v.strides, t->strides, sizeof v.strides);
    return v;
}

static rh_status make_view(const rh_tensor *t, const view *v, rh_tensor **out) {
    *out = rh_tensor_view(t, v->rank, v->shape, v->strides, v->offset);
    return *out ? RH_OK : RH_ENOMEM;
}

typedef rh_status (*find_view)(rh_call *call, const rh_tensor *t, view *v);

static rh_status forward_by(rh_call *call, find_view find) {
    view v;
    RH_TRY(find(call, call->in[0], &v));
    return make_view(call->in[0], &v, &call->out[0]);
}

/* Places of the gradient that forward did not show get 0, so the view may cover a part only. */
static rh_status backward_by(rh_back *b, find_view find) {
    view v;
    rh_tensor *gin = b->gin[0], *part;
    RH_TRY(find(b->call, gin, &v));
    RH_TRY(make_view(gin, &v, &part));
    bool whole = rh_tensor_numel(part) == rh_tensor_numel(gin);
    if (!b->accumulate[0] && !whole)
        memset(rh_f32(gin), 0, (size_t)rh_tensor_numel(gin) * sizeof(float));
    if (b->accumulate[0]) rh_tensor_add_data(part, b->gout[0]);
    else rh_tensor_copy_data(part, b->gout[0]);
    rh_tensor_release(part);
    return RH_OK;
}

static rh_status find_transpose(rh_call *call, const rh_tensor *t, view *v) {
    int a, b;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, t->rank, &a));
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(1), call->opt[1].i, t->rank, &b));
    *v = view_of(t);
    if (t->rank == 0) return RH_OK;
    v->shape[a] = t->shape[b];
    v->shape[b] = t->shape[a];
    v->strides[a] = t->strides[b];
    v->strides[b] = t->strides[a];
    return RH_OK;
}

static rh_status find_permute(rh_call *call, const rh_tensor *t, view *v) {
    const rh_opt *dims = &call->opt[0];
    unsigned seen = 0;
    char text[RH_SHAPE_TEXT];
    if (dims->list.n != t->rank)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "%lld dimensions given for %s",
                       (long long)dims->list.n, rh_shape_text(t->rank, t->shape, text));
    *v = view_of(t);
    for (int d = 0; d < t->rank; d++) {
        int from;
        RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), dims->list.v[d], t->rank, &from));
        if (seen & (1u << from))
            return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "dimension %d twice", from + 1);
        seen |= 1u << from;
        v->shape[d] = t->shape[from];
        v->strides[d] = t->strides[from];
    }
    return RH_OK;
}

/* As string.sub counts: from 1, the last one included, negative from the end, clamped. */
static rh_status find_slice(rh_call *call, const rh_tensor *t, view *v) {
    const rh_opt *start = &call->opt[1], *stop = &call->opt[2];
    int64_t step = call->opt[3].i;
    int d;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, t->rank, &d));
    if (t->rank == 0)
        return rh_fail(call->ctx, RH_EARG, 0, "a scalar has no dimension to slice");
    if (step < 1)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(3), "step %lld: 1 or more wanted",
                       (long long)step);
    int64_t n = t->shape[d], first = start->given ? start->i : 1, last = stop->given ? stop->i : -1;
    if (first < 0) first = first < -n ? 1 : n + first + 1;
    else if (first == 0) first = 1;
    if (last > n) last = n;
    else if (last < 0) last = last < -n ? 0 : n + last + 1;
    *v = view_of(t);
    v->shape[d] = first <= last ? (last - first) / step + 1 : 0;
    if (v->shape[d] == 0) return RH_OK;
    v->offset += (first - 1) * t->strides[d];
    if (v->shape[d] > 1) v->strides[d] = t->strides[d] * step;
    return RH_OK;
}

static rh_status find_select(rh_call *call, const rh_tensor *t, view *v) {
    int d;
    int64_t i = call->opt[1].i;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, t->rank, &d));
    if (t->rank == 0)
        return rh_fail(call->ctx, RH_EARG, 0, "a scalar has no dimension to select from");
    if (i < -t->shape[d] || i >= t->shape[d])
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(1), "index %lld of %lld at dimension %d",
                       (long long)(i < 0 ? i : i + 1), (long long)t->shape[d], d + 1);
    *v = view_of(t);
    v->offset += (i < 0 ? i + t->shape[d] : i) * t->strides[d];
    v->rank--;
    for (; d < v->rank; d++) {
        v->shape[d] = t->shape[d + 1];
        v->strides[d] = t->strides[d + 1];
    }
    return RH_OK;
}

static rh_status find_squeeze(rh_call *call, const rh_tensor *t, view *v) {
    int only = -1;
    if (call->opt[0].given)
        RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, t->rank, &only));
    *v = (view){.offset = t->offset};
    for (int d = 0; d < t->rank; d++) {
        if (t->shape[d] == 1 && (only < 0 || only == d)) continue;
        v->shape[v->rank] = t->shape[d];
        v->strides[v->rank++] = t->strides[d];
    }
    return RH_OK;
}

static rh_status find_unsqueeze(rh_call *call, const rh_tensor *t, view *v) {
    int at;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, t->rank + 1, &at));
    if (t->rank == RH_MAX_RANK)
        return rh_fail(call->ctx, RH_EARG, 0, "a tensor has at most %d dimensions", RH_MAX_RANK);
    *v = (view){.rank = t->rank + 1, .offset = t->offset};
    for (int d = 0; d < v->rank; d++) {
        int from = d < at ? d : d - 1;
        v->shape[d] = d == at ? 1 : t->shape[from];
        v->strides[d] = d == at ? 1 : t->strides[from];
    }
    return RH_OK;
}

static rh_status check_rank(rh_call *call, const rh_opt *shape) {
    if (shape->list.n <= RH_MAX_RANK) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "%lld dimensions: at most %d",
                   (long long)shape->list.n, RH_MAX_RANK);
}

/* A view takes no memory, so nothing else stops a count of elements that does not fit. */
static bool countable(const view *v) {
    int64_t n = 8;
    bool fits = true;
    for (int d = 0; d < v->rank; d++) fits = fits && rh_i64_mul(n, rh_max(1, v->shape[d]), &n);
    return fits;
}

/* -1 keeps a size */
static rh_status find_expand(rh_call *call, const rh_tensor *t, view *v) {
    const rh_opt *shape = &call->opt[0];
    char from[RH_SHAPE_TEXT], to[RH_SHAPE_TEXT];
    RH_TRY(check_rank(call, shape));
    *v = (view){.rank = (int)shape->list.n, .offset = t->offset};
    for (int d = 0; d < v->rank; d++) {
        int own = d - (v->rank - t->rank);
        int64_t n = shape->list.v[d], have = own >= 0 ? t->shape[own] : 1;
        v->shape[d] = n == -1 && own >= 0 ? have : n;
        if (v->shape[d] < 0 || (have != 1 && v->shape[d] != have)) v->rank = -1;
        v->strides[d] = own >= 0 && v->shape[d] == have ? t->strides[own] : 0;
        if (v->rank < 0) break;
    }
    if (v->rank >= t->rank && countable(v)) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "%s does not expand to %s",
                   rh_shape_text(t->rank, t->shape, from),
                   rh_shape_text((int)shape->list.n, shape->list.v, to));
}

/* Backward of expand: the sum over the dimensions it made. */
static rh_status expand_backward(rh_back *b) {
    rh_tensor *gin = b->gin[0], *g = b->gout[0];
    unsigned mask = 0;
    for (int d = 0; d < g->rank; d++) {
        int own = d - (g->rank - gin->rank);
        if (own < 0 || (gin->shape[own] == 1 && g->shape[d] != 1)) mask |= 1u << d;
    }
    return rh_sum_over(b->call->ctx, gin, g, mask, b->accumulate[0]);
}

/* The wanted shape with -1 worked out. */
static rh_status wanted_shape(rh_call *call, const rh_tensor *t, view *v) {
    const rh_opt *shape = &call->opt[0];
    char from[RH_SHAPE_TEXT], to[RH_SHAPE_TEXT];
    int64_t known = 1, numel = rh_tensor_numel(t);
    int inferred = -1;
    bool fits = true;
    RH_TRY(check_rank(call, shape));
    *v = (view){.rank = (int)shape->list.n, .offset = t->offset};
    for (int d = 0; d < v->rank; d++) {
        v->shape[d] = shape->list.v[d];
        if (v->shape[d] == -1 && inferred < 0) inferred = d;
        else fits = fits && rh_i64_mul(known, v->shape[d], &known);
    }
    if (inferred >= 0) {
        fits = fits && known > 0 && numel % known == 0;
        v->shape[inferred] = fits ? numel / known : 0;
    } else {
        fits = fits && known == numel;
    }
    if (fits) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "%s does not reshape to %s",
                   rh_shape_text(t->rank, t->shape, from),
                   rh_shape_text(v->rank, shape->list.v, to));
}

/* Sets v->strides so that v shows t's elements in order; false where no strides do. Dimensions of t
 * that lie in memory as one are taken together, and each such run must make up whole ones of v. */
static bool strides_for(const rh_tensor *t, view *v) {
    int64_t size[RH_MAX_RANK], stride[RH_MAX_RANK];
    int runs = 0, at = 0;
    for (int d = 0; d < t->rank; d++) {
        if (t->shape[d] == 1) continue;
        if (runs > 0 && stride[runs - 1] == t->strides[d] * t->shape[d]) {
            size[runs - 1] *= t->shape[d];
            stride[runs - 1] = t->strides[d];
        } else {
            size[runs] = t->shape[d];
            stride[runs++] = t->strides[d];
        }
    }
    for (int d = 0; d < v->rank; d++) {
        v->strides[d] = 1;
        if (v->shape[d] == 1) continue;
        if (at == runs || size[at] % v->shape[d] != 0) return false;
        size[at] /= v->shape[d];
        v->strides[d] = stride[at] * size[at];
        if (size[at] == 1) at++;
    }
    return true;
}

/* A view where strides can show it, else a copy. */
static rh_status reshape_forward(rh_call *call) {
    view v;
    rh_tensor *t = call->in[0];
    RH_TRY(wanted_shape(call, t, &v));
    if (rh_tensor_numel(t) == 0) rh_shape_strides(v.rank, v.shape, v.strides);
    else if (!strides_for(t, &v)) {
        call->out[0] = rh_tensor_new(call->ctx, t->dtype, v.rank, v.shape);
        if (!call->out[0]) return call->ctx->error.code;
        rh_tensor_copy_data(call->out[0], t);
        return RH_OK;
    }
    return make_view(t, &v, &call->out[0]);
}

/* dx = g in x's shape, element by element in order */
static rh_status reshape_backward(rh_back *b) {
    rh_grad_put(b->gin[0], rh_f32(b->gout[0]), b->accumulate[0]);
    return RH_OK;
}

/* The tensor itself where it is contiguous, else a copy. */
static rh_status contiguous_forward(rh_call *call) {
    rh_tensor *t = call->in[0];
    call->out[0] = rh_tensor_is_contiguous(t) ? rh_tensor_detach(t) : rh_tensor_contiguous(t);
    return call->out[0] ? RH_OK : call->ctx->error.code;
}


static rh_status transpose_forward(rh_call *call) { return forward_by(call, find_transpose); }
static rh_status permute_forward(rh_call *call) { return forward_by(call, find_permute); }
static rh_status slice_forward(rh_call *call) { return forward_by(call, find_slice); }
static rh_status select_forward(rh_call *call) { return forward_by(call, find_select); }
static rh_status squeeze_forward(rh_call *call) { return forward_by(call, find_squeeze); }
static rh_status unsqueeze_forward(rh_call *call) { return forward_by(call, find_unsqueeze); }
static rh_status expand_forward(rh_call *call) { return forward_by(call, find_expand); }

static rh_status transpose_backward(rh_back *b) { return backward_by(b, find_transpose); }
static rh_status permute_backward(rh_back *b) { return backward_by(b, find_permute); }
static rh_status slice_backward(rh_back *b) { return backward_by(b, find_slice); }
static rh_status select_backward(rh_back *b) { return backward_by(b, find_select); }

static rh_status clone_forward(rh_call *call) {
    rh_tensor_copy_data(call->out[0], call->in[0]);
    return RH_OK;
}

static const char *const transpose_samples[] = {
    "f[2,3]", "f[2,3,4]; {dim0 = 1, dim1 = 3}", "f[1,3]", "f[0,3]", NULL};
static const char *const permute_samples[] = {
    "f[2,3,4]; {dims = {3, 1, 2}}", "f[]; {dims = {}}", "f[1,0]; {dims = {2, 1}}", NULL};
static const char *const slice_samples[] = {
    "f[3,5]; {dim = 2, start = 2, stop = -2}", "f[5,2]; {dim = 1, step = 2}",
    "f[3,5]; {dim = 1, start = 4}", "f[1]; {dim = 1}", "f[0]; {dim = 1}", NULL};
static const char *const select_samples[] = {
    "f[3,5]; {dim = 2, index = -1}", "f[3]; {dim = 1, index = 2}", "f[1,4]; {dim = 1, index = 1}",
    "f[2,0]; {dim = 1, index = 1}", NULL};
static const char *const squeeze_samples[] = {
    "f[1,3,1]", "f[1,3,1]; {dim = 1}", "f[2,3]; {dim = 1}", "f[]", "f[1,0]", NULL};
static const char *const unsqueeze_samples[] = {
    "f[2,3]; {dim = 2}", "f[2,3]; {dim = -1}", "f[]; {dim = 1}", "f[0]; {dim = 1}", NULL};
static const char *const expand_samples[] = {
    "f[2,1,4]; {shape = {2, 3, 4}}", "f[3]; {shape = {2, -1}}", "f[]; {shape = {2, 2}}",
    "f[1,1,2]; {shape = {3, 2, 2}}", "f[1]; {shape = {0}}", NULL};
static const char *const reshape_samples[] = {
    "f[2,3]; {shape = {3, -1}}", "f[2,3,2]; {shape = {6, 2}}", "f[1]; {shape = {}}",
    "f[0,3]; {shape = {3, 0}}", NULL};
static const char *const plain_samples[] = {"f[2,3]", "f[]", "f[1]", "f[0,2]", NULL};

const rh_row rh_rows_shape[] = {
    {.name = "transpose", .inputs = "x:a", .options = "d:dim0=-2 d:dim1=-1", .flags = RH_VIEW,
     .forward = transpose_forward, .backward = transpose_backward, .samples = transpose_samples,
     .doc = "view with two dimensions exchanged (left out: the last two)"},
    {.name = "permute", .inputs = "x:a", .options = "D:dims", .flags = RH_VIEW,
     .forward = permute_forward, .backward = permute_backward, .samples = permute_samples,
     .doc = "view whose dimension i is dims[i] of x"},
    /* start and stop are as string.sub takes them, so they are plain integers: 0 is no mistake */
    {.name = "slice", .inputs = "x:a", .options = "d:dim i:start=? i:stop=? i:step=1",
     .flags = RH_VIEW, .forward = slice_forward, .backward = slice_backward,
     .samples = slice_samples,
     .doc = "view of the elements start to stop along dim (both included, as in string.sub), each step-th"},
    {.name = "select", .inputs = "x:a", .options = "d:dim p:index", .flags = RH_VIEW,
     .forward = select_forward, .backward = select_backward, .samples = select_samples,
     .doc = "view of one index along dim, without that dimension"},
    {.name = "squeeze", .inputs = "x:a", .options = "d:dim=?", .flags = RH_VIEW,
     .forward = squeeze_forward, .backward = reshape_backward, .samples = squeeze_samples,
     .doc = "view without dimension dim if its size is 1; left out: without all of size 1"},
    {.name = "unsqueeze", .inputs = "x:a", .options = "d:dim", .flags = RH_VIEW,
     .forward = unsqueeze_forward, .backward = reshape_backward, .samples = unsqueeze_samples,
     .doc = "view with a dimension of size 1 put in as dimension dim"},
    {.name = "expand", .inputs = "x:a", .options = "l:shape", .flags = RH_VIEW,
     .forward = expand_forward, .backward = expand_backward, .samples = expand_samples,
     .doc = "view that repeats dimensions of size 1 (and new ones in front) to shape; -1 keeps a size"},
    {.name = "reshape", .inputs = "x:a", .options = "l:shape", .flags = RH_VIEW,
     .forward = reshape_forward, .backward = reshape_backward, .samples = reshape_samples,
     .doc = "same elements in order with another shape, -1 inferred; a view where strides allow it"},
    {.name = "contiguous", .inputs = "x:a", .flags = RH_VIEW, .forward = contiguous_forward,
     .backward = reshape_backward, .samples = plain_samples,
     .doc = "x itself where its elements lie in order, else a copy where they do"},
    {.name = "clone", .inputs = "x:a", .flags = RH_STRIDED, .shape = rh_shape_like_first,
     .forward = clone_forward, .backward = reshape_backward, .samples = plain_samples,
     .doc = "a copy with storage of its own"},
    {0}};
