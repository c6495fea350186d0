/* See safetensors.h: values. What is stored as the tensor keeps it is read straight into the tensor,
 * the rest by way of a small buffer: a file is never in memory twice. */
#include <math.h>
#include <string.h>

#include "io/half.h"
#include "io/safetensors.h"
#include "tensor/shape.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian, and so are we");

/* Values converted at a time; they stand in a buffer of the largest type. */
enum { PIECE = 4096 };

rh_dtype rh_st_tensor_dtype(rh_st_dtype dtype) {
    switch (dtype) {
    case RH_ST_I64: case RH_ST_I32: case RH_ST_U8: return RH_I64;
    case RH_ST_BOOL: return RH_BOOL;
    default: return RH_F32;
    }
}

static size_t stored_size(const rh_st_entry *e, int64_t n) {
    return n ? (size_t)((e->end - e->begin) / n) : 0;
}

/* Each loads n stored values, of any alignment, as what the tensor's type is reached from. */
static void to_f32(rh_st_dtype from, const void *src, float *dst, int64_t n) {
    const char *p = src;
    uint16_t h;
    double d;
    switch (from) {
    case RH_ST_F16:
        for (int64_t i = 0; i < n; i++) memcpy(&h, p + 2 * i, 2), dst[i] = rh_f16_to_f32(h);
        break;
    case RH_ST_BF16:
        for (int64_t i = 0; i < n; i++) memcpy(&h, p + 2 * i, 2), dst[i] = rh_bf16_to_f32(h);
        break;
    case RH_ST_F64:
        for (int64_t i = 0; i < n; i++) memcpy(&d, p + 8 * i, 8), dst[i] = (float)d;
        break;
    default: memcpy(dst, p, 4 * (size_t)n);
    }
}

static void to_i64(rh_st_dtype from, const void *src, int64_t *dst, int64_t n) {
    const char *p = src;
    int32_t v;
    if (from == RH_ST_U8)
        for (int64_t i = 0; i < n; i++) dst[i] = (uint8_t)p[i];
    else
        for (int64_t i = 0; i < n; i++) memcpy(&v, p + 4 * i, 4), dst[i] = v;
}

static void convert(rh_st_dtype from, const void *src, rh_tensor *out, int64_t at, int64_t n) {
    float wide[PIECE];
    if (out->dtype == RH_F32) {
        to_f32(from, src, rh_f32(out) + at, n);
    } else if (out->dtype == RH_I64) {
        to_i64(from, src, rh_i64(out) + at, n);
    } else {
        to_f32(from, src, wide, n);
        for (int64_t i = 0; i < n; i++) rh_bf16(out)[at + i] = rh_f32_to_bf16(wide[i]);
    }
}

/* Any byte but 0 is true; ours are 0 and 1. */
static void normalise_bools(rh_tensor *t, int64_t n) {
    uint8_t *p = rh_bool(t);
    for (int64_t i = 0; i < n; i++) p[i] = p[i] != 0;
}

static bool stored_as(rh_st_dtype stored, rh_dtype dtype) {
    return (stored == RH_ST_F32 && dtype == RH_F32) || (stored == RH_ST_I64 && dtype == RH_I64) ||
           (stored == RH_ST_BF16 && dtype == RH_BF16) || stored == RH_ST_BOOL;
}

static void *data_of(const rh_tensor *t) {
    return (char *)t->storage->data + (size_t)t->offset * rh_dtype_size(t->dtype);
}

static rh_status check_fits(rh_ctx *ctx, const rh_safetensors *st, const rh_st_entry *e,
                            const rh_tensor *out) {
    char have[RH_SHAPE_TEXT], want[RH_SHAPE_TEXT];
    rh_dtype wanted = rh_st_tensor_dtype(e->dtype);
    if (out->dtype != wanted && !(wanted == RH_F32 && out->dtype == RH_BF16))
        return rh_fail(ctx, RH_EARG, 0, "%s: tensor '%.80s': %s does not go into %s", st->path, e->name,
                       rh_st_dtype_name(e->dtype), rh_dtype_name(out->dtype));
    bool same = out->rank == e->rank &&
                memcmp(out->shape, e->shape, (size_t)e->rank * sizeof *e->shape) == 0;
    if (!same)
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "%s: tensor '%.80s': shape %s, wanted %s", st->path,
                       e->name, rh_shape_text(e->rank, e->shape, have),
                       rh_shape_text(out->rank, out->shape, want));
    if (!rh_tensor_is_contiguous(out))
        return rh_fail(ctx, RH_EARG, 0, "tensor '%.80s' is to be read into a view that is not contiguous",
                       e->name);
    return RH_OK;
}

rh_status rh_safetensors_read(rh_ctx *ctx, const rh_safetensors *st, const rh_st_entry *e,
                              rh_tensor *out) {
    double buffer[PIECE]; /* the largest type's alignment is welcome, not needed */
    RH_TRY(check_fits(ctx, st, e, out));
    int64_t n = rh_tensor_numel(out), offset = st->data_start + e->begin;
    size_t size = stored_size(e, n);
    out->storage->version++;
    if (stored_as(e->dtype, out->dtype)) {
        RH_TRY(rh_file_read(ctx, &st->file, st->path, offset, data_of(out), (size_t)n * size));
        if (e->dtype == RH_ST_BOOL) normalise_bools(out, n);
        return RH_OK;
    }
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t piece = n - i < PIECE ? n - i : PIECE;
        RH_TRY(rh_file_read(ctx, &st->file, st->path, offset + i * (int64_t)size, buffer,
                            (size_t)piece * size));
        convert(e->dtype, buffer, out, i, piece);
    }
    return RH_OK;
}

rh_status rh_safetensors_check_finite(rh_ctx *ctx, const rh_safetensors *st, const rh_st_entry *e,
                                      const rh_tensor *t) {
    const float *p = rh_f32(t);
    int64_t n = rh_tensor_numel(t);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(p[i]))
            return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "%s: tensor '%.80s': value %lld is %f",
                           st->path, e->name, (long long)i + 1, (double)p[i]);
    return RH_OK;
}
