/* Gather and scatter on plain memory; see index.h. */
#include "ops/kernels/index.h"

enum { CHUNK = 256 };

static int64_t first_outside(const int64_t *id, int64_t n, int64_t limit) {
    for (int64_t b = 0; b < n; b += CHUNK) {
        int64_t end = b + CHUNK < n ? b + CHUNK : n, any = 0;
        for (int64_t i = b; i < end; i++) any |= (id[i] < 0) | (id[i] >= limit);
        if (!any) continue;
        for (int64_t i = b; i < end; i++)
            if (id[i] < 0 || id[i] >= limit) return i;
    }
    return n;
}

static void add(float *restrict dst, const float *restrict src, int64_t n) {
    for (int64_t i = 0; i < n; i++) dst[i] += src[i];
}

static void gather(float *restrict out, const float *restrict x, const int64_t *restrict index,
                   const int64_t *restrict at, int64_t n, int64_t row, int64_t width,
                   int64_t step, bool accumulate) {
    for (int64_t k = 0; k < n * row; k += row)
        for (int64_t i = 0; i < width; i++) {
            float v = x[at[i] + index[k + i] * step];
            out[k + i] = accumulate ? out[k + i] + v : v;
        }
}

static void scatter(float *restrict out, const float *restrict src, const int64_t *restrict index,
                    const int64_t *restrict at, int64_t n, int64_t row, int64_t width,
                    int64_t step) {
    for (int64_t k = 0; k < n * row; k += row)
        for (int64_t i = 0; i < width; i++) out[at[i] + index[k + i] * step] = src[k + i];
}

static void scatter_add(float *restrict out, const float *restrict src,
                        const int64_t *restrict index, const int64_t *restrict at, int64_t n,
                        int64_t row, int64_t width, int64_t step) {
    for (int64_t k = 0; k < n * row; k += row)
        for (int64_t i = 0; i < width; i++) out[at[i] + index[k + i] * step] += src[k + i];
}

static void unscatter(float *restrict out, float *restrict src, const int64_t *restrict index,
                      const int64_t *restrict at, int64_t n, int64_t row, int64_t width,
                      int64_t step, bool accumulate) {
    for (int64_t k = (n - 1) * row; k >= 0; k -= row)
        for (int64_t i = 0; i < width; i++) {
            float *from = &out[at[i] + index[k + i] * step];
            src[k + i] = *from + (accumulate ? src[k + i] : 0.0f);
            *from = 0.0f;
        }
}

const rh_index_kernels RH_TABLE(index) = {.first_outside = first_outside,
                                          .add = add,
                                          .gather = gather,
                                          .scatter = scatter,
                                          .scatter_add = scatter_add,
                                          .unscatter = unscatter};
