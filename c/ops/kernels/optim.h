#ifndef RH_OPS_KERNELS_OPTIM_H
#define RH_OPS_KERNELS_OPTIM_H

#include "ops/kernels/isa.h"

typedef struct rh_optim_kernels {
    void (*placeholder)(void);
} rh_optim_kernels;

#endif
