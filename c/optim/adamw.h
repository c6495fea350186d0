/* AdamW (Loshchilov & Hutter 2019, as torch.optim.AdamW computes it): decoupled decay, bias
 * correction, a step count for each parameter. Gradients and moments lie in flat arenas with a
 * range for each parameter; the norm, clipping and the step are each one pass, cut into pieces of
 * fixed size. Rests on autograd's leaves. */
#ifndef RH_OPTIM_ADAMW_H
#define RH_OPTIM_ADAMW_H

#include "autograd/autograd.h"

typedef struct rh_adamw rh_adamw;

typedef struct rh_adamw_options {
    double beta1, beta2, eps;
} rh_adamw_options;

/* What one parameter has of its own. */
typedef struct rh_adamw_parameter {
    rh_tensor *tensor; /* borrowed by rh_adamw_new, which retains it: an f32 contiguous leaf */
    double weight_decay;
    double lr_scale;   /* its rate is the step's rate times this */
} rh_adamw_parameter;

/* Returns new, or NULL after rh_fail (operand: the parameter's index). Parameters without a buffer
 * for their gradient get a range of an arena. */
rh_adamw *rh_adamw_new(rh_ctx *ctx, const rh_adamw_parameter *list, int64_t n,
                       rh_adamw_options options);
/* Takes opt. */
void rh_adamw_free(rh_adamw *opt);

/* 2-norm of all gradients that arrived, and, where it is above max_norm, scales them by
 * max_norm / (norm + 1e-6): as a factor that the step applies. */
double rh_adamw_clip(rh_adamw *opt, double max_norm);
/* One step with the given rate, over the parameters that a gradient arrived at; then the gradients are
 * cleared. RH_EDATA, with nothing changed but the gradients cleared, when one isn't finite. */
rh_status rh_adamw_step_all(rh_adamw *opt, double lr);
/* Forgets the gradients. */
void rh_adamw_clear(rh_adamw *opt);

int64_t rh_adamw_count(const rh_adamw *opt);    /* parameters */
int64_t rh_adamw_elements(const rh_adamw *opt); /* numbers in them */
int64_t rh_adamw_steps(const rh_adamw *opt);    /* steps that changed something */

/* State for checkpoints. moment 1 or 2: borrowed, f32 [elements]; steps: of parameter i. */
rh_tensor *rh_adamw_moment(const rh_adamw *opt, int moment);
int64_t rh_adamw_parameter_steps(const rh_adamw *opt, int64_t i);
void rh_adamw_set_steps(rh_adamw *opt, int64_t i, int64_t steps);
void rh_adamw_set_total_steps(rh_adamw *opt, int64_t steps);

#endif
