#include "ops/kernels/rope.h"

const rh_rope_kernels RH_TABLE(rope) = {0};
