#ifndef RH_OPS_KERNELS_ATTENTION_H
#define RH_OPS_KERNELS_ATTENTION_H

#include "ops/kernels/isa.h"

typedef struct rh_attention_kernels {
    void (*placeholder)(void);
} rh_attention_kernels;

#endif
