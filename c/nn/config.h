/* The one generic decoder, described by settings. What a setting is called in a model folder, and which
 * architecture sets it how, is Lua's business (lua/rlhf/arch). */
#ifndef RH_NN_CONFIG_H
#define RH_NN_CONFIG_H

#include "base/context.h"

typedef enum rh_norm_kind { RH_LAYER_NORM, RH_RMS_NORM } rh_norm_kind;
typedef enum rh_position_kind { RH_POSITION_LEARNED, RH_POSITION_ROTARY } rh_position_kind;
typedef enum rh_activation { RH_GELU, RH_GELU_TANH, RH_RELU, RH_SILU } rh_activation;

typedef struct rh_decoder_config {
    int64_t layers, dim, heads, kv_heads, head_dim, hidden, vocab, context;
    rh_norm_kind norm;
    double norm_eps;
    bool norm_bias;
    rh_position_kind position;
    rh_activation activation;
    bool gated;        /* down(silu(gate x) * up x) in place of down(act(up x)) */
    bool fused_qkv;    /* one weight for q, k and v, as it is stored */
    bool in_out;       /* weights are stored [in,out] */
    bool qkv_bias, attention_bias, mlp_bias; /* attention_bias: of the projection behind it */
    bool tied;         /* the output head is the embedding */
    bool head;         /* has an output head at all (a reward model's trunk has none) */
} rh_decoder_config;

/* Checks that the settings make a decoder, before anything is allocated: ranges, heads that divide, and
 * that the number of parameters fits. The message names the setting, its value and the limit. */
rh_status rh_decoder_config_check(rh_ctx *ctx, const rh_decoder_config *config);

#endif
