/* C = A B with leading dimensions that broadcast, forward and backward by one function: both gradients
 * are products too, and where an operand was broadcast its gradient is a sum over products, which is a C
 * that is broadcast. Operands of any strides that a product can read as they are (plain or transposed)
 * are not copied. Rests on gemm.h. */
#include "ops/matmul.h"

#include <string.h>

#include "base/pool.h"
#include "base/size.h"
#include "ops/gemm.h"

/* One operand: matrices [rows,cols] at distances rs, cs, and where they stand. */
typedef struct side {
    float *data;
    int64_t rows, cols, rs, cs;
    int batch_rank;
    int64_t batch[RH_MAX_RANK], stride[RH_MAX_RANK];
} side;

/* A vector is a row on the left and a column on the right. */
static side side_of(const rh_tensor *t, bool left) {
    side s = {.data = rh_f32(t), .rows = 1, .cols = 1, .rs = 1, .cs = 1};
    int last = t->rank - 1;
    bool vector = t->rank == 1;
    if (vector && !left) {
        s.rows = t->shape[0], s.rs = t->strides[0];
    } else {
        s.cols = t->shape[last], s.cs = t->strides[last];
        if (vector) s.rs = rh_max(s.cols, 1);
        else s.rows = t->shape[last - 1], s.rs = t->strides[last - 1];
    }
    s.batch_rank = vector ? 0 : t->rank - 2;
    memcpy(s.batch, t->shape, (size_t)s.batch_rank * sizeof *s.batch);
    memcpy(s.stride, t->strides, (size_t)s.batch_rank * sizeof *s.stride);
    return s;
}

/* The output, or its gradient, of a times b: contiguous. */
static side side_of_product(const rh_tensor *t, const side *a, const side *b, int vectors) {
    side s = {.data = rh_f32(t), .rows = a->rows, .cols = b->cols, .rs = b->cols, .cs = 1};
    s.batch_rank = t->rank - (2 - vectors);
    memcpy(s.batch, t->shape, (size_t)s.batch_rank * sizeof *s.batch);
    memcpy(s.stride, t->strides, (size_t)s.batch_rank * sizeof *s.stride);
    return s;
}

static side transposed(const side *s) {
    side t = *s;
    t.rows = s->cols, t.cols = s->rows;
    t.rs = s->cs, t.cs = s->rs;
    return t;
}

/* Rows that lie one after another, none over another. */
static bool plain_rows(int64_t rows, int64_t cols, int64_t rs, int64_t cs) {
    return (cs == 1 || cols <= 1) && (rows <= 1 || rs >= rh_max(cols, 1));
}
static bool is_plain(const side *s) { return plain_rows(s->rows, s->cols, s->rs, s->cs); }
static bool readable(const side *s) { return is_plain(s) || plain_rows(s->cols, s->rows, s->cs, s->rs); }

/* The three sides over one broadcast batch: sizes, and for each side the stride or 0. */
typedef struct plan {
    side a, b, c;
    int rank;
    int64_t size[RH_MAX_RANK], a_by[RH_MAX_RANK], b_by[RH_MAX_RANK], c_by[RH_MAX_RANK];
} plan;

/* Dimension d of the batch counted from its end. */
static int64_t batch_size(const side *s, int d) {
    return d < s->batch_rank ? s->batch[s->batch_rank - 1 - d] : 1;
}
static int64_t batch_stride(const side *s, int d) {
    return batch_size(s, d) == 1 ? 0 : s->stride[s->batch_rank - 1 - d];
}

/* Makes `count` matrices below one another one: true if they then are a matrix that can be read. */
static bool stack_rows(side *s, int64_t count, int64_t by) {
    if (s->rows != 1 && by != s->rows * s->rs) return false;
    side t = *s;
    if (s->rows == 1) t.rs = by;
    t.rows *= count;
    if (!readable(&t)) return false;
    *s = t;
    return true;
}

/* A batch dimension along which b stands still is more rows of a and c; one along which c stands still
 * (a gradient is summed over it) is a longer k. */
static bool fold(plan *p, int64_t count, int64_t a_by, int64_t b_by, int64_t c_by) {
    side a = p->a, b = p->b, c = p->c;
    if (b_by == 0 && c_by != 0) {
        if (!stack_rows(&a, count, a_by) || !stack_rows(&c, count, c_by) || !is_plain(&c)) return false;
    } else if (c_by == 0) {
        side t = transposed(&a);
        if (!stack_rows(&t, count, a_by) || !stack_rows(&b, count, b_by)) return false;
        a = transposed(&t);
    } else {
        return false;
    }
    p->a = a, p->b = b, p->c = c;
    return true;
}

/* Dimensions are tried from the innermost; what does not fold stays, outermost first in the end. */
static plan plan_of(const side *a, const side *b, const side *c) {
    plan p = {.a = *a, .b = *b, .c = *c};
    int rank = (int)rh_max(rh_max(a->batch_rank, b->batch_rank), c->batch_rank);
    for (int d = 0; d < rank; d++) {
        int64_t size = batch_size(a, d);
        if (size == 1) size = batch_size(b, d);
        if (size == 1) size = batch_size(c, d);
        int64_t a_by = batch_stride(a, d), b_by = batch_stride(b, d), c_by = batch_stride(c, d);
        if (size == 1 || fold(&p, size, a_by, b_by, c_by)) continue;
        int at = p.rank++;
        p.size[at] = size, p.a_by[at] = a_by, p.b_by[at] = b_by, p.c_by[at] = c_by;
    }
    return p;
}

/* at[0..count): offsets of one side; dimensions along which C stands still run fastest, so that
 * products of one sum follow one another. */
static void fill_offsets(const plan *p, const int64_t *by, int64_t *at) {
    int64_t filled = 1;
    at[0] = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int d = 0; d < p->rank; d++) {
            if ((p->c_by[d] == 0) != (pass == 0)) continue;
            for (int64_t i = 1; i < p->size[d]; i++)
                for (int64_t j = 0; j < filled; j++) at[i * filled + j] = at[j] + i * by[d];
            filled *= p->size[d];
        }
    }
}

static bool sums(const plan *p) {
    for (int d = 0; d < p->rank; d++)
        if (p->c_by[d] == 0) return true;
    return false;
}

static void zero(const side *c) {
    size_t n = (size_t)rh_shape_numel(c->batch_rank, c->batch) * (size_t)(c->rows * c->cols);
    memset(c->data, 0, n * sizeof *c->data);
}

static void run_batch(const plan *p, int64_t count, int64_t *at, float beta) {
    const side *a = &p->a, *b = &p->b, *c = &p->c;
    bool trans_a = !is_plain(a), trans_b = !is_plain(b);
    int64_t *b_at = at + count, *c_at = b_at + count;
    fill_offsets(p, p->a_by, at);
    fill_offsets(p, p->b_by, b_at);
    fill_offsets(p, p->c_by, c_at);
    rh_sgemm_batch(count, trans_a, trans_b, c->rows, c->cols, a->cols, 1.0f, a->data, at,
                   trans_a ? a->cs : a->rs, b->data, b_at, trans_b ? b->cs : b->rs, beta, c->data, c_at,
                   c->rs);
}

/* c = a b, or c += a b; all readable, c plain and contiguous. */
static rh_status multiply(rh_ctx *ctx, const side *a, const side *b, const side *c, bool accumulate) {
    if (c->rows == 0 || c->cols == 0 || rh_shape_numel(c->batch_rank, c->batch) == 0) return RH_OK;
    plan p = plan_of(a, b, c);
    bool sum = sums(&p);
    int64_t count = rh_shape_numel(p.rank, p.size);
    if (sum && !accumulate) zero(c);
    if (count == 0) return RH_OK;
    int64_t *at = rh_alloc(ctx, (size_t)count * 3 * sizeof *at);
    if (!at) return RH_ENOMEM;
    run_batch(&p, count, at, sum || accumulate ? 1.0f : 0.0f);
    rh_free(ctx, at);
    return RH_OK;
}

rh_status rh_matmul_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *a = call->in[0], *b = call->in[1];
    char s[RH_SHAPE_TEXT], t[RH_SHAPE_TEXT];
    for (int i = 0; i < 2; i++)
        if (call->in[i]->rank == 0)
            return rh_fail(call->ctx, RH_EARG, i, "at least 1 dimension wanted, got a scalar");
    int64_t ka = a->shape[a->rank - 1], kb = b->shape[b->rank == 1 ? 0 : b->rank - 2];
    if (ka != kb)
        return rh_fail(call->ctx, RH_EARG, 1, "%s x %s: inner sizes %lld and %lld differ",
                       rh_shape_text(a->rank, a->shape, s), rh_shape_text(b->rank, b->shape, t),
                       (long long)ka, (long long)kb);
    out[0].dtype = RH_F32;
    RH_TRY(rh_shape_broadcast(call->ctx, 1, (int)rh_max(a->rank - 2, 0), a->shape,
                              (int)rh_max(b->rank - 2, 0), b->shape, &out[0].rank, out[0].shape));
    if (a->rank > 1) out[0].shape[out[0].rank++] = a->shape[a->rank - 2];
    if (b->rank > 1) out[0].shape[out[0].rank++] = b->shape[b->rank - 1];
    return RH_OK;
}

/* Returns new: t, or a copy when no product can read its matrices as they are. */
static rh_tensor *read_as_is(rh_tensor *t, bool left) {
    side s = side_of(t, left);
    return readable(&s) ? rh_tensor_retain(t) : rh_tensor_contiguous(t);
}

/* The operands of a call, and the output or its gradient. */
typedef struct trio {
    rh_tensor *a, *b;
    side left, right, product;
} trio;

static rh_status trio_open(trio *t, rh_call *call, const rh_tensor *product) {
    t->a = read_as_is(call->in[0], true);
    t->b = t->a ? read_as_is(call->in[1], false) : NULL;
    if (!t->b) {
        rh_tensor_release(t->a);
        return RH_ENOMEM;
    }
    t->left = side_of(t->a, true);
    t->right = side_of(t->b, false);
    t->product = side_of_product(product, &t->left, &t->right, (t->a->rank == 1) + (t->b->rank == 1));
    return RH_OK;
}

static void trio_close(trio *t) {
    rh_tensor_release(t->a);
    rh_tensor_release(t->b);
}

rh_status rh_matmul_forward(rh_call *call) {
    trio t;
    RH_TRY(trio_open(&t, call, call->out[0]));
    rh_status status = multiply(call->ctx, &t.left, &t.right, &t.product, false);
    trio_close(&t);
    return status;
}

/* dA = dC B^T, dB = A^T dC */
rh_status rh_matmul_backward(rh_back *back) {
    trio t;
    rh_ctx *ctx = back->call->ctx;
    rh_status status = RH_OK;
    RH_TRY(trio_open(&t, back->call, back->gout[0]));
    side left = transposed(&t.left), right = transposed(&t.right);
    if (back->gin[0]) {
        side to = side_of(back->gin[0], true);
        status = multiply(ctx, &t.product, &right, &to, back->accumulate[0]);
    }
    if (status == RH_OK && back->gin[1]) {
        side to = side_of(back->gin[1], false);
        status = multiply(ctx, &left, &t.product, &to, back->accumulate[1]);
    }
    trio_close(&t);
    return status;
}

const char *const rh_matmul_samples[] = {
    "f[3,5] f[5,4]", "f[2,3,5] f[2,5,4]", "f[2,1,3,5] f[3,5,4]", "f[2,3,5] f[5,4]", "f[3,5] f[2,5,4]",
    "f[5] f[5]", "f[3,5] f[5]", "f[5] f[2,5,4]", "f[1,1] f[1,1]", "f[2,0] f[0,3]", "f[0,2] f[2,3]", NULL};
