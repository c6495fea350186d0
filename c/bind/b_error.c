/* From statuses to Lua errors. A message names the function as the user knows it, whatever the local
 * variable is called that it was reached through: from upvalue 2. */
#include <string.h>

#include "bind/bind.h"

int rhl_argerror(lua_State *L, int arg, const char *text) {
    lua_Debug ar;
    if (lua_type(L, lua_upvalueindex(2)) != LUA_TSTRING || !lua_getstack(L, 0, &ar))
        return luaL_argerror(L, arg, text);
    const char *name = lua_tostring(L, lua_upvalueindex(2));
    lua_getinfo(L, "n", &ar);
    if (strcmp(ar.namewhat, "method") == 0 && --arg == 0)
        return luaL_error(L, "calling '%s' on bad self (%s)", name, text);
    return luaL_error(L, "bad argument #%d to '%s' (%s)", arg, name, text);
}

const char *rhl_typename(lua_State *L, int index) {
    if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) return lua_tostring(L, -1);
    return lua_islightuserdata(L, index) ? "light userdata" : luaL_typename(L, index);
}

const char *rhl_got(lua_State *L, int index) {
    enum { SHOWN = 40 };
    size_t n;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: case LUA_TBOOLEAN: return luaL_tolstring(L, index, NULL);
    case LUA_TSTRING: break;
    default: return rhl_typename(L, index);
    }
    const char *text = lua_tolstring(L, index, &n);
    if (n <= SHOWN) return lua_pushfstring(L, "'%s'", text);
    lua_pushlstring(L, text, SHOWN);
    return lua_pushfstring(L, "'%s...'", lua_tostring(L, -1));
}

int rhl_typeerror(lua_State *L, int arg, const char *wanted) {
    return rhl_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", wanted,
                                                rhl_typename(L, arg)));
}

int rhl_raise_at(lua_State *L, rhl_state *state, int arg) {
    const char *text = lua_pushstring(L, state->ctx->error.text);
    return arg > 0 ? rhl_argerror(L, arg, text) : luaL_error(L, "%s", text);
}

int rhl_raise(lua_State *L, rhl_state *state, int first_arg) {
    int operand = state->ctx->error.operand;
    return rhl_raise_at(L, state, operand >= 0 && operand < RH_OPTION(0) ? first_arg + operand : 0);
}

int rhl_nil_message(lua_State *L, rhl_state *state) {
    lua_pushnil(L);
    lua_pushstring(L, state->ctx->error.text);
    return 2;
}

/* Levenshtein distance of the words' first LONGEST letters. */
enum { LONGEST = 40 };
static int distance(const char *a, const char *b) {
    int cost[LONGEST + 1], la = (int)strnlen(a, LONGEST), lb = (int)strnlen(b, LONGEST);
    for (int j = 0; j <= lb; j++) cost[j] = j;
    for (int i = 1; i <= la; i++) {
        int corner = cost[0];
        cost[0] = i;
        for (int j = 1; j <= lb; j++) {
            int best = corner + (a[i - 1] != b[j - 1]);
            if (cost[j] + 1 < best) best = cost[j] + 1;
            if (cost[j - 1] + 1 < best) best = cost[j - 1] + 1;
            corner = cost[j];
            cost[j] = best;
        }
    }
    return cost[lb];
}

/* A word that another begins with is as near as one letter off: "tol" means "tolerance". */
const char *rhl_nearest(const char *word, const char *const *names) {
    const char *best = NULL;
    int least = LONGEST + 1;
    for (; *names; names++) {
        bool begins = *word && strncmp(word, *names, strlen(word)) == 0;
        int d = begins ? 1 : distance(word, *names);
        if (d < least) least = d, best = *names;
    }
    return best;
}

/* core.nearest(word, words): for option.lua */
int rhl_nearest_word(lua_State *L) {
    const char *word = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t n = lua_rawlen(L, 2);
    const char **names = lua_newuserdatauv(L, (n + 1) * sizeof *names, 0);
    for (size_t i = 0; i < n; i++) {
        if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TSTRING)
            return rhl_argerror(L, 2, "strings wanted");
        names[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    names[n] = NULL;
    lua_pushstring(L, rhl_nearest(word, names));
    return 1;
}

int rhl_unknown_option(lua_State *L, int arg, const char *key, const char *const *names) {
    const char *best = rhl_nearest(key, names);
    if (!best) lua_pushfstring(L, "unknown option '%s': there are no options", key);
    else lua_pushfstring(L, "unknown option '%s' (did you mean '%s'?)", key, best);
    return rhl_argerror(L, arg, lua_tostring(L, -1));
}
