/* replaced by the branch base */
#include "base/parallel.h"
#include "base/size.h"
void rh_parallel(int64_t n, rh_piece_fn fn, void *arg) { for (int64_t i = 0; i < n; i++) fn(arg, i, 0); }
void rh_parallel_range(int64_t n, int64_t g, rh_range_fn fn, void *arg) { for (int64_t b = 0; b < n; b += g) fn(arg, b, rh_min(n, b + g), 0); }
int rh_threads(void) { return 1; }
int rh_processors(void) { return 1; }
rh_status rh_threads_set(rh_ctx *ctx, int n) { (void)ctx; (void)n; return RH_OK; }
