/* Inner structures of autograd/: what hangs off a tensor, and the node that recorded it. */
#ifndef RH_AUTOGRAD_NODE_H
#define RH_AUTOGRAD_NODE_H

#include "autograd/autograd.h"

typedef struct rh_node rh_node;

/* Hangs off each tensor that requires a gradient. A leaf has no node. Counted: the tensor holds one
 * reference, and each edge to a leaf another, so a leaf's gradient outlives its handle. */
typedef struct rh_autograd {
    rh_ctx *ctx;
    int64_t refs;
    rh_node *node;     /* owned reference; NULL: a leaf */
    int output;        /* which output of node */
    rh_tensor *grad;   /* leaf: buffer, owned; NULL until needed */
    bool arrived;      /* leaf: grad holds a gradient */
    float scale;       /* leaf: pending factor on grad */
} rh_autograd;

/* Where the gradient of an input goes: to a node's output, to a leaf, or nowhere. */
typedef struct rh_edge {
    rh_node *node;     /* owned reference, or NULL */
    int output;
    rh_autograd *leaf; /* owned reference, or NULL */
} rh_edge;

struct rh_node {
    rh_ctx *ctx;
    const rh_row *row;
    uint64_t id;
    int64_t refs;
    int n_in, n_out, n_opt;
    bool freed;            /* backward has passed */
    bool queued;           /* in the running backward's heap */
    rh_node *next_release; /* in ctx->pending_release */
    rh_edge *edge;         /* [n_in] */
    rh_tensor **in;        /* [n_in]: detached value if saved, else shell; NULL if left out */
    rh_tensor **out;       /* [n_out]: likewise */
    uint64_t *version;     /* [n_in + n_out]: storage versions of saved values */
    rh_tensor **gout;      /* [n_out]: gradients collected in backward, NULL until one arrives */
    rh_opt *opt;           /* [n_opt] with lists copied behind */
    rh_tensor *saved[RH_MAX_SAVED];
};

/* Records call, whose outputs are out[], as a node owned by them. inputs are those the user gave,
 * call->in may be contiguous copies of them. Takes call->saved. */
rh_status rh_node_record(rh_call *call, rh_tensor **inputs, rh_tensor **out);
/* Takes one reference; frees iteratively however long the chain behind it is. */
void rh_node_release(rh_node *node);
/* Drops saved values and edges: after this backward through the node is an error. */
void rh_node_free_saved(rh_node *node);
void rh_autograd_meta_release(rh_autograd *meta);
/* Carries out the pending factor on a leaf that has a gradient. */
void rh_grad_settle(rh_autograd *leaf);

#endif
