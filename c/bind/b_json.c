/* JSON for Lua. Reading: io/json.h's tree becomes tables; arrays carry a metatable that marks them, so
 * that an empty one is still an array when written, and null is a value of its own. The tree stands in
 * a box on the stack while Lua allocates: an error there frees it. Writing is b_json_write.c's. */
#include <string.h>

#include "bind/b_json.h"
#include "io/json.h"

#define BOX "rlhf.json.box"
#define ARRAY "rlhf.array"
#define NULL_VALUE "rlhf.null"

static int box_close(lua_State *L) {
    json_t **box = lua_touserdata(L, 1);
    json_decref(*box);
    *box = NULL;
    return 0;
}

void rhl_push_null(lua_State *L) { lua_getfield(L, LUA_REGISTRYINDEX, NULL_VALUE ".value"); }

static int null_tostring(lua_State *L) {
    lua_pushliteral(L, "null");
    return 1;
}

/* ---- reading ---- */

static void push_value(lua_State *L, json_t *value, bool order);

static void push_array(lua_State *L, json_t *array, bool order) {
    size_t n = json_array_size(array);
    lua_createtable(L, n < 1 << 20 ? (int)n : 1 << 20, 0);
    luaL_setmetatable(L, ARRAY);
    for (size_t i = 0; i < n; i++) {
        push_value(L, json_array_get(array, i), order);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* Gives the object on top of the stack its {__keys = {...}}. */
static void set_key_order(lua_State *L, json_t *object) {
    lua_Integer n = 0;
    lua_createtable(L, 0, 1);
    lua_newtable(L);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        lua_pushstring(L, json_object_iter_key(it));
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "__keys");
    lua_setmetatable(L, -2);
}

static void push_object(lua_State *L, json_t *object, bool order) {
    size_t n = json_object_size(object);
    lua_createtable(L, 0, n < 1 << 20 ? (int)n : 1 << 20);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        lua_pushstring(L, json_object_iter_key(it));
        push_value(L, json_object_iter_value(it), order);
        lua_rawset(L, -3);
    }
    if (order) set_key_order(L, object);
}

static void push_value(lua_State *L, json_t *value, bool order) {
    luaL_checkstack(L, 6, "JSON");
    switch (json_typeof(value)) {
    case JSON_OBJECT: push_object(L, value, order); break;
    case JSON_ARRAY: push_array(L, value, order); break;
    case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
    case JSON_TRUE: lua_pushboolean(L, true); break;
    case JSON_FALSE: lua_pushboolean(L, false); break;
    case JSON_NULL: rhl_push_null(L); break;
    }
}

/* json_decode(text, {order = false, limit = 64 MiB}) -> value | nil, message */
static int json_decode(lua_State *L) {
    static const char *const names[] = {"order", "limit", NULL};
    rhl_state *state = rhl_state_of(L);
    rh_json_limits limits = RH_JSON_LIMITS;
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_settop(L, 2);
    rhl_check_options(L, 2, names);
    bool order = false;
    if (lua_istable(L, 2)) {
        order = lua_getfield(L, 2, "order") != LUA_TNIL && lua_toboolean(L, -1);
        if (lua_getfield(L, 2, "limit") != LUA_TNIL) {
            lua_Integer n = lua_tointeger(L, -1);
            luaL_argcheck(L, n > 0, 2, "limit: a positive integer wanted");
            limits.bytes = (size_t)n;
        }
    }
    json_t **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, BOX);
    rh_status status = rh_json_parse(state->ctx, text, length, limits, box);
    if (status == RH_ENOMEM) return rhl_raise_at(L, state, 0);
    if (status != RH_OK) return rhl_nil_message(L, state);
    push_value(L, *box, order);
    json_decref(*box);
    *box = NULL;
    return 1;
}

/* ---- marks ---- */

/* Whether the metatable of the table at index is the mark of arrays. */
bool rhl_is_array(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    luaL_getmetatable(L, ARRAY);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return marked;
}

/* array(t) -> t, marked: written as an array even when empty. */
static int array(lua_State *L) {
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_setmetatable(L, ARRAY);
    return 1;
}

/* is_array(v): a marked table, as json_decode makes of every JSON array. */
static int is_array(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, lua_istable(L, 1) && rhl_is_array(L, 1));
    return 1;
}

/* A second opening in one state finds the first's null. */
static void make_null(lua_State *L) {
    if (lua_getfield(L, LUA_REGISTRYINDEX, NULL_VALUE ".value") == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newuserdatauv(L, 0, 0);
        luaL_newmetatable(L, NULL_VALUE);
        lua_pushcfunction(L, null_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, NULL_VALUE ".value");
    }
}

void rhl_open_json(lua_State *L, rhl_state *state) {
    static const luaL_Reg functions[] = {
        {"json_decode", json_decode}, {"json_encode", rhl_json_encode}, {"json_keys", rhl_json_keys},
        {"array", array}, {"is_array", is_array}, {NULL, NULL}};
    luaL_newmetatable(L, BOX);
    lua_pushcfunction(L, box_close);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, ARRAY);
    lua_pop(L, 2);
    rhl_setfuncs(L, state, functions);
    make_null(L);
    lua_setfield(L, -2, "null");
}
