#include "ops/kernels/optim.h"

const rh_optim_kernels RH_TABLE(optim) = {0};
