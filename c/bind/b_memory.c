#include "bind/bind.h"
void rhl_pace(lua_State *L, rhl_state *state) { (void)L; (void)state; }
bool rhl_collect_for_retry(lua_State *L, rhl_state *state, rh_status status) {
    (void)state;
    if (status != RH_ENOMEM) return false;
    lua_gc(L, LUA_GCCOLLECT);
    return true;
}
void rhl_open_memory(lua_State *L, rhl_state *state) { (void)L; (void)state; }
