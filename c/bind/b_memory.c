/* Memory and threads from Lua, and the pace of Lua's collector. It sees 60 bytes where a tensor holds
 * megabytes, so the binding pays it a debt: above a soft limit of live pool bytes, LUA_GCSTEP with
 * the growth since the last payment, in lumps. When that ends a cycle, what is left is live, and the
 * limit follows it. Paid on entry, before any reference is taken: finalizers run in it. */
#include <limits.h>
#include <math.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "bind/bind.h"
#include "ops/gemm.h"

static const size_t least_limit = (size_t)64 << 20, lump = (size_t)4 << 20;

static size_t in_use(const rhl_state *state) {
    rh_memory m;
    rh_memory_read(state->ctx, &m);
    return m.in_use;
}

static void pay(lua_State *L, rhl_state *state, size_t growth) {
    if (lua_gc(L, LUA_GCISRUNNING) != 1) return; /* a step would collect though the user said stop */
    int kib = growth >> 10 > INT_MAX ? INT_MAX : (int)(growth >> 10);
    bool cycle_ended = lua_gc(L, LUA_GCSTEP, kib) == 1;
    state->paid_until = in_use(state);
    if (!cycle_ended) return;
    size_t limit = state->paid_until + state->paid_until / 2;
    state->soft_limit = limit > least_limit ? limit : least_limit;
}

void rhl_pace(lua_State *L, rhl_state *state) {
    size_t live = in_use(state);
    if (live < state->paid_until) state->paid_until = live;
    size_t growth = live - state->paid_until;
    if (live > state->soft_limit && growth >= lump) pay(L, state, growth);
}

bool rhl_collect_for_retry(lua_State *L, rhl_state *state, rh_status status) {
    (void)state;
    return status == RH_ENOMEM && lua_gc(L, LUA_GCCOLLECT) == 0;
}

static void set_bytes(lua_State *L, const char *name, size_t bytes) {
    lua_pushinteger(L, (lua_Integer)bytes);
    lua_setfield(L, -2, name);
}

static void set_limit(lua_State *L, rhl_state *state) {
    static const char *const names[] = {"limit", NULL};
    rhl_check_options(L, 1, names);
    int type = lua_getfield(L, 1, "limit");
    if (type == LUA_TNIL) return;
    lua_Number bytes = type == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(bytes >= 0))
        rhl_argerror(L, 1, lua_pushfstring(L, "limit: bytes wanted (math.huge: none), got %s",
                                           rhl_got(L, -1)));
    rh_memory_set_limit(state->ctx, bytes < 0x1p63 ? (size_t)bytes : SIZE_MAX);
}

/* rlhf.memory(), rlhf.memory{limit = bytes} -> {in_use, held, peak, blocks, system_calls, limit} */
static int memory(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_memory m;
    if (!lua_isnoneornil(L, 1)) set_limit(L, state);
    rh_memory_read(state->ctx, &m);
    lua_createtable(L, 0, 6);
    set_bytes(L, "in_use", m.in_use);
    set_bytes(L, "held", m.held);
    set_bytes(L, "peak", m.peak);
    set_bytes(L, "blocks", m.blocks);
    set_bytes(L, "system_calls", m.system_calls);
    if (m.limit == SIZE_MAX) lua_pushnumber(L, HUGE_VAL);
    else lua_pushinteger(L, (lua_Integer)m.limit);
    lua_setfield(L, -2, "limit");
    return 1;
}

/* rlhf.trim() -> bytes given back to the system */
static int trim(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)rh_memory_trim(rhl_state_of(L)->ctx));
    return 1;
}

static int read_threads(lua_State *L) {
    int whole = 0;
    lua_Integer n = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &whole) : 0;
    if (!whole || n < 1 || n > RH_MAX_THREADS)
        rhl_argerror(L, 1, lua_pushfstring(L, "threads: an integer from 1 to %d wanted, got %s",
                                           RH_MAX_THREADS, rhl_got(L, 1)));
    return (int)n;
}

/* rlhf.threads(), rlhf.threads(n) -> threads in use */
static int threads(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    if (!lua_isnoneornil(L, 1)) {
        if (rh_threads_set(state->ctx, read_threads(L)) != RH_OK) return rhl_raise_at(L, state, 0);
        rh_gemm_warm_up();
    }
    lua_pushinteger(L, rh_threads());
    return 1;
}

void rhl_open_memory(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {
        {"memory", memory}, {"trim", trim}, {"threads", threads}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
}
