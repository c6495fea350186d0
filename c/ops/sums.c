/* How sums over dimensions are cut, carried out and gone back from. A reduction over neighbouring
 * dimensions works on the tensor as it stands, [outer, size, inner]; over others on a copy with the
 * reduced dimensions last. Pieces are spans of `size`, their sums are doubles, added in the order of
 * the spans (kernels/reduce.h has the order within). */
#include "ops/sums.h"

#include "base/parallel.h"
#include "base/pool.h"

rh_status rh_mask_option(rh_call *call, int k, unsigned *mask) {
    const rh_tensor *x = call->in[0];
    const rh_opt *dims = &call->opt[k];
    *mask = 0;
    if (!dims->given || dims->list.n == 0) *mask = (1u << x->rank) - 1;
    else
        for (int64_t i = 0; i < dims->list.n; i++) {
            int d;
            RH_TRY(rh_dim_resolve(call->ctx, RH_OPTION(k), dims->list.v[i], x->rank, &d));
            if (*mask & (1u << d))
                return rh_fail(call->ctx, RH_EARG, RH_OPTION(k), "dimension %d twice", d + 1);
            *mask |= 1u << d;
        }
    return RH_OK;
}

/* Are the reduced dimensions neighbours, but for sizes of 1? Then *fold is the tensor around them. */
static bool fold_mask(const rh_tensor *x, unsigned mask, rh_fold *fold) {
    *fold = (rh_fold){1, 1, 1};
    enum { BEFORE, IN, AFTER } at = BEFORE;
    for (int d = 0; d < x->rank; d++) {
        bool reduced = mask >> d & 1;
        if (x->shape[d] == 1) continue;
        if (reduced && at == AFTER) return false;
        if (reduced) at = IN;
        else if (at == IN) at = AFTER;
        *(at == BEFORE ? &fold->outer : at == IN ? &fold->size : &fold->inner) *= x->shape[d];
    }
    return true;
}

rh_tensor *rh_arrange(rh_tensor *x, unsigned mask, rh_fold *fold) {
    if (fold_mask(x, mask, fold)) return rh_tensor_retain(x);
    int64_t shape[RH_MAX_RANK], strides[RH_MAX_RANK];
    int rank = 0;
    *fold = (rh_fold){1, 1, 1};
    for (int pass = 0; pass < 2; pass++)
        for (int d = 0; d < x->rank; d++) {
            if ((int)(mask >> d & 1) != pass) continue;
            *(pass ? &fold->size : &fold->outer) *= x->shape[d];
            shape[rank] = x->shape[d];
            strides[rank++] = x->strides[d];
        }
    rh_tensor *view = rh_tensor_view(x, rank, shape, strides, x->offset);
    rh_tensor *copy = view ? rh_tensor_contiguous(view) : NULL;
    rh_tensor_release(view);
    return copy;
}

/* Sums of one fold, span by span. */
typedef struct sums {
    rh_fold fold;
    const float *x;       /* [outer, size, inner] */
    bool squares;         /* of x - center */
    const float *center;  /* [outer, inner]; NULL: 0 */
    double *part;         /* [outer, spans, inner] */
    int64_t span, spans;  /* elements of `size` in a span; how many spans */
} sums;

static void sum_span(const sums *s, int64_t span, const rh_strip *at) {
    static const float zero[RH_STRIP];
    const rh_fold *f = &s->fold;
    int64_t first = span * s->span, n = rh_min(s->span, f->size - first);
    const float *x = s->x + (at->outer * f->size + first) * f->inner + at->inner;
    const float *center = s->center ? s->center + at->outer * f->inner + at->inner : zero;
    double *part = s->part + (at->outer * s->spans + span) * f->inner + at->inner;
    if (f->inner == 1)
        *part = s->squares ? rh_kernels.reduce->sum_squares(x, n, *center)
                           : rh_kernels.reduce->sum(x, n);
    else if (s->squares)
        rh_kernels.reduce->sum_squares_columns(part, x, n, f->inner, at->width, center);
    else
        rh_kernels.reduce->sum_columns(part, x, n, f->inner, at->width);
}

static void sum_pieces(void *arg, int64_t begin, int64_t end, int worker) {
    const sums *s = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t strip = s->spans == 1 ? i : i / s->spans;
        rh_strip at = rh_strip_at(&s->fold, strip);
        sum_span(s, i - strip * s->spans, &at);
    }
}

/* Adds the spans' sums: part [outer, spans, inner] -> its first [outer, inner]. */
static void add_spans(const sums *s) {
    int64_t inner = s->fold.inner;
    for (int64_t o = 0; o < s->fold.outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double total = 0;
            for (int64_t k = 0; k < s->spans; k++) total += s->part[(o * s->spans + k) * inner + i];
            s->part[o * inner + i] = total;
        }
}

double *rh_fold_sums(rh_ctx *ctx, const rh_fold *fold, const float *x, bool squares,
                         const float *center) {
    sums s = {.fold = *fold, .x = x, .squares = squares, .center = center};
    int64_t width = rh_max(1, rh_min(fold->inner, RH_STRIP));
    s.span = RH_PIECE / width;
    s.spans = rh_max(1, rh_ceil_div(fold->size, s.span));
    s.part = rh_alloc(ctx, (size_t)(fold->outer * s.spans * fold->inner) * sizeof *s.part);
    if (!s.part) return NULL;
    int64_t grain = s.spans > 1 ? 1 : rh_strip_grain(fold);
    rh_parallel_range(rh_strip_count(fold) * s.spans, grain, sum_pieces, &s);
    if (s.spans > 1) add_spans(&s);
    return s.part;
}

rh_status rh_sum_over(rh_ctx *ctx, rh_tensor *dst, rh_tensor *src, unsigned mask, bool add) {
    rh_fold fold;
    rh_tensor *x = rh_arrange(src, mask, &fold);
    double *total = x ? rh_fold_sums(ctx, &fold, rh_f32(x), false, NULL) : NULL;
    rh_tensor_release(x);
    if (!total) return RH_ENOMEM;
    float *d = rh_f32(dst);
    for (int64_t i = 0, n = fold.outer * fold.inner; i < n; i++)
        d[i] = (float)total[i] + (add ? d[i] : 0.0f);
    rh_free(ctx, total);
    return RH_OK;
}

/* --- backward: dx = factor (x - center), factor and center of each output --- */

typedef struct spread {
    int n;                      /* runs of dimensions, alternately reduced and kept */
    int64_t size[RH_MAX_RANK];
    int64_t step[RH_MAX_RANK];  /* between outputs; 0: a reduced run */
    int64_t last, chunks;       /* the last run is cut into chunks */
    float *dst;                 /* [numel] */
    const float *x;             /* [numel]; NULL: dx = factor */
    const float *factor, *center; /* [outputs]; center NULL: 0 */
    bool add;
} spread;

static void find_runs(spread *s, const rh_tensor *x, unsigned mask) {
    bool reduced = false;
    for (int d = 0; d < x->rank; d++) {
        if (x->shape[d] == 1) continue;
        if (s->n == 0 || (mask >> d & 1) != reduced) {
            reduced = mask >> d & 1;
            s->size[s->n++] = 1;
            s->step[s->n - 1] = !reduced;
        }
        s->size[s->n - 1] *= x->shape[d];
    }
    if (s->n == 0) s->size[s->n++] = 1; /* one element: reduced or not is the same */
    int64_t step = 1;
    for (int r = s->n - 1; r >= 0; r--)
        if (s->step[r]) {
            s->step[r] = step;
            step *= s->size[r];
        }
    s->last = s->size[s->n - 1];
    s->chunks = rh_ceil_div(s->last, RH_PIECE);
}

/* One chunk of the last run at one place of the others. */
static void spread_chunk(const spread *s, int64_t row, int64_t chunk) {
    const rh_reduce_kernels *k = rh_kernels.reduce;
    int64_t first = chunk * RH_PIECE, n = rh_min(RH_PIECE, s->last - first), out = 0, rest = row;
    for (int r = s->n - 2; r >= 0; r--) {
        out += rest % s->size[r] * s->step[r];
        rest /= s->size[r];
    }
    bool kept = s->step[s->n - 1] != 0;
    float *dst = s->dst + row * s->last + first;
    const float *x = s->x ? s->x + row * s->last + first : NULL;
    out += kept ? first : 0;
    if (!x && !kept) k->put_constant(dst, n, s->factor[out], s->add);
    else if (!x) k->put_vector(dst, n, s->factor + out, s->add);
    else if (!kept)
        k->put_affine(dst, x, n, s->factor[out], s->center ? s->center[out] : 0.0f, s->add);
    else k->put_affine_vector(dst, x, n, s->factor + out, s->center + out, s->add);
}

static void spread_pieces(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const spread *s = arg;
    for (int64_t i = begin; i < end; i++) spread_chunk(s, i / s->chunks, i % s->chunks);
}

void rh_spread(rh_tensor *dst, unsigned mask, const float *x, const float *factor,
               const float *center, bool add) {
    spread s = {.dst = rh_f32(dst), .x = x, .factor = factor, .center = center, .add = add};
    int64_t n = rh_tensor_numel(dst);
    if (n == 0) return;
    find_runs(&s, dst, mask);
    rh_parallel_range(n / s.last * s.chunks, rh_max(1, RH_PIECE / s.last), spread_pieces, &s);
}
