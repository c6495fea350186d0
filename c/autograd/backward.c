/* Backward: nodes are taken from a heap by descending id, which is the reverse of creation, so each
 * is reached after every use of its outputs. Destinations are handed to rows directly: a leaf's
 * buffer, or the place where the producing node collects; nothing is summed afterwards. */
#include "autograd/node.h"

#include <string.h>

#include "base/pool.h"

/* A max-heap of nodes by id; holds a reference to each. */
typedef struct heap {
    rh_ctx *ctx;
    rh_node **node;
    int64_t n, room;
} heap;

static rh_status heap_push(heap *h, rh_node *node) {
    if (h->n == h->room) {
        int64_t room = h->room ? 2 * h->room : 64;
        rh_node **grown = rh_alloc(h->ctx, (size_t)room * sizeof *grown);
        if (!grown) return RH_ENOMEM;
        if (h->n) memcpy(grown, h->node, (size_t)h->n * sizeof *grown);
        rh_free(h->ctx, h->node);
        h->node = grown;
        h->room = room;
    }
    node->refs++;
    node->queued = true;
    int64_t at = h->n++;
    for (; at > 0 && h->node[(at - 1) / 2]->id < node->id; at = (at - 1) / 2)
        h->node[at] = h->node[(at - 1) / 2];
    h->node[at] = node;
    return RH_OK;
}

/* Returns the node with the largest id, with the heap's reference. */
static rh_node *heap_pop(heap *h) {
    rh_node *top = h->node[0], *last = h->node[--h->n];
    int64_t at = 0;
    for (int64_t child = 1; child < h->n; child = 2 * at + 1) {
        if (child + 1 < h->n && h->node[child + 1]->id > h->node[child]->id) child++;
        if (h->node[child]->id <= last->id) break;
        h->node[at] = h->node[child];
        at = child;
    }
    if (h->n > 0) h->node[at] = last;
    top->queued = false;
    return top;
}

static rh_status check_versions(const rh_node *node) {
    for (int i = 0; i < node->n_in + node->n_out; i++) {
        const rh_tensor *t = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
        if (!t || !t->storage || t->storage->version == node->version[i]) continue;
        char text[RH_SHAPE_TEXT];
        return rh_fail(node->ctx, RH_EARG, RH_NO_OPERAND,
                       "a value %s that '%s' saved for backward was changed in place afterwards",
                       rh_shape_text(t->rank, t->shape, text), node->row->name);
    }
    return RH_OK;
}

/* The buffer that an edge's gradient goes to, made if need be; *accumulate: it holds one already. */
static rh_status edge_destination(rh_edge *edge, const rh_tensor *shape, rh_tensor **dst,
                                  bool *accumulate) {
    rh_tensor **slot = edge->leaf ? &edge->leaf->grad : &edge->node->gout[edge->output];
    *accumulate = edge->leaf ? edge->leaf->arrived : *slot != NULL;
    if (!*slot) *slot = rh_tensor_new(shape->ctx, RH_F32, shape->rank, shape->shape);
    *dst = *slot;
    return *slot ? RH_OK : RH_ENOMEM;
}

static bool same_edge(const rh_edge *a, const rh_edge *b) {
    return a->node == b->node && a->leaf == b->leaf && a->output == b->output;
}

/* Two inputs of one node that are the same tensor would share a destination while the row writes
 * both, so every one after the first gets a buffer of its own, added behind the row's back. */
static bool shared_with_earlier(const rh_node *node, int i) {
    for (int j = 0; j < i; j++)
        if (same_edge(&node->edge[i], &node->edge[j])) return true;
    return false;
}

static bool edge_leads(const rh_edge *edge) { return edge->node || edge->leaf; }

static rh_status destinations(rh_node *node, rh_tensor **gin, bool *accumulate, bool *own) {
    for (int i = 0; i < node->n_in; i++) {
        rh_edge *edge = &node->edge[i];
        gin[i] = NULL;
        accumulate[i] = own[i] = false;
        if (!edge_leads(edge)) continue;
        if (edge->leaf && edge->leaf->arrived && edge->leaf->scale != 1.0f)
            rh_grad_settle(edge->leaf);
        if (shared_with_earlier(node, i)) {
            gin[i] = rh_tensor_new(node->ctx, RH_F32, node->in[i]->rank, node->in[i]->shape);
            own[i] = true;
            if (!gin[i]) return RH_ENOMEM;
        } else {
            RH_TRY(edge_destination(edge, node->in[i], &gin[i], &accumulate[i]));
        }
    }
    return RH_OK;
}

/* After the row: adds the buffers of its own, marks leaves. */
static void deliver(rh_node *node, rh_tensor **gin, const bool *own) {
    for (int i = 0; i < node->n_in; i++) {
        rh_edge *edge = &node->edge[i];
        if (!gin[i]) continue;
        if (own[i]) {
            rh_tensor *dst = edge->leaf ? edge->leaf->grad : edge->node->gout[edge->output];
            rh_grad_put(dst, rh_f32(gin[i]), true);
        }
        if (edge->leaf) {
            edge->leaf->arrived = true;
            edge->leaf->grad->storage->version++;
        }
    }
}

static void scale_for_fault(const rh_node *node, rh_tensor **gin) {
    const rh_faults *faults = &node->ctx->faults;
    if (faults->scaled_row != node->row) return;
    for (int i = 0; i < node->n_in; i++)
        for (int64_t k = 0, n = gin[i] ? rh_tensor_numel(gin[i]) : 0; k < n; k++)
            rh_f32(gin[i])[k] *= faults->scale;
}

/* Variadic rows have any number of inputs, so the three arrays come from the pool. */
static rh_status run_backward(rh_node *node) {
    size_t n = (size_t)node->n_in;
    rh_tensor **gin = rh_alloc_zero(node->ctx, n * (sizeof *gin + 2 * sizeof(bool)));
    if (!gin) return RH_ENOMEM;
    bool *accumulate = (bool *)(gin + n), *own = accumulate + n;
    rh_call call = {.ctx = node->ctx, .row = node->row, .n_in = node->n_in, .n_out = node->n_out,
                    .in = node->in, .out = node->out, .opt = node->opt};
    memcpy(call.saved, node->saved, sizeof call.saved);
    rh_back back = {.call = &call, .gout = node->gout, .gin = gin, .accumulate = accumulate};
    rh_status status = destinations(node, gin, accumulate, own);
    if (status == RH_OK) status = node->row->backward(&back);
    if (status == RH_OK) {
        scale_for_fault(node, gin);
        deliver(node, gin, own);
    }
    for (size_t i = 0; i < n; i++)
        if (own[i]) rh_tensor_release(gin[i]);
    rh_free(node->ctx, gin);
    return status;
}

static void drop_gout(rh_node *node) {
    for (int i = 0; i < node->n_out; i++) {
        rh_tensor_release(node->gout[i]);
        node->gout[i] = NULL;
    }
}

static rh_status step(heap *h, rh_node *node, bool retain) {
    if (node->freed)
        return rh_fail(node->ctx, RH_EARG, RH_NO_OPERAND,
                       "backward passed '%s' before and freed what it had saved; "
                       "call the first backward with {retain = true}", node->row->name);
    RH_TRY(check_versions(node));
    rh_status status = run_backward(node);
    for (int i = 0; i < node->n_in; i++) {
        rh_node *from = node->edge[i].node;
        if (!from || from->queued) continue;
        if (status == RH_OK) status = heap_push(h, from);
        if (status != RH_OK) drop_gout(from); /* nothing may be left for a later backward */
    }
    if (status == RH_OK && !retain) rh_node_free_saved(node);
    return status;
}

static rh_status run_heap(heap *h, bool retain) {
    rh_status status = RH_OK;
    while (h->n > 0) {
        rh_node *node = heap_pop(h);
        if (status == RH_OK) status = step(h, node, retain);
        drop_gout(node);
        rh_node_release(node);
    }
    return status;
}

/* The gradient to begin with, new: a copy of seed, or 1 for a single element. */
static rh_tensor *first_gradient(rh_tensor *root, const rh_tensor *seed) {
    if (!seed && rh_tensor_numel(root) != 1) {
        char text[RH_SHAPE_TEXT];
        rh_fail(root->ctx, RH_EARG, 0, "backward from %s: one element wanted, or a gradient given",
                rh_shape_text(root->rank, root->shape, text));
        return NULL;
    }
    if (seed && (!rh_tensor_same_shape(root, seed) || seed->dtype != RH_F32)) {
        char a[RH_SHAPE_TEXT], b[RH_SHAPE_TEXT];
        rh_fail(root->ctx, RH_EARG, 1, "gradient %s %s of a tensor %s: same shape and f32 wanted",
                rh_shape_text(seed->rank, seed->shape, a), rh_dtype_name(seed->dtype),
                rh_shape_text(root->rank, root->shape, b));
        return NULL;
    }
    rh_tensor *g = rh_tensor_new(root->ctx, RH_F32, root->rank, root->shape);
    if (!g) return NULL;
    if (seed) rh_tensor_copy_data(g, seed);
    else rh_f32(g)[0] = 1.0f;
    return g;
}

static rh_status into_leaf(rh_autograd *leaf, rh_tensor *g) {
    rh_grad_settle(leaf);
    if (!leaf->grad) {
        leaf->grad = rh_tensor_retain(g);
    } else {
        rh_grad_put(leaf->grad, rh_f32(g), leaf->arrived);
        leaf->grad->storage->version++;
    }
    leaf->arrived = true;
    return RH_OK;
}

rh_status rh_backward(rh_tensor *root, const rh_tensor *seed, bool retain) {
    rh_autograd *meta = root->autograd;
    if (!meta)
        return rh_fail(root->ctx, RH_EARG, 0, "backward from a tensor that no leaf with "
                                              "requires_grad led to");
    rh_tensor *g = first_gradient(root, seed);
    if (!g) return root->ctx->error.code;
    if (!meta->node) {
        rh_status status = into_leaf(meta, g);
        rh_tensor_release(g);
        return status;
    }
    heap h = {.ctx = root->ctx};
    rh_status status = meta->node->freed ? step(&h, meta->node, retain) : RH_OK;
    if (status == RH_OK) {
        meta->node->gout[meta->output] = g;
        status = heap_push(&h, meta->node);
        if (status == RH_OK) status = run_heap(&h, retain);
        else drop_gout(meta->node);
    } else {
        rh_tensor_release(g);
    }
    rh_free(root->ctx, h.node);
    return status;
}
