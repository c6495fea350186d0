#include "bind/bind.h"
struct rhl_scope { int x; };
void rhl_scope_own(lua_State *L, rhl_state *state, rhl_handle *h) { (void)L; (void)state; (void)h; }
void rhl_open_scope(lua_State *L, rhl_state *state) { (void)L; (void)state; }
