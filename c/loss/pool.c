/* segment_pool: one vector for each segment from the hidden states of its tokens and of all its ancestors'
 * (a response with its prompt): their mean, or the largest of each column. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "loss/rows.h"

enum { X, SEGMENTS };
enum { MEAN, MAX }; /* how */
enum { COLUMNS = 256 };

typedef struct segment {
    int64_t begin, length, parent;
} segment;

static int64_t segments_of(const rh_call *c) {
    return c->in[SEGMENTS] ? c->in[SEGMENTS]->shape[0] : 1;
}

static segment segment_at(const rh_call *c, int64_t s) {
    if (!c->in[SEGMENTS]) return (segment){0, c->in[X]->shape[0], -1};
    const int64_t *row = rh_i64(c->in[SEGMENTS]) + 3 * s;
    return (segment){row[0], row[1], row[2]};
}

static rh_status check_segment(rh_call *c, int64_t s) {
    segment g = segment_at(c, s);
    int64_t n = c->in[X]->shape[0];
    if (g.begin < 0 || g.length < 1 || g.begin > n - g.length || g.parent < -1 || g.parent >= s)
        return rh_fail(c->ctx, RH_EARG, SEGMENTS,
                       "segment %lld {%lld, %lld, %lld}: tokens within %lld and an earlier parent or "
                       "-1 wanted", (long long)s + 1, (long long)g.begin, (long long)g.length,
                       (long long)g.parent, (long long)n);
    return RH_OK;
}

static rh_status shape(rh_call *c, rh_spec *out) {
    RH_TRY(rh_want_rank(c, X, 2));
    if (c->in[SEGMENTS]) {
        RH_TRY(rh_want_rank(c, SEGMENTS, 2));
        RH_TRY(rh_want_size(c, SEGMENTS, 1, 3));
    }
    int64_t size[2] = {segments_of(c), c->in[X]->shape[1]};
    for (int64_t s = 0; s < size[0]; s++) RH_TRY(check_segment(c, s));
    out[0] = rh_spec_make(RH_F32, 2, size);
    return RH_OK;
}

/* The tokens that segment s pools: its own and its ancestors'. */
static int64_t pooled(const rh_call *c, int64_t s) {
    int64_t n = 0;
    for (; s >= 0; s = segment_at(c, s).parent) n += segment_at(c, s).length;
    return n;
}

/* Where column d of segment s is largest: the first token of those equal, in the order of the chain. */
static int64_t largest(const rh_call *c, int64_t s, int64_t d) {
    int64_t dim = c->in[X]->shape[1], best = -1;
    const float *x = rh_f32(c->in[X]);
    for (; s >= 0; s = segment_at(c, s).parent) {
        segment g = segment_at(c, s);
        for (int64_t t = g.begin; t < g.begin + g.length; t++)
            if (best < 0 || x[t * dim + d] > x[best * dim + d] || isnan(x[t * dim + d])) best = t;
    }
    return best;
}

static void mean_columns(const rh_call *c, int64_t s, int64_t begin, int64_t end) {
    int64_t dim = c->in[X]->shape[1];
    float *to = rh_f32(c->out[0]) + s * dim, share = 1.0f / (float)pooled(c, s);
    for (int64_t d = begin; d < end; d++) to[d] = 0;
    for (int64_t at = s; at >= 0; at = segment_at(c, at).parent) {
        segment g = segment_at(c, at);
        for (int64_t t = g.begin; t < g.begin + g.length; t++)
            for (int64_t d = begin; d < end; d++) to[d] += rh_f32(c->in[X])[t * dim + d];
    }
    for (int64_t d = begin; d < end; d++) to[d] *= share;
}

static void forward_columns(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const rh_call *c = arg;
    int64_t dim = c->in[X]->shape[1];
    for (int64_t s = 0; s < segments_of(c); s++) {
        if (c->opt[0].i == MEAN) mean_columns(c, s, begin, end);
        else
            for (int64_t d = begin; d < end; d++)
                rh_f32(c->out[0])[s * dim + d] = rh_f32(c->in[X])[largest(c, s, d) * dim + d];
    }
}

static rh_status forward(rh_call *c) {
    rh_parallel_range(c->in[X]->shape[1], COLUMNS, forward_columns, c);
    return RH_OK;
}

static void mean_back(const rh_back *b, int64_t s, int64_t begin, int64_t end) {
    const rh_call *c = b->call;
    int64_t dim = c->in[X]->shape[1];
    const float *g = rh_f32(b->gout[0]) + s * dim;
    float share = 1.0f / (float)pooled(c, s);
    for (int64_t at = s; at >= 0; at = segment_at(c, at).parent) {
        segment of = segment_at(c, at);
        for (int64_t t = of.begin; t < of.begin + of.length; t++)
            for (int64_t d = begin; d < end; d++)
                rh_f32(b->gin[X])[t * dim + d] += share * g[d];
    }
}

/* Columns are split among threads, so the segments of a column are added one after another. */
static void backward_columns(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const rh_back *b = arg;
    const rh_call *c = b->call;
    int64_t dim = c->in[X]->shape[1];
    for (int64_t s = 0; s < segments_of(c); s++) {
        if (c->opt[0].i == MEAN) mean_back(b, s, begin, end);
        else
            for (int64_t d = begin; d < end; d++)
                rh_f32(b->gin[X])[largest(c, s, d) * dim + d] += rh_f32(b->gout[0])[s * dim + d];
    }
}

static rh_status backward(rh_back *b) {
    rh_tensor *to = b->gin[X];
    if (!to) return RH_OK;
    if (!b->accumulate[X]) memset(rh_f32(to), 0, (size_t)rh_tensor_numel(to) * sizeof(float));
    rh_parallel_range(to->shape[1], COLUMNS, backward_columns, b);
    return RH_OK;
}

static const char *const samples[] = {"f=[4,3]", "f=[4,3]; {how = 'max'}", "f[1,2]", NULL};

const rh_row rh_rows_pool[] = {
    {.name = "segment_pool",
     .inputs = "x:f segments:i?",
     .options = "s:how=mean|max",
     .save = RH_SAVE_ALL_IN,
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "x [N,D], segments [S,3] {begin, length, parent or -1} (left out: one): for each segment the mean or the "
            "largest of each column over its tokens and its ancestors' [S,D]"},
    {0}};
