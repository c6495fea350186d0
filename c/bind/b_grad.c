/* Gradients from Lua: who wants one, going back, and stretches that record nothing. */
#include "bind/bind.h"

/* x:requires_grad(wanted = true) -> x */
static int requires_grad(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_tensor *t = rhl_check_tensor(L, 1);
    int type = lua_type(L, 2);
    if (type != LUA_TNONE && type != LUA_TNIL && type != LUA_TBOOLEAN)
        rhl_typeerror(L, 2, "boolean");
    bool wanted = type != LUA_TBOOLEAN || lua_toboolean(L, 2);
    rh_status status = rh_requires_grad_set(t, wanted);
    if (rhl_collect_for_retry(L, state, status))
        status = rh_requires_grad_set(rhl_check_tensor(L, 1), wanted);
    if (status != RH_OK) return rhl_raise(L, state, 1);
    lua_settop(L, 1);
    return 1;
}

/* x:grad() -> the gradient's own memory, which the next backward after a step writes over; nil where
 * none has arrived */
static int grad(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_check_tensor(L, 1);
    rhl_handle *h = rhl_push_handle(L);
    rh_tensor *g = rh_grad(rhl_check_tensor(L, 1));
    if (!g) return lua_pushnil(L), 1;
    h->t = rh_tensor_retain(g);
    rhl_scope_own(L, state, h);
    return 1;
}

static bool retain_option(lua_State *L, int arg) {
    static const char *const names[] = {"retain", NULL};
    rhl_check_options(L, arg, names);
    int type = lua_getfield(L, arg, "retain");
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        rhl_argerror(L, arg, lua_pushfstring(L, "retain: true or false wanted, got %s",
                                             luaL_typename(L, -1)));
    return lua_toboolean(L, -1);
}

/* x:backward(gradient, {retain =}); both may be left out. Not tried again when memory is short:
 * gradients of some leaves may have arrived. */
static int backward(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    int last = lua_gettop(L);
    rhl_pace(L, state);
    rhl_check_tensor(L, 1);
    bool retain = last > 1 && lua_istable(L, last) && retain_option(L, last);
    bool seeded = last > 1 && !lua_istable(L, 2) && !lua_isnil(L, 2);
    if (last > 3) rhl_typeerror(L, 4, "nothing");
    if (last == 3 && !lua_istable(L, 3) && !lua_isnil(L, 3)) rhl_typeerror(L, 3, "table of options");
    rh_tensor *seed = seeded ? rhl_check_tensor(L, 2) : NULL;
    if (rh_backward(rhl_check_tensor(L, 1), seed, retain) != RH_OK) return rhl_raise(L, state, 1);
    return 0;
}

/* rlhf.no_grad(f, ...) -> f's results. A protected call, so that the switch comes back in a coroutine
 * whose error nobody unwinds; f can't yield across it, so that it holds nowhere else. */
static int no_grad(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    if (!lua_isfunction(L, 1) && luaL_getmetafield(L, 1, "__call") == LUA_TNIL)
        rhl_typeerror(L, 1, "function");
    else if (!lua_isfunction(L, 1)) lua_pop(L, 1);
    state->ctx->no_grad++;
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    state->ctx->no_grad--;
    if (status != LUA_OK) return lua_error(L);
    return lua_gettop(L);
}

void rhl_open_grad(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {{"no_grad", no_grad}, {NULL, NULL}};
    const luaL_Reg methods[] = {
        {"requires_grad", requires_grad}, {"grad", grad}, {"backward", backward}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
    rhl_add_methods(L, state, methods);
}
