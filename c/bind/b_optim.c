#include "bind/bind.h"
void rhl_open_optim(lua_State *L, rhl_state *state) { (void)L; (void)state; }
