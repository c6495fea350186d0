#include "rl/gae.h"

#include <math.h>

void rh_gae(int64_t rows, const int64_t *lengths, const float *rewards, const float *values,
            double gamma, double lambda, float *advantages, float *returns) {
    for (int64_t row = 0, at = 0; row < rows; at += lengths[row++]) {
        double next_value = 0, next_advantage = 0;
        for (int64_t t = at + lengths[row] - 1; t >= at; t--) {
            double delta = rewards[t] + gamma * next_value - values[t];
            next_advantage = delta + gamma * lambda * next_advantage;
            next_value = values[t];
            advantages[t] = (float)next_advantage;
            returns[t] = (float)(next_advantage + values[t]);
        }
    }
}

rh_moments rh_moments_of(const float *x, int64_t n, bool population) {
    rh_moments m = {0, 0};
    if (n == 0) return m;
    for (int64_t i = 0; i < n; i++) m.mean += x[i];
    m.mean /= (double)n;
    for (int64_t i = 0; i < n; i++) m.variance += (x[i] - m.mean) * (x[i] - m.mean);
    int64_t divisor = population ? n : n - 1;
    m.variance = divisor > 0 ? m.variance / (double)divisor : 0;
    return m;
}

void rh_whiten(const float *x, int64_t n, rh_moments m, bool keep_mean, float *y) {
    double scale = 1 / sqrt(m.variance + 1e-8), back = keep_mean ? m.mean : 0;
    for (int64_t i = 0; i < n; i++) y[i] = (float)((x[i] - m.mean) * scale + back);
}
