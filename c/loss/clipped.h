/* What PPO's two clipped losses share: three vectors of one length, options clip and divide, and as
 * outputs a loss and some numbers to look at. */
#ifndef RH_LOSS_CLIPPED_H
#define RH_LOSS_CLIPPED_H

#include "ops/row.h"

enum { RH_CLIP, RH_DIVIDE }; /* their options, in order */

/* The shape rule: inputs 0 to 2 [M]; outputs a scalar and `stats` numbers. */
rh_status rh_clipped_shape(rh_call *c, int64_t stats, rh_spec *out);
/* What the sum over tokens is divided by: the option, else M. */
double rh_clipped_divisor(const rh_call *c);

#endif
