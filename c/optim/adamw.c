#include "optim/adamw.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/kernels/optim.h"

enum { PIECE = 1 << 16 }; /* elements: a quarter of a MB of each of the four streams */

typedef struct slot {
    rh_tensor *param; /* retained */
    double weight_decay, lr_scale;
    int64_t at;       /* first element in the arenas */
    int64_t n;
    int64_t steps;
} slot;

typedef struct piece {
    int64_t slot, begin, n;
} piece;

struct rh_adamw {
    rh_ctx *ctx;
    rh_adamw_options options;
    slot *slots;
    piece *pieces;
    double *partial;        /* [n_pieces] sums of squares */
    rh_adamw_step *numbers; /* [n_slots] of the running step */
    int64_t n_slots, n_pieces, elements, steps;
    rh_tensor *grads, *moment1, *moment2; /* [elements]; grads NULL when every leaf had a buffer */
    double norm;            /* of the gradients, as clip took it ... */
    uint64_t norm_version;  /* ... when they were at this version; see grads_version */
};

static rh_status check_parameter(rh_ctx *ctx, const rh_tensor *t, int64_t i) {
    if (!rh_is_leaf(t) || !rh_requires_grad(t))
        return rh_fail(ctx, RH_EARG, (int)i, "parameter %lld: a leaf that requires a gradient wanted",
                       (long long)i + 1);
    if (!rh_tensor_is_contiguous(t))
        return rh_fail(ctx, RH_EARG, (int)i, "parameter %lld: contiguous memory wanted, this is a "
                       "strided view", (long long)i + 1);
    return RH_OK;
}

static rh_status check_twice(rh_ctx *ctx, const rh_adamw_parameter *list, int64_t n) {
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            if (list[i].tensor->autograd == list[j].tensor->autograd)
                return rh_fail(ctx, RH_EARG, (int)i, "parameter %lld is parameter %lld again",
                               (long long)i + 1, (long long)j + 1);
    return RH_OK;
}

static void fill_slots(rh_adamw *opt, const rh_adamw_parameter *list) {
    for (int64_t i = 0; i < opt->n_slots; i++) {
        opt->slots[i] = (slot){.param = rh_tensor_retain(list[i].tensor),
                               .weight_decay = list[i].weight_decay,
                               .lr_scale = list[i].lr_scale,
                               .at = opt->elements,
                               .n = rh_tensor_numel(list[i].tensor)};
        opt->elements += opt->slots[i].n;
        opt->n_pieces += rh_ceil_div(opt->slots[i].n, PIECE);
    }
}

static void fill_pieces(rh_adamw *opt) {
    piece *p = opt->pieces;
    for (int64_t i = 0; i < opt->n_slots; i++)
        for (int64_t at = 0; at < opt->slots[i].n; at += PIECE)
            *p++ = (piece){i, at, rh_min(PIECE, opt->slots[i].n - at)};
}

/* Ranges of one arena for the leaves that have no buffer yet. */
static rh_status give_buffers(rh_adamw *opt) {
    bool missing = false;
    for (int64_t i = 0; i < opt->n_slots; i++)
        missing = missing || !rh_grad_buffer(opt->slots[i].param);
    if (!missing) return RH_OK;
    opt->grads = rh_tensor_new(opt->ctx, RH_F32, 1, &opt->elements);
    if (!opt->grads) return RH_ENOMEM;
    for (int64_t i = 0; i < opt->n_slots; i++) {
        const slot *s = &opt->slots[i];
        if (rh_grad_buffer(s->param)) continue;
        int64_t strides[RH_MAX_RANK];
        rh_shape_strides(s->param->rank, s->param->shape, strides);
        rh_tensor *range = rh_tensor_view(opt->grads, s->param->rank, s->param->shape, strides, s->at);
        if (!range) return RH_ENOMEM;
        rh_grad_set_buffer(s->param, range);
        rh_tensor_release(range);
    }
    return RH_OK;
}

static rh_status allocate(rh_adamw *opt) {
    rh_ctx *ctx = opt->ctx;
    opt->pieces = rh_alloc(ctx, (size_t)opt->n_pieces * sizeof *opt->pieces);
    opt->partial = rh_alloc(ctx, (size_t)opt->n_pieces * sizeof *opt->partial);
    opt->numbers = rh_alloc(ctx, (size_t)opt->n_slots * sizeof *opt->numbers);
    if (!opt->pieces || !opt->partial || !opt->numbers) return RH_ENOMEM;
    opt->moment1 = rh_tensor_zeros(ctx, RH_F32, 1, &opt->elements);
    opt->moment2 = opt->moment1 ? rh_tensor_zeros(ctx, RH_F32, 1, &opt->elements) : NULL;
    return opt->moment2 ? give_buffers(opt) : RH_ENOMEM;
}

rh_adamw *rh_adamw_new(rh_ctx *ctx, const rh_adamw_parameter *list, int64_t n,
                       rh_adamw_options options) {
    for (int64_t i = 0; i < n; i++)
        if (check_parameter(ctx, list[i].tensor, i) != RH_OK) return NULL;
    if (check_twice(ctx, list, n) != RH_OK) return NULL;
    rh_adamw *opt = rh_alloc_zero(ctx, sizeof *opt);
    if (!opt) return NULL;
    *opt = (rh_adamw){.ctx = ctx, .options = options, .norm = NAN};
    opt->slots = rh_alloc(ctx, (size_t)n * sizeof *opt->slots);
    if (opt->slots) {
        opt->n_slots = n;
        fill_slots(opt, list);
    }
    if (!opt->slots || allocate(opt) != RH_OK) {
        rh_adamw_free(opt);
        return NULL;
    }
    fill_pieces(opt);
    return opt;
}

void rh_adamw_free(rh_adamw *opt) {
    for (int64_t i = 0; i < opt->n_slots; i++) rh_tensor_release(opt->slots[i].param);
    rh_free(opt->ctx, opt->slots);
    rh_free(opt->ctx, opt->pieces);
    rh_free(opt->ctx, opt->partial);
    rh_free(opt->ctx, opt->numbers);
    rh_tensor_release(opt->grads);
    rh_tensor_release(opt->moment1);
    rh_tensor_release(opt->moment2);
    rh_free(opt->ctx, opt);
}

static void square_piece(void *arg, int64_t i, int worker) {
    (void)worker;
    rh_adamw *opt = arg;
    const piece *p = &opt->pieces[i];
    const rh_tensor *param = opt->slots[p->slot].param;
    opt->partial[i] = 0;
    if (!rh_grad_arrived(param)) return;
    double scale = rh_grad_pending_scale(param);
    const float *g = rh_f32(rh_grad_buffer(param)) + p->begin;
    opt->partial[i] = scale * scale * rh_kernels.optim->sum_of_squares(g, p->n);
}

/* Changes whenever something is added to a gradient, so that a norm can be known to be stale. */
static uint64_t grads_version(const rh_adamw *opt) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < opt->n_slots; i++)
        sum += rh_grad_buffer(opt->slots[i].param)->storage->version;
    return sum;
}

/* Partial sums are added in the order of the pieces. */
static double take_norm(rh_adamw *opt) {
    rh_parallel(opt->n_pieces, square_piece, opt);
    double sum = 0;
    for (int64_t i = 0; i < opt->n_pieces; i++) sum += opt->partial[i];
    opt->norm = sqrt(sum);
    opt->norm_version = grads_version(opt);
    return opt->norm;
}

double rh_adamw_clip(rh_adamw *opt, double max_norm) {
    double norm = take_norm(opt);
    double factor = max_norm / (norm + 1e-6);
    if (factor < 1.0)
        for (int64_t i = 0; i < opt->n_slots; i++)
            rh_grad_scale(opt->slots[i].param, (float)factor);
    return norm;
}

void rh_adamw_clear(rh_adamw *opt) {
    for (int64_t i = 0; i < opt->n_slots; i++) rh_grad_clear(opt->slots[i].param);
    opt->norm = NAN;
}

static void prepare_numbers(rh_adamw *opt, double lr) {
    const rh_adamw_options *o = &opt->options;
    for (int64_t i = 0; i < opt->n_slots; i++) {
        slot *s = &opt->slots[i];
        if (!rh_grad_arrived(s->param)) continue;
        double t = (double)++s->steps, rate = lr * s->lr_scale;
        opt->numbers[i] = (rh_adamw_step){
            .keep = (float)(1 - rate * s->weight_decay),
            .beta1 = (float)o->beta1,
            .beta2 = (float)o->beta2,
            .grad_scale = rh_grad_pending_scale(s->param),
            .size = (float)(rate / (1 - pow(o->beta1, t))),
            .root = (float)(1 / sqrt(1 - pow(o->beta2, t))),
            .eps = (float)o->eps};
        s->param->storage->version++;
    }
}

static void step_piece(void *arg, int64_t i, int worker) {
    (void)worker;
    rh_adamw *opt = arg;
    const piece *p = &opt->pieces[i];
    const slot *s = &opt->slots[p->slot];
    if (!rh_grad_arrived(s->param)) return;
    int64_t at = s->at + p->begin;
    rh_kernels.optim->adamw(rh_f32(s->param) + p->begin,
                            rh_f32(rh_grad_buffer(s->param)) + p->begin, rh_f32(opt->moment1) + at,
                            rh_f32(opt->moment2) + at, p->n, &opt->numbers[p->slot]);
}

/* The first parameter whose gradient has a value that isn't finite, for the message. */
static rh_status not_finite(rh_adamw *opt) {
    for (int64_t i = 0; i < opt->n_pieces; i++) {
        if (isfinite(opt->partial[i])) continue;
        const rh_tensor *param = opt->slots[opt->pieces[i].slot].param;
        char text[RH_SHAPE_TEXT];
        return rh_fail(opt->ctx, RH_EDATA, RH_NO_OPERAND,
                       "the gradient of parameter %lld %s is not finite: step skipped",
                       (long long)opt->pieces[i].slot + 1,
                       rh_shape_text(param->rank, param->shape, text));
    }
    return rh_fail(opt->ctx, RH_EDATA, RH_NO_OPERAND,
                   "the norm of the gradients is not finite: step skipped");
}

rh_status rh_adamw_step_all(rh_adamw *opt, double lr) {
    bool known = isfinite(opt->norm) && opt->norm_version == grads_version(opt);
    double norm = known ? opt->norm : take_norm(opt);
    rh_status status = isfinite(norm) ? RH_OK : not_finite(opt);
    if (status == RH_OK) {
        prepare_numbers(opt, lr);
        rh_parallel(opt->n_pieces, step_piece, opt);
        opt->steps++;
    }
    rh_adamw_clear(opt);
    return status;
}

int64_t rh_adamw_count(const rh_adamw *opt) { return opt->n_slots; }
int64_t rh_adamw_elements(const rh_adamw *opt) { return opt->elements; }
int64_t rh_adamw_steps(const rh_adamw *opt) { return opt->steps; }

rh_tensor *rh_adamw_moment(const rh_adamw *opt, int moment) {
    return moment == 1 ? opt->moment1 : opt->moment2;
}
int64_t rh_adamw_parameter_steps(const rh_adamw *opt, int64_t i) { return opt->slots[i].steps; }
void rh_adamw_set_steps(rh_adamw *opt, int64_t i, int64_t steps) { opt->slots[i].steps = steps; }
void rh_adamw_set_total_steps(rh_adamw *opt, int64_t steps) { opt->steps = steps; }
