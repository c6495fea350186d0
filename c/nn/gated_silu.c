/* gated_silu: silu(gate) * up, where gate and up are the halves of each row of one projection. */
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "nn/rows.h"
#include "ops/kernels/elementwise.h"

enum { ROWS = 16 }; /* of a piece: fixed, so that the work is cut by the shape alone */

static rh_status shape(rh_call *c, rh_spec *out) {
    RH_TRY(rh_want_rank(c, 0, 2));
    int64_t size[2] = {c->in[0]->shape[0], c->in[0]->shape[1] / 2};
    if (2 * size[1] != c->in[0]->shape[1])
        return rh_fail(c->ctx, RH_EARG, 0, "width %lld: an even one wanted, gate and up side by side",
                       (long long)c->in[0]->shape[1]);
    out[0] = rh_spec_make(RH_F32, 2, size);
    return RH_OK;
}

static void forward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const rh_call *c = arg;
    int64_t n = c->out[0]->shape[1];
    for (int64_t i = begin; i < end; i++) {
        const float *x = rh_f32(c->in[0]) + 2 * n * i;
        rh_kernels.elementwise->binary[RH_BINARY_SWIGLU](rh_f32(c->out[0]) + n * i, x, 1, x + n, 1,
                                                         n);
    }
}

static rh_status forward(rh_call *c) {
    rh_parallel_range(c->out[0]->shape[0], ROWS, forward_rows, c);
    return RH_OK;
}

typedef struct backward_job {
    rh_back *b;
    float *row; /* [workers, 2n]: where a row's gradient is made before it is added */
} backward_job;

static void backward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    const backward_job *j = arg;
    const rh_call *c = j->b->call;
    int64_t n = c->out[0]->shape[1];
    const rh_binary_back_fn *back = rh_kernels.elementwise->binary_back[RH_BINARY_SWIGLU];
    for (int64_t i = begin; i < end; i++) {
        const float *x = rh_f32(c->in[0]) + 2 * n * i, *g = rh_f32(j->b->gout[0]) + n * i;
        float *to = rh_f32(j->b->gin[0]) + 2 * n * i, *d = j->row ? j->row + 2 * n * worker : to;
        back[0](d, g, x, 1, x + n, 1, n);
        back[1](d + n, g, x, 1, x + n, 1, n);
        if (j->row) rh_kernels.elementwise->add(to, d, 2 * n);
    }
}

static rh_status backward(rh_back *b) {
    backward_job j = {.b = b};
    if (!b->gin[0]) return RH_OK;
    if (b->accumulate[0]) {
        int64_t width = b->gin[0]->shape[1];
        j.row = rh_alloc(b->call->ctx, (size_t)(rh_threads() * width) * sizeof(float));
        if (!j.row) return RH_ENOMEM;
    }
    rh_parallel_range(b->gin[0]->shape[0], ROWS, backward_rows, &j);
    rh_free(b->call->ctx, j.row);
    return RH_OK;
}

static const char *const samples[] = {"f[3,8]", "f[1,2]", "f[0,4]", NULL};

const rh_row rh_rows_gated_silu[] = {
    {.name = "gated_silu",
     .inputs = "x:f",
     .save = RH_SAVE_IN(0),
     .shape = shape,
     .forward = forward,
     .backward = backward,
     .samples = samples,
     .doc = "x [N,2F], gate and up side by side: silu(gate) * up [N,F]"},
    {0}};
