#ifndef RH_OPS_KERNELS_NORM_H
#define RH_OPS_KERNELS_NORM_H

#include "ops/kernels/isa.h"

typedef struct rh_norm_kernels {
    void (*placeholder)(void);
} rh_norm_kernels;

#endif
