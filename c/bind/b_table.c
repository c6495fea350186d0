/* Nested tables into tensors and back. Tables are read raw: what they hold is what the tensor gets,
 * and no code of the user's runs in between. */
#include <stdio.h>

#include "bind/bind.h"

/* Values being read: where we are, for messages, and where the next element goes. */
typedef struct filling {
    lua_State *L;
    rh_dtype dtype;
    int rank;
    int64_t shape[RH_MAX_RANK];
    int64_t at[RH_MAX_RANK]; /* position at each level, from 1 */
    char *out;
} filling;

/* "[2][3]" of the first `depth` levels, pushed. */
static const char *position(filling *f, int depth) {
    lua_State *L = f->L;
    luaL_Buffer b;
    char text[32];
    luaL_buffinit(L, &b);
    for (int d = 0; d < depth; d++) {
        snprintf(text, sizeof text, "[%lld]", (long long)f->at[d]);
        luaL_addstring(&b, text);
    }
    luaL_pushresult(&b);
    return lua_tostring(L, -1);
}

static void wrong_value(filling *f) {
    const char *got = rhl_got(f->L, -1), *where = position(f, f->rank);
    rhl_argerror(f->L, 1, lua_pushfstring(f->L, "element %s: %s wanted (dtype %s), got %s", where,
                                          rhl_wanted_value(f->dtype), rh_dtype_name(f->dtype), got));
}

static void ragged(filling *f, int depth, const char *got) {
    const char *where = position(f, depth);
    rhl_argerror(f->L, 1, lua_pushfstring(f->L, "ragged: a list of %I wanted at %s, got %s",
                                          f->shape[depth], where, got));
}

/* Reads the table on top, level `depth` of the values. */
static void fill_level(filling *f, int depth) {
    lua_State *L = f->L;
    int64_t n = (int64_t)lua_rawlen(L, -1);
    if (n != f->shape[depth]) ragged(f, depth, lua_pushfstring(L, "%I", n));
    for (int64_t i = 1; i <= n; i++) {
        f->at[depth] = i;
        int type = lua_rawgeti(L, -1, i);
        if (depth + 1 < f->rank) {
            if (type != LUA_TTABLE) ragged(f, depth + 1, rhl_typename(L, -1));
            fill_level(f, depth + 1);
        } else {
            if (!rhl_read_value(L, -1, f->dtype, f->out)) wrong_value(f);
            f->out += rh_dtype_size(f->dtype);
        }
        lua_pop(L, 1);
    }
}

/* The shape that the first element at each level suggests. */
static void find_shape(filling *f, int index) {
    lua_State *L = f->L;
    lua_pushvalue(L, index);
    for (f->rank = 0; lua_istable(L, -1); f->rank++) {
        if (f->rank == RH_MAX_RANK)
            rhl_argerror(L, 1, lua_pushfstring(L, "at most %d dimensions", RH_MAX_RANK));
        f->shape[f->rank] = (int64_t)lua_rawlen(L, -1);
        lua_rawgeti(L, -1, 1);
        lua_remove(L, -2);
    }
    lua_pop(L, 1);
}

/* The options table that ends the arguments, taken off; its dtype, f32 if there is none. It is told
 * from values by standing behind them. */
static rh_dtype take_options(lua_State *L) {
    static const char *const names[] = {"dtype", NULL};
    int last = lua_gettop(L);
    rh_dtype dtype = RH_F32;
    while (last > 1 && lua_isnil(L, last)) last--;
    lua_settop(L, last);
    if (last < 2 || !lua_istable(L, last)) return dtype;
    rhl_check_options(L, last, names);
    if (lua_getfield(L, last, "dtype") != LUA_TNIL) dtype = rhl_read_dtype(L, -1, last);
    lua_settop(L, last - 1);
    return dtype;
}

/* rlhf.tensor(1, 2, 3): the values are the list's elements. */
static void pack_arguments(lua_State *L) {
    int n = lua_gettop(L);
    for (int arg = 1; arg <= n; arg++)
        if (lua_istable(L, arg)) rhl_typeerror(L, arg, "number");
    lua_createtable(L, n, 0);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
}

/* rlhf.tensor(values, {dtype =}): a number, nested lists of numbers, or numbers one by one. */
static int make_tensor(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    filling f = {.L = L, .dtype = take_options(L)};
    if (lua_gettop(L) > 1) pack_arguments(L);
    if (lua_istable(L, 1)) rhl_check_plain_list(L, 1);
    else if (!lua_isnumber(L, 1) && !lua_isboolean(L, 1)) rhl_typeerror(L, 1, "table or number");
    find_shape(&f, 1);
    rh_tensor *t = rhl_push_new(L, state, f.dtype, f.rank, f.shape);
    f.out = t->storage->data;
    lua_pushvalue(L, 1);
    if (f.rank > 0) fill_level(&f, 0);
    else if (!rhl_read_value(L, -1, f.dtype, f.out)) wrong_value(&f);
    lua_pop(L, 1);
    return 1;
}

/* Pushes the elements from offset `at` on, dimension d and further. */
static void push_level(lua_State *L, const rh_tensor *t, int d, int64_t at) {
    if (d == t->rank) {
        rhl_push_value(L, t, at);
        return;
    }
    luaL_checkstack(L, 2, "tensor too deep");
    lua_createtable(L, t->shape[d] > INT32_MAX ? 0 : (int)t->shape[d], 0);
    for (int64_t i = 0; i < t->shape[d]; i++) {
        push_level(L, t, d + 1, at + i * t->strides[d]);
        lua_rawseti(L, -2, i + 1);
    }
}

static int tensor_totable(lua_State *L) {
    lua_settop(L, 1);
    rh_tensor *t = rhl_hold(L, 1);
    push_level(L, t, 0, t->offset);
    rhl_handle_close(lua_touserdata(L, 2));
    return 1;
}

void rhl_open_table(lua_State *L, rhl_state *state) {
    const luaL_Reg functions[] = {{"tensor", make_tensor}, {NULL, NULL}};
    const luaL_Reg methods[] = {{"totable", tensor_totable}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
    rhl_add_methods(L, state, methods);
}
