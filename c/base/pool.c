/* The pool: counters, the limit, faults on purpose and messages around two heaps. Records (tensors,
 * nodes: a few hundred bytes, some of which live long) have a heap of their own, so that none of them
 * stands in the middle of what large blocks leave free. A block's size tells which heap it is from.
 *
 * Everything is counted in block sizes: bytes asked plus a header of 16, rounded up to 64. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum { RECORD_MOST = 1024, HEAPS = 2, SIZE_TEXT = 32 };

struct rh_pool {
    size_t in_use, peak, limit, blocks;
    rh_heap heaps[HEAPS];
};

/* -- where blocks come from ----------------------------------------------------------------- */

static rh_heap *heap_for(rh_pool *pool, size_t size) { return &pool->heaps[size > RECORD_MOST]; }

#ifndef RH_SYSTEM_MALLOC

static void *take(rh_pool *pool, size_t bytes) {
    size_t size = rh_block_size(bytes);
    return rh_heap_take(heap_for(pool, size), size);
}

/* Takes block and tells its size. */
static size_t give(rh_pool *pool, void *block) {
    size_t size = rh_heap_size_of(block);
    rh_heap_give(heap_for(pool, size), block);
    return size;
}

#else

/* The size stands on a line of its own in front of the block. The block ends where the caller's bytes
 * end (posix_memalign, unlike aligned_alloc, takes any size), so that a sanitizer sees the first byte
 * beyond. */
static void *take(rh_pool *pool, size_t bytes) {
    void *line;
    if (posix_memalign(&line, RH_BLOCK_UNIT, RH_BLOCK_UNIT + (bytes ? bytes : 1)) != 0) return NULL;
    size_t size = rh_block_size(bytes);
    *(size_t *)line = size;
    heap_for(pool, size)->held += size;
    heap_for(pool, size)->system_calls++;
    return (char *)line + RH_BLOCK_UNIT;
}

static size_t give(rh_pool *pool, void *block) {
    size_t *line = (size_t *)((char *)block - RH_BLOCK_UNIT), size = *line;
    heap_for(pool, size)->held -= size;
    free(line);
    return size;
}

#endif

static size_t held_of(const rh_pool *pool) { return pool->heaps[0].held + pool->heaps[1].held; }

/* -- the pool ------------------------------------------------------------------------------- */

rh_pool *rh_pool_open(void) {
    rh_pool *pool = calloc(1, sizeof *pool);
    if (pool) pool->limit = SIZE_MAX;
    return pool;
}

void rh_pool_close(rh_pool *pool) {
    for (int i = 0; i < HEAPS; i++) rh_heap_close(&pool->heaps[i]);
    free(pool);
}

static const char *size_text(size_t bytes, char text[SIZE_TEXT]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(text, SIZE_TEXT, "%zu B", bytes);
        return text;
    }
    double value = (double)bytes / 1024;
    int unit = 0;
    while (value >= 1023.95) value /= 1024, unit++; /* 1023.95 would print as 1024.0 */
    snprintf(text, SIZE_TEXT, "%.1f %s", value, units[unit]);
    return text;
}

static void *refuse(rh_ctx *ctx, size_t bytes) {
    const rh_pool *pool = ctx->pool;
    char asked[SIZE_TEXT], in_use[SIZE_TEXT], held[SIZE_TEXT], limit[SIZE_TEXT];
    bool limited = pool->limit != SIZE_MAX;
    rh_fail(ctx, RH_ENOMEM, RH_NO_OPERAND,
            "not enough memory: %s asked (in use %s, held %s, %s%s)", size_text(bytes, asked),
            size_text(pool->in_use, in_use), size_text(held_of(pool), held),
            limited ? "limit " : "no limit", limited ? size_text(pool->limit, limit) : "");
    return NULL;
}

/* Counts the countdown; true when this allocation is to fail. */
static bool fault_due(rh_faults *faults) {
    if (faults->alloc_countdown > 0) return --faults->alloc_countdown == 0;
    return faults->alloc_sticky;
}

void *rh_alloc(rh_ctx *ctx, size_t bytes) {
    rh_pool *pool = ctx->pool;
    if (fault_due(&ctx->faults) || bytes > RH_HEAP_MOST) return refuse(ctx, bytes);
    size_t size = rh_block_size(bytes);
    if (pool->limit < pool->in_use || size > pool->limit - pool->in_use) return refuse(ctx, bytes);
    void *block = take(pool, bytes);
    if (!block) return refuse(ctx, bytes);
    pool->in_use += size;
    pool->blocks++;
    if (pool->in_use > pool->peak) pool->peak = pool->in_use;
    return block;
}

void *rh_alloc_zero(rh_ctx *ctx, size_t bytes) {
    void *block = rh_alloc(ctx, bytes);
    return block ? memset(block, 0, bytes) : NULL;
}

void rh_free(rh_ctx *ctx, void *block) {
    if (!block) return;
    ctx->pool->in_use -= give(ctx->pool, block);
    ctx->pool->blocks--;
}

/* -- what users ask ------------------------------------------------------------------------- */

void rh_memory_read(const rh_ctx *ctx, rh_memory *out) {
    const rh_pool *pool = ctx->pool;
    *out = (rh_memory){.in_use = pool->in_use,
                       .held = held_of(pool),
                       .peak = pool->peak,
                       .limit = pool->limit,
                       .blocks = pool->blocks,
                       .system_calls = pool->heaps[0].system_calls + pool->heaps[1].system_calls};
}

void rh_memory_set_limit(rh_ctx *ctx, size_t limit) { ctx->pool->limit = limit; }

void rh_memory_reset_peak(rh_ctx *ctx) { ctx->pool->peak = ctx->pool->in_use; }

size_t rh_memory_trim(rh_ctx *ctx) {
    size_t before = held_of(ctx->pool);
    for (int i = 0; i < HEAPS; i++) rh_heap_trim(&ctx->pool->heaps[i]);
    return before - held_of(ctx->pool);
}
