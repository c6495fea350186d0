/* Scopes: `local scope <close> = rlhf.scope()` releases at its end what operations returned to Lua
 * in the coroutine that opened it. The tensors' handles form a list through themselves, so owning one
 * costs no memory and a collected handle leaves without a trace.
 *
 * Open scopes form a list in which those of one coroutine stand newest first; the one in use moves to
 * the front. A scope keeps its coroutine alive (user value 1), so the address means no other. */
#include "bind/bind.h"

#define SCOPE "rlhf.scope"

struct rhl_scope {
    rhl_state *state;
    lua_State *thread; /* compared, never used */
    bool open;
    rhl_scope *newer, *older;
    rhl_handle *first;
};

static void link_scope(rhl_scope *s) {
    s->newer = NULL;
    s->older = s->state->scopes;
    if (s->older) s->older->newer = s;
    s->state->scopes = s;
}

static void unlink_scope(rhl_scope *s) {
    if (s->newer) s->newer->older = s->older;
    else s->state->scopes = s->older;
    if (s->older) s->older->newer = s->newer;
}

/* The next scope at or behind s that this coroutine opened. */
static rhl_scope *of_thread(rhl_scope *s, const lua_State *thread) {
    while (s && s->thread != thread) s = s->older;
    return s;
}

static void own(rhl_scope *s, rhl_handle *h) {
    h->scope = s;
    h->before = NULL;
    h->after = s->first;
    if (s->first) s->first->before = h;
    s->first = h;
}

void rhl_scope_disown(rhl_handle *h) {
    if (!h->scope) return;
    if (h->before) h->before->after = h->after;
    else h->scope->first = h->after;
    if (h->after) h->after->before = h->before;
    h->before = h->after = NULL;
    h->scope = NULL;
}

void rhl_scope_own(lua_State *L, rhl_state *state, rhl_handle *h) {
    rhl_scope *s = of_thread(state->scopes, L);
    if (!s) return;
    if (s != state->scopes) {
        unlink_scope(s);
        link_scope(s);
    }
    own(s, h);
}

static rhl_scope *check_scope(lua_State *L) {
    rhl_scope *s = luaL_testudata(L, 1, SCOPE);
    if (!s) rhl_typeerror(L, 1, SCOPE);
    return s;
}

/* rlhf.scope() */
static int scope_open(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_scope *s = lua_newuserdatauv(L, sizeof *s, 1);
    *s = (rhl_scope){.state = state, .thread = L};
    lua_pushthread(L);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, SCOPE);
    link_scope(s);
    s->open = true;
    return 1;
}

/* A scope that was dropped unclosed just ends: closing tensors then, some of them in use, would make a
 * program depend on when the collector runs. */
static int scope_gc(lua_State *L) {
    rhl_scope *s = check_scope(L);
    if (!s->open) return 0;
    s->open = false;
    while (s->first) rhl_scope_disown(s->first);
    unlink_scope(s);
    return 0;
}

/* __close and :close() */
static int scope_close(lua_State *L) {
    rhl_scope *s = check_scope(L);
    if (!s->open) return 0;
    s->open = false;
    while (s->first) rhl_handle_close(s->first);
    unlink_scope(s);
    return 0;
}

/* Is h in s, or in a scope opened inside it? */
static bool within(const rhl_handle *h, const rhl_scope *s) {
    for (rhl_scope *at = h->scope; at; at = of_thread(at->older, s->thread))
        if (at == s) return true;
    return false;
}

/* scope:keep(t, ...) -> t, ...: they outlive this scope, and belong to the one around it if any */
static int scope_keep(lua_State *L) {
    rhl_scope *s = check_scope(L);
    if (!s->open) rhl_argerror(L, 1, "attempt to use a closed scope");
    rhl_scope *around = of_thread(s->older, s->thread);
    int last = lua_gettop(L);
    for (int arg = 2; arg <= last; arg++) rhl_check_tensor(L, arg);
    for (int arg = 2; arg <= last; arg++) {
        rhl_handle *h = lua_touserdata(L, arg);
        if (!within(h, s)) continue;
        rhl_scope_disown(h);
        if (around) own(around, h);
    }
    return last - 1;
}

static int scope_tostring(lua_State *L) {
    const rhl_scope *s = check_scope(L);
    lua_Integer n = 0;
    for (const rhl_handle *h = s->first; h; h = h->after) n++;
    if (s->open) lua_pushfstring(L, "scope (%I tensors)", n);
    else lua_pushliteral(L, "scope (closed)");
    return 1;
}

/* core.unscoped(t, ...) -> t, ...: they belong to no scope, for objects that hold tensors of their own */
static int unscoped(lua_State *L) {
    int n = lua_gettop(L);
    for (int arg = 1; arg <= n; arg++) {
        rhl_handle *h = rhl_test_handle(L, arg);
        if (!h) return rhl_typeerror(L, arg, RHL_TENSOR);
        rhl_scope_disown(h);
    }
    return n;
}

void rhl_open_scope(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {{"scope", scope_open}, {"unscoped", unscoped}, {NULL, NULL}};
    const luaL_Reg metamethods[] = {{"__gc", scope_gc}, {"__close", scope_close},
                                    {"__tostring", scope_tostring}, {NULL, NULL}};
    const luaL_Reg methods[] = {{"keep", scope_keep}, {"close", scope_close}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
    rhl_new_class(L, state, SCOPE, metamethods, methods);
}
