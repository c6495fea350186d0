/* Leaves: who wants a gradient, where it is collected, and clipping's pending factor. */
#include "autograd/node.h"

#include "base/pool.h"

bool rh_requires_grad(const rh_tensor *t) { return t->autograd != NULL; }
bool rh_is_leaf(const rh_tensor *t) { return !t->autograd || !t->autograd->node; }

rh_status rh_requires_grad_set(rh_tensor *t, bool wanted) {
    if (t->autograd && t->autograd->node)
        return wanted ? RH_OK
                      : rh_fail(t->ctx, RH_EARG, 0, "a result of '%s' can't stop requiring a "
                                "gradient: use :detach()", t->autograd->node->row->name);
    if (wanted && t->dtype != RH_F32)
        return rh_fail(t->ctx, RH_EARG, 0, "only f32 tensors have gradients, this one is %s",
                       rh_dtype_name(t->dtype));
    if (wanted && !t->autograd) {
        rh_autograd *meta = rh_alloc_zero(t->ctx, sizeof *meta);
        if (!meta) return RH_ENOMEM;
        *meta = (rh_autograd){.ctx = t->ctx, .refs = 1, .scale = 1.0f};
        t->autograd = meta;
    } else if (!wanted && t->autograd) {
        rh_autograd *meta = t->autograd;
        t->autograd = NULL;
        rh_autograd_meta_release(meta);
    }
    return RH_OK;
}

void rh_grad_settle(rh_autograd *leaf) {
    if (leaf->arrived && leaf->scale != 1.0f) {
        float *g = rh_f32(leaf->grad);
        for (int64_t i = 0, n = rh_tensor_numel(leaf->grad); i < n; i++) g[i] *= leaf->scale;
        leaf->grad->storage->version++;
    }
    leaf->scale = 1.0f;
}

rh_tensor *rh_grad(rh_tensor *leaf) {
    rh_autograd *meta = leaf->autograd;
    if (!meta || meta->node || !meta->arrived) return NULL;
    rh_grad_settle(meta);
    return meta->grad;
}

void rh_grad_set_buffer(rh_tensor *leaf, rh_tensor *buffer) {
    rh_autograd *meta = leaf->autograd;
    rh_tensor *old = meta->grad;
    meta->grad = rh_tensor_retain(buffer);
    if (meta->arrived) {
        rh_grad_settle(meta);
        rh_tensor_copy_data(buffer, old);
    }
    rh_tensor_release(old);
}

rh_tensor *rh_grad_buffer(const rh_tensor *leaf) {
    return leaf->autograd ? leaf->autograd->grad : NULL;
}

void rh_grad_clear(rh_tensor *leaf) {
    if (!leaf->autograd) return;
    leaf->autograd->arrived = false;
    leaf->autograd->scale = 1.0f;
}

void rh_grad_scale(rh_tensor *leaf, float factor) {
    if (leaf->autograd) leaf->autograd->scale *= factor;
}

float rh_grad_pending_scale(const rh_tensor *leaf) {
    return leaf->autograd ? leaf->autograd->scale : 1.0f;
}

bool rh_grad_arrived(const rh_tensor *leaf) { return leaf->autograd && leaf->autograd->arrived; }

const char *rh_made_by(const rh_tensor *t) {
    return t->autograd && t->autograd->node ? t->autograd->node->row->name : NULL;
}
