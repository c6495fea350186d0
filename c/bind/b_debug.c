/* core.debug: counters and faults that specs ask for. Nothing here is for users. */
#include <string.h>

#include "base/pool.h"
#include "bind/signature.h"

/* debug.fail_alloc(n, sticky): the n-th allocation from now fails, and with sticky each after it;
 * 0: none any more. debug.fail_alloc() -> how many are left to go, 0 once it has failed. */
static int fail_alloc(lua_State *L) {
    rh_faults *faults = &rhl_state_of(L)->ctx->faults;
    if (lua_isnone(L, 1)) return lua_pushinteger(L, faults->alloc_countdown), 1;
    faults->alloc_countdown = luaL_checkinteger(L, 1);
    faults->alloc_sticky = lua_toboolean(L, 2);
    return 0;
}

/* debug.scale_gradient(row, factor): the row's gradients are wrong by that factor; nil: none */
static int scale_gradient(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_faults *faults = &state->ctx->faults;
    faults->scaled_row = NULL;
    if (lua_isnoneornil(L, 1)) return 0;
    const rhl_signature *sig = rhl_find_row(state, luaL_checkstring(L, 1));
    luaL_argcheck(L, sig, 1, "no such row");
    faults->scale = (float)luaL_checknumber(L, 2);
    faults->scaled_row = sig->row;
    return 0;
}

/* debug.blocks() -> live blocks of the pool */
static int blocks(lua_State *L) {
    rh_memory m;
    rh_memory_read(rhl_state_of(L)->ctx, &m);
    lua_pushinteger(L, (lua_Integer)m.blocks);
    return 1;
}

static int reset_peak(lua_State *L) {
    rh_memory_reset_peak(rhl_state_of(L)->ctx);
    return 0;
}

/* debug.version(x) -> changes in place that x's storage has seen */
static int version(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)rhl_check_tensor(L, 1)->storage->version);
    return 1;
}

/* debug.strides(x) -> {...} in elements, and the offset */
static int strides(lua_State *L) {
    const rh_tensor *t = rhl_check_tensor(L, 1);
    int64_t s[RH_MAX_RANK], offset = t->offset;
    int rank = t->rank;
    memcpy(s, t->strides, sizeof s);
    lua_createtable(L, rank, 0);
    for (int d = 0; d < rank; d++) lua_pushinteger(L, s[d]), lua_rawseti(L, -2, d + 1);
    lua_pushinteger(L, offset);
    return 2;
}

/* debug.requires_grad(x) -> boolean, and the name of the row that made it */
static int requires_grad(lua_State *L) {
    const rh_tensor *t = rhl_check_tensor(L, 1);
    lua_pushboolean(L, rh_requires_grad(t));
    lua_pushstring(L, rh_made_by(t));
    return 2;
}

void rhl_open_debug(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {
        {"fail_alloc", fail_alloc}, {"scale_gradient", scale_gradient}, {"blocks", blocks},
        {"reset_peak", reset_peak}, {"version", version}, {"strides", strides},
        {"requires_grad", requires_grad}, {NULL, NULL}};
    lua_newtable(L);
    rhl_setfuncs(L, state, functions);
    lua_setfield(L, -2, "debug");
}
