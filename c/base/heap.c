/* The heap. A region is filled with blocks, end to end, up to its top, where a fence stands: a header
 * of size 0. A block is a header and its payload; only a free block uses the rest of the record.
 *   - No two free blocks touch, and none touches the fence: they are joined at once.
 *   - A free block is in the list of its class. Its right neighbour's `before` is its size; where the
 *     left neighbour is in use, `before` is 0.
 *   - What lies beyond the top is in no list. It is used last, so that a region stays short and a step
 *     that frees what it took leaves nothing behind. */
#include "base/heap.h"

#include <assert.h>
#include <stdbool.h>

typedef struct rh_block {
    size_t before;
    size_t size; /* of the whole block; bit 0 is set while it is free */
    struct rh_block *next, *prev;
    size_t absent; /* bytes of whole large pages that trim gave back */
} block;

_Static_assert(offsetof(block, next) == RH_BLOCK_HEADER, "a live block is its header alone");
_Static_assert(sizeof(block) <= RH_BLOCK_UNIT, "the smallest block must hold the record");
_Static_assert(sizeof(rh_region) + RH_BLOCK_HEADER <= RH_BLOCK_UNIT, "and so must a region's start");

enum { FREE = 1, SUBCLASSES = 8, SUBCLASS_BITS = 3, CANDIDATES = 8 };

static block *at(block *b, size_t distance) { return (block *)((char *)b + distance); }
static void *payload_of(block *b) { return (char *)b + RH_BLOCK_HEADER; }
static block *block_of(const void *payload) { return (block *)((char *)payload - RH_BLOCK_HEADER); }
static bool is_free(const block *b) { return b->size & FREE; }
static size_t free_size(const block *b) { return b->size & ~(size_t)FREE; }
static block *first_block(rh_region *r) {
    return (block *)((char *)r + RH_BLOCK_UNIT - RH_BLOCK_HEADER);
}

size_t rh_heap_size_of(const void *payload) { return block_of(payload)->size; }

/* -- lists ---------------------------------------------------------------------------------- */

/* Classes 0 to 7 hold one size each; from then on each doubling has 8 of equal width. The class of a
 * size is the last whose smallest member is not above it. */
static int class_of(size_t size) {
    size_t units = size / RH_BLOCK_UNIT;
    if (units < SUBCLASSES) return (int)units;
    int shift = 63 - __builtin_clzll(units) - SUBCLASS_BITS;
    return (shift + 1) * SUBCLASSES + (int)((units >> shift) & (SUBCLASSES - 1));
}

/* The first class from c on that has a block, or -1. */
static int next_occupied(const rh_heap *heap, int c) {
    for (int word = c / 64; word < RH_HEAP_CLASSES / 64; word++, c = word * 64) {
        uint64_t bits = heap->occupied[word] >> (c % 64);
        if (bits) return c + __builtin_ctzll(bits);
    }
    return -1;
}

static void list_add(rh_heap *heap, block *b, size_t size, size_t absent) {
    int c = class_of(size);
    b->size = size | FREE;
    b->absent = absent;
    b->prev = NULL;
    b->next = heap->lists[c];
    if (b->next) b->next->prev = b;
    heap->lists[c] = b;
    heap->occupied[c / 64] |= (uint64_t)1 << (c % 64);
    at(b, size)->before = size;
}

static void list_remove(rh_heap *heap, block *b) {
    if (b->next) b->next->prev = b->prev;
    if (b->prev) {
        b->prev->next = b->next;
        return;
    }
    int c = class_of(free_size(b));
    heap->lists[c] = b->next;
    if (!b->next) heap->occupied[c / 64] &= ~((uint64_t)1 << (c % 64));
}

/* The smallest block of the list's first few that has `size` bytes, or NULL. */
static block *best_of(block *list, size_t size) {
    block *best = NULL;
    for (int i = 0; list && i < CANDIDATES; i++, list = list->next) {
        if (free_size(list) < size) continue;
        if (!best || list->size < best->size) best = list;
        if (free_size(best) == size) break;
    }
    return best;
}

/* -- taking --------------------------------------------------------------------------------- */

/* Bytes of a free block that trim could give back: not the record, which the lists read. */
static size_t spare_pages(block *b, size_t size) {
    return rh_region_whole_pages((char *)b + sizeof *b, (char *)at(b, size));
}

static void count_held_again(rh_heap *heap, size_t bytes) {
    if (!bytes) return;
    heap->held += bytes;
    heap->system_calls++;
}

/* Turns the first `size` bytes of a listed block into a live block and lists the rest. */
static void cut(rh_heap *heap, block *b, size_t size) {
    size_t rest = free_size(b) - size, absent = b->absent;
    list_remove(heap, b);
    b->size = size;
    if (rest) {
        block *tail = at(b, size);
        size_t still_absent = 0;
        if (absent) still_absent = spare_pages(tail, rest);
        if (still_absent > absent) still_absent = absent;
        tail->before = 0;
        list_add(heap, tail, rest, still_absent);
        absent -= still_absent;
    } else {
        at(b, size)->before = 0;
    }
    count_held_again(heap, absent);
}

/* From the lists: the request's own class may have blocks that are large enough, any later one has
 * nothing else. */
static block *take_listed(rh_heap *heap, size_t size) {
    int c = class_of(size);
    block *b = best_of(heap->lists[c], size);
    if (!b) {
        c = next_occupied(heap, c + 1);
        if (c < 0) return NULL;
        b = best_of(heap->lists[c], size);
    }
    cut(heap, b, size);
    return b;
}

static void set_fence(rh_region *r, block *b) {
    b->size = 0;
    r->top = (char *)b;
}

static bool commit(rh_heap *heap, rh_region *r, size_t bytes) {
    size_t before = r->committed;
    if (bytes <= before) return true;
    if (!rh_region_commit(r, bytes)) return false;
    heap->held += r->committed - before;
    heap->system_calls++;
    return true;
}

/* Bytes from a region's start to its fence's end, and from there to its end. */
static size_t used_of(const rh_region *r) {
    return (size_t)(r->top - (const char *)r) + RH_BLOCK_HEADER;
}
static size_t room_above(const rh_region *r) { return r->reserved - used_of(r); }

static block *take_top(rh_heap *heap, rh_region *r, size_t size) {
    if (!commit(heap, r, used_of(r) + size)) return NULL;
    block *b = (block *)r->top;
    b->size = size;
    at(b, size)->before = 0;
    set_fence(r, at(b, size));
    return b;
}

static rh_region *add_region(rh_heap *heap, size_t size) {
    rh_region *r = rh_region_open(size + RH_BLOCK_UNIT);
    if (!r) return NULL;
    heap->held += r->committed;
    heap->system_calls++;
    first_block(r)->before = 0;
    set_fence(r, first_block(r));
    rh_region **last = &heap->regions;
    while (*last) last = &(*last)->next;
    return *last = r;
}

/* A region with room may still be refused its memory; another region would be refused it too. */
static block *take_beyond(rh_heap *heap, size_t size) {
    rh_region *r = heap->regions;
    while (r && room_above(r) < size) r = r->next;
    if (!r) r = add_region(heap, size);
    return r ? take_top(heap, r, size) : NULL;
}

void *rh_heap_take(rh_heap *heap, size_t size) {
    if (size > RH_HEAP_MOST) return NULL;
    block *b = take_listed(heap, size);
    if (!b) b = take_beyond(heap, size);
    return b ? payload_of(b) : NULL;
}

/* -- giving back ---------------------------------------------------------------------------- */

static rh_region *region_below(rh_heap *heap, const block *fence) {
    rh_region *r = heap->regions;
    while (r->top != (const char *)fence) r = r->next;
    return r;
}

void rh_heap_give(rh_heap *heap, void *payload) {
    block *b = block_of(payload), *after = at(b, b->size);
    size_t size = b->size, absent = 0;
    assert(size && !is_free(b));
    if (is_free(after)) {
        list_remove(heap, after);
        absent += after->absent;
        size += free_size(after);
        after = at(after, free_size(after));
    }
    if (b->before) {
        b = (block *)((char *)b - b->before);
        list_remove(heap, b);
        absent += b->absent;
        size += free_size(b);
    }
    if (after->size) {
        list_add(heap, b, size, absent);
    } else {
        count_held_again(heap, absent); /* what lies beyond the top is all there or not committed */
        set_fence(region_below(heap, after), b);
    }
}

static void purge_listed(rh_heap *heap) {
    int c = class_of(RH_HUGE_PAGE);
    while ((c = next_occupied(heap, c)) >= 0) {
        for (block *b = heap->lists[c]; b; b = b->next) {
            size_t spare = spare_pages(b, free_size(b));
            if (spare == b->absent) continue;
            rh_region_purge((char *)b + sizeof *b, (char *)at(b, free_size(b)));
            heap->held -= spare - b->absent;
            b->absent = spare;
        }
        c++;
    }
}

void rh_heap_trim(rh_heap *heap) {
    purge_listed(heap);
    for (rh_region **link = &heap->regions, *r; (r = *link);) {
        heap->held -= r->committed;
        if (r->top == (char *)first_block(r)) {
            *link = r->next;
            rh_region_close(r);
        } else {
            rh_region_decommit(r, used_of(r));
            heap->held += r->committed;
            link = &r->next;
        }
    }
}

void rh_heap_close(rh_heap *heap) {
    for (rh_region *r = heap->regions, *next; r; r = next) {
        next = r->next;
        rh_region_close(r);
    }
    heap->regions = NULL;
}
