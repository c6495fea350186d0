/* Processors of logits. What is ruled out becomes -inf; equal logits stand in the order of their ids. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ops/kernels/head.h"
#include "sample/sample.h"

/* A row's scratch: weights or marks by id, and ids in the order that selection brings them to. */
typedef struct scratch {
    float *weight; /* [vocab] */
    int32_t *item; /* [vocab] */
} scratch;

size_t rh_sample_scratch(int64_t vocab) {
    return vocab <= INT32_MAX ? (size_t)vocab * (sizeof(float) + sizeof(int32_t)) : 0;
}

/* Logits of ids that were there: divided by the penalty, or multiplied when negative; each once. */
static void penalize(const rh_sample_row *row, double penalty, float *x, int64_t vocab, scratch s) {
    memset(s.weight, 0, (size_t)vocab * sizeof *s.weight);
    for (int64_t i = 0; i < row->n; i++) {
        int64_t id = row->ids[i];
        if (id < 0 || id >= vocab || s.weight[id] != 0) continue;
        s.weight[id] = 1;
        x[id] = x[id] < 0 ? x[id] * (float)penalty : x[id] / (float)penalty;
    }
}

static void rule_out_stops(const rh_sampling *o, float *x, int64_t vocab) {
    for (int64_t i = 0; i < o->n_stop; i++)
        if (o->stop[i] >= 0 && o->stop[i] < vocab) x[o->stop[i]] = -INFINITY;
}

static bool before(const float *x, int32_t a, int32_t b) {
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

static void swap(int32_t *item, int64_t a, int64_t b) {
    int32_t t = item[a];
    item[a] = item[b];
    item[b] = t;
}

/* Brings what comes before the pivot item[at] to the front of item[lo, hi); returns the pivot's place. */
static int64_t partition(const float *x, int32_t *item, int64_t lo, int64_t hi, int64_t at) {
    int32_t pivot = item[at];
    int64_t put = lo;
    swap(item, at, hi - 1);
    for (int64_t i = lo; i < hi - 1; i++)
        if (before(x, item[i], pivot)) swap(item, i, put++);
    swap(item, put, hi - 1);
    return put;
}

static double weight_of(const float *weight, const int32_t *item, int64_t lo, int64_t hi) {
    double sum = 0;
    if (!weight) return (double)(hi - lo);
    for (int64_t i = lo; i < hi; i++) sum += weight[item[i]];
    return sum;
}

/* How many of the greatest items it takes for their weights (NULL: 1 each) to reach `want`; they stand in
 * front then. Quickselect; pivots come from a fixed sequence of their own, so that no order of logits is
 * a slow one. */
static int64_t select_greatest(const float *x, const float *weight, int32_t *item, int64_t n,
                               double want) {
    int64_t lo = 0, hi = n;
    double sum = 0; /* weight of item[0, lo) */
    uint64_t pick = 0x9E3779B97F4A7C15u;
    while (lo < hi) {
        pick = pick * 6364136223846793005u + 1442695040888963407u;
        int64_t at = partition(x, item, lo, hi, lo + (int64_t)((pick >> 33) % (uint64_t)(hi - lo)));
        double above = sum + weight_of(weight, item, lo, at);
        if (above >= want) {
            hi = at;
        } else {
            sum = above + weight_of(weight, item, at, at + 1);
            lo = at + 1;
            if (sum >= want) return lo;
        }
    }
    return lo;
}

/* Ids that are not ruled out; returns how many. */
static int64_t list_items(const float *x, int64_t vocab, int32_t *item) {
    int64_t n = 0;
    for (int64_t i = 0; i < vocab; i++)
        if (x[i] > -INFINITY) item[n++] = (int32_t)i;
    return n;
}

/* Keeps the k greatest, and all that equal the least of them. */
static void keep_top_k(int64_t k, float *x, int64_t vocab, scratch s) {
    int64_t n = list_items(x, vocab, s.item);
    if (k >= n) return;
    select_greatest(x, NULL, s.item, n, (double)k);
    float least = INFINITY;
    for (int64_t i = 0; i < k; i++) least = fminf(least, x[s.item[i]]);
    for (int64_t i = 0; i < vocab; i++)
        if (x[i] < least) x[i] = -INFINITY;
}

/* weight[i] = exp(x[i] - max x) */
static void weigh(const float *x, int64_t vocab, float *weight) {
    memcpy(weight, x, (size_t)vocab * sizeof *x);
    rh_kernels.head->softmax(weight, vocab, rh_kernels.head->largest(x, vocab), 1);
}

/* Keeps the fewest of the greatest whose probabilities reach top_p. */
static void keep_top_p(double top_p, float *x, int64_t vocab, scratch s) {
    int64_t n = list_items(x, vocab, s.item);
    weigh(x, vocab, s.weight);
    double total = weight_of(s.weight, s.item, 0, n);
    int64_t kept = select_greatest(x, s.weight, s.item, n, fmax(top_p * total, DBL_MIN));
    for (int64_t i = kept; i < n; i++) x[s.item[i]] = -INFINITY;
}

/* Keeps those at least min_p times as likely as the likeliest. */
static void keep_min_p(double min_p, float *x, int64_t vocab, scratch s) {
    weigh(x, vocab, s.weight);
    for (int64_t i = 0; i < vocab; i++)
        if (s.weight[i] < (float)min_p) x[i] = -INFINITY;
}

void rh_process_logits(const rh_sampling *o, const rh_sample_row *row, float *x, int64_t vocab,
                       void *memory) {
    scratch s = {memory, (int32_t *)((float *)memory + vocab)};
    if (o->repetition_penalty != 1) penalize(row, o->repetition_penalty, x, vocab, s);
    if (row->index < o->min_new_tokens) rule_out_stops(o, x, vocab);
    if (o->greedy) return;
    if (o->temperature != 1)
        for (int64_t i = 0; i < vocab; i++) x[i] /= (float)o->temperature;
    /* an infinite or missing logit has no softmax; rh_draw tells of it */
    if (!isfinite(rh_kernels.head->largest(x, vocab))) return;
    if (o->top_k > 0) keep_top_k(o->top_k, x, vocab, s);
    if (o->top_p < 1) keep_top_p(o->top_p, x, vocab, s);
    if (o->min_p > 0) keep_min_p(o->min_p, x, vocab, s);
}
