#include "ops/kernels/attention.h"

const rh_attention_kernels RH_TABLE(attention) = {0};
