/* Numbers of reinforcement learning as Lua sees them: core.gae, core.whiten. */
#include "bind/bind.h"
#include "rl/gae.h"

/* A contiguous f32 [n] argument; n < 0: any. */
static rh_tensor *check_vector(lua_State *L, int arg, int64_t n) {
    rh_tensor *t = rhl_check_tensor(L, arg);
    if (t->dtype != RH_F32 || t->rank != 1 || !rh_tensor_is_contiguous(t))
        rhl_argerror(L, arg, "a contiguous f32 vector wanted");
    if (n >= 0 && t->shape[0] != n)
        rhl_argerror(L, arg, lua_pushfstring(L, "%I numbers wanted, got %I", n, t->shape[0]));
    return t;
}

/* A list of lengths that sum to n, into scratch memory that Lua owns. */
static int64_t *check_lengths(lua_State *L, int arg, int64_t n, int64_t *rows) {
    luaL_checktype(L, arg, LUA_TTABLE);
    *rows = (int64_t)lua_rawlen(L, arg);
    int64_t *lengths = lua_newuserdatauv(L, (size_t)*rows * sizeof *lengths + 1, 0), sum = 0;
    for (int64_t i = 0; i < *rows; i++) {
        lua_rawgeti(L, arg, i + 1);
        lengths[i] = lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (lengths[i] < 0 || lengths[i] > n - sum)
            rhl_argerror(L, arg, lua_pushfstring(L, "lengths from 0 whose sum is %I wanted", n));
        sum += lengths[i];
    }
    if (sum != n) rhl_argerror(L, arg, lua_pushfstring(L, "lengths whose sum is %I wanted", n));
    return lengths;
}

/* core.gae(rewards, values, lengths, gamma, lambda) -> advantages, returns, each [n] */
static int gae(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    rh_tensor *rewards = check_vector(L, 1, -1), *values = check_vector(L, 2, rewards->shape[0]);
    double gamma = luaL_checknumber(L, 4), lambda = luaL_checknumber(L, 5);
    int64_t rows, n = rewards->shape[0], *lengths = check_lengths(L, 3, n, &rows);
    rh_tensor *advantages = rhl_push_new(L, state, RH_F32, 1, &n);
    rh_tensor *returns = rhl_push_new(L, state, RH_F32, 1, &n);
    rh_gae(rows, lengths, rh_f32(rewards), rh_f32(values), gamma, lambda, rh_f32(advantages),
           rh_f32(returns));
    return 2;
}

/* core.whiten(x, keep_mean, population) -> whitened [n], mean, variance */
static int whiten(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    rh_tensor *x = check_vector(L, 1, -1);
    bool keep_mean = lua_toboolean(L, 2), population = lua_toboolean(L, 3);
    int64_t n = x->shape[0];
    rh_tensor *y = rhl_push_new(L, state, RH_F32, 1, &n);
    rh_moments m = rh_moments_of(rh_f32(x), n, population);
    rh_whiten(rh_f32(x), n, m, keep_mean, rh_f32(y));
    lua_pushnumber(L, m.mean);
    lua_pushnumber(L, m.variance);
    return 3;
}

void rhl_open_rl(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {{"gae", gae}, {"whiten", whiten}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
}
