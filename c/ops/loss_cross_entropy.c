/* Cross-entropy over rows of logits (loss.h). Three passes over a row that stays in the cache: maximum,
 * sum of exponentials, and in backward the gradient. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/size.h"
#include "ops/kernels/loss.h"
#include "ops/loss.h"

typedef struct job {
    const rh_cross_entropy *c;
    float *loss, *max, *log_sum;
    const float *scale;
    int64_t step;
    float *out;
    int64_t ld_out;
    bool accumulate;
} job;

static int64_t grain(const rh_cross_entropy *c) { return rh_max((1 << 15) / rh_max(c->classes, 1), 1); }

/* (1 - s) (-log p[target]) + s mean of -log p */
static void forward_row(const job *j, int64_t i) {
    const rh_cross_entropy *c = j->c;
    const float *x = c->logits + i * c->ld;
    j->loss[i] = j->max[i] = j->log_sum[i] = 0;
    if (c->target[i] == c->ignore) return;
    float max = rh_kernels.loss->max(c->classes, x);
    float log_sum = logf(rh_kernels.loss->exp_sum(c->classes, x, max));
    float loss = log_sum - (x[c->target[i]] - max);
    if (c->smoothing > 0) {
        float mean = rh_kernels.loss->sum_below(c->classes, x, max) / (float)c->classes;
        loss = (1 - c->smoothing) * loss + c->smoothing * (log_sum - mean);
    }
    j->loss[i] = loss, j->max[i] = max, j->log_sum[i] = log_sum;
}

static void forward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    for (int64_t i = begin; i < end; i++) forward_row(arg, i);
}

void rh_cross_entropy_forward(const rh_cross_entropy *c, float *loss, float *max, float *log_sum) {
    job j = {.c = c, .loss = loss, .max = max, .log_sum = log_sum};
    rh_parallel_range(c->rows, grain(c), forward_rows, &j);
}

/* p - (1 - s) [target] - s / classes */
static void backward_row(const job *j, int64_t i) {
    const rh_cross_entropy *c = j->c;
    float *out = j->out + i * j->ld_out, scale = j->scale[i * j->step];
    if (c->target[i] == c->ignore) {
        if (!j->accumulate) memset(out, 0, (size_t)c->classes * sizeof *out);
        return;
    }
    rh_loss_row row = {c->logits + i * c->ld, j->max[i], j->log_sum[i]};
    rh_kernels.loss->softmax(c->classes, &row, scale, -scale * c->smoothing / (float)c->classes, out,
                             j->accumulate);
    out[c->target[i]] -= scale * (1 - c->smoothing);
}

static void backward_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    for (int64_t i = begin; i < end; i++) backward_row(arg, i);
}

void rh_cross_entropy_backward(const rh_cross_entropy *c, const float *max, const float *log_sum,
                               const float *scale, int64_t step, float *out, int64_t ld_out,
                               bool accumulate) {
    job j = {.c = c, .max = (float *)max, .log_sum = (float *)log_sum, .scale = scale, .step = step,
             .out = out, .ld_out = ld_out, .accumulate = accumulate};
    rh_parallel_range(c->rows, grain(c), backward_rows, &j);
}
