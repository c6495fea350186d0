#ifndef RH_OPS_KERNELS_ELEMENTWISE_H
#define RH_OPS_KERNELS_ELEMENTWISE_H
#include "ops/kernels/isa.h"
typedef struct rh_elementwise_kernels {
    void (*add)(float *dst, const float *src, int64_t n); /* dst[i] += src[i] */
} rh_elementwise_kernels;
#endif
