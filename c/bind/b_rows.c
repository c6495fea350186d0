/* Every row becomes a function of the module, and one that begins with a tensor a method of it:
 *     f(inputs..., options...)    f(inputs..., {name = value})
 * Inputs left out are nil or, before an options table, missing. Options may stand by position in the
 * row's order. Some rows are operators too. */
#include <assert.h>
#include <string.h>

#include "bind/arguments.h"
#include "loss/head.h"
#include "loss/rows.h"
#include "nn/rows.h"

/* Tensors between the core and their handles: released if making a handle raises. */
typedef struct guard {
    int n;
    rh_tensor *t[RH_MAX_OUTPUTS];
} guard;
#define GUARD "rlhf.guard"

static int guard_close(lua_State *L) {
    guard *g = lua_touserdata(L, 1);
    while (g->n > 0) rh_tensor_release(g->t[--g->n]);
    return 0;
}

static int return_many(rhl_arguments *a) {
    lua_State *L = a->L;
    guard *g = lua_newuserdatauv(L, sizeof *g, 0);
    g->n = 0;
    luaL_setmetatable(L, GUARD);
    int n = rhl_arguments_run(a, g->t);
    g->n = n;
    luaL_checkstack(L, n + 4, "too many results");
    for (int i = 0; i < n; i++) {
        rhl_handle *h = rhl_push_handle(L);
        h->t = g->t[i];
        g->t[i] = NULL;
        rhl_scope_own(L, a->state, h);
    }
    return n;
}

static int return_one(rhl_arguments *a) {
    rh_tensor *out[RH_MAX_OUTPUTS];
    rhl_handle *h = rhl_push_handle(a->L);
    rhl_arguments_run(a, out);
    h->t = out[0];
    rhl_scope_own(a->L, a->state, h);
    return 1;
}

static int call_row(lua_State *L) {
    rhl_arguments a;
    rhl_state *state = rhl_state_of(L);
    const rhl_signature *sig = lua_touserdata(L, lua_upvalueindex(3));
    rhl_pace(L, state);
    rhl_arguments_read(&a, L, state, sig);
    return sig->row->flags & RH_MULTI ? return_many(&a) : return_one(&a);
}

/* Lua calls the metamethod of a unary operator with its operand twice. */
static int call_unary_row(lua_State *L) {
    lua_settop(L, 1);
    return call_row(L);
}

int rhl_apply_row(lua_State *L, rhl_state *state, const rhl_signature *sig, int arg,
                  const rh_opt *opt) {
    rh_tensor *out[RH_MAX_OUTPUTS];
    int n_out;
    rhl_handle *h = rhl_push_handle(L);
    rh_tensor *in = rhl_check_tensor(L, arg);
    rh_status status = rh_apply(state->ctx, sig->row, &in, 1, opt, out, &n_out);
    if (rhl_collect_for_retry(L, state, status)) {
        in = rhl_check_tensor(L, arg);
        status = rh_apply(state->ctx, sig->row, &in, 1, opt, out, &n_out);
    }
    if (status != RH_OK) return rhl_raise_at(L, state, 0);
    h->t = out[0];
    rhl_scope_own(L, state, h);
    return 1;
}

const rhl_signature *rhl_find_row(const rhl_state *state, const char *name) {
    for (int i = 0; i < state->n_rows; i++)
        if (strcmp(state->rows[i].row->name, name) == 0) return &state->rows[i];
    return NULL;
}

static const rh_row *const tables[] = {
    rh_rows_binary, rh_rows_where,
    rh_rows_elementwise, rh_rows_compare, rh_rows_reduce, rh_rows_shape, rh_rows_index,
    rh_rows_linear, rh_rows_norm, rh_rows_rope, rh_rows_attention, rh_rows_loss,
    rh_rows_extreme, rh_rows_sort, rh_rows_softmax, rh_rows_join,
    rh_rows_embed_tokens, rh_rows_fused_linear, rh_rows_rotary_attention, rh_rows_gated_silu,
    rh_rows_head, rh_rows_pairwise, rh_rows_policy, rh_rows_value, rh_rows_pool, rh_rows_kl_head,
};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* One block for all signatures, kept alive by the registry. */
static void read_signatures(lua_State *L, rhl_state *state) {
    size_t n = 0, at = 0;
    for (int t = 0; t < TABLES; t++)
        for (const rh_row *row = tables[t]; row->name; row++) n++;
    rhl_signature *sigs = lua_newuserdatauv(L, n * sizeof *sigs, 0);
    luaL_ref(L, LUA_REGISTRYINDEX);
    for (int t = 0; t < TABLES; t++)
        for (const rh_row *row = tables[t]; row->name; row++) rhl_signature_read(row, &sigs[at++]);
    state->rows = sigs;
    state->n_rows = (int)n;
}

static void push_row_function(lua_State *L, lua_CFunction f, const rhl_signature *sig) {
    rhl_push_state(L);
    lua_pushstring(L, sig->row->name);
    lua_pushlightuserdata(L, (void *)sig);
    lua_pushcclosure(L, f, 3);
}

static void set_flag(lua_State *L, const char *name, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *value) {
    lua_pushstring(L, value ? value : "");
    lua_setfield(L, -2, name);
}

/* {name=, inputs=, options=, doc=, differentiable=, strided=, view=, multi=, samples={...}} for specs
 * and the reference */
static void push_description(lua_State *L, const rh_row *row) {
    lua_createtable(L, 0, 9);
    set_text(L, "name", row->name);
    set_text(L, "inputs", row->inputs);
    set_text(L, "options", row->options);
    set_text(L, "doc", row->doc);
    set_flag(L, "differentiable", row->backward != NULL);
    set_flag(L, "strided", (row->flags & (RH_STRIDED | RH_VIEW)) != 0);
    set_flag(L, "view", (row->flags & RH_VIEW) != 0);
    set_flag(L, "only_first", (row->flags & RH_ONLY_FIRST) != 0);
    set_flag(L, "multi", (row->flags & RH_MULTI) != 0);
    lua_newtable(L);
    for (int i = 0; row->samples && row->samples[i]; i++) {
        lua_pushstring(L, row->samples[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "samples");
}

/* x ^ number is pow(x, number); number ^ x is rpow(x, number), whose function is upvalue 4. */
static int call_power(lua_State *L) {
    if (lua_type(L, 1) != LUA_TNUMBER) return call_row(L);
    lua_pushvalue(L, lua_upvalueindex(4));
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

/* __pow; the metatable is on top. */
static void set_power(lua_State *L, const rhl_state *state) {
    const rhl_signature *pow = rhl_find_row(state, "pow"), *rpow = rhl_find_row(state, "rpow");
    assert(pow && rpow);
    rhl_push_state(L);
    lua_pushstring(L, pow->row->name);
    lua_pushlightuserdata(L, (void *)pow);
    push_row_function(L, call_row, rpow);
    lua_pushcclosure(L, call_power, 4);
    lua_setfield(L, -2, "__pow");
}

/* Makes the row `name` a metamethod too; the metatable is on top. */
static void set_operator(lua_State *L, const rhl_state *state, const char *event, lua_CFunction f,
                         const char *name) {
    const rhl_signature *sig = rhl_find_row(state, name);
    assert(sig);
    push_row_function(L, f, sig);
    lua_setfield(L, -2, event);
}

static void open_operators(lua_State *L, const rhl_state *state) {
    luaL_getmetatable(L, RHL_TENSOR);
    set_operator(L, state, "__add", call_row, "add");
    set_operator(L, state, "__sub", call_row, "sub");
    set_operator(L, state, "__mul", call_row, "mul");
    set_operator(L, state, "__div", call_row, "div");
    set_power(L, state);
    set_operator(L, state, "__unm", call_unary_row, "neg");
    lua_pop(L, 1);
}

static bool begins_with_tensor(const rhl_signature *sig) {
    return sig->n_in > 0 && !sig->in[0].variadic;
}

/* Into the methods on top; a row may not have the name of another method. */
static void set_method(lua_State *L, const rhl_signature *sig) {
    int type = lua_getfield(L, -1, sig->row->name);
    assert(type == LUA_TNIL);
    (void)type;
    lua_pop(L, 1);
    push_row_function(L, call_row, sig);
    lua_setfield(L, -2, sig->row->name);
}

/* Into the module table on top: ops.NAME, rows[i]; into the tensors' methods: NAME. */
void rhl_open_rows(lua_State *L, rhl_state *state) {
    const luaL_Reg guard_methods[] = {{"__gc", guard_close}, {NULL, NULL}};
    luaL_newmetatable(L, GUARD);
    luaL_setfuncs(L, guard_methods, 0);
    lua_pop(L, 1);
    read_signatures(L, state);
    lua_newtable(L); /* ops */
    lua_newtable(L); /* rows */
    rhl_push_methods(L);
    for (int i = 0; i < state->n_rows; i++) {
        const rhl_signature *sig = &state->rows[i];
        if (begins_with_tensor(sig)) set_method(L, sig);
        push_row_function(L, call_row, sig);
        lua_setfield(L, -4, sig->row->name);
        push_description(L, sig->row);
        lua_rawseti(L, -3, i + 1);
    }
    lua_pop(L, 1);
    lua_setfield(L, -3, "rows");
    lua_setfield(L, -2, "ops");
    open_operators(L, state);
}
