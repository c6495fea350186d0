/* replaced by the branch base */
#include "base/pool.h"
#include <stdlib.h>
#include <string.h>
struct rh_pool { rh_memory m; };
rh_pool *rh_pool_open(void) { rh_pool *p = calloc(1, sizeof *p); p->m.limit = SIZE_MAX; return p; }
void rh_pool_close(rh_pool *p) { free(p); }
void *rh_alloc(rh_ctx *ctx, size_t n) { size_t t = (n + 64 + 63) & ~(size_t)63; char *b = aligned_alloc(64, t); if (!b) { rh_fail(ctx, RH_ENOMEM, -1, "not enough memory"); return NULL; } *(size_t *)b = t; ctx->pool->m.in_use += t; ctx->pool->m.blocks++; return b + 64; }
void *rh_alloc_zero(rh_ctx *ctx, size_t n) { void *p = rh_alloc(ctx, n); if (p) memset(p, 0, n); return p; }
void rh_free(rh_ctx *ctx, void *b) { if (!b) return; char *p = (char *)b - 64; ctx->pool->m.in_use -= *(size_t *)p; ctx->pool->m.blocks--; free(p); }
void rh_memory_read(const rh_ctx *ctx, rh_memory *o) { *o = ctx->pool->m; }
void rh_memory_set_limit(rh_ctx *ctx, size_t l) { ctx->pool->m.limit = l; }
void rh_memory_reset_peak(rh_ctx *ctx) { ctx->pool->m.peak = ctx->pool->m.in_use; }
size_t rh_memory_trim(rh_ctx *ctx) { (void)ctx; return 0; }
