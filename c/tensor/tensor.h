/* Tensors: a storage (bytes, shared and counted) seen through a shape, strides and an offset.
 * Rank 0 to RH_MAX_RANK, sizes may be 0. Reference counts are not atomic: a tensor belongs to the
 * thread of its context; pool workers borrow raw pointers and never retain. */
#ifndef RH_TENSOR_TENSOR_H
#define RH_TENSOR_TENSOR_H

#include "base/context.h"

enum { RH_MAX_RANK = 8 };

typedef enum rh_dtype { RH_F32, RH_I64, RH_BOOL, RH_BF16, RH_DTYPES } rh_dtype;

typedef struct rh_storage {
    rh_ctx *ctx;
    void *data;
    size_t bytes;
    int64_t refs;
    uint64_t version; /* grows with every change in place; saved values remember it */
} rh_storage;

typedef struct rh_tensor {
    rh_ctx *ctx;
    rh_storage *storage;          /* NULL: a shell that keeps only its shape (see rh_tensor_shell) */
    char *name;                   /* owned; NULL: none. Parameters have one */
    struct rh_autograd *autograd; /* NULL: neither required nor recorded; owned */
    int64_t refs;
    int64_t offset;               /* in elements */
    rh_dtype dtype;
    int rank;
    int64_t shape[RH_MAX_RANK];
    int64_t strides[RH_MAX_RANK]; /* in elements; 0 where expanded */
} rh_tensor;

size_t rh_dtype_size(rh_dtype dtype);
const char *rh_dtype_name(rh_dtype dtype); /* "f32", "i64", "bool", "bf16" */

/* All returns-new functions give NULL after rh_fail. */

/* Returns new: contiguous, contents not set. */
rh_tensor *rh_tensor_new(rh_ctx *ctx, rh_dtype dtype, int rank, const int64_t *shape);
/* Returns new: contiguous and zero. */
rh_tensor *rh_tensor_zeros(rh_ctx *ctx, rh_dtype dtype, int rank, const int64_t *shape);
/* Returns new: another view of t's storage; offset counts from the storage's start. */
rh_tensor *rh_tensor_view(const rh_tensor *t, int rank, const int64_t *shape,
                          const int64_t *strides, int64_t offset);
/* Returns new: t without its history: same storage and view. */
rh_tensor *rh_tensor_detach(const rh_tensor *t);
/* Returns new: t's shape and dtype without its data. */
rh_tensor *rh_tensor_shell(const rh_tensor *t);
/* Returns new: t itself retained when it is contiguous, else a contiguous copy without history. */
rh_tensor *rh_tensor_contiguous(rh_tensor *t);

/* Gives t a name (copied). */
rh_status rh_tensor_set_name(rh_tensor *t, const char *name);

/* Returns t, with one reference more. */
rh_tensor *rh_tensor_retain(rh_tensor *t);
/* Takes one reference; t may be NULL. */
void rh_tensor_release(rh_tensor *t);

int64_t rh_tensor_numel(const rh_tensor *t);
bool rh_tensor_is_contiguous(const rh_tensor *t);
bool rh_tensor_same_shape(const rh_tensor *a, const rh_tensor *b);
/* Both views, of any strides, hold the same number of elements and one dtype: copies src to dst in
 * row-major order of each. Does not touch dst's version. */
void rh_tensor_copy_data(rh_tensor *dst, const rh_tensor *src);
/* The same for f32, dst += src; no element of dst may be shown twice. */
void rh_tensor_add_data(rh_tensor *dst, const rh_tensor *src);

/* First element of the view. The caller knows the dtype. */
float *rh_f32(const rh_tensor *t);
int64_t *rh_i64(const rh_tensor *t);
uint8_t *rh_bool(const rh_tensor *t);
uint16_t *rh_bf16(const rh_tensor *t);

#endif
