/* Cross-entropy over rows of logits in plain memory, on the thread pool; for the row here and for fused
 * ones. */
#ifndef RH_OPS_LOSS_H
#define RH_OPS_LOSS_H

#include "base/context.h"

typedef struct rh_cross_entropy {
    int64_t rows, classes;
    const float *logits;   /* [rows,classes] */
    int64_t ld;            /* between rows of logits */
    const int64_t *target; /* [rows]: 0 to classes - 1, checked by the caller, or ignore */
    int64_t ignore;        /* rows of this target have loss 0 and no gradient */
    float smoothing;       /* share of the target that is spread over all classes */
} rh_cross_entropy;

/* loss, max, log_sum [rows]; log_sum is log of the sum of e^(x - max). Ignored rows are not read; their
 * max and log_sum are 0. */
void rh_cross_entropy_forward(const rh_cross_entropy *c, float *loss, float *max, float *log_sum);

/* out [rows,classes] at distance ld_out = (or +=) gradient of the loss times scale[row * step]: step 1, or
 * 0 for one factor. out may be the logits. */
void rh_cross_entropy_backward(const rh_cross_entropy *c, const float *max, const float *log_sum,
                               const float *scale, int64_t step, float *out, int64_t ld_out,
                               bool accumulate);

#endif
