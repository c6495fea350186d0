/* Draws: the first id at which the sum of probabilities passes a uniform number, blocks first. */
#include <math.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "ops/kernels/elementwise.h"
#include "ops/kernels/head.h"
#include "sample/sample.h"

enum { BLOCK = 512 };

static int64_t first_equal(const float *x, int64_t vocab, float largest) {
    int64_t i = 0;
    while (i < vocab - 1 && x[i] != largest) i++;
    return i;
}

/* 53 bits in [0, 1). */
static double uniform(uint64_t seed, const rh_sample_row *row) {
    uint32_t word[4];
    rh_philox(seed, row->stream, (uint64_t)row->index, word);
    return (double)(((uint64_t)word[0] << 32 | word[1]) >> 11) * 0x1p-53;
}

/* The first i with weight[0] + ... + weight[i] above target; the last one with weight where rounding
 * leaves none. */
static int64_t pass_target(const float *weight, int64_t n, double target) {
    double sum = 0;
    int64_t last = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(weight[i] > 0)) continue;
        sum += weight[i];
        last = i;
        if (sum > target) break;
    }
    return last;
}

static double block_sum(const float *x, int64_t at, int64_t vocab) {
    return rh_kernels.elementwise->sum(x + at, rh_min(BLOCK, vocab - at));
}

static int64_t draw(const float *x, int64_t vocab, double u) {
    double total = 0, sum = 0, before = 0;
    int64_t block = 0; /* the last one with weight; `before` is the weight in front of it */
    for (int64_t at = 0; at < vocab; at += BLOCK) total += block_sum(x, at, vocab);
    for (int64_t at = 0; at < vocab && sum <= u * total; at += BLOCK) {
        double here = block_sum(x, at, vocab);
        if (here > 0) block = at, before = sum;
        sum += here;
    }
    return block + pass_target(x + block, rh_min(BLOCK, vocab - block), u * total - before);
}

int64_t rh_draw(const rh_sampling *s, const rh_sample_row *row, float *x, int64_t vocab) {
    float largest = rh_kernels.head->largest(x, vocab);
    if (!isfinite(largest)) return -1;
    if (s->greedy) return first_equal(x, vocab, largest);
    rh_kernels.head->softmax(x, vocab, largest, 1);
    return draw(x, vocab, uniform(s->seed, row));
}

typedef struct sample_job {
    const rh_sampling *s;
    int64_t vocab;
    float *x;
    const rh_sample_row *rows;
    char *scratch; /* [rh_threads()] */
    int64_t *next;
} sample_job;

static void sample_row(void *arg, int64_t i, int worker) {
    const sample_job *j = arg;
    float *x = j->x + i * j->vocab;
    void *scratch = j->scratch + (size_t)worker * rh_sample_scratch(j->vocab);
    rh_process_logits(j->s, &j->rows[i], x, j->vocab, scratch);
    j->next[i] = rh_draw(j->s, &j->rows[i], x, j->vocab);
}

rh_status rh_sample(rh_ctx *ctx, const rh_sampling *s, int64_t n, int64_t vocab, float *x,
                    const rh_sample_row *rows, int64_t *next) {
    size_t scratch = rh_sample_scratch(vocab);
    if (scratch == 0)
        return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "%lld ids are too many", (long long)vocab);
    sample_job j = {s, vocab, x, rows, rh_alloc(ctx, (size_t)rh_threads() * scratch), next};
    if (!j.scratch) return RH_ENOMEM;
    rh_parallel(n, sample_row, &j);
    rh_free(ctx, j.scratch);
    for (int64_t i = 0; i < n; i++)
        if (next[i] < 0)
            return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND,
                           "no next token: logits are infinite, not numbers, or all ruled out");
    return RH_OK;
}
