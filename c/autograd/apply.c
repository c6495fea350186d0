/* Running an operation: packs inputs that the row wants contiguous, runs it, records it if asked. */
#include "autograd/node.h"

#include <string.h>

static void find_wanted(rh_call *call) {
    if (call->ctx->no_grad > 0 || !call->row->backward) return;
    for (int i = 0; i < call->n_in; i++) {
        if (!call->in[i] || !rh_requires_grad(call->in[i])) continue;
        call->recording = true;
        if (i < 32) call->wanted |= (uint32_t)1 << i;
    }
}

static void release_packed(rh_tensor **packed, rh_tensor **in, int n) {
    for (int i = 0; i < n; i++)
        if (packed[i] != in[i]) rh_tensor_release(packed[i]);
}

/* packed[i] = in[i] or a contiguous copy of it. */
static rh_status pack_inputs(rh_tensor **in, int n, rh_tensor **packed) {
    for (int i = 0; i < n; i++) {
        packed[i] = in[i];
        if (!in[i] || rh_tensor_is_contiguous(in[i])) continue;
        packed[i] = rh_tensor_contiguous(in[i]);
        if (!packed[i]) {
            release_packed(packed, in, i);
            return RH_ENOMEM;
        }
    }
    return RH_OK;
}

static rh_status run_and_record(rh_call *call, rh_tensor **inputs, rh_tensor **out, int *n_out) {
    RH_TRY(rh_row_run(call, out));
    rh_status status = call->recording ? rh_node_record(call, inputs, out) : RH_OK;
    rh_call_drop_saved(call);
    if (status != RH_OK)
        for (int i = 0; i < call->n_out; i++) rh_tensor_release(out[i]);
    *n_out = call->n_out;
    return status;
}

rh_status rh_apply(rh_ctx *ctx, const rh_row *row, rh_tensor **in, int n_in, const rh_opt *opt,
                   rh_tensor **out, int *n_out) {
    rh_call call = {.ctx = ctx, .row = row, .n_in = n_in, .in = in, .opt = opt};
    find_wanted(&call);
    if (row->flags & (RH_STRIDED | RH_VIEW)) return run_and_record(&call, in, out, n_out);
    rh_tensor *packed[RH_MAX_INPUTS];
    RH_TRY(pack_inputs(in, n_in, packed));
    call.in = packed;
    rh_status status = run_and_record(&call, in, out, n_out);
    release_packed(packed, in, n_in);
    return status;
}
