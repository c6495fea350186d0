/* See safetensors.h: the header and its rules. Values are read in safetensors_read.c. */
#include "io/safetensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/size.h"

enum { PREFIX = 8, HEADER_LIMIT = 100000000, SHAPE_BITS = 48 };

/* The format needs a depth of 3; unknown fields may hold more. A tensor counts as some 20 values: room
 * for 25,000 of them, in 64 MB at most beside the text. */
static const rh_json_limits header_limits = {HEADER_LIMIT, (size_t)1 << 19, 16};

static const struct { const char *name; int64_t size; } safetensors_types[RH_ST_DTYPES] = {
    {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8}, {"I32", 4}, {"U8", 1}, {"BOOL", 1}};

const char *rh_st_dtype_name(rh_st_dtype dtype) { return safetensors_types[dtype].name; }

/* "PATH: tensor 'NAME': ..."; of a long path the end is shown. name NULL: of the file as a whole. */
__attribute__((format(printf, 4, 5)))
static rh_status bad(rh_ctx *ctx, const char *path, const char *name, const char *format, ...) {
    enum { PATH_SHOWN = 200 };
    char what[200];
    size_t n = strlen(path);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (n > PATH_SHOWN) path += n - PATH_SHOWN;
    if (!name) return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "%s: %s", path, what);
    return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "%s: tensor '%.80s': %s", path, name, what);
}

/* ---- one tensor's entry ---- */

static rh_status read_dtype(rh_ctx *ctx, const char *path, const json_t *value, rh_st_entry *e) {
    if (!json_is_string(value)) return bad(ctx, path, e->name, "no dtype");
    for (int d = 0; d < RH_ST_DTYPES; d++) {
        if (strcmp(json_string_value(value), safetensors_types[d].name) != 0) continue;
        e->dtype = (rh_st_dtype)d;
        return RH_OK;
    }
    return bad(ctx, path, e->name, "dtype %.40s not supported (F32, F16, BF16, F64, I64, I32, U8, BOOL are)",
               json_string_value(value));
}

static rh_status read_shape(rh_ctx *ctx, const char *path, const json_t *value, rh_st_entry *e) {
    size_t rank = json_array_size(value);
    if (!json_is_array(value)) return bad(ctx, path, e->name, "no shape");
    if (rank > RH_MAX_RANK)
        return bad(ctx, path, e->name, "%zu dimensions: at most %d", rank, RH_MAX_RANK);
    e->rank = (int)rank;
    for (size_t d = 0; d < rank; d++) {
        const json_t *size = json_array_get(value, d);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return bad(ctx, path, e->name, "size %zu of its shape is not an integer from 0", d + 1);
        e->shape[d] = json_integer_value(size);
        if (e->shape[d] > (int64_t)1 << SHAPE_BITS)
            return bad(ctx, path, e->name, "size %zu of its shape is %lld, over the limit 2^%d", d + 1,
                       (long long)e->shape[d], SHAPE_BITS);
    }
    return RH_OK;
}

/* bytes = the product of the shape and the type's size. A size of 0 does not excuse a product of the
 * others that is too large: strides are made of them. */
static bool byte_count(const rh_st_entry *e, int64_t *bytes) {
    int64_t extent = safetensors_types[e->dtype].size;
    bool empty = false;
    for (int d = 0; d < e->rank; d++) {
        empty = empty || e->shape[d] == 0;
        if (!rh_i64_mul(extent, rh_max(e->shape[d], 1), &extent)) return false;
    }
    *bytes = empty ? 0 : extent;
    return true;
}

static rh_status read_offsets(rh_ctx *ctx, const char *path, const json_t *value, int64_t data_bytes,
                              rh_st_entry *e) {
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    int64_t bytes;
    if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return bad(ctx, path, e->name, "data_offsets is not a list of two integers");
    e->begin = json_integer_value(begin);
    e->end = json_integer_value(end);
    if (e->begin < 0 || e->begin > e->end)
        return bad(ctx, path, e->name, "data_offsets [%lld,%lld] are no range", (long long)e->begin,
                   (long long)e->end);
    if (e->end > data_bytes)
        return bad(ctx, path, e->name, "bytes [%lld,%lld) end after the file's %lld bytes of data",
                   (long long)e->begin, (long long)e->end, (long long)data_bytes);
    if (!byte_count(e, &bytes)) return bad(ctx, path, e->name, "its shape is too large");
    if (bytes != e->end - e->begin)
        return bad(ctx, path, e->name, "bytes [%lld,%lld), but its shape of %s takes %lld",
                   (long long)e->begin, (long long)e->end, rh_st_dtype_name(e->dtype),
                   (long long)bytes);
    return RH_OK;
}

static rh_status read_entry(rh_ctx *ctx, const char *path, const json_t *value, int64_t data_bytes,
                            rh_st_entry *e) {
    if (e->name[0] == '\0') return bad(ctx, path, NULL, "a tensor has an empty name");
    if (!json_is_object(value)) return bad(ctx, path, e->name, "its entry is not an object");
    RH_TRY(read_dtype(ctx, path, json_object_get(value, "dtype"), e));
    RH_TRY(read_shape(ctx, path, json_object_get(value, "shape"), e));
    return read_offsets(ctx, path, json_object_get(value, "data_offsets"), data_bytes, e);
}

/* ---- all of them ---- */

static int compare_places(const void *pa, const void *pb) {
    const rh_st_entry *a = *(rh_st_entry *const *)pa, *b = *(rh_st_entry *const *)pb;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const rh_st_entry *)a)->name, ((const rh_st_entry *)b)->name);
}

/* places: the entries in the order of their bytes. Together they must be the data, each byte once. */
static rh_status check_tiling(rh_ctx *ctx, const char *path, rh_st_entry *const *places, size_t n,
                              int64_t data_bytes) {
    int64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const rh_st_entry *e = places[i];
        if (e->begin < at)
            return bad(ctx, path, e->name, "bytes [%lld,%lld) overlap '%.80s' [%lld,%lld)",
                       (long long)e->begin, (long long)e->end, places[i - 1]->name,
                       (long long)places[i - 1]->begin, (long long)places[i - 1]->end);
        if (e->begin > at)
            return bad(ctx, path, e->name, "bytes [%lld,%lld) leave a hole from %lld on",
                       (long long)e->begin, (long long)e->end, (long long)at);
        at = e->end;
    }
    if (at == data_bytes) return RH_OK;
    return bad(ctx, path, NULL, "the tensors end at byte %lld of %lld bytes of data", (long long)at,
               (long long)data_bytes);
}

static rh_status check_places(rh_ctx *ctx, const char *path, rh_safetensors *st, int64_t data_bytes) {
    rh_st_entry **places = rh_alloc(ctx, st->count * sizeof *places);
    if (!places) return RH_ENOMEM;
    for (size_t i = 0; i < st->count; i++) places[i] = &st->entries[i];
    if (st->count > 0) qsort(places, st->count, sizeof *places, compare_places);
    rh_status status = check_tiling(ctx, path, places, st->count, data_bytes);
    rh_free(ctx, places);
    return status;
}

static const char metadata_key[] = "__metadata__";

/* Blocks for the entries and the text of their names, as many as the header has. */
static rh_status make_room(rh_ctx *ctx, json_t *header, rh_safetensors *out) {
    size_t bytes = 0;
    for (void *it = json_object_iter(header); it; it = json_object_iter_next(header, it))
        bytes += strlen(json_object_iter_key(it)) + 1;
    out->entries = rh_alloc(ctx, json_object_size(header) * sizeof *out->entries);
    out->names = rh_alloc(ctx, bytes);
    return out->entries && out->names ? RH_OK : RH_ENOMEM;
}

static rh_status read_metadata(rh_ctx *ctx, const char *path, json_t *value, rh_safetensors *out) {
    if (json_is_null(value)) return RH_OK;
    if (!json_is_object(value)) return bad(ctx, path, NULL, "__metadata__ is not an object");
    for (void *it = json_object_iter(value); it; it = json_object_iter_next(value, it))
        if (!json_is_string(json_object_iter_value(it)))
            return bad(ctx, path, NULL, "__metadata__: the value of '%.80s' is not a string",
                       json_object_iter_key(it));
    out->metadata = json_incref(value);
    return RH_OK;
}

static rh_status read_header(rh_ctx *ctx, const char *path, json_t *header, int64_t data_bytes,
                             rh_safetensors *out) {
    if (!json_is_object(header)) return bad(ctx, path, NULL, "the header is not a JSON object");
    RH_TRY(make_room(ctx, header, out));
    char *name = out->names;
    for (void *it = json_object_iter(header); it; it = json_object_iter_next(header, it)) {
        json_t *value = json_object_iter_value(it);
        if (strcmp(json_object_iter_key(it), metadata_key) == 0) {
            RH_TRY(read_metadata(ctx, path, value, out));
            continue;
        }
        rh_st_entry *e = &out->entries[out->count++];
        size_t bytes = strlen(json_object_iter_key(it)) + 1;
        e->name = memcpy(name, json_object_iter_key(it), bytes);
        name += bytes;
        RH_TRY(read_entry(ctx, path, value, data_bytes, e));
    }
    if (out->count > 0) qsort(out->entries, out->count, sizeof *out->entries, compare_names);
    return check_places(ctx, path, out, data_bytes);
}

rh_status rh_safetensors_parse(rh_ctx *ctx, const char *path, const char *header, size_t bytes,
                               int64_t data_bytes, rh_safetensors *out) {
    json_t *tree;
    rh_status status = rh_json_parse(ctx, header, bytes, header_limits, &tree);
    if (status == RH_EDATA) {
        char what[sizeof ctx->error.text];
        memcpy(what, ctx->error.text, sizeof what);
        return bad(ctx, path, NULL, "header: %s", what);
    }
    if (status == RH_OK) status = read_header(ctx, path, tree, data_bytes, out);
    json_decref(tree);
    return status;
}

/* ---- the file ---- */

/* The header's length from the file's first bytes, checked against the file's. */
static rh_status read_length(rh_ctx *ctx, const char *path, const rh_file *file, size_t *out) {
    unsigned char prefix[PREFIX];
    uint64_t n = 0;
    if (file->size < PREFIX)
        return bad(ctx, path, NULL, "%lld bytes are too few for a safetensors file",
                   (long long)file->size);
    RH_TRY(rh_file_read(ctx, file, path, 0, prefix, sizeof prefix));
    for (int i = PREFIX - 1; i >= 0; i--) n = n << 8 | prefix[i];
    if (n == 0) return bad(ctx, path, NULL, "the header has length 0");
    if (n > HEADER_LIMIT)
        return bad(ctx, path, NULL, "a header of %llu bytes: the limit is %d", (unsigned long long)n,
                   HEADER_LIMIT);
    if (n > (uint64_t)file->size - PREFIX)
        return bad(ctx, path, NULL, "a header of %llu bytes in a file of %lld", (unsigned long long)n,
                   (long long)file->size);
    *out = (size_t)n;
    return RH_OK;
}

rh_status rh_safetensors_open(rh_ctx *ctx, const char *path, rh_safetensors *out) {
    size_t n = strlen(path) + 1, bytes = 0;
    *out = RH_SAFETENSORS_NONE;
    RH_TRY(rh_file_open(ctx, path, &out->file));
    RH_TRY(read_length(ctx, path, &out->file, &bytes));
    out->data_start = PREFIX + (int64_t)bytes;
    out->path = rh_alloc(ctx, n);
    char *header = out->path ? rh_alloc(ctx, bytes) : NULL;
    if (!header) return RH_ENOMEM;
    memcpy(out->path, path, n);
    rh_status status = rh_file_read(ctx, &out->file, path, PREFIX, header, bytes);
    if (status == RH_OK)
        status = rh_safetensors_parse(ctx, path, header, bytes, out->file.size - out->data_start, out);
    rh_free(ctx, header);
    return status;
}

void rh_safetensors_close(rh_ctx *ctx, rh_safetensors *st) {
    rh_file_close(&st->file);
    rh_free(ctx, st->path);
    rh_free(ctx, st->entries);
    rh_free(ctx, st->names);
    json_decref(st->metadata);
    *st = RH_SAFETENSORS_NONE;
}

const rh_st_entry *rh_safetensors_find(const rh_safetensors *st, const char *name) {
    rh_st_entry wanted = {.name = name};
    return st->count ? bsearch(&wanted, st->entries, st->count, sizeof wanted, compare_names) : NULL;
}
