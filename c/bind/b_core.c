/* luaopen_rlhf_corelib: makes the state, puts every file's functions into one table, and tells what
 * the library runs on. */
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "bind/bind.h"
#include "ops/gemm.h"
#include "ops/kernels/isa.h"

#define VERSION "0.1.0"

static const char state_key = 0; /* its address is the registry key */

rhl_state *rhl_state_of(lua_State *L) {
    rhl_state *state = lua_touserdata(L, lua_upvalueindex(1));
    if (!state->ctx) luaL_error(L, "rlhf is closed: its Lua state is closing");
    return state;
}

void rhl_push_state(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key); }

void rhl_pushfunction(lua_State *L, rhl_state *state, lua_CFunction f) {
    (void)state;
    rhl_push_state(L);
    lua_pushcclosure(L, f, 1);
}

void rhl_setfuncs(lua_State *L, rhl_state *state, const luaL_Reg *functions) {
    (void)state;
    for (; functions->name; functions++) {
        rhl_push_state(L);
        lua_pushstring(L, functions->name);
        lua_pushcclosure(L, functions->func, 2);
        lua_setfield(L, -2, functions->name);
    }
}

void rhl_new_class(lua_State *L, rhl_state *state, const char *name, const luaL_Reg *metamethods,
                   const luaL_Reg *methods) {
    luaL_newmetatable(L, name);
    rhl_setfuncs(L, state, metamethods);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    rhl_setfuncs(L, state, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* The state was made before any handle, so lua_close finalizes it after all of them. Finalizers of
 * objects older still find ctx NULL. */
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
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
    state->ctx = rh_ctx_open();
    if (!state->ctx) luaL_error(L, "rlhf: not enough memory");
    rh_autograd_install(state->ctx);
    lua_pop(L, 1);
    return state;
}

/* A second require of the module in one state (package.loaded cleared) shares the first's state. */
static rhl_state *state_for(lua_State *L) {
    rhl_push_state(L);
    rhl_state *state = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return state && state->ctx ? state : new_state(L);
}

/* "OpenBLAS 0.3.21" of "OpenBLAS 0.3.21 DYNAMIC_ARCH NO_AFFINITY Haswell MAX_THREADS=64" */
static void push_blas(lua_State *L) {
    const char *text = rh_gemm_version();
    size_t n = strcspn(text, " ");
    if (text[n] == ' ') n += 1 + strcspn(text + n + 1, " ");
    lua_pushlstring(L, text, n);
}

/* rlhf.info() -> {version, blas, blas_core, isa, isa_supported = {...}, threads, processors, onednn} */
static int info(lua_State *L) {
    rhl_state_of(L);
    lua_createtable(L, 0, 8);
    lua_pushliteral(L, VERSION), lua_setfield(L, -2, "version");
    push_blas(L), lua_setfield(L, -2, "blas");
    lua_pushstring(L, rh_gemm_core()), lua_setfield(L, -2, "blas_core");
    lua_pushstring(L, rh_isa_name()), lua_setfield(L, -2, "isa");
    lua_newtable(L);
    const char *const *names = rh_isa_supported();
    for (int i = 0; names[i]; i++) lua_pushstring(L, names[i]), lua_rawseti(L, -2, i + 1);
    lua_setfield(L, -2, "isa_supported");
    lua_pushinteger(L, rh_threads()), lua_setfield(L, -2, "threads");
    lua_pushinteger(L, rh_processors()), lua_setfield(L, -2, "processors");
    lua_pushboolean(L, false), lua_setfield(L, -2, "onednn");
    return 1;
}

__attribute__((visibility("default"))) int luaopen_rlhf_corelib(lua_State *L);

int luaopen_rlhf_corelib(lua_State *L) {
    const luaL_Reg functions[] = {{"info", info}, {"nearest", rhl_nearest_word}, {NULL, NULL}};
    luaL_checkversion(L);
    rhl_state *state = state_for(L);
    if (rh_isa_choose(state->ctx, getenv("RLHF_ISA")) != RH_OK)
        return luaL_error(L, "%s", state->ctx->error.text);
    rh_gemm_warm_up();
    lua_newtable(L);
    rhl_setfuncs(L, state, functions);
    rhl_open_tensor(L, state);
    rhl_open_table(L, state);
    rhl_open_print(L, state);
    rhl_open_rows(L, state);
    rhl_open_index(L, state);
    rhl_open_make(L, state);
    rhl_open_grad(L, state);
    rhl_open_scope(L, state);
    rhl_open_memory(L, state);
    rhl_open_optim(L, state);
    rhl_open_nn(L, state);
    rhl_open_generate(L, state);
    rhl_open_rl(L, state);
    rhl_open_io(L, state);
    rhl_open_text(L, state);
    rhl_open_debug(L, state);
    return 1;
}
