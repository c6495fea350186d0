/* Joining, cutting and masking: cat, stack, split, tril, triu. cat and stack copy each tensor into a part
 * of the result, a view; backward copies the same parts out of the gradient. */
#include <string.h>

#include "base/parallel.h"
#include "ops/fold.h"

/* Returns new: a view of `size` elements along dimension d, from `first` on. */
static rh_tensor *part_of(const rh_tensor *t, int d, int64_t first, int64_t size) {
    int64_t shape[RH_MAX_RANK];
    memcpy(shape, t->shape, sizeof shape);
    shape[d] = size;
    return rh_tensor_view(t, t->rank, shape, t->strides,
                          t->offset + (size > 0 ? first * t->strides[d] : 0));
}

/* dst (+)= src, views of any strides with as many elements */
static void put(rh_tensor *dst, const rh_tensor *src, bool add) {
    if (add) rh_tensor_add_data(dst, src);
    else rh_tensor_copy_data(dst, src);
}

static rh_status check_split(rh_call *call, const rh_tensor *t, int *d) {
    const rh_opt *sizes = &call->opt[0];
    int64_t total = 0;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(1), call->opt[1].i, t->rank, d));
    if (t->rank == 0)
        return rh_fail(call->ctx, RH_EARG, 0, "a scalar has no dimension to split");
    if (sizes->list.n < 1 || sizes->list.n > RH_MAX_OUTPUTS)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "%lld parts: 1 to %d wanted",
                       (long long)sizes->list.n, RH_MAX_OUTPUTS);
    for (int64_t i = 0; i < sizes->list.n; i++) {
        int64_t size = sizes->list.v[i];
        if (size < 0 || __builtin_add_overflow(total, size, &total))
            return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "size %lld of part %lld",
                           (long long)size, (long long)i + 1);
    }
    if (total == t->shape[*d]) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "sizes add up to %lld, dimension %d has %lld",
                   (long long)total, *d + 1, (long long)t->shape[*d]);
}

static rh_status split_forward(rh_call *call) {
    int d;
    int64_t first = 0;
    RH_TRY(check_split(call, call->in[0], &d));
    call->n_out = (int)call->opt[0].list.n;
    for (int i = 0; i < call->n_out; i++) {
        int64_t size = call->opt[0].list.v[i];
        call->out[i] = part_of(call->in[0], d, first, size);
        if (!call->out[i]) return RH_ENOMEM;
        first += size;
    }
    return RH_OK;
}

/* dx = the parts' gradients side by side, 0 for a part that got none */
static rh_status split_backward(rh_back *b) {
    rh_tensor *gin = b->gin[0], *part;
    int d;
    int64_t first = 0;
    RH_TRY(check_split(b->call, gin, &d));
    bool missing = false;
    for (int i = 0; i < b->call->n_out; i++) missing = missing || !b->gout[i];
    if (missing && !b->accumulate[0])
        memset(rh_f32(gin), 0, (size_t)rh_tensor_numel(gin) * sizeof(float));
    for (int i = 0; i < b->call->n_out; i++) {
        int64_t size = b->call->opt[0].list.v[i];
        if (b->gout[i]) {
            part = part_of(gin, d, first, size);
            if (!part) return RH_ENOMEM;
            put(part, b->gout[i], b->accumulate[0]);
            rh_tensor_release(part);
        }
        first += size;
    }
    return RH_OK;
}

/* Tensor i must be as the first, but along dimension `but` (-1: in every one). The error names it by its
 * place in the list. */
static rh_status check_alike(rh_call *call, int i, int but) {
    const rh_tensor *a = call->in[0], *t = call->in[i];
    bool alike = t->rank == a->rank;
    char want[RH_SHAPE_TEXT], got[RH_SHAPE_TEXT];
    for (int d = 0; alike && d < a->rank; d++) alike = d == but || t->shape[d] == a->shape[d];
    if (!alike)
        return rh_fail(call->ctx, RH_EARG, 0, "tensor %d is %s, tensor 1 is %s", i + 1,
                       rh_shape_text(t->rank, t->shape, got),
                       rh_shape_text(a->rank, a->shape, want));
    if (t->dtype != a->dtype)
        return rh_fail(call->ctx, RH_EARG, 0, "tensor %d is %s, tensor 1 is %s", i + 1,
                       rh_dtype_name(t->dtype), rh_dtype_name(a->dtype));
    return RH_OK;
}

static rh_status cat_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *a = call->in[0];
    int d;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, a->rank, &d));
    if (a->rank == 0)
        return rh_fail(call->ctx, RH_EARG, 0, "scalars have no dimension to join along: use stack");
    out[0] = rh_spec_of(a);
    for (int i = 1; i < call->n_in; i++) {
        RH_TRY(check_alike(call, i, d));
        /* the parts are in memory, but one tensor may be in the list many times */
        if (__builtin_add_overflow(out[0].shape[d], call->in[i]->shape[d], &out[0].shape[d]))
            return rh_fail(call->ctx, RH_EARG, 0, "the sizes add up to too much");
    }
    return RH_OK;
}

/* stack is cat of tensors that have one dimension more, of size 1 */
static rh_status stack_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *a = call->in[0];
    int at;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, a->rank + 1, &at));
    if (a->rank == RH_MAX_RANK)
        return rh_fail(call->ctx, RH_EARG, 0, "a tensor has at most %d dimensions", RH_MAX_RANK);
    for (int i = 1; i < call->n_in; i++) RH_TRY(check_alike(call, i, -1));
    out[0] = (rh_spec){.dtype = a->dtype, .rank = a->rank + 1};
    for (int d = 0; d < out[0].rank; d++)
        out[0].shape[d] = d == at ? call->n_in : a->shape[d < at ? d : d - 1];
    return RH_OK;
}

/* Which dimension of the result the parts stand along, and how much of it each takes. */
static rh_status joined_dim(rh_call *call, const rh_tensor *joined, int *d) {
    return rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, joined->rank, d);
}

static rh_status join_forward(rh_call *call) {
    bool stack = call->out[0]->rank > call->in[0]->rank;
    int d;
    int64_t first = 0;
    RH_TRY(joined_dim(call, call->out[0], &d));
    for (int i = 0; i < call->n_in; i++) {
        int64_t size = stack ? 1 : call->in[i]->shape[d];
        rh_tensor *part = part_of(call->out[0], d, first, size);
        if (!part) return RH_ENOMEM;
        rh_tensor_copy_data(part, call->in[i]);
        rh_tensor_release(part);
        first += size;
    }
    return RH_OK;
}

/* dx of each tensor = its part of g */
static rh_status join_backward(rh_back *b) {
    rh_call *call = b->call;
    bool stack = call->out[0]->rank > call->in[0]->rank;
    int d;
    int64_t first = 0;
    RH_TRY(joined_dim(call, call->out[0], &d));
    for (int i = 0; i < call->n_in; i++) {
        int64_t size = stack ? 1 : call->in[i]->shape[d];
        if (b->gin[i]) {
            rh_tensor *part = part_of(b->gout[0], d, first, size);
            if (!part) return RH_ENOMEM;
            put(b->gin[i], part, b->accumulate[i]);
            rh_tensor_release(part);
        }
        first += size;
    }
    return RH_OK;
}

/* Keeping one side of a diagonal. */
typedef struct triangle {
    int64_t rows, columns, diagonal;
    bool lower;
    const float *x;
    float *out;
    bool add;
} triangle;

static void triangle_rows(void *arg, int64_t begin, int64_t end, int worker) {
    const triangle *t = arg;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        int64_t row = r % t->rows, edge; /* columns below edge are the lower side */
        if (__builtin_add_overflow(row + (t->lower ? 1 : 0), t->diagonal, &edge)) edge = INT64_MAX;
        edge = rh_max(0, rh_min(t->columns, edge));
        int64_t from = t->lower ? 0 : edge, to = t->lower ? edge : t->columns;
        const float *x = t->x + r * t->columns;
        float *out = t->out + r * t->columns;
        if (!t->add) memset(out, 0, (size_t)t->columns * sizeof *out);
        rh_kernels.reduce->put_vector(out + from, to - from, x + from, t->add);
    }
}

static rh_status triangle_shape(rh_call *call, rh_spec *out) {
    char text[RH_SHAPE_TEXT];
    const rh_tensor *x = call->in[0];
    if (x->rank < 2)
        return rh_fail(call->ctx, RH_EARG, 0, "matrices wanted, got %s",
                       rh_shape_text(x->rank, x->shape, text));
    return rh_shape_like_first(call, out);
}

/* out (+)= the lower or upper side of x, 0 on the other */
static void keep_triangle(const rh_call *call, bool lower, const rh_tensor *x, rh_tensor *out,
                          bool add) {
    triangle t = {.rows = x->shape[x->rank - 2], .columns = x->shape[x->rank - 1],
                  .diagonal = call->opt[0].i, .lower = lower, .x = rh_f32(x),
                  .out = rh_f32(out), .add = add};
    if (rh_tensor_numel(x) == 0) return;
    rh_parallel_range(rh_tensor_numel(x) / t.columns, rh_max(1, RH_PIECE / t.columns),
                      triangle_rows, &t);
}

static rh_status tril_forward(rh_call *call) {
    return keep_triangle(call, true, call->in[0], call->out[0], false), RH_OK;
}
static rh_status triu_forward(rh_call *call) {
    return keep_triangle(call, false, call->in[0], call->out[0], false), RH_OK;
}
/* dx = the same side of g */
static rh_status tril_backward(rh_back *b) {
    return keep_triangle(b->call, true, b->gout[0], b->gin[0], b->accumulate[0]), RH_OK;
}
static rh_status triu_backward(rh_back *b) {
    return keep_triangle(b->call, false, b->gout[0], b->gin[0], b->accumulate[0]), RH_OK;
}

static const char *const cat_samples[] = {
    "(f[3,4] f[2,4])", "(f[2,3,1] f[2,3,4] f[2,3,2]); {dim = -1}", "(f[1])", "(f[2] f[0])", NULL};
static const char *const stack_samples[] = {
    "(f[3,4] f[3,4]); {dim = 2}", "(f[] f[] f[])", "(f[1]); {dim = -1}", "(f[0] f[0])", NULL};
static const char *const split_samples[] = {
    "f[3,5]; {sizes = {1, 2, 2}, dim = 2}", "f[4]; {sizes = {4, 0}}", "f[1]; {sizes = 1}", NULL};
static const char *const triangle_samples[] = {
    "f[3,3]", "f[2,3,5]; {diagonal = 1}", "f[4,3]; {diagonal = -1}", "f[1,1]", "f[0,2]", NULL};

const rh_row rh_rows_join[] = {
    {.name = "cat", .inputs = "tensors:a*", .options = "d:dim=0", .flags = RH_STRIDED,
     .shape = cat_shape, .forward = join_forward, .backward = join_backward,
     .samples = cat_samples, .doc = "the tensors of a list one after another along dim"},
    {.name = "stack", .inputs = "tensors:a*", .options = "d:dim=0", .flags = RH_STRIDED,
     .shape = stack_shape, .forward = join_forward, .backward = join_backward,
     .samples = stack_samples, .doc = "the tensors of a list, of one shape, along a new dimension dim"},
    {.name = "split", .inputs = "x:a", .options = "l:sizes d:dim=0", .flags = RH_VIEW | RH_MULTI,
     .forward = split_forward, .backward = split_backward, .samples = split_samples,
     .doc = "views of parts of the given sizes along dim, as several results"},
    {.name = "tril", .inputs = "x:f", .options = "i:diagonal=0", .shape = triangle_shape,
     .forward = tril_forward, .backward = tril_backward, .samples = triangle_samples,
     .doc = "lower side of each matrix, 0 above its diagonal (1: one to the right, -1: one below)"},
    {.name = "triu", .inputs = "x:f", .options = "i:diagonal=0", .shape = triangle_shape,
     .forward = triu_forward, .backward = triu_backward, .samples = triangle_samples,
     .doc = "upper side of each matrix, 0 below its diagonal"},
    {0}};
