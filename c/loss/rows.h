/* Rows of losses and what they rest on; each table has one file. */
#ifndef RH_LOSS_ROWS_H
#define RH_LOSS_ROWS_H

#include "ops/row.h"

extern const rh_row rh_rows_pairwise[], rh_rows_policy[], rh_rows_value[], rh_rows_pool[],
    rh_rows_kl_head[];

#endif
