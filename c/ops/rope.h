/* Rotary position embedding: the two halves of a head paired, pair i of D/2 turned by
 * position * frequency[i]. Frequencies and angles are rounded to f32 where torch rounds them, so that
 * large positions agree with it. */
#ifndef RH_OPS_ROPE_H
#define RH_OPS_ROPE_H

#include "base/context.h"

typedef enum rh_rope_type { RH_ROPE_DEFAULT, RH_ROPE_LINEAR, RH_ROPE_LLAMA3 } rh_rope_type;

/* The fields of a model's config. */
typedef struct rh_rope_config {
    int64_t head_dim;
    double theta;
    rh_rope_type type;
    double factor;                           /* linear, llama3 */
    double low_freq_factor, high_freq_factor; /* llama3 */
    int64_t original_max_position;           /* llama3 */
} rh_rope_config;

/* frequency [head_dim/2] */
void rh_rope_frequencies(const rh_rope_config *config, float *frequency);

/* cos, sin [tokens,half] for positions [tokens]; one table serves all layers of a batch. */
void rh_rope_table(int64_t tokens, int64_t half, const int64_t *positions, const float *frequency,
                   float *cos, float *sin);

/* Where the heads of tokens stand: head h of token i at
 * (i / run) * run_stride + (i % run) * token_stride + h * head_stride. [N,H,D]: run = N,
 * token_stride = H*D, head_stride = D; q within a fused row: token_stride = the row's length. */
typedef struct rh_rope_view {
    int64_t tokens, heads, head_dim;
    int64_t run, run_stride, token_stride, head_stride;
} rh_rope_view;

/* out = x turned forward, or back (its transpose: the gradient); or +=. Both are laid out as `view`
 * says; out may be x. cos, sin [tokens,head_dim/2]. */
void rh_rope_apply(const rh_rope_view *view, const float *x, const float *cos, const float *sin,
                   bool back, float *out, bool accumulate);

#endif
