/* embed_tokens: rows of the embedding by id, plus rows of the position table by position where there is
 * one. Backward adds each token's gradient to its rows; columns are split among threads, so that two
 * tokens with one id never meet and the order of additions is the tokens'. */
#include <string.h>

#include "base/parallel.h"
#include "base/size.h"
#include "nn/rows.h"
#include "ops/kernels/elementwise.h"

enum { WEIGHT, IDS, TABLE, POSITIONS };
enum { TOKENS = 64, COLUMNS = 128 }; /* of a piece, forward and back */

static rh_status check_index(rh_call *c, int i, int64_t limit, const char *what) {
    const int64_t *at = rh_i64(c->in[i]);
    for (int64_t k = 0, n = c->in[i]->shape[0]; k < n; k++)
        if (at[k] < 0 || at[k] >= limit)
            return rh_fail(c->ctx, RH_EARG, i, "%s %lld at token %lld: 0 to %lld wanted", what,
                           (long long)at[k], (long long)k + 1, (long long)limit - 1);
    return RH_OK;
}

static rh_status shape(rh_call *c, rh_spec *out) {
    RH_TRY(rh_want_rank(c, WEIGHT, 2));
    RH_TRY(rh_want_rank(c, IDS, 1));
    RH_TRY(check_index(c, IDS, c->in[WEIGHT]->shape[0], "token id"));
    if (!c->in[TABLE] != !c->in[POSITIONS])
        return rh_fail(c->ctx, RH_EARG, c->in[TABLE] ? TABLE : POSITIONS,
                       "a position table and positions go together");
    if (c->in[TABLE]) {
        RH_TRY(rh_want_rank(c, TABLE, 2));
        RH_TRY(rh_want_size(c, TABLE, 1, c->in[WEIGHT]->shape[1]));
        RH_TRY(rh_want_rank(c, POSITIONS, 1));
        RH_TRY(rh_want_size(c, POSITIONS, 0, c->in[IDS]->shape[0]));
        RH_TRY(check_index(c, POSITIONS, c->in[TABLE]->shape[0], "position"));
    }
    int64_t size[2] = {c->in[IDS]->shape[0], c->in[WEIGHT]->shape[1]};
    out[0] = rh_spec_make(RH_F32, 2, size);
    return RH_OK;
}

static void embed_range(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const rh_call *c = arg;
    int64_t dim = c->in[WEIGHT]->shape[1];
    const int64_t *id = rh_i64(c->in[IDS]);
    const int64_t *position = c->in[POSITIONS] ? rh_i64(c->in[POSITIONS]) : NULL;
    for (int64_t i = begin; i < end; i++) {
        float *y = rh_f32(c->out[0]) + i * dim;
        memcpy(y, rh_f32(c->in[WEIGHT]) + id[i] * dim, (size_t)dim * sizeof *y);
        if (position)
            rh_kernels.elementwise->add(y, rh_f32(c->in[TABLE]) + position[i] * dim, dim);
    }
}

static rh_status forward(rh_call *c) {
    rh_parallel_range(c->in[IDS]->shape[0], TOKENS, embed_range, c);
    return RH_OK;
}

/* Adds rows of g [n,dim] to rows of `to`, a range of columns at a time. */
typedef struct scatter {
    rh_tensor *to;
    const float *g;
    const int64_t *row;
    int64_t n, dim;
} scatter;

static void scatter_columns(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const scatter *s = arg;
    for (int64_t i = 0; i < s->n; i++)
        rh_kernels.elementwise->add(rh_f32(s->to) + s->row[i] * s->dim + begin,
                                    s->g + i * s->dim + begin, end - begin);
}

static void put_rows(const rh_back *b, int into, int index) {
    rh_tensor *to = b->gin[into];
    if (!to) return;
    scatter s = {to, rh_f32(b->gout[0]), rh_i64(b->call->in[index]), b->call->in[index]->shape[0],
                 to->shape[1]};
    if (!b->accumulate[into])
        memset(rh_f32(to), 0, (size_t)rh_tensor_numel(to) * sizeof(float));
    rh_parallel_range(s.dim, COLUMNS, scatter_columns, &s);
}

static rh_status backward(rh_back *b) {
    put_rows(b, WEIGHT, IDS);
    put_rows(b, TABLE, POSITIONS);
    return RH_OK;
}

static const char *const samples[] = {"f[5,3] i<5[6] f[4,3] i<4[6]", "f[5,3] i<5[6]", "f[1,1] i<1[1]",
                                      "f[5,3] i<5[0]", NULL};

const rh_row rh_rows_embed_tokens[] = {
    {.name = "embed_tokens",
     .inputs = "weight:f ids:i table:f? positions:i?",
     .save = RH_SAVE_IN(IDS) | RH_SAVE_IN(POSITIONS),
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "weight [V,D] by ids [N], plus table [C,D] by positions [N] where given: [N,D]"},
    {0}};
