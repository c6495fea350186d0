#include "ops/row.h"

#include <string.h>

static void release_all(rh_tensor **list, int n) {
    for (int i = 0; i < n; i++) {
        rh_tensor_release(list[i]);
        list[i] = NULL;
    }
}

void rh_call_drop_saved(rh_call *call) { release_all(call->saved, RH_MAX_SAVED); }

static rh_status make_outputs(rh_call *call, const rh_spec *specs) {
    for (int i = 0; i < call->n_out; i++) {
        const rh_spec *s = &specs[i];
        call->out[i] = rh_tensor_new(call->ctx, s->dtype, s->rank, s->shape);
        if (!call->out[i]) return call->ctx->error.code;
    }
    return RH_OK;
}

static rh_status run_plain(rh_call *call) {
    rh_spec specs[RH_MAX_OUTPUTS];
    call->n_out = 1;
    rh_status status = call->row->shape(call, specs);
    if (status != RH_OK) call->n_out = 0; /* out[] holds nothing yet to release */
    RH_TRY(status);
    memset(call->out, 0, (size_t)call->n_out * sizeof *call->out);
    RH_TRY(make_outputs(call, specs));
    return call->row->forward(call);
}

static rh_status run_view(rh_call *call) {
    call->n_out = 1;
    memset(call->out, 0, RH_MAX_OUTPUTS * sizeof *call->out);
    return call->row->forward(call);
}

rh_status rh_row_run(rh_call *call, rh_tensor **out) {
    call->out = out;
    call->n_out = 0;
    memset(call->saved, 0, sizeof call->saved);
    rh_status status = call->row->flags & RH_VIEW ? run_view(call) : run_plain(call);
    if (status != RH_OK) {
        release_all(out, call->n_out);
        rh_call_drop_saved(call);
    }
    return status;
}

rh_status rh_want_rank(rh_call *call, int i, int rank) {
    const rh_tensor *t = call->in[i];
    if (t->rank == rank) return RH_OK;
    char text[RH_SHAPE_TEXT];
    return rh_fail(call->ctx, RH_EARG, i, "%d dimensions wanted, got %s", rank,
                   rh_shape_text(t->rank, t->shape, text));
}

rh_status rh_want_size(rh_call *call, int i, int d, int64_t size) {
    const rh_tensor *t = call->in[i];
    if (t->shape[d] == size) return RH_OK;
    char text[RH_SHAPE_TEXT];
    return rh_fail(call->ctx, RH_EARG, i, "size %lld wanted at dimension %d, got %s",
                   (long long)size, d + 1, rh_shape_text(t->rank, t->shape, text));
}

rh_status rh_shape_like_first(rh_call *call, rh_spec *out) {
    out[0] = rh_spec_of(call->in[0]);
    return RH_OK;
}

void rh_grad_put(rh_tensor *dst, const float *src, bool accumulate) {
    float *d = rh_f32(dst);
    int64_t n = rh_tensor_numel(dst);
    if (accumulate)
        for (int64_t i = 0; i < n; i++) d[i] += src[i];
    else
        memcpy(d, src, (size_t)n * sizeof *d);
}
