/* Copying between views of any strides. Both are brought to one list of dimensions, neighbours that lie in
 * memory as one taken together; then the last dimension and the one whose elements stand closest in
 * either tensor are walked in square tiles, so that a transposing copy reads and writes whole cache
 * lines. Each element is written once: pieces may run in any order. */
#include <string.h>

#include "base/parallel.h"
#include "base/size.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

enum { TILE = 64, PIECE = 65536 };

typedef struct plan {
    int n; /* dimensions, 2 at least; the last two are walked in tiles */
    int64_t size[RH_MAX_RANK + 1], to[RH_MAX_RANK + 1], from[RH_MAX_RANK + 1];
    char *dst;
    const char *src;
    size_t bytes; /* of an element */
    bool add;     /* f32: dst += src */
} plan;

/* A tensor's dimensions, but those of size 1. */
typedef struct dims {
    int n;
    int64_t size[RH_MAX_RANK], stride[RH_MAX_RANK];
} dims;

static dims dims_of(const rh_tensor *t) {
    dims a = {0};
    for (int d = 0; d < t->rank; d++) {
        if (t->shape[d] == 1) continue;
        a.size[a.n] = t->shape[d];
        a.stride[a.n++] = t->strides[d];
    }
    return a;
}

/* A contiguous tensor can be walked by another's sizes. */
static bool walk_as(dims *a, const rh_tensor *t, const dims *other) {
    if (!rh_tensor_is_contiguous(t)) return false;
    *a = *other;
    rh_shape_strides(a->n, a->size, a->stride);
    return true;
}

static void exchange(int64_t *list, int a, int b) {
    int64_t kept = list[a];
    list[a] = list[b];
    list[b] = kept;
}

/* False where the shapes have no list of dimensions in common. */
static bool find_dims(plan *p, const rh_tensor *dst, const rh_tensor *src) {
    dims to = dims_of(dst), from = dims_of(src);
    bool same = to.n == from.n && memcmp(to.size, from.size, sizeof to.size) == 0;
    if (!same && !walk_as(&to, dst, &from) && !walk_as(&from, src, &to)) return false;
    for (int d = 0; d < to.n; d++) {
        int last = p->n - 1;
        int64_t size = to.size[d];
        bool one = last >= 0 && p->to[last] == to.stride[d] * size &&
                   p->from[last] == from.stride[d] * size;
        if (!one) p->size[last = p->n++] = 1;
        p->size[last] *= size;
        p->to[last] = to.stride[d];
        p->from[last] = from.stride[d];
    }
    return true;
}

/* At least two dimensions, the one to be walked in tiles with the last brought before it. */
static void order_dims(plan *p) {
    for (; p->n < 2; p->n++) {
        p->size[p->n] = 1;
        p->to[p->n] = p->from[p->n] = 0;
        for (int d = p->n; d > 0; d--) {
            exchange(p->size, d, d - 1);
            exchange(p->to, d, d - 1);
            exchange(p->from, d, d - 1);
        }
    }
    int row = p->n - 2, best = row;
    for (int d = 0; d < row; d++)
        if (rh_min(p->to[d], p->from[d]) < rh_min(p->to[best], p->from[best])) best = d;
    exchange(p->size, best, row);
    exchange(p->to, best, row);
    exchange(p->from, best, row);
}

#define INLINED __attribute__((always_inline)) static inline

/* outer x inner elements of `bytes`, which is a constant wherever this is inlined */
INLINED void move(char *dst, int64_t to_outer, int64_t to_inner, const char *src,
                  int64_t from_outer, int64_t from_inner, int64_t outer, int64_t inner,
                  size_t bytes) {
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            memcpy(dst + (size_t)(o * to_outer + i * to_inner) * bytes,
                   src + (size_t)(o * from_outer + i * from_inner) * bytes, bytes);
}

/* Through a buffer, so that each side is walked in the order in which its elements stand: rows whose
 * distance is a power of two share few places of a cache. */
INLINED void copy_tile(const plan *p, char *dst, const char *src, int64_t rows, int64_t columns,
                       size_t bytes) {
    char buffer[TILE * TILE * 8];
    int64_t to_row = p->to[p->n - 2], to_column = p->to[p->n - 1];
    int64_t from_row = p->from[p->n - 2], from_column = p->from[p->n - 1];
    if (from_row < from_column)
        move(buffer, 1, TILE, src, from_column, from_row, columns, rows, bytes);
    else move(buffer, TILE, 1, src, from_row, from_column, rows, columns, bytes);
    if (to_row < to_column)
        move(dst, to_column, to_row, buffer, 1, TILE, columns, rows, bytes);
    else move(dst, to_row, to_column, buffer, TILE, 1, rows, columns, bytes);
}

static void add_tile(const plan *p, float *dst, const float *src, int64_t rows, int64_t columns) {
    int64_t to_row = p->to[p->n - 2], to_column = p->to[p->n - 1];
    int64_t from_row = p->from[p->n - 2], from_column = p->from[p->n - 1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            dst[r * to_row + c * to_column] += src[r * from_row + c * from_column];
}

static void put_tile(const plan *p, char *dst, const char *src, int64_t rows, int64_t columns) {
    if (p->add) add_tile(p, (float *)dst, (const float *)src, rows, columns);
    else if (p->bytes == 4) copy_tile(p, dst, src, rows, columns, 4);
    else if (p->bytes == 8) copy_tile(p, dst, src, rows, columns, 8);
    else if (p->bytes == 2) copy_tile(p, dst, src, rows, columns, 2);
    else copy_tile(p, dst, src, rows, columns, 1);
}

/* A band: up to TILE rows at one place of the dimensions before. */
static void put_band(const plan *p, int64_t band) {
    int row = p->n - 2, column = p->n - 1;
    int64_t bands = rh_ceil_div(p->size[row], TILE), first = band % bands * TILE;
    int64_t rows = rh_min(TILE, p->size[row] - first), columns = p->size[column];
    int64_t to = first * p->to[row], from = first * p->from[row], rest = band / bands;
    for (int d = row - 1; d >= 0; d--) {
        to += rest % p->size[d] * p->to[d];
        from += rest % p->size[d] * p->from[d];
        rest /= p->size[d];
    }
    bool runs = p->to[column] == 1 && p->from[column] == 1;
    if (runs && !p->add) {
        for (int64_t r = 0; r < rows; r++)
            memmove(p->dst + (size_t)(to + r * p->to[row]) * p->bytes,
                    p->src + (size_t)(from + r * p->from[row]) * p->bytes,
                    (size_t)columns * p->bytes);
        return;
    }
    for (int64_t c = 0; c < columns; c += TILE)
        put_tile(p, p->dst + (size_t)(to + c * p->to[column]) * p->bytes,
                 p->src + (size_t)(from + c * p->from[column]) * p->bytes, rows,
                 rh_min(TILE, columns - c));
}

static void put_bands(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    for (int64_t band = begin; band < end; band++) put_band(arg, band);
}

/* One element after another, for views of different shapes neither of which is contiguous. */
typedef struct cursor {
    const rh_tensor *t;
    int64_t index[RH_MAX_RANK];
    int64_t at; /* in elements */
} cursor;

static void cursor_next(cursor *c) {
    for (int d = c->t->rank - 1; d >= 0; d--) {
        c->at += c->t->strides[d];
        if (++c->index[d] < c->t->shape[d]) return;
        c->at -= c->t->strides[d] * c->t->shape[d];
        c->index[d] = 0;
    }
}

static void put_one_by_one(plan *p, const rh_tensor *dst, const rh_tensor *src) {
    cursor to = {.t = dst}, from = {.t = src};
    p->n = 2; /* strides are 0: a tile of one element */
    for (int64_t n = rh_tensor_numel(dst); n > 0; n--) {
        put_tile(p, p->dst + (size_t)to.at * p->bytes, p->src + (size_t)from.at * p->bytes, 1, 1);
        cursor_next(&to);
        cursor_next(&from);
    }
}

static void put_data(rh_tensor *dst, const rh_tensor *src, bool add) {
    size_t bytes = rh_dtype_size(dst->dtype);
    plan p = {.bytes = bytes, .add = add,
              .dst = (char *)dst->storage->data + (size_t)dst->offset * bytes,
              .src = (const char *)src->storage->data + (size_t)src->offset * bytes};
    int64_t bands = 1;
    if (rh_tensor_numel(dst) == 0) return;
    if (!find_dims(&p, dst, src)) {
        put_one_by_one(&p, dst, src);
        return;
    }
    order_dims(&p);
    for (int d = 0; d < p.n - 2; d++) bands *= p.size[d];
    bands *= rh_ceil_div(p.size[p.n - 2], TILE);
    int64_t band = rh_min(p.size[p.n - 2], TILE) * p.size[p.n - 1];
    rh_parallel_range(bands, rh_max(1, PIECE / band), put_bands, &p);
}

void rh_tensor_copy_data(rh_tensor *dst, const rh_tensor *src) { put_data(dst, src, false); }
void rh_tensor_add_data(rh_tensor *dst, const rh_tensor *src) { put_data(dst, src, true); }
