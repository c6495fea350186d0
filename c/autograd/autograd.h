/* Recording and going back. An operation on tensors that require a gradient records a node: its row,
 * where its inputs came from, what it saved. A node is owned by its outputs; ids only grow, so
 * descending id is a valid order for backward: one loop over a heap, no recursion, no visited set.
 * Backward frees each node's saved values as it passes, unless told to retain them. */
#ifndef RH_AUTOGRAD_AUTOGRAD_H
#define RH_AUTOGRAD_AUTOGRAD_H

#include "ops/row.h"

/* Runs a row on inputs (borrows; contiguous copies are made where the row wants them), and records it
 * when some input requires a gradient. On success out[0..*n_out) hold new tensors. `out` has room
 * for RH_MAX_OUTPUTS. */
rh_status rh_apply(rh_ctx *ctx, const rh_row *row, rh_tensor **in, int n_in, const rh_opt *opt,
                   rh_tensor **out, int *n_out);

/* Goes back from `root`, whose gradient is `seed` (borrows; NULL: root must have one element, and
 * gets 1). Adds into the gradients of the leaves. */
rh_status rh_backward(rh_tensor *root, const rh_tensor *seed, bool retain);

/* Makes a tensor without history a leaf whose gradient is wanted, or no longer. */
rh_status rh_requires_grad_set(rh_tensor *t, bool wanted);
/* Is a gradient wanted here, as a leaf or through what it was computed from? */
bool rh_requires_grad(const rh_tensor *t);
bool rh_is_leaf(const rh_tensor *t);

/* A leaf's gradient, borrowed, NULL where none arrived since it was cleared. Pending scaling
 * (rh_grad_scale) is carried out first. */
rh_tensor *rh_grad(rh_tensor *leaf);
/* Gives a leaf a buffer to collect its gradient in (retains): f32, contiguous, leaf's shape. */
void rh_grad_set_buffer(rh_tensor *leaf, rh_tensor *buffer);
/* The buffer, borrowed, whether or not a gradient arrived; NULL where there is none. */
rh_tensor *rh_grad_buffer(const rh_tensor *leaf);
/* Forgets the gradient; keeps the buffer, which the next backward overwrites. */
void rh_grad_clear(rh_tensor *leaf);
/* Multiplies the gradient by `factor` when it is next read or added to: clipping costs no pass. */
void rh_grad_scale(rh_tensor *leaf, float factor);
/* The pending factor (1: none). A reader of the raw buffer must apply it. */
float rh_grad_pending_scale(const rh_tensor *leaf);
bool rh_grad_arrived(const rh_tensor *leaf);

/* For the REPL: the name of the row that made t, NULL for none. */
const char *rh_made_by(const rh_tensor *t);

/* Called once for each context: lets tensor/ release what it does not know. */
void rh_autograd_install(rh_ctx *ctx);

#endif
