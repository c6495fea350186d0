/* Taking and putting by index: embedding and index_select take whole rows, gather and scatter single
 * elements. Ids and indices count from 0 and are all checked before anything is touched.
 * Backward adds in the order of the indices whatever the number of threads: a piece owns the rows of the
 * weight, or the lines of the tensor, that it adds to. */
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "ops/fold.h"
#include "ops/ids.h"
#include "ops/kernels/index.h"

/* --- whole rows: x [outer, size, inner], id [n] -> out [outer, n, inner] --- */

typedef struct rows {
    rh_fold fold;
    int64_t n;
    const int64_t *id;
    const char *x;
    char *out;
    size_t bytes;      /* of an element */
    const float *g;    /* backward: [outer, n, inner] */
    float *dx;         /* backward: [outer, size, inner] */
    int64_t own;       /* backward: rows of x that a piece owns */
    bool add;
} rows;

static void take_rows(void *arg, int64_t begin, int64_t end, int worker) {
    const rows *r = arg;
    size_t bytes = (size_t)r->fold.inner * r->bytes;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t from = i / r->n * r->fold.size + r->id[i % r->n];
        memcpy(r->out + (size_t)i * bytes, r->x + (size_t)from * bytes, bytes);
    }
}

static void run_take(rh_call *call, const rh_fold *fold) {
    rows r = {.fold = *fold, .n = rh_tensor_numel(call->in[1]), .id = rh_i64(call->in[1]),
              .bytes = rh_dtype_size(call->out[0]->dtype)};
    if (rh_tensor_numel(call->out[0]) == 0) return;
    r.x = (const char *)call->in[0]->storage->data + (size_t)call->in[0]->offset * r.bytes;
    r.out = (char *)call->out[0]->storage->data + (size_t)call->out[0]->offset * r.bytes;
    rh_parallel_range(fold->outer * r.n, rh_max(1, RH_PIECE / fold->inner), take_rows, &r);
}

/* Each piece owns some rows of dx and looks through all ids for them. */
static void add_rows(void *arg, int64_t begin, int64_t end, int worker) {
    const rows *r = arg;
    int64_t inner = r->fold.inner, chunks = rh_ceil_div(r->fold.size, r->own);
    (void)worker;
    for (int64_t piece = begin; piece < end; piece++) {
        int64_t o = piece / chunks, first = piece % chunks * r->own;
        int64_t count = rh_min(r->own, r->fold.size - first);
        float *dx = r->dx + (o * r->fold.size + first) * inner;
        if (!r->add) memset(dx, 0, (size_t)(count * inner) * sizeof *dx);
        for (int64_t i = 0; i < r->n; i++) {
            int64_t row = r->id[i] - first;
            if (row < 0 || row >= count) continue;
            rh_kernels.index->add(dx + row * inner, r->g + (o * r->n + i) * inner, inner);
        }
    }
}

enum { OWNERS = 32, OWN_AT_LEAST = 64 };

static void run_add_rows(rh_back *b, const rh_fold *fold) {
    const rh_tensor *ids = b->call->in[1];
    rows r = {.fold = *fold, .n = rh_tensor_numel(ids), .id = rh_i64(ids),
              .g = rh_f32(b->gout[0]), .dx = rh_f32(b->gin[0]), .add = b->accumulate[0]};
    if (rh_tensor_numel(b->gin[0]) == 0) return;
    r.own = rh_max(OWN_AT_LEAST, rh_ceil_div(fold->size, OWNERS));
    int64_t pieces = fold->outer * rh_ceil_div(fold->size, r.own);
    int64_t work = rh_max(1, rh_min(r.own, fold->size) * fold->inner + r.n);
    rh_parallel_range(pieces, rh_max(1, RH_PIECE / work), add_rows, &r);
}

static rh_status embedding_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *ids = call->in[1];
    RH_TRY(rh_want_rank(call, 0, 2));
    if (ids->rank == RH_MAX_RANK)
        return rh_fail(call->ctx, RH_EARG, 1, "at most %d dimensions wanted, got %d",
                       RH_MAX_RANK - 1, ids->rank);
    out[0] = rh_spec_make(RH_F32, ids->rank, ids->shape);
    out[0].shape[out[0].rank++] = call->in[0]->shape[1];
    return rh_ids_check(call, 1, call->in[0]->shape[0]);
}

/* out[i] = weight[ids[i]] */
static rh_status embedding_forward(rh_call *call) {
    rh_fold fold = rh_fold_at(2, call->in[0]->shape, 0);
    run_take(call, &fold);
    return RH_OK;
}

/* dweight[v] = sum of g[i] over ids[i] = v */
static rh_status embedding_backward(rh_back *b) {
    rh_fold fold = rh_fold_at(2, b->gin[0]->shape, 0);
    run_add_rows(b, &fold);
    return RH_OK;
}

static rh_status index_select_shape(rh_call *call, rh_spec *out) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(call, 0, &dim, &fold));
    RH_TRY(rh_want_rank(call, 1, 1));
    if (call->in[0]->rank == 0)
        return rh_fail(call->ctx, RH_EARG, 0, "a scalar has no dimension to select from");
    out[0] = rh_spec_of(call->in[0]);
    out[0].shape[dim] = call->in[1]->shape[0];
    return rh_ids_check(call, 1, fold.size);
}

/* out[.., i, ..] = x[.., index[i], ..] */
static rh_status index_select_forward(rh_call *call) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(call, 0, &dim, &fold));
    run_take(call, &fold);
    return RH_OK;
}

/* dx[.., v, ..] = sum of g[.., i, ..] over index[i] = v */
static rh_status index_select_backward(rh_back *b) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(b->call, 0, &dim, &fold));
    run_add_rows(b, &fold);
    return RH_OK;
}

/* --- single elements: index [outer, n, inner] says where along dim of x [...] --- */

/* Where the lines of an index tensor begin in x: line (o, i) at outer[o] + inner[i]. They differ from x's
 * own lines where index is smaller than x. */
typedef struct places {
    rh_fold fold;   /* index's */
    int64_t *outer; /* [fold.outer], in elements of x; owns the block of both */
    int64_t *inner; /* [fold.inner] */
    int64_t step;   /* between x's elements along dim */
} places;

/* at[..] = offsets of all places of a shape in row-major order */
static void list_offsets(int rank, const int64_t *shape, const int64_t *strides, int64_t *at) {
    int64_t n = 1;
    at[0] = 0;
    for (int d = 0; d < rank; d++) {
        for (int64_t i = n; i-- > 0;)
            for (int64_t k = shape[d]; k-- > 0;) at[i * shape[d] + k] = at[i] + k * strides[d];
        n *= shape[d];
    }
}

static rh_status find_places(rh_ctx *ctx, const rh_tensor *x, const rh_tensor *index, int dim,
                             places *p) {
    int64_t strides[RH_MAX_RANK];
    *p = (places){.fold = rh_fold_at(index->rank, index->shape, dim), .step = 1};
    int64_t words = p->fold.outer + p->fold.inner + 2;
    p->outer = rh_alloc(ctx, (size_t)words * sizeof *p->outer);
    if (!p->outer) return RH_ENOMEM;
    p->inner = p->outer + p->fold.outer + 1;
    rh_shape_strides(x->rank, x->shape, strides);
    if (x->rank > 0) p->step = strides[dim];
    list_offsets(x->rank > 0 ? dim : 0, index->shape, strides, p->outer);
    list_offsets(x->rank - dim - 1, index->shape + dim + 1, strides + dim + 1, p->inner);
    return RH_OK;
}

typedef enum picking { GATHER, SCATTER, SCATTER_ADD, UNSCATTER } picking;

typedef struct picks {
    picking what;
    places at;
    const int64_t *index; /* [outer, n, inner] */
    float *x;             /* read by GATHER, changed by the others */
    float *out;           /* like index; written by GATHER and UNSCATTER, read by the others */
    bool add;             /* to out */
} picks;

static void pick_strips(void *arg, int64_t begin, int64_t end, int worker) {
    const picks *p = arg;
    const rh_index_kernels *k = rh_kernels.index;
    int64_t n = p->at.fold.size, row = p->at.fold.inner, step = p->at.step;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        rh_strip s = rh_strip_at(&p->at.fold, i);
        int64_t first = s.outer * n * row + s.inner;
        float *x = p->x + p->at.outer[s.outer], *out = p->out + first;
        const int64_t *index = p->index + first, *at = p->at.inner + s.inner;
        switch (p->what) {
        case GATHER: k->gather(out, x, index, at, n, row, s.width, step, p->add); break;
        case SCATTER: k->scatter(x, out, index, at, n, row, s.width, step); break;
        case SCATTER_ADD: k->scatter_add(x, out, index, at, n, row, s.width, step); break;
        case UNSCATTER: k->unscatter(x, out, index, at, n, row, s.width, step, p->add); break;
        }
    }
}

/* Between x and out, which is like index; a piece has whole lines of x to itself. */
static rh_status pick(rh_call *call, picking what, const rh_tensor *shape, float *x, float *out,
                      bool add) {
    const rh_tensor *index = call->in[1];
    picks p = {.what = what, .index = rh_i64(index), .x = x, .out = out, .add = add};
    int dim;
    if (rh_tensor_numel(index) == 0) return RH_OK;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, shape->rank, &dim));
    RH_TRY(find_places(call->ctx, shape, index, dim, &p.at));
    rh_parallel_range(rh_strip_count(&p.at.fold), rh_strip_grain(&p.at.fold), pick_strips, &p);
    rh_free(call->ctx, p.at.outer);
    return RH_OK;
}

/* index has x's rank and is nowhere larger than x but along dim; its contents stay below x's size. */
static rh_status check_index(rh_call *call) {
    const rh_tensor *x = call->in[0], *index = call->in[1];
    int dim;
    bool fits = x->rank == index->rank;
    char a[RH_SHAPE_TEXT], b[RH_SHAPE_TEXT];
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, x->rank, &dim));
    for (int d = 0; fits && d < x->rank; d++) fits = d == dim || index->shape[d] <= x->shape[d];
    if (!fits)
        return rh_fail(call->ctx, RH_EARG, 1, "index %s for %s: as many dimensions wanted, and none "
                       "larger but dimension %d", rh_shape_text(index->rank, index->shape, a),
                       rh_shape_text(x->rank, x->shape, b), dim + 1);
    return rh_ids_check(call, 1, x->rank > 0 ? x->shape[dim] : 1);
}

static rh_status gather_shape(rh_call *call, rh_spec *out) {
    out[0] = rh_spec_make(call->in[0]->dtype, call->in[1]->rank, call->in[1]->shape);
    if (call->in[0]->dtype != RH_F32 && call->in[0]->dtype != RH_I64)
        return rh_fail(call->ctx, RH_EARG, 0, "x: f32 or i64 wanted, got %s",
                       rh_dtype_name(call->in[0]->dtype));
    return check_index(call);
}

/* Integers have no kernel: they are few. */
static rh_status gather_integers(rh_call *call) {
    const rh_tensor *x = call->in[0], *index = call->in[1];
    places at;
    int dim;
    if (rh_tensor_numel(index) == 0) return RH_OK;
    RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(0), call->opt[0].i, x->rank, &dim));
    RH_TRY(find_places(call->ctx, x, index, dim, &at));
    int64_t *out = rh_i64(call->out[0]), n = at.fold.size, inner = at.fold.inner;
    for (int64_t i = 0; i < rh_tensor_numel(index); i++) {
        int64_t line = at.outer[i / (n * inner)] + at.inner[i % inner];
        out[i] = rh_i64(x)[line + rh_i64(index)[i] * at.step];
    }
    rh_free(call->ctx, at.outer);
    return RH_OK;
}

/* out[.., i, ..] = x[.., index[.., i, ..], ..] */
static rh_status gather_forward(rh_call *call) {
    if (call->in[0]->dtype == RH_I64) return gather_integers(call);
    return pick(call, GATHER, call->in[0], rh_f32(call->in[0]), rh_f32(call->out[0]), false);
}

/* dx[.., v, ..] = sum of g[.., i, ..] over index[.., i, ..] = v */
static rh_status gather_backward(rh_back *b) {
    rh_tensor *gin = b->gin[0];
    if (!b->accumulate[0]) rh_fill_zero(rh_f32(gin), rh_tensor_numel(gin));
    return pick(b->call, SCATTER_ADD, gin, rh_f32(gin), rh_f32(b->gout[0]), false);
}

static rh_status scatter_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *index = call->in[1], *src = call->in[2];
    char a[RH_SHAPE_TEXT], b[RH_SHAPE_TEXT];
    RH_TRY(check_index(call));
    if (!rh_tensor_same_shape(index, src))
        return rh_fail(call->ctx, RH_EARG, 2, "src %s: the shape of index wanted, %s",
                       rh_shape_text(src->rank, src->shape, a),
                       rh_shape_text(index->rank, index->shape, b));
    return rh_shape_like_first(call, out);
}

/* out = x, but out[.., index[.., i, ..], ..] = src[.., i, ..]; of several the last one stays */
static rh_status scatter_forward(rh_call *call) {
    rh_tensor_copy_data(call->out[0], call->in[0]);
    return pick(call, SCATTER, call->out[0], rh_f32(call->out[0]), rh_f32(call->in[2]), false);
}

/* dsrc = g where src stayed, else 0; dx = g, but 0 where src was put. One walk on a copy of g does both. */
static rh_status scatter_backward(rh_back *b) {
    rh_tensor *gx = b->gin[0], *gsrc = b->gin[2], *g = b->gout[0];
    size_t bytes = (size_t)rh_tensor_numel(g) * sizeof(float);
    size_t spare = gsrc ? 0 : (size_t)rh_tensor_numel(b->call->in[1]) * sizeof(float);
    float *left = rh_alloc(b->call->ctx, bytes + spare);
    if (!left) return RH_ENOMEM;
    memcpy(left, rh_f32(g), bytes);
    float *taken = gsrc ? rh_f32(gsrc) : left + rh_tensor_numel(g);
    rh_status status = pick(b->call, UNSCATTER, g, left, taken, gsrc && b->accumulate[2]);
    if (gx && status == RH_OK) rh_grad_put(gx, left, b->accumulate[0]);
    rh_free(b->call->ctx, left);
    return status;
}

/* out = x, and out[.., index[.., i, ..], ..] += src[.., i, ..] */
static rh_status scatter_add_forward(rh_call *call) {
    rh_tensor_copy_data(call->out[0], call->in[0]);
    return pick(call, SCATTER_ADD, call->out[0], rh_f32(call->out[0]), rh_f32(call->in[2]), false);
}

/* dx = g; dsrc[.., i, ..] = g[.., index[.., i, ..], ..] */
static rh_status scatter_add_backward(rh_back *b) {
    rh_tensor *gx = b->gin[0], *gsrc = b->gin[2], *g = b->gout[0];
    if (gx) rh_grad_put(gx, rh_f32(g), b->accumulate[0]);
    if (!gsrc) return RH_OK;
    return pick(b->call, GATHER, g, rh_f32(g), rh_f32(gsrc), b->accumulate[2]);
}

static const char *const embedding_samples[] = {"f[3,2] i<3[4]", "f[5,4] i<5[2,6]", "f[3,2] i<3[]", "f[1,1] i<1[1]",
                                                "f[2,0] i<2[3]", "f[3,2] i<3[0]", NULL};
static const char *const select_samples[] = {
    "f[3,2] i<3[4]", "f[2,3,4] i<3[5]; {dim = 2}", "f[2,3] i<3[0]; {dim = -1}", "f[1] i<1[2]", NULL};
static const char *const gather_samples[] = {
    "f[2,3,5] i<5[2,3,2]; {dim = -1}", "f[3,5] i<3[2,4]; {dim = 1}", "f[2,3,4] i<3[1,6,3]; {dim = 2}",
    "f[1] i<1[3]; {dim = 1}", "f[] i<1[]; {dim = 1}", "f[2,3] i<3[2,0]; {dim = 2}", NULL};
static const char *const scatter_samples[] = {
    "f[3,5] i<5[3,3] f[3,3]; {dim = 2}", "f[4,5] i<4[6,3] f[6,3]; {dim = 1}",
    "f[1] i<1[1] f[1]; {dim = 1}", "f[2,3] i<3[2,0] f[2,0]; {dim = 2}", NULL};

const rh_row rh_rows_index[] = {
    {.name = "embedding", .inputs = "weight:f ids:i", .save = RH_SAVE_IN(1),
     .shape = embedding_shape, .forward = embedding_forward, .backward = embedding_backward,
     .samples = embedding_samples,
     .doc = "rows of weight [V,D] by ids [...], which count from 0: [...,D]"},
    {.name = "index_select", .inputs = "x:a index:i", .options = "d:dim=0",
     .save = RH_SAVE_IN(1), .shape = index_select_shape, .forward = index_select_forward,
     .backward = index_select_backward, .samples = select_samples,
     .doc = "the parts of x at the places index [n], which count from 0, along dim"},
    {.name = "gather", .inputs = "x:a index:i", .options = "d:dim", .save = RH_SAVE_IN(1),
     .shape = gather_shape, .forward = gather_forward, .backward = gather_backward,
     .samples = gather_samples,
     .doc = "along dim the element of x that index, which counts from 0, names at each place"},
    {.name = "scatter", .inputs = "x:f index:i src:f", .options = "d:dim",
     .save = RH_SAVE_IN(1), .shape = scatter_shape, .forward = scatter_forward,
     .backward = scatter_backward, .samples = scatter_samples,
     .doc = "x with src put along dim where index (like src, from 0) says; the last of several stays"},
    {.name = "scatter_add", .inputs = "x:f index:i src:f", .options = "d:dim",
     .save = RH_SAVE_IN(1), .shape = scatter_shape, .forward = scatter_add_forward,
     .backward = scatter_add_backward, .samples = scatter_samples,
     .doc = "x with src added along dim where index (like src, from 0) says"},
    {0}};
