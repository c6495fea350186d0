/* Elementwise kernels over raw floats. Those of one input take contiguous arrays; those of two take an
 * inner stride for each input: 1, 0 for a value that is repeated (both fast), or any other. Outputs are
 * contiguous and never overlap an input. Walking shapes is ops/broadcast.h's work. */
#ifndef RH_OPS_KERNELS_ELEMENTWISE_H
#define RH_OPS_KERNELS_ELEMENTWISE_H

#include "ops/kernels/isa.h"

typedef enum rh_unary {
    RH_UNARY_EXP,
    RH_UNARY_LOG,
    RH_UNARY_SQRT,
    RH_UNARY_RSQRT,
    RH_UNARY_TANH,
    RH_UNARY_SIGMOID,
    RH_UNARY_RELU,
    RH_UNARY_SILU,
    RH_UNARY_SOFTPLUS,
    RH_UNARY_LOGSIGMOID,
    RH_UNARY_ABS,
    RH_UNARY_NEG,
    RH_UNARY_SQUARE,
    RH_UNARY_LOG1P,
    RH_UNARY_EXPM1,
    RH_UNARY_ERF,
    RH_UNARY_GELU,  /* x Phi(x) */
    RH_UNARY_CLAMP, /* p = {min, max} */
    RH_UNARY_POW,   /* p = {exponent} */
    RH_UNARY_RPOW,  /* p = {base} */
    RH_UNARY_ROWS,  /* those above are rows of their own */
    RH_UNARY_GELU_TANH = RH_UNARY_ROWS,
    RH_UNARY_OPS
} rh_unary;

typedef enum rh_binary {
    RH_BINARY_ADD,
    RH_BINARY_SUB,
    RH_BINARY_MUL,
    RH_BINARY_DIV,
    RH_BINARY_MAXIMUM,
    RH_BINARY_MINIMUM,
    RH_BINARY_SWIGLU, /* silu(a) b */
    RH_BINARY_OPS
} rh_binary;

/* y[i] = op(x[i]); p: parameters, NULL for operations without */
typedef void (*rh_unary_fn)(float *y, const float *x, int64_t n, const float *p);
/* dx[i] = g[i] op'; v is y where op' is simpler in y, else x (ops/elementwise.c: what each row saves) */
typedef void (*rh_unary_back_fn)(float *dx, const float *g, const float *v, int64_t n, const float *p);
/* out[i] = op(a[i sa], b[i sb]) */
typedef void (*rh_binary_fn)(float *out, const float *a, int64_t sa, const float *b, int64_t sb,
                             int64_t n);
/* d[i] = g[i] times the derivative by a, or by b; a and b are not read where it needs none */
typedef void (*rh_binary_back_fn)(float *d, const float *g, const float *a, int64_t sa,
                                  const float *b, int64_t sb, int64_t n);

typedef struct rh_elementwise_kernels {
    rh_unary_fn unary[RH_UNARY_OPS];
    rh_unary_back_fn unary_back[RH_UNARY_OPS];
    rh_binary_fn binary[RH_BINARY_OPS];
    rh_binary_back_fn binary_back[RH_BINARY_OPS][2]; /* by a, by b */
    void (*add)(float *dst, const float *src, int64_t n);         /* dst[i] += src[i] */
    void (*add_to_sums)(double *sums, const float *x, int64_t n); /* sums[i] += x[i] */
    double (*sum)(const float *x, int64_t n);
} rh_elementwise_kernels;

#endif
