/* luaopen_rlhf_corelib: makes the state and puts every file's functions into one table. */
#include <lualib.h>
#include <stdlib.h>

#include "bind/bind.h"
#include "ops/gemm.h"
#include "ops/kernels/isa.h"

static const char state_key = 0; /* its address is the registry key */

rhl_state *rhl_state_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

void rhl_pushfunction(lua_State *L, rhl_state *state, lua_CFunction f) {
    lua_pushlightuserdata(L, state);
    lua_pushcclosure(L, f, 1);
}

void rhl_setfuncs(lua_State *L, rhl_state *state, const luaL_Reg *functions) {
    lua_pushlightuserdata(L, state);
    luaL_setfuncs(L, functions, 1);
}

/* The state was made before any handle, so lua_close finalizes it after all of them. */
static int state_gc(lua_State *L) {
    rhl_state *state = lua_touserdata(L, 1);
    rh_ctx *ctx = state->ctx;
    state->ctx = NULL;
    if (ctx) rh_ctx_close(ctx);
    return 0;
}

static rhl_state *new_state(lua_State *L) {
    rhl_state *state = lua_newuserdatauv(L, sizeof *state, 0);
    *state = (rhl_state){.soft_limit = (size_t)64 << 20};
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, state_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    state->ctx = rh_ctx_open();
    if (!state->ctx) luaL_error(L, "rlhf: not enough memory");
    rh_autograd_install(state->ctx);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
    return state;
}

/* A second require of the module in one state (package.loaded cleared) shares the first's state. */
static rhl_state *state_for(lua_State *L) {
    rhl_state *state = NULL;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key) == LUA_TUSERDATA) state = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return state ? state : new_state(L);
}

__attribute__((visibility("default"))) int luaopen_rlhf_corelib(lua_State *L);

int luaopen_rlhf_corelib(lua_State *L) {
    luaL_checkversion(L);
    rhl_state *state = state_for(L);
    if (rh_isa_choose(state->ctx, getenv("RLHF_ISA")) != RH_OK) return rhl_raise_at(L, state, 0);
    rh_gemm_warm_up();
    lua_newtable(L);
    rhl_open_tensor(L, state);
    rhl_open_rows(L, state);
    rhl_open_make(L, state);
    rhl_open_scope(L, state);
    rhl_open_memory(L, state);
    rhl_open_optim(L, state);
    rhl_open_io(L, state);
    rhl_open_debug(L, state);
    return 1;
}
