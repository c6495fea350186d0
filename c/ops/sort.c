/* sort and topk. An element becomes a 64-bit key: its float bits made to rise with its value above, its
 * index below. Keys are distinct, so every way of sorting them is stable and gives the same result:
 * radix sort for long lines, insertion for short ones, a heap of the best k for a small topk. A nan
 * is larger than every number, as in PyTorch; -0 equals 0. */
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "ops/fold.h"

/* Rises with x when `flip` is 0, falls when it is ~0. */
static uint32_t key_of(float x, uint32_t flip) {
    uint32_t bits;
    if (x == 0.0f) x = 0.0f; /* -0 */
    if (x != x) return 0xFFFFFFFFu ^ flip;
    memcpy(&bits, &x, sizeof bits);
    bits ^= bits >> 31 ? 0xFFFFFFFFu : 0x80000000u;
    return bits ^ flip;
}

static void insertion_sort(uint64_t *key, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        uint64_t k = key[i];
        int64_t at = i;
        for (; at > 0 && key[at - 1] > k; at--) key[at] = key[at - 1];
        key[at] = k;
    }
}

/* By the upper 32 bits, 8 at a time; the lower ones rise already. Four passes end in `key`. */
static void radix_sort(uint64_t *key, uint64_t *other, int64_t n) {
    for (int shift = 32; shift < 64; shift += 8) {
        int64_t start[257] = {0};
        for (int64_t i = 0; i < n; i++) start[(key[i] >> shift & 255) + 1]++;
        for (int d = 0; d < 256; d++) start[d + 1] += start[d];
        for (int64_t i = 0; i < n; i++) other[start[key[i] >> shift & 255]++] = key[i];
        uint64_t *swap = key;
        key = other;
        other = swap;
    }
}

enum { SHORT = 48 };

static void sort_keys(uint64_t *key, uint64_t *other, int64_t n) {
    if (n <= SHORT) insertion_sort(key, n);
    else radix_sort(key, other, n);
}

/* Moves key[at] down in a heap with the largest on top. */
static void sift(uint64_t *key, int64_t at, int64_t n) {
    uint64_t k = key[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && key[child + 1] > key[child]) child++;
        if (key[child] <= k) break;
        key[at] = key[child];
    }
    key[at] = k;
}

/* One call: the first k of each line in order. */
typedef struct sorting {
    rh_fold fold;
    int64_t k;
    uint32_t flip;     /* ~0: descending */
    const float *x;    /* [outer, size, inner] */
    float *value;      /* [outer, k, inner] */
    int64_t *index;    /* the same */
    uint64_t *scratch; /* [workers, 2 size] */
} sorting;

/* key <- the k smallest keys of the line x (elements `inner` apart), in order */
static void first_k(const sorting *s, const float *x, uint64_t *key) {
    int64_t n = s->fold.size, k = s->k, inner = s->fold.inner;
    int64_t held = k < n / 8 ? k : n;
    if (k == 0) return;
    for (int64_t i = 0; i < held; i++)
        key[i] = (uint64_t)key_of(x[i * inner], s->flip) << 32 | (uint64_t)i;
    if (held < n) {
        for (int64_t i = k / 2; i-- > 0;) sift(key, i, k);
        for (int64_t i = held; i < n; i++) {
            uint64_t next = (uint64_t)key_of(x[i * inner], s->flip) << 32 | (uint64_t)i;
            if (next > key[0]) continue;
            key[0] = next;
            sift(key, 0, k);
        }
        for (int64_t m = k - 1; m > 0; m--) {
            uint64_t top = key[0];
            key[0] = key[m];
            key[m] = top;
            sift(key, 0, m);
        }
    } else {
        sort_keys(key, key + n, n);
    }
}

static void sort_strips(void *arg, int64_t begin, int64_t end, int worker) {
    const sorting *s = arg;
    int64_t inner = s->fold.inner;
    uint64_t *key = s->scratch + 2 * s->fold.size * worker;
    for (int64_t i = begin; i < end; i++) {
        rh_strip p = rh_strip_at(&s->fold, i);
        for (int64_t c = p.inner; c < p.inner + p.width; c++) {
            const float *x = s->x + p.outer * s->fold.size * inner + c;
            int64_t out = p.outer * s->k * inner + c;
            first_k(s, x, key);
            for (int64_t j = 0; j < s->k; j++) {
                int64_t at = (int64_t)(key[j] & 0xFFFFFFFFu);
                s->index[out + j * inner] = at;
                s->value[out + j * inner] = x[at * inner];
            }
        }
    }
}

static rh_status run_sort(rh_call *call, const rh_fold *fold, int64_t k, bool descending) {
    sorting s = {.fold = *fold, .k = k, .flip = descending ? 0xFFFFFFFFu : 0,
                 .x = rh_f32(call->in[0]), .value = rh_f32(call->out[0]),
                 .index = rh_i64(call->out[1])};
    s.scratch = rh_alloc(call->ctx, (size_t)(2 * fold->size * rh_threads()) * sizeof *s.scratch);
    if (!s.scratch) return RH_ENOMEM;
    rh_parallel_range(rh_strip_count(fold), rh_max(1, rh_strip_grain(fold) / 8), sort_strips, &s);
    rh_free(call->ctx, s.scratch);
    return RH_OK;
}

/* out[0], out[1]: k elements along the dimension */
static rh_status sorted_shape(rh_call *call, rh_spec *out, int dim, int64_t k) {
    if (call->in[0]->rank > 0 && call->in[0]->shape[dim] > UINT32_MAX)
        return rh_fail(call->ctx, RH_EARG, 0, "%lld elements along the dimension: at most %lld",
                       (long long)call->in[0]->shape[dim], (long long)UINT32_MAX);
    out[0] = rh_spec_of(call->in[0]);
    if (out[0].rank > 0) out[0].shape[dim] = k;
    out[1] = out[0];
    out[1].dtype = RH_I64;
    call->n_out = 2;
    return RH_OK;
}

static rh_status sort_shape(rh_call *call, rh_spec *out) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(call, 0, &dim, &fold));
    return sorted_shape(call, out, dim, fold.size);
}

static rh_status sort_forward(rh_call *call) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(call, 0, &dim, &fold));
    return run_sort(call, &fold, fold.size, call->opt[1].i);
}

static rh_status topk_shape(rh_call *call, rh_spec *out) {
    int dim;
    rh_fold fold;
    int64_t k = call->opt[0].i;
    RH_TRY(rh_fold_option(call, 1, &dim, &fold));
    if (k < 0 || k > fold.size)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "k = %lld of %lld elements along the "
                       "dimension", (long long)k, (long long)fold.size);
    if (call->in[0]->rank == 0 && k == 0)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "k = 0 of a scalar");
    return sorted_shape(call, out, dim, k);
}

static rh_status topk_forward(rh_call *call) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(call, 1, &dim, &fold));
    return run_sort(call, &fold, call->opt[0].i, true);
}

/* dx[index] = g, 0 where nothing was taken */
static rh_status taken_backward(rh_back *b, int dim_option, int64_t k) {
    int dim;
    rh_fold fold;
    RH_TRY(rh_fold_option(b->call, dim_option, &dim, &fold));
    rh_pick_back(&fold, k < 0 ? fold.size : k, rh_i64(b->call->out[1]), rh_f32(b->gout[0]),
                 rh_f32(b->gin[0]), b->accumulate[0]);
    return RH_OK;
}

static rh_status sort_backward(rh_back *b) { return taken_backward(b, 0, -1); }
static rh_status topk_backward(rh_back *b) { return taken_backward(b, 1, b->call->opt[0].i); }

static const char *const sort_samples[] = {
    "f=[3,5]", "f=[2,3,5]; {dim = 2, descending = true}", "f=[60]", "f[]", "f[1]", "f[0,3]",
    "f[3,0]", NULL};
static const char *const topk_samples[] = {
    "f=[3,5]; {k = 2}", "f=[4,3]; {k = 3, dim = 1}", "f=[60]; {k = 4}", "f[]; {k = 1}",
    "f[1]; {k = 1}", "f[3,2]; {k = 0}", "f[0,3]; {k = 1}", NULL};

const rh_row rh_rows_sort[] = {
    {.name = "sort", .inputs = "x:f", .options = "d:dim=-1 b:descending=false",
     .flags = RH_MULTI, .save = RH_SAVE_OUT(1), .shape = sort_shape, .forward = sort_forward,
     .backward = sort_backward, .samples = sort_samples,
     .doc = "elements along dim in order, equal ones as they stood; and indices, from 0"},
    {.name = "topk", .inputs = "x:f", .options = "i:k d:dim=-1", .flags = RH_MULTI,
     .save = RH_SAVE_OUT(1), .shape = topk_shape, .forward = topk_forward,
     .backward = topk_backward, .samples = topk_samples,
     .doc = "the k largest elements along dim, largest first; and their indices, from 0"},
    {0}};
