/* The output head fused with what is read off it, so that a batch's logits never exist at once: chunks
 * of RH_HEAD_CHUNK tokens, [chunk, vocab], are made, read and turned into their gradient in place. */
#ifndef RH_LOSS_HEAD_H
#define RH_LOSS_HEAD_H

#include "ops/row.h"

/* Tokens a chunk: below 256 the product with dlogits^T reads and writes all of dW too often. */
enum { RH_HEAD_CHUNK = 512 };

extern const rh_row rh_rows_head[];

/* log sum exp of a row of logits [n], n >= 1. */
float rh_log_sum_exp(const float *x, int64_t n);

#endif
