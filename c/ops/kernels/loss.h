#ifndef RH_OPS_KERNELS_LOSS_H
#define RH_OPS_KERNELS_LOSS_H

#include "ops/kernels/isa.h"

typedef struct rh_loss_kernels {
    void (*placeholder)(void);
} rh_loss_kernels;

#endif
