#include "nn/config.h"

#include "base/size.h"

typedef struct limit {
    const char *name;
    int64_t value, most;
} limit;

static rh_status check_limits(rh_ctx *ctx, const limit *limits, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (limits[i].value < 1 || limits[i].value > limits[i].most)
            return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "%s %lld: 1 to %lld wanted",
                           limits[i].name, (long long)limits[i].value, (long long)limits[i].most);
    return RH_OK;
}

rh_status rh_decoder_config_check(rh_ctx *ctx, const rh_decoder_config *c) {
    const limit limits[] = {
        {"layers", c->layers, 1024},      {"dim", c->dim, 65536},
        {"heads", c->heads, 4096},        {"kv_heads", c->kv_heads, 4096},
        {"head_dim", c->head_dim, 4096},  {"hidden", c->hidden, 1 << 20},
        {"vocab", c->vocab, 1 << 22},     {"context", c->context, 1 << 24},
    };
    RH_TRY(check_limits(ctx, limits, sizeof limits / sizeof limits[0]));
    if (c->heads % c->kv_heads != 0)
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "heads %lld: not a multiple of kv_heads %lld",
                       (long long)c->heads, (long long)c->kv_heads);
    if (c->position == RH_POSITION_ROTARY && c->head_dim % 2 != 0)
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "head_dim %lld: rotary positions want an even one",
                       (long long)c->head_dim);
    if (c->gated && c->activation != RH_SILU)
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "a gated MLP's activation: only silu is supported");
    if (!(c->norm_eps > 0 && c->norm_eps < 1))
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "norm_eps %g: above 0 and below 1 wanted",
                       c->norm_eps);
    return RH_OK;
}
