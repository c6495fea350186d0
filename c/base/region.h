/* Ranges of address space for base/heap: reserved whole, so that a heap can grow without moving and
 * join blocks across its growth, and committed from the bottom upward. The record lives in the first
 * bytes of its own range. */
#ifndef RH_BASE_REGION_H
#define RH_BASE_REGION_H

#include <stdbool.h>
#include <stddef.h>

/* What the system's large pages measure; a region begins on such a page. */
#define RH_HUGE_PAGE ((size_t)2 << 20)

typedef struct rh_region {
    struct rh_region *next;
    size_t reserved;  /* bytes of address space, this record included */
    size_t committed; /* bytes from the start that may be touched */
    char *top;        /* the heap's: first byte that no block has */
} rh_region;

/* Returns new with at least `least` bytes reserved and the first ones committed, or NULL. */
rh_region *rh_region_open(size_t least);
/* Takes region; gives its addresses and its memory back. */
void rh_region_close(rh_region *region);

/* Makes the first `bytes` bytes touchable, and some more so that this is rarely asked. False when
 * the system refuses. bytes is at most region->reserved. */
bool rh_region_commit(rh_region *region, size_t bytes);
/* Gives back what is committed beyond the first `bytes` bytes. */
void rh_region_decommit(rh_region *region, size_t bytes);

/* How many bytes of whole large pages lie in [begin, end). */
size_t rh_region_whole_pages(const char *begin, const char *end);
/* Gives the memory of these pages back; they stay touchable and read as zeros. */
void rh_region_purge(char *begin, char *end);

#endif
