/* Checking the contents of tensors of ids and indices, which count from 0. */
#ifndef RH_OPS_IDS_H
#define RH_OPS_IDS_H

#include "ops/row.h"

/* rh_fail(RH_EARG) naming the first element of in[i] (i64, contiguous) that is not in 0 .. limit - 1,
 * and its place, which counts from 1 as users do. */
rh_status rh_ids_check(rh_call *call, int i, int64_t limit);

/* "[2,3]": where element `at` of a tensor like t stands, counting from 1. */
const char *rh_place_text(const rh_tensor *t, int64_t at, char buffer[RH_SHAPE_TEXT]);

/* dst = 0, n floats, on the thread pool. */
void rh_fill_zero(float *dst, int64_t n);

#endif
