/* rope and rope_frequencies: over plain memory (rope.h), and as rows of the table. */
#include "ops/rope.h"

#include <math.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "base/size.h"
#include "ops/kernels/rope.h"
#include "ops/row.h"

static const double PI = 3.14159265358979323846;

/* Llama 3: waves longer than the original context are slowed by `factor`, short ones kept, those between
 * mixed. In f32, as the reference computes it. */
static float llama3(const rh_rope_config *c, float f) {
    float context = (float)c->original_max_position, factor = (float)c->factor;
    float low = (float)c->low_freq_factor, high = (float)c->high_freq_factor;
    float wave = (float)(2 * PI) / f;
    if (wave < context / high) return f;
    if (wave > context / low) return f / factor;
    float smooth = (context / wave - low) / (high - low);
    return (1 - smooth) * f / factor + smooth * f;
}

void rh_rope_frequencies(const rh_rope_config *c, float *frequency) {
    for (int64_t i = 0; i < c->head_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)c->head_dim;
        float f = 1.0f / (float)pow((double)(float)c->theta, (double)exponent);
        if (c->type == RH_ROPE_LINEAR) f /= (float)c->factor;
        if (c->type == RH_ROPE_LLAMA3) f = llama3(c, f);
        frequency[i] = f;
    }
}

typedef struct table_job {
    int64_t half;
    const int64_t *positions;
    const float *frequency;
    float *cos, *sin;
} table_job;

static void table_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const table_job *j = arg;
    for (int64_t i = begin; i < end; i++)
        rh_kernels.rope->angles(j->half, (float)j->positions[i], j->frequency, j->cos + i * j->half,
                                j->sin + i * j->half);
}

void rh_rope_table(int64_t tokens, int64_t half, const int64_t *positions, const float *frequency,
                   float *cos, float *sin) {
    table_job j = {half, positions, frequency, cos, sin};
    rh_parallel_range(tokens, rh_max(4096 / rh_max(half, 1), 1), table_rows, &j);
}

typedef struct apply_job {
    const rh_rope_view *v;
    const float *x, *cos, *sin;
    float sign, *out;
    bool accumulate;
} apply_job;

static int64_t token_at(const rh_rope_view *v, int64_t i) {
    return i / v->run * v->run_stride + i % v->run * v->token_stride;
}

static void apply_tokens(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const apply_job *j = arg;
    const rh_rope_view *v = j->v;
    int64_t half = v->head_dim / 2;
    for (int64_t i = begin; i < end; i++)
        for (int64_t h = 0; h < v->heads; h++) {
            int64_t at = token_at(v, i) + h * v->head_stride;
            rh_kernels.rope->rotate(half, j->x + at, j->cos + i * half, j->sin + i * half, j->sign,
                                    j->out + at, j->accumulate);
        }
}

void rh_rope_apply(const rh_rope_view *view, const float *x, const float *cos, const float *sin,
                   bool back, float *out, bool accumulate) {
    apply_job j = {view, x, cos, sin, back ? -1.0f : 1.0f, out, accumulate};
    int64_t each = rh_max(view->heads * view->head_dim, 1);
    rh_parallel_range(view->tokens, rh_max((1 << 14) / each, 1), apply_tokens, &j);
}

/* row rope */

/* [B,H,T,D] with positions [B,T], or [N,H,D] with positions [N] */
static rh_rope_view view_of(const rh_tensor *x) {
    const int64_t *s = x->shape;
    if (x->rank == 3) return (rh_rope_view){s[0], s[1], s[2], rh_max(s[0], 1), 0, s[1] * s[2], s[2]};
    return (rh_rope_view){s[0] * s[2], s[1], s[3], rh_max(s[2], 1), s[1] * s[2] * s[3], s[3],
                          s[2] * s[3]};
}

/* f32 holds integers up to here exactly */
enum { FARTHEST = 1 << 24 };

static rh_status check_positions(rh_call *call, const rh_tensor *p) {
    const int64_t *at = rh_i64(p);
    for (int64_t i = 0, n = rh_tensor_numel(p); i < n; i++)
        if (at[i] < -FARTHEST || at[i] > FARTHEST)
            return rh_fail(call->ctx, RH_EARG, 1, "position %lld at element %lld: %d at most wanted",
                           (long long)at[i], (long long)i + 1, FARTHEST);
    return RH_OK;
}

static rh_status rope_shape(rh_call *call, rh_spec *out) {
    const rh_tensor *x = call->in[0];
    char text[RH_SHAPE_TEXT];
    if (x->rank != 3 && x->rank != 4)
        return rh_fail(call->ctx, RH_EARG, 0, "[B,H,T,D] or [N,H,D] wanted, got %s",
                       rh_shape_text(x->rank, x->shape, text));
    int64_t d = x->shape[x->rank - 1];
    if (d % 2)
        return rh_fail(call->ctx, RH_EARG, 0, "an even head size wanted, got %s",
                       rh_shape_text(x->rank, x->shape, text));
    RH_TRY(rh_want_rank(call, 1, x->rank - 2));
    RH_TRY(rh_want_size(call, 1, 0, x->shape[0]));
    if (x->rank == 4) RH_TRY(rh_want_size(call, 1, 1, x->shape[2]));
    if (call->in[2]) {
        RH_TRY(rh_want_rank(call, 2, 1));
        RH_TRY(rh_want_size(call, 2, 0, d / 2));
    }
    if (!(call->opt[0].f > 0))
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(0), "theta: a positive number wanted, got %g",
                       call->opt[0].f);
    out[0] = rh_spec_of(x);
    return check_positions(call, call->in[1]);
}

/* Returns new: cos and sin, then the frequencies: [2 * tokens + 1, half]. */
static rh_tensor *make_table(rh_call *call, const rh_rope_view *v) {
    int64_t half = v->head_dim / 2, shape[2] = {2 * v->tokens + 1, half};
    rh_tensor *table = rh_tensor_new(call->ctx, RH_F32, 2, shape);
    if (!table) return NULL;
    float *cos = rh_f32(table), *sin = cos + v->tokens * half, *frequency = sin + v->tokens * half;
    rh_rope_config config = {.head_dim = v->head_dim, .theta = call->opt[0].f};
    if (!call->in[2]) rh_rope_frequencies(&config, frequency);
    rh_rope_table(v->tokens, half, rh_i64(call->in[1]), call->in[2] ? rh_f32(call->in[2]) : frequency,
                  cos, sin);
    return table;
}

/* The table is kept for backward; x only where frequencies were given, whose gradient needs it. */
static rh_status rope_forward(rh_call *call) {
    rh_rope_view v = view_of(call->in[0]);
    rh_tensor *table = make_table(call, &v);
    if (!table) return RH_ENOMEM;
    const float *cos = rh_f32(table);
    rh_rope_apply(&v, rh_f32(call->in[0]), cos, cos + v.tokens * (v.head_dim / 2), false,
                  rh_f32(call->out[0]), false);
    if (call->recording) {
        call->saved[0] = table;
        if (call->in[2]) call->saved[1] = rh_tensor_retain(call->in[0]);
    } else {
        rh_tensor_release(table);
    }
    return RH_OK;
}

/* d out / d frequency[i] = position * (-out2, out1) for each pair */
static double frequency_gradient(const rh_back *back, const rh_rope_view *v, int64_t i) {
    int64_t half = v->head_dim / 2;
    const int64_t *positions = rh_i64(back->call->in[1]);
    const float *cos = rh_f32(back->call->saved[0]), *sin = cos + v->tokens * half;
    double sum = 0;
    for (int64_t t = 0; t < v->tokens; t++) {
        double c = cos[t * half + i], s = sin[t * half + i], of_token = 0;
        for (int64_t h = 0; h < v->heads; h++) {
            int64_t at = token_at(v, t) + h * v->head_stride + i;
            const float *x = rh_f32(back->call->saved[1]) + at, *g = rh_f32(back->gout[0]) + at;
            of_token += g[half] * (x[0] * c - x[half] * s) - g[0] * (x[half] * c + x[0] * s);
        }
        sum += (double)positions[t] * of_token;
    }
    return sum;
}

static rh_status rope_backward(rh_back *back) {
    rh_call *call = back->call;
    rh_rope_view v = view_of(call->in[0]);
    int64_t half = v.head_dim / 2;
    const float *cos = rh_f32(call->saved[0]);
    if (back->gin[0])
        rh_rope_apply(&v, rh_f32(back->gout[0]), cos, cos + v.tokens * half, true,
                      rh_f32(back->gin[0]), back->accumulate[0]);
    for (int64_t i = 0; back->gin[2] && i < half; i++) {
        float *to = rh_f32(back->gin[2]) + i;
        *to = (back->accumulate[2] ? *to : 0.0f) + (float)frequency_gradient(back, &v, i);
    }
    return RH_OK;
}

static const char *const rope_samples[] = {
    "f[2,3,4,6] i<9[2,4]", "f[5,2,4] i<9[5]; {theta = 500}", "f[5,2,4] i<9[5] f[2]", "f[1,1,1,2] i<2[1,1]",
    "f[0,2,4] i<9[0]", NULL};

/* row rope_frequencies */

enum { HEAD_DIM, THETA, TYPE, FACTOR, LOW, HIGH, ORIGINAL };

static rh_rope_config config_of(const rh_call *call) {
    const rh_opt *o = call->opt;
    return (rh_rope_config){o[HEAD_DIM].i, o[THETA].f, (rh_rope_type)o[TYPE].i, o[FACTOR].f, o[LOW].f,
                            o[HIGH].f, o[ORIGINAL].i};
}

static rh_status want_positive(rh_call *call, int option, const char *name) {
    if (call->opt[option].f > 0) return RH_OK;
    return rh_fail(call->ctx, RH_EARG, RH_OPTION(option), "%s: a positive number wanted, got %g", name,
                   call->opt[option].f);
}

static rh_status frequencies_shape(rh_call *call, rh_spec *out) {
    int64_t d = call->opt[HEAD_DIM].i, half = d / 2;
    if (d < 0 || d % 2)
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(HEAD_DIM), "head_dim: an even size wanted, got %lld",
                       (long long)d);
    RH_TRY(want_positive(call, THETA, "rope_theta"));
    RH_TRY(want_positive(call, FACTOR, "factor"));
    RH_TRY(want_positive(call, LOW, "low_freq_factor"));
    if (!(call->opt[HIGH].f > call->opt[LOW].f))
        return rh_fail(call->ctx, RH_EARG, RH_OPTION(HIGH),
                       "high_freq_factor: more than low_freq_factor %g wanted, got %g",
                       call->opt[LOW].f, call->opt[HIGH].f);
    out[0] = rh_spec_make(RH_F32, 1, &half);
    return RH_OK;
}

static rh_status frequencies_forward(rh_call *call) {
    rh_rope_config config = config_of(call);
    rh_rope_frequencies(&config, rh_f32(call->out[0]));
    return RH_OK;
}

static const char *const frequencies_samples[] = {
    "; {head_dim = 8}", "; {head_dim = 16, rope_type = 'llama3', factor = 8}", NULL};

const rh_row rh_rows_rope[] = {
    {.name = "rope",
     .inputs = "x:f positions:i frequencies:f?",
     .options = "f:theta=10000",
     .save = RH_SAVE_IN(1),
     .shape = rope_shape,
     .forward = rope_forward,
     .backward = rope_backward,
     .samples = rope_samples,
     .doc = "rotary embedding of x [B,H,T,D] at positions [B,T], or x [N,H,D] at [N]; halves of a head "
            "paired; frequencies [D/2], or theta^(-2i/D)"},
    {.name = "rope_frequencies",
     .inputs = "",
     .options = "i:head_dim f:rope_theta=10000 s:rope_type=default|linear|llama3 f:factor=1 "
                "f:low_freq_factor=1 f:high_freq_factor=4 i:original_max_position_embeddings=8192",
     .shape = frequencies_shape,
     .forward = frequencies_forward,
     .samples = frequencies_samples,
     .doc = "the frequencies [head_dim/2] of a model's rotary embedding, from its config"},
    {0}};
