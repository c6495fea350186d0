/* Tensors as Lua sees them: the life of handles, and what every tensor answers about itself. The
 * metatable and the table of methods are made here; other files add to them. */
#include <string.h>

#include "bind/bind.h"
#include "tensor/shape.h"

static const char metatable_key = 0, methods_key = 0; /* their addresses are registry keys */

rhl_handle *rhl_push_handle(lua_State *L) {
    rhl_handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (rhl_handle){0};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_setmetatable(L, -2);
    return h;
}

rh_tensor *rhl_push_new(lua_State *L, rhl_state *state, rh_dtype dtype, int rank,
                        const int64_t *shape) {
    rhl_handle *h = rhl_push_handle(L);
    h->t = rh_tensor_new(state->ctx, dtype, rank, shape);
    if (!h->t && rhl_collect_for_retry(L, state, state->ctx->error.code))
        h->t = rh_tensor_new(state->ctx, dtype, rank, shape);
    if (!h->t) rhl_raise_at(L, state, 0);
    rhl_scope_own(L, state, h);
    return h->t;
}

void rhl_handle_close(rhl_handle *h) {
    rh_tensor *t = h->t;
    h->t = NULL;
    rhl_scope_disown(h);
    rh_tensor_release(t);
}

rhl_handle *rhl_test_handle(lua_State *L, int index) {
    rhl_handle *h = lua_touserdata(L, index);
    if (!h || !lua_getmetatable(L, index)) return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    if (!lua_rawequal(L, -1, -2)) h = NULL;
    lua_pop(L, 2);
    return h;
}

rh_tensor *rhl_test_tensor(lua_State *L, int index, int arg) {
    rhl_handle *h = rhl_test_handle(L, index);
    if (!h) return NULL;
    if (!h->t) rhl_argerror(L, arg, "attempt to use a closed tensor");
    return h->t;
}

rh_tensor *rhl_check_tensor(lua_State *L, int arg) {
    rh_tensor *t = rhl_test_tensor(L, arg, arg);
    if (!t) rhl_typeerror(L, arg, RHL_TENSOR);
    return t;
}

rh_tensor *rhl_hold(lua_State *L, int arg) {
    rhl_handle *h = rhl_push_handle(L);
    h->t = rh_tensor_retain(rhl_check_tensor(L, arg));
    return h->t;
}

/* __gc, __close and :close() */
static int tensor_close(lua_State *L) {
    rhl_handle *h = rhl_test_handle(L, 1);
    if (!h) rhl_typeerror(L, 1, RHL_TENSOR);
    rhl_handle_close(h);
    return 0;
}

static int tensor_shape(lua_State *L) {
    rh_tensor *t = rhl_check_tensor(L, 1);
    int rank = t->rank;
    int64_t shape[RH_MAX_RANK];
    memcpy(shape, t->shape, sizeof shape);
    lua_createtable(L, rank, 0);
    for (int d = 0; d < rank; d++) {
        lua_pushinteger(L, shape[d]);
        lua_rawseti(L, -2, d + 1);
    }
    return 1;
}

static int tensor_dtype(lua_State *L) {
    lua_pushstring(L, rh_dtype_name(rhl_check_tensor(L, 1)->dtype));
    return 1;
}

static int tensor_numel(lua_State *L) {
    lua_pushinteger(L, rh_tensor_numel(rhl_check_tensor(L, 1)));
    return 1;
}

/* p:name() -> its name or nil; p:name(text) names it */
static int tensor_name(lua_State *L) {
    rh_tensor *t = rhl_check_tensor(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        if (rh_tensor_set_name(t, luaL_checkstring(L, 2)) != RH_OK)
            return rhl_raise(L, rhl_state_of(L), 1);
        lua_settop(L, 1);
        return 1;
    }
    lua_pushstring(L, t->name);
    return 1;
}

/* #x: the size of the first dimension */
static int tensor_len(lua_State *L) {
    rh_tensor *t = rhl_check_tensor(L, 1);
    if (t->rank == 0) luaL_error(L, "a scalar tensor has no length");
    lua_pushinteger(L, t->shape[0]);
    return 1;
}

static int tensor_item(lua_State *L) {
    rh_tensor *t = rhl_check_tensor(L, 1);
    if (rh_tensor_numel(t) != 1) {
        char text[RH_SHAPE_TEXT];
        rhl_argerror(L, 1, lua_pushfstring(L, "one element wanted, got %s",
                                           rh_shape_text(t->rank, t->shape, text)));
    }
    rhl_push_value(L, t, t->offset);
    return 1;
}

static int tensor_detach(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    rhl_handle *h = rhl_push_handle(L);
    h->t = rh_tensor_detach(rhl_check_tensor(L, 1));
    if (!h->t && rhl_collect_for_retry(L, state, state->ctx->error.code))
        h->t = rh_tensor_detach(rhl_check_tensor(L, 1));
    if (!h->t) return rhl_raise(L, state, 1);
    rhl_scope_own(L, state, h);
    return 1;
}

/* Two handles of one tensor are equal. Closed ones only to themselves, which Lua has seen to. */
static int tensor_eq(lua_State *L) {
    const rhl_handle *a = rhl_test_handle(L, 1), *b = rhl_test_handle(L, 2);
    lua_pushboolean(L, a && b && a->t && a->t == b->t);
    return 1;
}

static const luaL_Reg metamethods[] = {{"__gc", tensor_close}, {"__close", tensor_close},
                                       {"__len", tensor_len}, {"__eq", tensor_eq}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"close", tensor_close}, {"shape", tensor_shape}, {"dtype", tensor_dtype},
    {"numel", tensor_numel}, {"item", tensor_item},   {"detach", tensor_detach},
    {"name", tensor_name},   {NULL, NULL}};

void rhl_push_methods(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &methods_key); }

void rhl_add_methods(lua_State *L, rhl_state *state, const luaL_Reg *list) {
    rhl_push_methods(L);
    rhl_setfuncs(L, state, list);
    lua_pop(L, 1);
}

void rhl_add_metamethods(lua_State *L, rhl_state *state, const luaL_Reg *list) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    rhl_setfuncs(L, state, list);
    lua_pop(L, 1);
}

void rhl_open_tensor(lua_State *L, rhl_state *state) {
    luaL_newmetatable(L, RHL_TENSOR);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &methods_key);
    rhl_add_metamethods(L, state, metamethods);
    rhl_add_methods(L, state, methods);
}
