#include "bind/bind.h"
void rhl_open_debug(lua_State *L, rhl_state *state) { (void)L; (void)state; }
