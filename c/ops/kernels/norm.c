#include "ops/kernels/norm.h"

const rh_norm_kernels RH_TABLE(norm) = {0};
