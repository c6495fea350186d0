/* Making and freeing nodes. One block of memory holds a node and its arrays. Freeing is iterative:
 * nodes whose last reference goes are put on the context's list, and the outermost call empties it. */
#include "autograd/node.h"

#include <string.h>

#include "base/pool.h"

/* The option types of a row, one letter each, in order. */
static int option_types(const rh_row *row, char types[RH_MAX_OPTIONS]) {
    int n = 0;
    for (const char *p = row->options; p && *p;) {
        types[n++] = *p;
        p = strchr(p, ' ');
        if (p) p++;
    }
    return n;
}

static bool is_list(char type) { return type == 'l' || type == 'D'; }

static int64_t list_words(const rh_row *row, const rh_opt *opt, int n_opt) {
    char types[RH_MAX_OPTIONS];
    int64_t words = 0;
    option_types(row, types);
    for (int k = 0; k < n_opt; k++)
        if (is_list(types[k]) && opt[k].given) words += opt[k].list.n;
    return words;
}

static void copy_options(rh_node *node, const rh_opt *opt, int64_t *room) {
    char types[RH_MAX_OPTIONS];
    option_types(node->row, types);
    for (int k = 0; k < node->n_opt; k++) {
        node->opt[k] = opt[k];
        if (!is_list(types[k]) || !opt[k].given) continue;
        memcpy(room, opt[k].list.v, (size_t)opt[k].list.n * sizeof *room);
        node->opt[k].list.v = room;
        room += opt[k].list.n;
    }
}

/* Allocates a node with its arrays behind it, all zero. */
static rh_node *node_new(const rh_call *call) {
    char types[RH_MAX_OPTIONS];
    int n_opt = option_types(call->row, types);
    size_t n_in = (size_t)call->n_in, n_out = (size_t)call->n_out;
    size_t words = (size_t)list_words(call->row, call->opt, n_opt);
    size_t bytes = sizeof(rh_node) + n_in * (sizeof(rh_edge) + sizeof(void *) + sizeof(uint64_t)) +
                   n_out * (2 * sizeof(void *) + sizeof(uint64_t)) +
                   (size_t)n_opt * sizeof(rh_opt) + words * sizeof(int64_t);
    rh_node *node = rh_alloc_zero(call->ctx, bytes);
    if (!node) return NULL;
    node->edge = (rh_edge *)(node + 1);
    node->in = (rh_tensor **)(node->edge + n_in);
    node->out = node->in + n_in;
    node->gout = node->out + n_out;
    node->version = (uint64_t *)(node->gout + n_out);
    node->opt = (rh_opt *)(node->version + n_in + n_out);
    node->ctx = call->ctx;
    node->row = call->row;
    node->n_in = call->n_in;
    node->n_out = call->n_out;
    node->n_opt = n_opt;
    copy_options(node, call->opt, (int64_t *)(node->opt + n_opt));
    return node;
}

static rh_edge edge_to(const rh_tensor *input) {
    rh_edge edge = {0};
    rh_autograd *meta = input ? input->autograd : NULL;
    if (!meta) return edge;
    if (meta->node) {
        edge.node = meta->node;
        edge.output = meta->output;
        edge.node->refs++;
    } else {
        edge.leaf = meta;
        meta->refs++;
    }
    return edge;
}

/* Keeps a value (or only its shape) for backward. */
static rh_tensor *keep(const rh_tensor *t, bool value, uint64_t *version) {
    *version = value && t->storage ? t->storage->version : 0;
    return value ? rh_tensor_detach(t) : rh_tensor_shell(t);
}

static rh_status fill_node(rh_node *node, const rh_call *call, rh_tensor **inputs,
                           rh_tensor **out) {
    unsigned save = node->row->save;
    for (int i = 0; i < node->n_in; i++) {
        if (!call->in[i]) continue;
        bool value = save & RH_SAVE_IN(i < 15 ? i : 15);
        node->in[i] = keep(call->in[i], value, &node->version[i]);
        if (!node->in[i]) return RH_ENOMEM;
        node->edge[i] = edge_to(inputs[i]);
    }
    for (int i = 0; i < node->n_out; i++) {
        bool value = save & RH_SAVE_OUT(i < 15 ? i : 15);
        node->out[i] = keep(out[i], value, &node->version[node->n_in + i]);
        if (!node->out[i]) return RH_ENOMEM;
    }
    return RH_OK;
}

/* Hangs the node on each float output. */
static rh_status own_by_outputs(rh_node *node, rh_tensor **out) {
    for (int i = 0; i < node->n_out; i++) {
        if (out[i]->dtype != RH_F32 || (i > 0 && node->row->flags & RH_ONLY_FIRST)) continue;
        rh_autograd *meta = rh_alloc_zero(node->ctx, sizeof *meta);
        if (!meta) return RH_ENOMEM;
        *meta = (rh_autograd){
            .ctx = node->ctx, .refs = 1, .node = node, .output = i, .scale = 1.0f};
        node->refs++;
        out[i]->autograd = meta;
    }
    return RH_OK;
}

rh_status rh_node_record(rh_call *call, rh_tensor **inputs, rh_tensor **out) {
    rh_node *node = node_new(call);
    if (!node) return RH_ENOMEM;
    node->refs = 1;
    node->id = call->ctx->next_node++;
    rh_status status = fill_node(node, call, inputs, out);
    if (status == RH_OK) status = own_by_outputs(node, out);
    if (status == RH_OK) {
        memcpy(node->saved, call->saved, sizeof node->saved);
        memset(call->saved, 0, sizeof call->saved);
    }
    rh_node_release(node);
    return status;
}

static void release_list(rh_tensor **list, int n) {
    for (int i = 0; i < n; i++) {
        rh_tensor_release(list[i]);
        list[i] = NULL;
    }
}

void rh_node_free_saved(rh_node *node) {
    release_list(node->in, node->n_in);
    release_list(node->out, node->n_out);
    release_list(node->gout, node->n_out);
    release_list(node->saved, RH_MAX_SAVED);
    for (int i = 0; i < node->n_in; i++) {
        rh_edge edge = node->edge[i];
        node->edge[i] = (rh_edge){0};
        if (edge.node) rh_node_release(edge.node);
        if (edge.leaf) rh_autograd_meta_release(edge.leaf);
    }
    node->freed = true;
}

void rh_node_release(rh_node *node) {
    if (--node->refs > 0) return;
    rh_ctx *ctx = node->ctx;
    node->next_release = ctx->pending_release;
    ctx->pending_release = node;
    if (ctx->releasing) return;
    ctx->releasing = true;
    while ((node = ctx->pending_release) != NULL) {
        ctx->pending_release = node->next_release;
        rh_node_free_saved(node); /* may put the nodes it owned on the list */
        rh_free(ctx, node);
    }
    ctx->releasing = false;
}

void rh_autograd_meta_release(rh_autograd *meta) {
    if (--meta->refs > 0) return;
    rh_tensor_release(meta->grad);
    rh_node *node = meta->node;
    rh_free(meta->ctx, meta);
    if (node) rh_node_release(node);
}

void rh_autograd_install(rh_ctx *ctx) { ctx->release_autograd = rh_autograd_meta_release; }
