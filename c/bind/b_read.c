/* Readers of arguments that several files of the binding share. */
#include <string.h>

#include "bind/bind.h"

int64_t rhl_read_position(lua_State *L, int index, int arg, const char *what) {
    int whole = 0;
    lua_Integer v = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
    if (!whole)
        rhl_argerror(L, arg, lua_pushfstring(L, "%s: integer wanted, got %s", what,
                                             rhl_got(L, index)));
    if (v == 0)
        rhl_argerror(L, arg,
                     lua_pushfstring(L, "%s counts from 1 (or from the end: -1), got 0", what));
    return v > 0 ? v - 1 : v;
}

static int64_t read_size(lua_State *L, int arg, int d) {
    int whole = 0;
    lua_Integer v = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
    if (!whole || v < 0)
        rhl_argerror(L, arg, lua_pushfstring(L, "size %d: an integer from 0 wanted, got %s", d + 1,
                                             rhl_got(L, -1)));
    return v;
}

int rhl_read_shape(lua_State *L, int arg, int last, int64_t shape[RH_MAX_RANK]) {
    bool list = lua_istable(L, arg);
    lua_Integer n = list ? luaL_len(L, arg) : last - arg + 1;
    if (list) rhl_check_plain_list(L, arg);
    if (n > RH_MAX_RANK)
        rhl_argerror(L, arg, lua_pushfstring(L, "%I dimensions: at most %d", n, RH_MAX_RANK));
    for (int d = 0; d < (int)n; d++) {
        if (list) lua_geti(L, arg, d + 1);
        else lua_pushvalue(L, arg + d);
        shape[d] = read_size(L, list ? arg : arg + d, d);
        lua_pop(L, 1);
    }
    return (int)n;
}

rh_dtype rhl_read_dtype(lua_State *L, int index, int arg) {
    const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
    for (int d = 0; d < RH_BF16; d++)
        if (strcmp(name, rh_dtype_name((rh_dtype)d)) == 0) return (rh_dtype)d;
    rhl_argerror(L, arg, lua_pushfstring(L, "dtype: one of 'f32', 'i64', 'bool' wanted, got %s",
                                         rhl_got(L, index)));
    return RH_F32;
}

static bool among(const char *key, const char *const *names) {
    for (; *names; names++)
        if (strcmp(key, *names) == 0) return true;
    return false;
}

void rhl_check_options(lua_State *L, int arg, const char *const *names) {
    if (lua_isnoneornil(L, arg)) return;
    if (!lua_istable(L, arg)) rhl_typeerror(L, arg, "table of options");
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            rhl_argerror(L, arg, lua_pushfstring(L, "option names are strings, got %s",
                                                 rhl_got(L, -2)));
        if (!among(lua_tostring(L, -2), names))
            rhl_unknown_option(L, arg, lua_tostring(L, -2), names);
    }
}

/* Keys after the last element in the table's own order: all named ones are among them. */
void rhl_check_plain_list(lua_State *L, int arg) {
    lua_Unsigned n = lua_rawlen(L, arg);
    if (n > 0) lua_pushinteger(L, (lua_Integer)n);
    else lua_pushnil(L);
    for (; lua_next(L, arg); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING)
            rhl_argerror(L, arg, lua_pushfstring(L, "a list has no field '%s': options are a table "
                                                 "of their own, after it", lua_tostring(L, -2)));
}
