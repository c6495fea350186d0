#include "ops/kernels/elementwise.h"
static void add(float *restrict dst, const float *restrict src, int64_t n) {
    for (int64_t i = 0; i < n; i++) dst[i] += src[i];
}
const rh_elementwise_kernels RH_TABLE(elementwise) = {.add = add};
