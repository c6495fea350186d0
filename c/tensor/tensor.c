#include "tensor/tensor.h"

#include <string.h>

#include "base/pool.h"
#include "base/size.h"
#include "tensor/shape.h"

static const struct { const char *name; size_t size; } dtypes[RH_DTYPES] = {
    [RH_F32] = {"f32", 4}, [RH_I64] = {"i64", 8}, [RH_BOOL] = {"bool", 1}, [RH_BF16] = {"bf16", 2}};

/* The data follows its storage's record in one block, from the next 64-byte line on. */
enum { STORAGE_HEADER = 64 };
_Static_assert(sizeof(rh_storage) <= STORAGE_HEADER, "the record must fit in front of the data");

size_t rh_dtype_size(rh_dtype dtype) { return dtypes[dtype].size; }
const char *rh_dtype_name(rh_dtype dtype) { return dtypes[dtype].name; }

static rh_storage *storage_new(rh_ctx *ctx, rh_dtype dtype, int rank, const int64_t *shape) {
    size_t bytes = rh_dtype_size(dtype), extent = bytes, total;
    bool fits = true;
    for (int d = 0; d < rank; d++) {
        bytes *= (size_t)shape[d]; /* at most extent, which takes sizes of 0 for 1 as strides do */
        fits = fits && rh_size_mul(extent, shape[d] ? (size_t)shape[d] : 1, &extent);
    }
    /* sizes above a quarter of the address space would overflow signed strides further on */
    if (!fits || extent > SIZE_MAX / 4 || !rh_size_add(bytes, STORAGE_HEADER, &total)) {
        char text[RH_SHAPE_TEXT];
        rh_fail(ctx, RH_ENOMEM, RH_NO_OPERAND, "not enough memory: a tensor %s %s is too large",
                rh_shape_text(rank, shape, text), rh_dtype_name(dtype));
        return NULL;
    }
    rh_storage *s = rh_alloc(ctx, total);
    if (!s) return NULL;
    *s = (rh_storage){.ctx = ctx, .data = (char *)s + STORAGE_HEADER, .bytes = bytes, .refs = 1};
    return s;
}

static void storage_release(rh_storage *s) {
    if (s && --s->refs == 0) rh_free(s->ctx, s);
}

static rh_tensor *tensor_record(rh_ctx *ctx, rh_dtype dtype, int rank, const int64_t *shape) {
    rh_tensor *t = rh_alloc(ctx, sizeof *t);
    if (!t) return NULL;
    t->ctx = ctx;
    t->storage = NULL;
    t->name = NULL;
    t->autograd = NULL;
    t->refs = 1;
    t->offset = 0;
    t->dtype = dtype;
    t->rank = rank;
    for (int d = 0; d < rank; d++) t->shape[d] = shape[d];
    rh_shape_strides(rank, shape, t->strides);
    return t;
}

rh_tensor *rh_tensor_new(rh_ctx *ctx, rh_dtype dtype, int rank, const int64_t *shape) {
    if (rank > RH_MAX_RANK) {
        rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "%d dimensions: at most %d", rank, RH_MAX_RANK);
        return NULL;
    }
    for (int d = 0; d < rank; d++) {
        if (shape[d] < 0) {
            rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "size %lld at dimension %d: sizes are 0 or more",
                    (long long)shape[d], d + 1);
            return NULL;
        }
    }
    rh_storage *storage = storage_new(ctx, dtype, rank, shape); /* sees to it that strides fit */
    if (!storage) return NULL;
    rh_tensor *t = tensor_record(ctx, dtype, rank, shape);
    if (t) t->storage = storage;
    else storage_release(storage);
    return t;
}

rh_tensor *rh_tensor_zeros(rh_ctx *ctx, rh_dtype dtype, int rank, const int64_t *shape) {
    rh_tensor *t = rh_tensor_new(ctx, dtype, rank, shape);
    if (t) memset(t->storage->data, 0, t->storage->bytes);
    return t;
}

rh_tensor *rh_tensor_view(const rh_tensor *t, int rank, const int64_t *shape,
                          const int64_t *strides, int64_t offset) {
    rh_tensor *view = tensor_record(t->ctx, t->dtype, rank, shape);
    if (!view) return NULL;
    for (int d = 0; d < rank; d++) view->strides[d] = strides[d];
    view->offset = offset;
    view->storage = t->storage;
    if (view->storage) view->storage->refs++;
    return view;
}

rh_tensor *rh_tensor_detach(const rh_tensor *t) {
    return rh_tensor_view(t, t->rank, t->shape, t->strides, t->offset);
}

rh_tensor *rh_tensor_shell(const rh_tensor *t) {
    return tensor_record(t->ctx, t->dtype, t->rank, t->shape);
}

rh_tensor *rh_tensor_contiguous(rh_tensor *t) {
    if (rh_tensor_is_contiguous(t)) return rh_tensor_retain(t);
    rh_tensor *copy = rh_tensor_new(t->ctx, t->dtype, t->rank, t->shape);
    if (copy) rh_tensor_copy_data(copy, t);
    return copy;
}

rh_status rh_tensor_set_name(rh_tensor *t, const char *name) {
    size_t bytes = strlen(name) + 1;
    char *copy = rh_alloc(t->ctx, bytes);
    if (!copy) return RH_ENOMEM;
    memcpy(copy, name, bytes);
    rh_free(t->ctx, t->name);
    t->name = copy;
    return RH_OK;
}

rh_tensor *rh_tensor_retain(rh_tensor *t) {
    t->refs++;
    return t;
}

void rh_tensor_release(rh_tensor *t) {
    if (!t || --t->refs > 0) return;
    rh_ctx *ctx = t->ctx;
    struct rh_autograd *meta = t->autograd;
    storage_release(t->storage);
    rh_free(ctx, t->name);
    rh_free(ctx, t);
    if (meta) ctx->release_autograd(meta);
}

int64_t rh_tensor_numel(const rh_tensor *t) { return rh_shape_numel(t->rank, t->shape); }

bool rh_tensor_is_contiguous(const rh_tensor *t) {
    int64_t step = 1;
    for (int d = t->rank - 1; d >= 0; d--) {
        if (t->shape[d] == 0) return true;
        if (t->shape[d] != 1 && t->strides[d] != step) return false;
        step *= t->shape[d];
    }
    return true;
}

float *rh_f32(const rh_tensor *t) { return (float *)t->storage->data + t->offset; }
int64_t *rh_i64(const rh_tensor *t) { return (int64_t *)t->storage->data + t->offset; }
uint8_t *rh_bool(const rh_tensor *t) { return (uint8_t *)t->storage->data + t->offset; }
uint16_t *rh_bf16(const rh_tensor *t) { return (uint16_t *)t->storage->data + t->offset; }
