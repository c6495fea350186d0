/* Making tensors from Lua values. */
#include "bind/bind.h"

static int make_tensor(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    int64_t n = luaL_len(L, 1);
    rhl_handle *h = rhl_push_handle(L);
    h->t = rh_tensor_new(state->ctx, RH_F32, 1, &n);
    if (!h->t) return rhl_raise(L, state, 1);
    for (int64_t i = 0; i < n; i++) {
        lua_geti(L, 1, i + 1);
        rh_f32(h->t)[i] = (float)luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    return 1;
}

static int requires_grad(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_tensor *t = rhl_check_tensor(L, 1);
    bool wanted = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
    if (rh_requires_grad_set(t, wanted) != RH_OK) return rhl_raise(L, state, 1);
    lua_settop(L, 1);
    return 1;
}

static int backward(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    if (rh_backward(rhl_check_tensor(L, 1), NULL, false) != RH_OK) return rhl_raise(L, state, 1);
    return 0;
}

static int grad(lua_State *L) {
    rh_tensor *t = rhl_check_tensor(L, 1);
    rhl_handle *h = rhl_push_handle(L);
    rh_tensor *g = rh_grad(t);
    if (!g) return lua_pushnil(L), 1;
    h->t = rh_tensor_retain(g);
    return 1;
}

static int totable(lua_State *L) {
    rh_tensor *t = rhl_check_tensor(L, 1);
    lua_newtable(L);
    for (int64_t i = 0; i < rh_tensor_numel(t); i++) lua_pushnumber(L, rh_f32(t)[i]), lua_rawseti(L, -2, i + 1);
    return 1;
}

void rhl_open_make(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {{"tensor", make_tensor}, {NULL, NULL}};
    const luaL_Reg methods[] = {{"requires_grad", requires_grad}, {"backward", backward}, {"grad", grad}, {"totable", totable}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
    luaL_getmetatable(L, RHL_TENSOR);
    lua_getfield(L, -1, "__index");
    rhl_setfuncs(L, state, methods);
    lua_pop(L, 2);
}
