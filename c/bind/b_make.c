/* Tensors made by rule: zeros, ones, full, rand, randn, arange. Sizes are a list or stand one by one;
 * an options table ends the arguments. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "bind/bind.h"

/* What the arguments of a maker say. */
typedef struct making {
    rhl_state *state;
    int last;              /* number of arguments without the options */
    rh_dtype dtype;
    bool seeded, streamed;
    lua_Integer seed, stream;
    int rank;
    int64_t shape[RH_MAX_RANK];
} making;

static bool integer_option(lua_State *L, int arg, const char *name, lua_Integer *out) {
    int whole = 0;
    if (lua_getfield(L, arg, name) == LUA_TNIL) return lua_pop(L, 1), false;
    if (lua_type(L, -1) == LUA_TNUMBER) *out = lua_tointegerx(L, -1, &whole);
    if (!whole)
        rhl_argerror(L, arg, lua_pushfstring(L, "%s: integer wanted, got %s", name,
                                             rhl_got(L, -1)));
    lua_pop(L, 1);
    return true;
}

static const char *const dtype_only[] = {"dtype", NULL};
static const char *const random_options[] = {"dtype", "seed", "stream", NULL};

/* Reads the options table, if the last argument from `first` on is one; lists stand before it. */
static making begin(lua_State *L, int first, const char *const *options) {
    making m = {.state = rhl_state_of(L), .last = lua_gettop(L), .dtype = RH_F32};
    while (m.last >= first && lua_isnil(L, m.last)) m.last--;
    int arg = m.last;
    rhl_pace(L, m.state);
    if (arg < first || !lua_istable(L, arg)) return m;
    rhl_check_options(L, arg, options);
    if (lua_getfield(L, arg, "dtype") != LUA_TNIL) m.dtype = rhl_read_dtype(L, -1, arg);
    lua_pop(L, 1);
    if (options == random_options) {
        m.seeded = integer_option(L, arg, "seed", &m.seed);
        m.streamed = integer_option(L, arg, "stream", &m.stream);
    }
    m.last--;
    return m;
}

/* Sizes at 1 .. m->last, or a list at 1. */
static void read_sizes(lua_State *L, making *m) {
    if (m->last == 0) rhl_typeerror(L, 1, "sizes");
    if (m->last > 1 && lua_istable(L, 1)) rhl_typeerror(L, 2, "table of options");
    m->rank = rhl_read_shape(L, 1, m->last, m->shape);
}

static rh_tensor *push_made(lua_State *L, const making *m) {
    return rhl_push_new(L, m->state, m->dtype, m->rank, m->shape);
}

static int make_zeros(lua_State *L) {
    making m = begin(L, 2, dtype_only);
    read_sizes(L, &m);
    rh_tensor *t = push_made(L, &m);
    memset(t->storage->data, 0, t->storage->bytes);
    return 1;
}

static int make_ones(lua_State *L) {
    making m = begin(L, 2, dtype_only);
    read_sizes(L, &m);
    union { float f; int64_t i; uint8_t b; } one = {.i = 1};
    if (m.dtype == RH_F32) one.f = 1.0f;
    else if (m.dtype == RH_BOOL) one.b = 1;
    rhl_fill(push_made(L, &m), &one);
    return 1;
}

/* rlhf.full({2, 3}, value, {dtype =}) */
static int make_full(lua_State *L) {
    making m = begin(L, 3, dtype_only);
    if (!lua_istable(L, 1)) rhl_typeerror(L, 1, "table of sizes");
    m.rank = rhl_read_shape(L, 1, 1, m.shape);
    int64_t value;
    if (!rhl_read_value(L, 2, m.dtype, &value)) rhl_typeerror(L, 2, rhl_wanted_value(m.dtype));
    if (m.last > 2) rhl_typeerror(L, 3, "table of options");
    rhl_fill(push_made(L, &m), &value);
    return 1;
}

/* Without a seed each call draws from a stream of its own: the same from run to run, and no two
 * tensors alike. */
static void choose_stream(making *m) {
    if (m->seeded || m->streamed) return;
    m->stream = (lua_Integer)(m->state->unseeded++ | (uint64_t)1 << 63);
}

typedef void (*draw_fn)(uint64_t, uint64_t, uint64_t, float *, int64_t);

static int make_random(lua_State *L, draw_fn draw) {
    making m = begin(L, 2, random_options);
    read_sizes(L, &m);
    if (m.dtype != RH_F32)
        rhl_argerror(L, lua_gettop(L), "dtype: random numbers are f32");
    choose_stream(&m);
    rh_tensor *t = push_made(L, &m);
    draw((uint64_t)m.seed, (uint64_t)m.stream, 0, rh_f32(t), rh_tensor_numel(t));
    return 1;
}

static int make_rand(lua_State *L) { return make_random(L, rh_rng_uniform); }
static int make_randn(lua_State *L) { return make_random(L, rh_rng_normal); }

static double read_number(lua_State *L, int arg) {
    if (lua_type(L, arg) != LUA_TNUMBER) rhl_typeerror(L, arg, "number");
    return lua_tonumber(L, arg);
}

/* How many steps from first stay before last; raises unless that is a size. */
static int64_t count_steps(lua_State *L, double first, double last, double step) {
    const double most = 0x1p53; /* further on doubles skip integers */
    if (step == 0 || !isfinite(step)) rhl_argerror(L, 3, "a finite step other than 0 wanted");
    double n = ceil((last - first) / step);
    if (!(fabs(first) <= most && fabs(last) <= most && n <= most))
        rhl_argerror(L, 1, "a range within 2^53 wanted");
    return n > 0 ? (int64_t)n : 0;
}

/* rlhf.arange(n), rlhf.arange(first, last, step, {dtype =}): from first (0) up to but without last */
static int make_arange(lua_State *L) {
    making m = begin(L, 2, dtype_only);
    if (m.dtype == RH_BOOL) rhl_argerror(L, lua_gettop(L), "dtype: a range is 'f32' or 'i64'");
    if (m.last > 3) rhl_typeerror(L, 4, "table of options");
    double first = m.last < 2 ? 0 : read_number(L, 1);
    double last = read_number(L, m.last < 2 ? 1 : 2);
    double step = m.last < 3 ? 1 : read_number(L, 3);
    if (m.dtype == RH_I64 && (first != floor(first) || step != floor(step)))
        rhl_argerror(L, first != floor(first) ? 1 : 3, "integer wanted (dtype i64)");
    m.rank = 1;
    m.shape[0] = count_steps(L, first, last, step);
    rh_tensor *t = push_made(L, &m);
    for (int64_t i = 0; i < m.shape[0]; i++) {
        double v = first + (double)i * step;
        if (m.dtype == RH_I64) rh_i64(t)[i] = (int64_t)v;
        else rh_f32(t)[i] = (float)v;
    }
    return 1;
}

void rhl_open_make(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {
        {"zeros", make_zeros}, {"ones", make_ones},   {"full", make_full},     {"rand", make_rand},
        {"randn", make_randn}, {"arange", make_arange}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
}
