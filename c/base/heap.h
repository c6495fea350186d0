/* A two-level segregated-fit heap (after TLSF: Masmano et al. 2004) on base/region: takes, splits and
 * joins blocks in constant time. base/pool has two of them and does the counting, the limit and the
 * messages. */
#ifndef RH_BASE_HEAP_H
#define RH_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/region.h"
#include "base/size.h"

enum {
    RH_BLOCK_UNIT = 64,   /* blocks measure a multiple of it and payloads begin on one */
    RH_BLOCK_HEADER = 16, /* of each block, in front of the payload */
    RH_HEAP_CLASSES = 320 /* 8 for each doubling, from 64 bytes to 2^46 */
};

/* No block is larger: the classes end there, and so do the addresses of today's processors. */
#define RH_HEAP_MOST ((size_t)1 << 46)

typedef struct rh_heap {
    rh_region *regions;                          /* oldest first */
    uint64_t occupied[RH_HEAP_CLASSES / 64];     /* bit c: lists[c] has a block */
    struct rh_block *lists[RH_HEAP_CLASSES];     /* free blocks of each class, latest first */
    size_t held;                                 /* bytes committed and not given back */
    size_t system_calls;                         /* how often memory was asked of the system */
} rh_heap;

/* What a block for `bytes` bytes measures, header included. bytes is at most SIZE_MAX / 4. */
static inline size_t rh_block_size(size_t bytes) {
    return rh_round_up((bytes ? bytes : 1) + RH_BLOCK_HEADER, RH_BLOCK_UNIT);
}
/* What this live block measures: what it was asked with. */
size_t rh_heap_size_of(const void *payload);

/* Returns the payload of a new block of exactly `size` bytes (from rh_block_size), or NULL. */
void *rh_heap_take(rh_heap *heap, size_t size);
/* Takes the block. */
void rh_heap_give(rh_heap *heap, void *payload);
/* Gives free memory back to the system; heap->held tells how much. */
void rh_heap_trim(rh_heap *heap);
/* Gives everything back to the system. */
void rh_heap_close(rh_heap *heap);

#endif
