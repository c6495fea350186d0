#include "ops/kernels/index.h"

const rh_index_kernels RH_TABLE(index) = {0};
