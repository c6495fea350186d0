#ifndef RH_OPS_KERNELS_ROPE_H
#define RH_OPS_KERNELS_ROPE_H

#include "ops/kernels/isa.h"

typedef struct rh_rope_kernels {
    void (*placeholder)(void);
} rh_rope_kernels;

#endif
