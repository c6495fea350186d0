/* The decoder's own rows, coarser than those of ops; each table has one file. */
#ifndef RH_NN_ROWS_H
#define RH_NN_ROWS_H

#include "ops/row.h"

extern const rh_row rh_rows_embed_tokens[], rh_rows_fused_linear[], rh_rows_rotary_attention[],
    rh_rows_gated_silu[];

#endif
