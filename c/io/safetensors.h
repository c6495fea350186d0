/* safetensors files: 8 bytes of length, a JSON header that names every tensor's type, shape and place,
 * then the data. Files are untrusted: nothing is allocated that the file's own size does not bound,
 * the tensors must tile the data exactly, and nothing in a name means anything. Values are read piece
 * by piece into their tensor. Rests on io/file.h and io/json.h; knows no model. */
#ifndef RH_IO_SAFETENSORS_H
#define RH_IO_SAFETENSORS_H

#include "io/file.h"
#include "io/json.h"
#include "tensor/tensor.h"

/* Types in a file that we read; the order is that of safetensors_types in safetensors.c. */
typedef enum rh_st_dtype {
    RH_ST_F32, RH_ST_F16, RH_ST_BF16, RH_ST_F64, RH_ST_I64, RH_ST_I32, RH_ST_U8, RH_ST_BOOL,
    RH_ST_DTYPES
} rh_st_dtype;

const char *rh_st_dtype_name(rh_st_dtype dtype); /* "F32", ... */

typedef struct rh_st_entry {
    const char *name; /* not empty, valid UTF-8, lives as long as the reader */
    rh_st_dtype dtype;
    int rank;
    int64_t shape[RH_MAX_RANK];
    int64_t begin, end; /* bytes, from where the data begins */
} rh_st_entry;

typedef struct rh_safetensors {
    rh_file file;
    char *path;
    rh_st_entry *entries; /* sorted by name */
    size_t count;
    char *names;       /* all of them, in one block */
    json_t *metadata;  /* an object of strings, or NULL */
    int64_t data_start;
} rh_safetensors;

#define RH_SAFETENSORS_NONE ((rh_safetensors){.file = {-1, 0}})

/* Whatever it returns, the caller ends with rh_safetensors_close. */
rh_status rh_safetensors_open(rh_ctx *ctx, const char *path, rh_safetensors *out);
/* May be called twice. */
void rh_safetensors_close(rh_ctx *ctx, rh_safetensors *st);

/* The part of opening that needs no file: reads the header's text [bytes] before data_bytes of data.
 * path is for messages. Fills entries, count, names, metadata. */
rh_status rh_safetensors_parse(rh_ctx *ctx, const char *path, const char *header, size_t bytes,
                               int64_t data_bytes, rh_safetensors *out);

/* NULL when the file has no such tensor. */
const rh_st_entry *rh_safetensors_find(const rh_safetensors *st, const char *name);

/* The dtype of a tensor for the entry's values: f32 for all floats, i64 for integers, or bool. */
rh_dtype rh_st_tensor_dtype(rh_st_dtype dtype);
/* Fills a contiguous tensor of the entry's shape and dtype class; floats may also go to bf16 (rounded
 * to nearest even; F64 by way of f32). Every f16, bf16 and f32 value arrives in f32 exactly. On
 * failure the tensor holds part of the values. */
rh_status rh_safetensors_read(rh_ctx *ctx, const rh_safetensors *st, const rh_st_entry *entry,
                              rh_tensor *out);
/* RH_EDATA naming the first NaN or infinity of an f32 tensor read from entry. */
rh_status rh_safetensors_check_finite(rh_ctx *ctx, const rh_safetensors *st,
                                      const rh_st_entry *entry, const rh_tensor *t);

typedef struct rh_st_item {
    const char *name;
    rh_tensor *tensor; /* f32, bf16, i64 or bool; borrowed */
} rh_st_item;

/* What __metadata__ says beside the tensors. Both UTF-8; no key twice. */
typedef struct rh_st_note {
    const char *key, *value;
} rh_st_note;

/* Saves the items, both lists reordered: tensors of the largest type first, then by name, so that all
 * data is aligned; notes by key. The same items give the same bytes. Names that are empty, twice there
 * or not UTF-8 are RH_EARG. */
rh_status rh_safetensors_save(rh_ctx *ctx, const char *path, rh_st_item *items, size_t n,
                              rh_st_note *notes, size_t n_notes);

#endif
