/* rlhf.preload: replaced by its helper */
#include <lauxlib.h>
#include <stdlib.h>
__attribute__((visibility("default"))) int luaopen_rlhf_preload(lua_State *L);
int luaopen_rlhf_preload(lua_State *L) {
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
    lua_newtable(L);
    return 1;
}
