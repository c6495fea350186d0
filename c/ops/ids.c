/* Checks of ids. See ids.h. */
#include "ops/ids.h"

#include <string.h>

#include "base/parallel.h"
#include "ops/fold.h"
#include "ops/kernels/index.h"

const char *rh_place_text(const rh_tensor *t, int64_t at, char buffer[RH_SHAPE_TEXT]) {
    int64_t place[RH_MAX_RANK];
    for (int d = t->rank - 1; d >= 0; d--) {
        place[d] = at % t->shape[d] + 1;
        at /= t->shape[d];
    }
    return rh_shape_text(t->rank, place, buffer);
}

rh_status rh_ids_check(rh_call *call, int i, int64_t limit) {
    const rh_tensor *t = call->in[i];
    const int64_t *id = rh_i64(t);
    int64_t n = rh_tensor_numel(t), at = rh_kernels.index->first_outside(id, n, limit);
    char place[RH_SHAPE_TEXT];
    if (at == n) return RH_OK;
    rh_place_text(t, at, place);
    if (limit == 0)
        return rh_fail(call->ctx, RH_EARG, i, "id %lld at %s, but there is nothing to take it from",
                       (long long)id[at], place);
    return rh_fail(call->ctx, RH_EARG, i, "id %lld at %s: 0 to %lld wanted", (long long)id[at], place,
                   (long long)limit - 1);
}

static void zero_range(void *dst, int64_t begin, int64_t end, int worker) {
    (void)worker;
    memset((float *)dst + begin, 0, (size_t)(end - begin) * sizeof(float));
}

void rh_fill_zero(float *dst, int64_t n) { rh_parallel_range(n, RH_PIECE, zero_range, dst); }
