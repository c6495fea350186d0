/* Address space from the system. A region is one private mapping without access; committing gives
 * access to a prefix of it. The mapping is deliberately not MAP_NORESERVE: without access it costs
 * nothing under any overcommit rule, and what is committed is then accounted for, so that a request
 * beyond the machine's memory is refused here, with a message, and not by a signal later. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/region.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/size.h"

/* Below FINE_LIMIT a region grows in small steps, so that a small model's memory stays tight; above
 * it in large pages. A step is at least a sixteenth of the region: growth takes few calls. */
#define FINE_STEP ((size_t)64 << 10)
#define FINE_LIMIT ((size_t)32 << 20)
#define GROWTH_SHIFT 4
/* No machine of today needs more, and some have 47 bits of addresses for all their states. */
#define MOST_RESERVED ((size_t)1 << 40)

static size_t physical_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t bytes;
    if (pages <= 0 || page <= 0 || !rh_size_mul((size_t)pages, (size_t)page, &bytes)) return 0;
    return bytes;
}

/* As much as a heap could ever hold. Where the address space is limited (ulimit -v) reservations
 * count against it, and the rest of the process needs some too: then small regions, one by one. */
static size_t wished_bytes(void) {
    size_t memory = physical_memory(), wish = RH_HUGE_PAGE;
    while (wish < memory && wish < MOST_RESERVED) wish *= 2;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        size_t share = rh_round_up((size_t)(limit.rlim_cur / 16) + 1, RH_HUGE_PAGE);
        if (share < wish) wish = share;
    }
    return wish;
}

/* Maps one large page more than asked and cuts the ends off, so that the start is aligned. */
static char *reserve(size_t bytes) {
    char *raw = mmap(NULL, bytes + RH_HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    char *start = (char *)rh_round_up((uintptr_t)raw, RH_HUGE_PAGE);
    size_t head = (size_t)(start - raw), tail = RH_HUGE_PAGE - head;
    if (head) munmap(raw, head);
    if (tail) munmap(start + bytes, tail);
#ifdef MADV_HUGEPAGE
    madvise(start, bytes, MADV_HUGEPAGE); /* a wish: a system without large pages says no */
#endif
    return start;
}

rh_region *rh_region_open(size_t least) {
    if (least > SIZE_MAX / 4) return NULL;
    least = rh_round_up(least, RH_HUGE_PAGE);
    size_t bytes = wished_bytes();
    if (bytes < least) bytes = least;
    char *start = reserve(bytes);
    while (!start && bytes > least) {
        bytes = rh_round_up(bytes / 2, RH_HUGE_PAGE);
        if (bytes < least) bytes = least;
        start = reserve(bytes);
    }
    if (!start) return NULL;
    if (mprotect(start, FINE_STEP, PROT_READ | PROT_WRITE) != 0) {
        munmap(start, bytes);
        return NULL;
    }
    rh_region *region = (rh_region *)start;
    *region = (rh_region){.reserved = bytes, .committed = FINE_STEP};
    return region;
}

void rh_region_close(rh_region *region) { munmap(region, region->reserved); }

static size_t rounded_step(const rh_region *region, size_t bytes) {
    bytes = rh_round_up(bytes, bytes < FINE_LIMIT ? FINE_STEP : RH_HUGE_PAGE);
    return bytes < region->reserved ? bytes : region->reserved;
}

static bool commit_to(rh_region *region, size_t bytes) {
    char *from = (char *)region + region->committed;
    if (mprotect(from, bytes - region->committed, PROT_READ | PROT_WRITE) != 0) return false;
    region->committed = bytes;
    return true;
}

bool rh_region_commit(rh_region *region, size_t bytes) {
    if (bytes <= region->committed) return true;
    size_t ahead = region->committed + (region->committed >> GROWTH_SHIFT);
    if (ahead > bytes && commit_to(region, rounded_step(region, ahead))) return true;
    return commit_to(region, rounded_step(region, bytes));
}

static void give_back(char *start, size_t bytes) {
#ifdef __linux__
    madvise(start, bytes, MADV_DONTNEED); /* immediate, and keeps the wish for large pages */
#else
    mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#endif
}

void rh_region_decommit(rh_region *region, size_t bytes) {
    bytes = rh_round_up(bytes, FINE_STEP);
    if (bytes >= region->committed) return;
    char *from = (char *)region + bytes;
    give_back(from, region->committed - bytes);
    /* where access can't be taken away the range stays touchable, which harms nothing */
    (void)mprotect(from, region->committed - bytes, PROT_NONE);
    region->committed = bytes;
}

size_t rh_region_whole_pages(const char *begin, const char *end) {
    uintptr_t first = rh_round_up((uintptr_t)begin, RH_HUGE_PAGE);
    uintptr_t last = (uintptr_t)end & ~(uintptr_t)(RH_HUGE_PAGE - 1);
    return last > first ? last - first : 0;
}

void rh_region_purge(char *begin, char *end) {
    size_t bytes = rh_region_whole_pages(begin, end);
    if (bytes) give_back((char *)rh_round_up((uintptr_t)begin, RH_HUGE_PAGE), bytes);
}
