/* The row `matmul` (its table entry stands in linear.c). */
#ifndef RH_OPS_MATMUL_H
#define RH_OPS_MATMUL_H

#include "ops/row.h"

rh_status rh_matmul_shape(rh_call *call, rh_spec *out);
rh_status rh_matmul_forward(rh_call *call);
rh_status rh_matmul_backward(rh_back *back);
extern const char *const rh_matmul_samples[];

#endif
