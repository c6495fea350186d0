/* Memory for tensors, nodes and scratch. Freed blocks stay with the context, are split and joined,
 * and serve the next request: once the largest batch has been seen no system call is made. Every
 * block begins on a 64-byte line. With -DRH_SYSTEM_MALLOC each block comes from the system's
 * allocator instead, so that sanitizers and valgrind see every one of them. Rests on base/heap, which
 * rests on base/region. */
#ifndef RH_BASE_POOL_H
#define RH_BASE_POOL_H

#include "base/context.h"

typedef struct rh_pool rh_pool;

typedef struct rh_memory {
    size_t in_use;       /* bytes of live blocks: each counts 16 more than asked, rounded up to 64 */
    size_t held;         /* bytes taken from the system and not given back */
    size_t peak;         /* largest in_use since the pool was opened or the peak was reset */
    size_t limit;        /* in_use never exceeds it; SIZE_MAX = none */
    size_t blocks;       /* live blocks */
    size_t system_calls; /* how often memory was asked of the system, or taken again after a trim */
} rh_memory;

rh_pool *rh_pool_open(void);
/* Takes pool; gives everything back to the system. */
void rh_pool_close(rh_pool *pool);

/* Returns a new block of at least `bytes` (0 counts as 1), not cleared; NULL after rh_fail(RH_ENOMEM). */
void *rh_alloc(rh_ctx *ctx, size_t bytes);
/* Same, cleared to zero. */
void *rh_alloc_zero(rh_ctx *ctx, size_t bytes);
/* Takes block, which may be NULL. */
void rh_free(rh_ctx *ctx, void *block);

void rh_memory_read(const rh_ctx *ctx, rh_memory *out);
void rh_memory_set_limit(rh_ctx *ctx, size_t limit);
void rh_memory_reset_peak(rh_ctx *ctx);
/* Gives free memory back to the system: what lies above the last block, and whole 2 MiB pages between
 * blocks. Returns how many bytes. */
size_t rh_memory_trim(rh_ctx *ctx);

#endif
