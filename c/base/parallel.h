/* The process's one thread pool. Work is cut into pieces by the shape of the data alone, never by
 * the number of threads, and each piece writes its own part of the result; so results have the same
 * bits with any number of threads. Pieces are taken by an atomic counter, the caller works too, and
 * a region ends when its pieces are done, not when every thread has arrived. */
#ifndef RH_BASE_PARALLEL_H
#define RH_BASE_PARALLEL_H

#include "base/context.h"

enum { RH_MAX_THREADS = 64 };

/* Does one piece. `worker` is below rh_threads() and differs between pieces that run at the same
 * time: an index into scratch memory, nothing that a result may depend on. */
typedef void (*rh_piece_fn)(void *arg, int64_t piece, int worker);

/* Calls fn for every piece in [0, pieces). A caller that finds the pool busy (another lua_State, or
 * a piece that starts a region) does all pieces itself as worker 0. fn must not fail, allocate, fork or
 * touch the context: take scratch before. Threads start when the first region wants them; one that
 * the system refuses then is done without. */
void rh_parallel(int64_t pieces, rh_piece_fn fn, void *arg);

/* Calls fn(arg, begin, end, worker) over [0, n) in ranges of `grain` (the last one shorter). */
typedef void (*rh_range_fn)(void *arg, int64_t begin, int64_t end, int worker);
void rh_parallel_range(int64_t n, int64_t grain, rh_range_fn fn, void *arg);

/* Threads in use, the caller included; at first the processors this process may run on, capped. No
 * region of the calling thread uses more than it was told last, even when another lua_State raises the
 * number meanwhile: scratch for so many workers is always enough. */
int rh_threads(void);
/* Processors this process may run on. */
int rh_processors(void);
/* Sets the number of threads, 1..RH_MAX_THREADS, else RH_EARG; starts or ends threads at once. RH_ESYS
 * when the system refuses a thread: the count then stays as it was. In a child of fork the number is
 * the same and no thread runs until a region wants one. */
rh_status rh_threads_set(rh_ctx *ctx, int n);

#endif
