#include "ops/kernels/optim.h"

#include <math.h>

static void adamw(float *restrict p, const float *restrict g, float *restrict m,
                  float *restrict v, int64_t n, const rh_adamw_step *step) {
    const rh_adamw_step s = *step;
    const float rest1 = 1.0f - s.beta1, rest2 = 1.0f - s.beta2;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float gi = g[i] * s.grad_scale;
        float mi = m[i] + rest1 * (gi - m[i]);
        float vi = s.beta2 * v[i] + rest2 * gi * gi;
        m[i] = mi;
        v[i] = vi;
        p[i] = s.keep * p[i] - s.size * mi / (sqrtf(vi) * s.root + s.eps);
    }
}

/* Blocks are short enough that f32 lanes lose nothing that matters. */
enum { BLOCK = 1024 };

static double sum_of_squares(const float *x, int64_t n) {
    double total = 0;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t end = at + BLOCK < n ? at + BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = at; i < end; i++) sum += x[i] * x[i];
        total += sum;
    }
    return total;
}

const rh_optim_kernels RH_TABLE(optim) = {.adamw = adamw, .sum_of_squares = sum_of_squares};
