/* Tensors as Lua sees them: handles, what every tensor answers, and reading values out. */
#include <string.h>

#include "bind/bind.h"

rhl_handle *rhl_push_handle(lua_State *L) {
    rhl_handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    memset(h, 0, sizeof *h);
    luaL_setmetatable(L, RHL_TENSOR);
    return h;
}

void rhl_handle_close(rhl_handle *h) {
    rh_tensor *t = h->t;
    h->t = NULL;
    if (h->before) h->before->after = h->after;
    if (h->after) h->after->before = h->before;
    h->before = h->after = NULL;
    h->scope = NULL;
    rh_tensor_release(t);
}

rh_tensor *rhl_test_tensor(lua_State *L, int index, int arg) {
    rhl_handle *h = luaL_testudata(L, index, RHL_TENSOR);
    if (!h) return NULL;
    if (!h->t) luaL_argerror(L, arg, "attempt to use a closed tensor");
    return h->t;
}

rh_tensor *rhl_check_tensor(lua_State *L, int arg) {
    rhl_handle *h = luaL_checkudata(L, arg, RHL_TENSOR);
    if (!h->t) luaL_argerror(L, arg, "attempt to use a closed tensor");
    return h->t;
}

/* __gc, __close and :close() */
static int tensor_close(lua_State *L) {
    rhl_handle_close(luaL_checkudata(L, 1, RHL_TENSOR));
    return 0;
}

static int tensor_shape(lua_State *L) {
    rh_tensor *t = rhl_check_tensor(L, 1);
    lua_createtable(L, t->rank, 0);
    for (int d = 0; d < t->rank; d++) {
        lua_pushinteger(L, t->shape[d]);
        lua_rawseti(L, -2, d + 1);
    }
    return 1;
}

static int tensor_dtype(lua_State *L) {
    lua_pushstring(L, rh_dtype_name(rhl_check_tensor(L, 1)->dtype));
    return 1;
}

static const luaL_Reg metamethods[] = {
    {"__gc", tensor_close}, {"__close", tensor_close}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"close", tensor_close}, {"shape", tensor_shape}, {"dtype", tensor_dtype}, {NULL, NULL}};

/* The metatable's __index is the table of methods until b_index.c puts its function over it. */
void rhl_open_tensor(lua_State *L, rhl_state *state) {
    luaL_newmetatable(L, RHL_TENSOR);
    rhl_setfuncs(L, state, metamethods);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    rhl_setfuncs(L, state, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
