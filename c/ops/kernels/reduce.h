#ifndef RH_OPS_KERNELS_REDUCE_H
#define RH_OPS_KERNELS_REDUCE_H
#include "ops/kernels/isa.h"
typedef struct rh_reduce_kernels {
    double (*sum)(const float *x, int64_t n);
} rh_reduce_kernels;
#endif
