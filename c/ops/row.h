/* An operation is one row: everything the library knows of it, beside its code. From the row alone
 * follow the Lua function and method, argument and option errors, recording, the gradient check, the
 * reference page and the bench line. Adding an operation is adding one row to its folder's table.
 *
 * Three strata, each blind to the next: kernels (ops/kernels: raw floats and sizes), rows (tensors,
 * here), nodes (autograd: recording, generic). */
#ifndef RH_OPS_ROW_H
#define RH_OPS_ROW_H

#include "tensor/shape.h"
#include "tensor/tensor.h"

enum {
    RH_MAX_INPUTS = 8,   /* of a row that is not variadic */
    RH_MAX_OUTPUTS = 64,
    RH_MAX_OPTIONS = 8,
    RH_MAX_SAVED = 4     /* tensors of its own that a forward keeps for backward */
};

/* One option's value, by the letter of its type in rh_row.options. */
typedef struct rh_opt {
    bool given; /* by the user; an option without default that is not given is an error, unless '?' */
    union {
        double f;  /* f */
        int64_t i; /* i, d, p; b: 0 or 1; s: index of the chosen word */
        struct {
            const int64_t *v;
            int64_t n;
        } list; /* l, D */
    };
} rh_opt;

typedef struct rh_call {
    rh_ctx *ctx;
    const struct rh_row *row;
    int n_in, n_out;
    rh_tensor **in;   /* borrows; NULL = optional input left out. Contiguous unless RH_STRIDED */
    rh_tensor **out;  /* forward: to fill; backward: shells, or the values if saved */
    const rh_opt *opt;
    rh_tensor *saved[RH_MAX_SAVED]; /* forward leaves its own here (takes); only if `recording` */
    bool recording;                 /* some input requires a gradient */
    uint32_t wanted;                /* bit i: input i does (of the first 32; in[i] may be a copy that doesn't say) */
} rh_call;

/* What a backward gets: for each output its gradient, for each input a destination. */
typedef struct rh_back {
    rh_call *call;
    rh_tensor **gout; /* [n_out], f32 contiguous; NULL: no gradient arrived (only when n_out > 1) */
    rh_tensor **gin;  /* [n_in], f32 contiguous, input's shape; NULL: not wanted */
    bool *accumulate; /* [n_in]: add to the destination; else write all of it */
} rh_back;

/* flags */
#define RH_STRIDED 1u /* takes inputs of any strides */
#define RH_VIEW 2u    /* forward sets out[] itself, as views of in[0] (implies RH_STRIDED) */
#define RH_MULTI 4u   /* may have other than one output; Lua gets them as several results */
#define RH_ONLY_FIRST 8u /* outputs after the first have no gradient: numbers to look at */

/* save: what backward reads the values of. Everything else it sees as shells, shapes without data. */
#define RH_SAVE_IN(i) (1u << (i))
#define RH_SAVE_OUT(i) (1u << (16 + (i)))
#define RH_SAVE_ALL_IN 0xFFFFu

typedef struct rh_row {
    const char *name;
    /* Inputs in order: "NAME:TYPE" separated by blanks. TYPE: f = f32, c = f32 that gets no gradient (a
     * tensor that requires one is refused), i = i64, b = bool, n = f32 or
     * i64, a = any; then ? = may be left out, * = a list of one or more (only input of its row,
     * which must be RH_STRIDED).
     * A Lua number is taken as a scalar tensor of the type where f or n is wanted. */
    const char *inputs;
    /* Options: "TYPE:NAME=DEFAULT". Types: f float, i integer, b true/false, s one of the words
     * a|b|c (the first is the default), d a dimension, D dimensions (a list or one), p a position,
     * l a list of integers. No "=DEFAULT": required; "=?": may be left out (see rh_opt.given).
     * d, D, p come from Lua counting from 1 and are here counting from 0, negative from the end. */
    const char *options;
    unsigned flags;
    unsigned save;
    /* Checks inputs and options; sets call->n_out and out[0..n_out). NULL for RH_VIEW rows. */
    rh_status (*shape)(rh_call *call, rh_spec *out);
    rh_status (*forward)(rh_call *call);
    rh_status (*backward)(rh_back *back); /* NULL: not differentiable */
    /* Calls to check with, ending in NULL: inputs as TYPE[sizes] in order, then "; OPTIONS" as
     * Lua source of the options table. f[2,3] normal, c[..] the same for a constant, f+[..] in 0.5 to 2, f=[..] distinct values at
     * least 0.05 apart, i<5[..] integers in 0 to 4, b[..] booleans, - left out; lists in ( ).
     * Every differentiable row has at least one with a size of 0 or 1 and one that broadcasts if it
     * can. E.g. "f[2,3] f[3]; {eps = 1e-3}". */
    const char *const *samples;
    const char *doc; /* one line: what it computes, shapes */
} rh_row;

/* Tables of rows; each folder exports one, ending in an entry whose name is NULL. */
extern const rh_row rh_rows_binary[], rh_rows_where[];
extern const rh_row rh_rows_elementwise[], rh_rows_compare[], rh_rows_reduce[], rh_rows_shape[],
    rh_rows_index[], rh_rows_linear[], rh_rows_norm[], rh_rows_rope[], rh_rows_attention[],
    rh_rows_loss[];
extern const rh_row rh_rows_extreme[], rh_rows_sort[], rh_rows_softmax[], rh_rows_join[];

/* Checks, allocates outputs, runs forward; records nothing. On success out[0..call->n_out) hold new
 * tensors; `out` has room for RH_MAX_OUTPUTS. Sets call->out; call->saved is the caller's to release. */
rh_status rh_row_run(rh_call *call, rh_tensor **out);

/* Releases call->saved and clears it. */
void rh_call_drop_saved(rh_call *call);

/* Helpers for rows. */

/* rh_fail(RH_EARG) unless in[i] has this rank. */
rh_status rh_want_rank(rh_call *call, int i, int rank);
/* rh_fail(RH_EARG) unless in[i] has this size at dimension d (counted from 0). */
rh_status rh_want_size(rh_call *call, int i, int d, int64_t size);
/* The shape rule of rows whose one output is like input 0. */
rh_status rh_shape_like_first(rh_call *call, rh_spec *out);
/* dst += src, or dst = src, for contiguous f32 tensors of one shape. */
void rh_grad_put(rh_tensor *dst, const float *src, bool accumulate);

#endif
