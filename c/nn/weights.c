#include "nn/weights.h"

#include "base/parallel.h"
#include "base/pool.h"
#include "ops/kernels/elementwise.h"

enum { ADD_GRAIN = 1 << 15 };

void rh_weights_add(rh_weights *w, const rh_tensor *weight, const rh_tensor *bias, bool in_out) {
    const void *data = weight->dtype == RH_BF16 ? (void *)rh_bf16(weight) : (void *)rh_f32(weight);
    w->part[w->n] = rh_linear_make(data, weight->dtype, in_out ? RH_IN_OUT : RH_OUT_IN,
                                   weight->shape[in_out ? 0 : 1], weight->shape[in_out ? 1 : 0],
                                   bias ? rh_f32(bias) : NULL);
    w->at[w->n] = w->out;
    w->out += w->part[w->n++].out;
}

/* Does b's weight (and bias) stand right behind a's, so that both are rows of one matrix? */
static bool follows(const rh_linear *a, const rh_linear *b) {
    size_t bytes = (size_t)(a->out * a->in) * rh_dtype_size(a->dtype);
    bool weight = a->layout == RH_OUT_IN && a->dtype == b->dtype &&
                  (const char *)b->weight == (const char *)a->weight + bytes;
    return weight && (a->bias ? b->bias == a->bias + a->out : !b->bias);
}

rh_weights rh_weights_joined(const rh_weights *w) {
    rh_weights r = {.out = w->out};
    for (int i = 0; i < w->n; i++) {
        rh_linear *last = r.n > 0 ? &r.part[r.n - 1] : NULL;
        if (last && follows(last, &w->part[i])) {
            last->out += w->part[i].out;
        } else {
            r.at[r.n] = w->at[i];
            r.part[r.n++] = w->part[i];
        }
    }
    return r;
}

rh_status rh_weights_scratch(rh_ctx *ctx, const rh_weights *w, int64_t n, float **scratch) {
    int64_t most = 0;
    for (int i = 0; i < w->n; i++) {
        int64_t need = rh_linear_scratch(&w->part[i], n);
        most = need > most ? need : most;
    }
    *scratch = most > 0 ? rh_alloc(ctx, (size_t)most * sizeof(float)) : NULL;
    return most > 0 && !*scratch ? RH_ENOMEM : RH_OK;
}

void rh_weights_forward(const rh_weights *w, int64_t n, const float *x, float *y, float *scratch) {
    for (int i = 0; i < w->n; i++)
        rh_linear_forward(&w->part[i], n, x, w->part[i].in, y + w->at[i], w->out, scratch);
}

typedef struct addition {
    float *to;
    const float *from;
} addition;

static void add_range(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const addition *a = arg;
    rh_kernels.elementwise->add(a->to + begin, a->from + begin, end - begin);
}

void rh_add_all(float *to, const float *from, int64_t n) {
    addition a = {to, from};
    rh_parallel_range(n, ADD_GRAIN, add_range, &a);
}
