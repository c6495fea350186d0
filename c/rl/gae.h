/* Advantages of sampled responses. Numbers only: nothing here is differentiated. Rows stand end to end;
 * row i has lengths[i] places, each with a reward and a value. */
#ifndef RH_RL_GAE_H
#define RH_RL_GAE_H

#include <stdbool.h>
#include <stdint.h>

/* Generalized advantage estimation (Schulman et al. 2016), backward through each row:
 *     delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1},   R_t = A_t + V_t
 * where the value behind a row's last place is 0. */
void rh_gae(int64_t rows, const int64_t *lengths, const float *rewards, const float *values,
            double gamma, double lambda, float *advantages, float *returns);

typedef struct rh_moments {
    double mean, variance; /* 0 for no numbers */
} rh_moments;
/* Variance of the population (divided by n), or with Bessel's correction (by n - 1; 0 for one number). */
rh_moments rh_moments_of(const float *x, int64_t n, bool population);

/* y = (x - mean) / sqrt(variance + 1e-8), plus mean again with keep_mean. y may be x. */
void rh_whiten(const float *x, int64_t n, rh_moments m, bool keep_mean, float *y);

#endif
