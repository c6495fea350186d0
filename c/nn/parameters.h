/* A decoder's parameters: leaves that lie one after another in a flat arena, so that neighbours (q, k, v;
 * gate, up) are one matrix to a product. Each has a place (layer and role) and a plain name made of it. */
#ifndef RH_NN_PARAMETERS_H
#define RH_NN_PARAMETERS_H

#include "nn/config.h"
#include "tensor/tensor.h"

/* Roles in the order in which they lie in the arena; those a config does not have are left out. */
typedef enum rh_role {
    RH_EMBED, RH_POSITION,                                       /* before the layers */
    RH_NORM1_W, RH_NORM1_B, RH_QKV_W, RH_Q_W, RH_K_W, RH_V_W,    /* of each layer */
    RH_QKV_B, RH_Q_B, RH_K_B, RH_V_B, RH_ATTN_W, RH_ATTN_B,
    RH_NORM2_W, RH_NORM2_B, RH_GATE_W, RH_UP_W, RH_GATE_B, RH_UP_B, RH_DOWN_W, RH_DOWN_B,
    RH_NORM_W, RH_NORM_B, RH_HEAD_W,                             /* behind the layers */
    RH_ROLES
} rh_role;

typedef struct rh_parameters {
    rh_ctx *ctx;
    int64_t layers;
    rh_tensor *arena;         /* f32 [all numbers] */
    int64_t n;                /* tensors */
    rh_tensor **list;         /* [n], in the order of the arena; each owned */
    int64_t *place;           /* [n]: layer * RH_ROLES + role */
    rh_tensor **at;           /* [layers * RH_ROLES]: by place, borrowed, NULL where left out; roles
                                 outside the layers stand at layer 0 */
} rh_parameters;

/* How many numbers a decoder of these settings has, without making it. RH_EDATA when the settings are
 * impossible or the number is. */
rh_status rh_parameters_count(rh_ctx *ctx, const rh_decoder_config *config, int64_t *count);

/* Fills *p with leaves that require gradients, contents not set. */
rh_status rh_parameters_new(rh_ctx *ctx, const rh_decoder_config *config, rh_parameters *p);
void rh_parameters_free(rh_parameters *p);

/* "embed.weight", "layers.3.q.weight": plain names, the same for every architecture; the layer counts
 * from 0, as in model folders. */
enum { RH_PARAMETER_NAME = 48 };
const char *rh_parameter_name(const rh_parameters *p, int64_t i, char buffer[RH_PARAMETER_NAME]);

static inline rh_tensor *rh_parameter(const rh_parameters *p, int64_t layer, rh_role role) {
    return p->at[layer * RH_ROLES + role];
}

/* Fills the weights as GPT-2 and Llama begin: normal with this deviation, projections back into the
 * residual stream divided by sqrt(2 layers), norms 1, biases 0. */
void rh_parameters_init(rh_parameters *p, uint64_t seed, double deviation);

#endif
