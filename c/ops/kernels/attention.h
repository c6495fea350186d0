/* Kernels of attention: the softmax of a tile of scores, its gradient, and what decoding reads keys
 * and values with. Products of tiles are gemm's. */
#ifndef RH_OPS_KERNELS_ATTENTION_H
#define RH_OPS_KERNELS_ATTENTION_H

#include "ops/kernels/isa.h"

/* rows x cols scores, `stride` floats from row to row. Row i sees the columns from
 * begin + i * step_begin up to, not including, end + i * step_end, cut to 0..cols. */
typedef struct rh_attention_tile {
    int64_t rows, cols, stride;
    int64_t begin, end, step_begin, step_end;
    float softcap;     /* 0: none; else scores come divided by it */
    const float *bias; /* [cols] 0 or -inf, added after the softcap; or NULL */
} rh_attention_tile;

typedef struct rh_attention_kernels {
    /* One step of a running softmax. s becomes exp(score - max), 0 where not seen; max and sum [rows]
     * are brought up to date (start: -inf and 0); factor[i] is what sums of the earlier tiles are to
     * be multiplied by. */
    void (*softmax)(const rh_attention_tile *t, float *s, float *max, float *sum, float *factor);
    /* s becomes p = exp(score - lse), dp becomes p * (dp - delta) times the softcap's derivative;
     * both 0 where not seen. lse, delta [rows] */
    void (*gradient)(const rh_attention_tile *t, float *s, float *dp, const float *lse,
                     const float *delta);
    /* x[i][0..n) *= factor[i] */
    void (*scale_rows)(float *x, int64_t stride, int64_t rows, int64_t n, const float *factor);
    /* out[i] = sum of a[i][j] * b[i][j] over j < n */
    void (*dot_rows)(const float *a, int64_t a_stride, const float *b, int64_t b_stride,
                     int64_t rows, int64_t n, float *out);
    /* s[r][j] = alpha * q[r] . k[j] for r < heads, j < keys; vectors of n floats */
    void (*scores)(const float *q, int64_t q_stride, int64_t heads, const float *k,
                   int64_t k_stride, int64_t keys, int64_t n, float alpha, float *s,
                   int64_t s_stride);
    /* o[r] += sum of p[r][j] * v[j] over j < keys */
    void (*weigh)(const float *p, int64_t p_stride, int64_t heads, const float *v, int64_t v_stride,
                  int64_t keys, int64_t n, float *o, int64_t o_stride);
} rh_attention_kernels;

#endif
