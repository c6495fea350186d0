#include "bind/bind.h"
void rhl_open_io(lua_State *L, rhl_state *state) { rhl_open_json(L, state); }
