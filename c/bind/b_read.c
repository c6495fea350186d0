/* Readers of arguments that several files of the binding share. */
#include <string.h>

#include "bind/bind.h"

int64_t rhl_read_position(lua_State *L, int index, int arg, const char *what) {
    int whole;
    lua_Integer v = lua_tointegerx(L, index, &whole);
    if (!whole)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s: integer wanted, got %s", what,
                                              luaL_tolstring(L, index, NULL)));
    if (v == 0)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s counts from 1 (or from the end: -1), got 0", what));
    return v > 0 ? v - 1 : v;
}

int rhl_read_shape(lua_State *L, int arg, int64_t shape[RH_MAX_RANK]) {
    bool list = lua_istable(L, arg);
    lua_Integer n = list ? luaL_len(L, arg) : lua_gettop(L) - arg + 1;
    if (n > RH_MAX_RANK)
        luaL_argerror(L, arg, lua_pushfstring(L, "%I dimensions: at most %d", n, RH_MAX_RANK));
    for (int d = 0; d < (int)n; d++) {
        int at = list ? arg : arg + d, whole;
        if (list) lua_geti(L, arg, d + 1);
        else lua_pushvalue(L, at);
        shape[d] = lua_tointegerx(L, -1, &whole);
        if (!whole || shape[d] < 0)
            luaL_argerror(L, at, lua_pushfstring(L, "size %d: an integer from 0 wanted, got %s", d + 1,
                                                 luaL_tolstring(L, -1, NULL)));
        lua_pop(L, 1);
    }
    return (int)n;
}

rh_dtype rhl_read_dtype(lua_State *L, int index, int arg) {
    const char *name = lua_tostring(L, index);
    for (int d = 0; name && d < RH_BF16; d++)
        if (strcmp(name, rh_dtype_name((rh_dtype)d)) == 0) return (rh_dtype)d;
    luaL_argerror(L, arg, lua_pushfstring(L, "dtype 'f32', 'i64' or 'bool' wanted, got %s",
                                          luaL_tolstring(L, index, NULL)));
    return RH_F32;
}
