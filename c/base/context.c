#include "base/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pool.h"

rh_ctx *rh_ctx_open(void) {
    rh_ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx) return NULL;
    ctx->error.operand = RH_NO_OPERAND;
    ctx->faults.scale = 1.0f;
    ctx->pool = rh_pool_open();
    if (!ctx->pool) {
        free(ctx);
        return NULL;
    }
    return ctx;
}

void rh_ctx_close(rh_ctx *ctx) {
    rh_pool_close(ctx->pool);
    free(ctx);
}

rh_status rh_fail(rh_ctx *ctx, rh_status code, int operand, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->error.text, sizeof ctx->error.text, format, args);
    va_end(args);
    ctx->error.code = code;
    ctx->error.operand = operand;
    return code;
}
