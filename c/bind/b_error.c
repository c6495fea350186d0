/* From statuses to Lua errors. */
#include <string.h>

#include "bind/bind.h"

int rhl_raise_at(lua_State *L, rhl_state *state, int arg) {
    const rh_error *e = &state->ctx->error;
    return arg > 0 ? luaL_argerror(L, arg, lua_pushstring(L, e->text))
                   : luaL_error(L, "%s", e->text);
}

int rhl_raise(lua_State *L, rhl_state *state, int first_arg) {
    int operand = state->ctx->error.operand;
    return rhl_raise_at(L, state, operand >= 0 && operand < 1000 ? first_arg + operand : 0);
}

int rhl_nil_message(lua_State *L, rhl_state *state) {
    lua_pushnil(L);
    lua_pushstring(L, state->ctx->error.text);
    return 2;
}

/* Levenshtein distance of short words; words longer than the row of costs are taken as far away. */
enum { LONGEST = 40 };
static int distance(const char *a, const char *b) {
    int cost[LONGEST + 1], la = (int)strlen(a), lb = (int)strlen(b);
    if (la > LONGEST || lb > LONGEST) return LONGEST;
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

int rhl_unknown_option(lua_State *L, int arg, const char *key, const char *const *names) {
    const char *best = NULL;
    int least = LONGEST;
    for (; *names; names++) {
        int d = distance(key, *names);
        if (d < least) least = d, best = *names;
    }
    lua_pushfstring(L, best ? "unknown option '%s' (did you mean '%s'?)" : "unknown option '%s'",
                    key, best);
    return luaL_argerror(L, arg, lua_tostring(L, -1));
}
