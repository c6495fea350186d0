#ifndef RH_OPS_KERNELS_INDEX_H
#define RH_OPS_KERNELS_INDEX_H

#include "ops/kernels/isa.h"

typedef struct rh_index_kernels {
    void (*placeholder)(void);
} rh_index_kernels;

#endif
