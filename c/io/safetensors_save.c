/* See safetensors.h: saving. The header is padded with blanks to a multiple of 8 bytes, and types go
 * from the largest to the smallest, so that every tensor is aligned to its type. */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "io/safetensors.h"

enum { ALIGNMENT = 8 };
static const char metadata_key[] = "__metadata__";

static const char *stored_name(rh_dtype dtype) {
    switch (dtype) {
    case RH_I64: return "I64";
    case RH_BOOL: return "BOOL";
    case RH_BF16: return "BF16";
    default: return "F32";
    }
}

static size_t bytes_of(const rh_tensor *t) {
    return (size_t)rh_tensor_numel(t) * rh_dtype_size(t->dtype);
}

static int compare_items(const void *pa, const void *pb) {
    const rh_st_item *a = pa, *b = pb;
    size_t size_a = rh_dtype_size(a->tensor->dtype), size_b = rh_dtype_size(b->tensor->dtype);
    if (size_a != size_b) return size_a > size_b ? -1 : 1;
    return strcmp(a->name, b->name);
}

static rh_status check_name(rh_ctx *ctx, const char *name) {
    size_t n = strlen(name), valid = rh_utf8_check(name, n);
    if (n == 0) return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "a tensor's name is empty");
    if (valid < n)
        return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "tensor name '%.80s' is not UTF-8 at byte %zu", name,
                       valid + 1);
    if (strcmp(name, metadata_key) == 0)
        return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "a tensor cannot be named %s", name);
    return RH_OK;
}

static rh_status no_memory(rh_ctx *ctx) {
    return rh_fail(ctx, RH_ENOMEM, RH_NO_OPERAND, "not enough memory for a safetensors header");
}

/* Returns new: {"dtype":...,"shape":[...],"data_offsets":[...]}, or NULL. */
static json_t *new_entry(const rh_tensor *t, size_t begin) {
    json_t *shape = json_array();
    for (int d = 0; d < t->rank; d++)
        if (json_array_append_new(shape, json_integer(t->shape[d])) != 0) {
            json_decref(shape);
            return NULL;
        }
    /* "o" takes shape, even when packing fails */
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", stored_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + bytes_of(t)));
}

/* Fills header with the sorted items; *end = bytes of data. */
static rh_status add_items(rh_ctx *ctx, json_t *header, const rh_st_item *items, size_t n, size_t *end) {
    *end = 0;
    for (size_t i = 0; i < n; i++) {
        RH_TRY(check_name(ctx, items[i].name));
        if (json_object_get(header, items[i].name))
            return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "two tensors are named '%.80s'", items[i].name);
        if (json_object_set_new_nocheck(header, items[i].name, new_entry(items[i].tensor, *end)) != 0)
            return no_memory(ctx);
        *end += bytes_of(items[i].tensor);
    }
    return RH_OK;
}

/* *text = a new block: the length in 8 bytes, then the header and its blanks. */
static rh_status write_header(rh_ctx *ctx, json_t *header, char **text, size_t *bytes) {
    size_t length = json_dumpb(header, NULL, 0, JSON_COMPACT);
    size_t padded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (length == 0) return no_memory(ctx);
    *text = rh_alloc(ctx, sizeof(uint64_t) + padded);
    if (!*text) return RH_ENOMEM;
    uint64_t prefix = padded; /* little-endian, as safetensors_read.c asserts */
    memcpy(*text, &prefix, sizeof prefix);
    memset(*text + sizeof prefix, ' ', padded);
    json_dumpb(header, *text + sizeof prefix, length, JSON_COMPACT);
    *bytes = sizeof prefix + padded;
    return RH_OK;
}

static int compare_notes(const void *a, const void *b) {
    return strcmp(((const rh_st_note *)a)->key, ((const rh_st_note *)b)->key);
}

static rh_status add_notes(rh_ctx *ctx, json_t *header, const rh_st_note *notes, size_t n) {
    if (n == 0) return RH_OK;
    json_t *metadata = json_object();
    if (json_object_set_new(header, metadata_key, metadata) != 0) return no_memory(ctx);
    for (size_t i = 0; i < n; i++) {
        const char *texts[] = {notes[i].key, notes[i].value};
        for (int k = 0; k < 2; k++)
            if (rh_utf8_check(texts[k], strlen(texts[k])) < strlen(texts[k]))
                return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "metadata '%.80s' is not UTF-8", texts[0]);
        if (json_object_set_new(metadata, texts[0], json_string(texts[1])) != 0) return no_memory(ctx);
    }
    return RH_OK;
}

/* *text = the header of the sorted items and notes; *data_bytes follow it. */
static rh_status make_header(rh_ctx *ctx, const rh_st_item *items, size_t n, const rh_st_note *notes,
                             size_t n_notes, char **text, size_t *bytes, size_t *data_bytes) {
    json_t *header = json_object();
    if (!header) return no_memory(ctx);
    rh_status status = add_notes(ctx, header, notes, n_notes);
    if (status == RH_OK) status = add_items(ctx, header, items, n, data_bytes);
    if (status == RH_OK) status = write_header(ctx, header, text, bytes);
    json_decref(header);
    return status;
}

static rh_status write_tensor(rh_ctx *ctx, rh_save *save, rh_tensor *t) {
    rh_tensor *whole = rh_tensor_contiguous(t);
    if (!whole) return RH_ENOMEM;
    const char *data = (char *)whole->storage->data + (size_t)whole->offset * rh_dtype_size(t->dtype);
    rh_status status = rh_save_write(ctx, save, data, bytes_of(t));
    rh_tensor_release(whole);
    return status;
}

static rh_status write_all(rh_ctx *ctx, rh_save *save, const char *header, size_t bytes,
                           const rh_st_item *items, size_t n) {
    RH_TRY(rh_save_write(ctx, save, header, bytes));
    for (size_t i = 0; i < n; i++) RH_TRY(write_tensor(ctx, save, items[i].tensor));
    return rh_save_commit(ctx, save);
}

rh_status rh_safetensors_save(rh_ctx *ctx, const char *path, rh_st_item *items, size_t n,
                              rh_st_note *notes, size_t n_notes) {
    char *header = NULL;
    size_t bytes = 0, data_bytes = 0;
    rh_save save;
    if (n > 0) qsort(items, n, sizeof *items, compare_items);
    if (n_notes > 0) qsort(notes, n_notes, sizeof *notes, compare_notes);
    RH_TRY(make_header(ctx, items, n, notes, n_notes, &header, &bytes, &data_bytes));
    rh_status status = rh_save_begin(ctx, path, bytes + data_bytes, &save);
    if (status == RH_OK) status = write_all(ctx, &save, header, bytes, items, n);
    rh_save_end(ctx, &save);
    rh_free(ctx, header);
    return status;
}
