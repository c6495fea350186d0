/* Every row becomes a function of the module and a method of tensors:
 *     f(inputs..., options...)    f(inputs..., {name = value})
 * Inputs left out are nil or, before an options table, missing. Options may stand by position in the
 * row's order. Reading raises at the argument; then the row runs, recorded if need be. */
#include <string.h>

#include "base/pool.h"
#include "bind/signature.h"

enum { LIST_ROOM = 64 };

/* One call while its arguments are read. */
typedef struct reading {
    lua_State *L;
    rhl_state *state;
    const rhl_signature *sig;
    int next;                          /* next argument */
    int last;                          /* number of arguments the user gave */
    rh_tensor **in;
    int n_in;
    rh_tensor *fixed[RH_MAX_INPUTS];
    int in_arg[RH_MAX_INPUTS];
    rh_opt opt[RH_MAX_OPTIONS];
    int opt_arg[RH_MAX_OPTIONS];       /* where it stood; 0: not given */
    int64_t list[RH_MAX_OPTIONS][LIST_ROOM];
} reading;

static bool accepts(char type, rh_dtype dtype) {
    switch (type) {
    case 'f': return dtype == RH_F32;
    case 'i': return dtype == RH_I64;
    case 'b': return dtype == RH_BOOL;
    case 'n': return dtype == RH_F32 || dtype == RH_I64;
    default: return true;
    }
}

static const char *wanted_type(char type) {
    switch (type) {
    case 'f': return "f32";
    case 'i': return "i64";
    case 'b': return "bool";
    default: return "f32 or i64";
    }
}

static void check_type(reading *r, const rhl_input *in, const rh_tensor *t, int arg) {
    if (accepts(in->type, t->dtype)) return;
    luaL_argerror(r->L, arg, lua_pushfstring(r->L, "%s: %s wanted, got %s", in->name,
                                             wanted_type(in->type), rh_dtype_name(t->dtype)));
}

/* A number among tensors: a scalar of the first tensor's type where the row takes both. */
static rh_tensor *scalar(reading *r, const rhl_input *in, int arg) {
    bool integer = false;
    for (int a = 1; a <= r->last && in->type == 'n'; a++) {
        const rhl_handle *other = luaL_testudata(r->L, a, RHL_TENSOR);
        if (other && other->t) {
            integer = other->t->dtype == RH_I64;
            break;
        }
    }
    rhl_handle *h = rhl_push_handle(r->L);
    h->t = rh_tensor_new(r->state->ctx, integer ? RH_I64 : RH_F32, 0, NULL);
    if (!h->t) rhl_raise_at(r->L, r->state, 0);
    if (integer) *rh_i64(h->t) = luaL_checkinteger(r->L, arg);
    else *rh_f32(h->t) = (float)lua_tonumber(r->L, arg);
    return h->t;
}

static void read_list_of_tensors(reading *r, const rhl_input *in) {
    lua_State *L = r->L;
    int arg = r->next++;
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_Integer n = luaL_len(L, arg);
    luaL_argcheck(L, n >= 1, arg, "a list of one tensor or more wanted, got an empty one");
    r->in = lua_newuserdatauv(L, (size_t)n * sizeof *r->in, 0);
    r->n_in = (int)n;
    for (lua_Integer i = 0; i < n; i++) {
        lua_geti(L, arg, i + 1);
        rh_tensor *t = rhl_test_tensor(L, -1, arg);
        if (!t)
            luaL_argerror(L, arg, lua_pushfstring(L, "tensor expected at %I, got %s", i + 1,
                                                  luaL_typename(L, -1)));
        check_type(r, in, t, arg);
        r->in[i] = t;
        lua_pop(L, 1);
    }
    r->in_arg[0] = arg;
}

static void read_input(reading *r, int i) {
    const rhl_input *in = &r->sig->in[i];
    int arg = r->next, type = lua_type(r->L, arg);
    bool left_out = in->optional && (type == LUA_TNIL || type == LUA_TNONE || type == LUA_TTABLE);
    r->in_arg[i] = arg;
    r->in[i] = NULL;
    if (left_out) {
        r->next += type == LUA_TNIL;
        return;
    }
    if (type == LUA_TNUMBER && (in->type == 'f' || in->type == 'n')) {
        r->in[i] = scalar(r, in, arg);
    } else {
        if (!luaL_testudata(r->L, arg, RHL_TENSOR)) luaL_typeerror(r->L, arg, "tensor");
        r->in[i] = rhl_check_tensor(r->L, arg);
        check_type(r, in, r->in[i], arg);
    }
    r->next++;
}

static void read_inputs(reading *r) {
    r->in = r->fixed;
    r->n_in = r->sig->n_in;
    if (r->sig->n_in == 1 && r->sig->in[0].variadic) {
        read_list_of_tensors(r, &r->sig->in[0]);
        return;
    }
    for (int i = 0; i < r->sig->n_in; i++) read_input(r, i);
}

static int64_t read_integer(reading *r, const rhl_option *opt, int index, int arg) {
    int whole;
    lua_Integer v = lua_tointegerx(r->L, index, &whole);
    if (!whole)
        luaL_argerror(r->L, arg, lua_pushfstring(r->L, "%s: integer wanted, got %s", opt->name,
                                                 luaL_tolstring(r->L, index, NULL)));
    return v;
}

static void read_list(reading *r, int k, int index, int arg) {
    const rhl_option *opt = &r->sig->opt[k];
    bool dims = opt->type == 'D';
    int64_t n = 1;
    if (lua_istable(r->L, index)) n = (int64_t)luaL_len(r->L, index);
    if (n > LIST_ROOM) luaL_argerror(r->L, arg, lua_pushfstring(r->L, "%s: at most %d", opt->name, LIST_ROOM));
    for (int64_t i = 0; i < n; i++) {
        if (lua_istable(r->L, index)) lua_geti(r->L, index, i + 1);
        else lua_pushvalue(r->L, index);
        r->list[k][i] = dims ? rhl_read_position(r->L, -1, arg, opt->name)
                             : read_integer(r, opt, lua_gettop(r->L), arg);
        lua_pop(r->L, 1);
    }
    r->opt[k].list.v = r->list[k];
    r->opt[k].list.n = n;
}

static int64_t read_word(reading *r, const rhl_option *opt, int index, int arg) {
    const char *word = lua_tostring(r->L, index);
    luaL_Buffer b;
    for (int w = 0; word && opt->words[w][0]; w++)
        if (strcmp(word, opt->words[w]) == 0) return w;
    luaL_buffinit(r->L, &b);
    for (int w = 0; opt->words[w][0]; w++) {
        luaL_addstring(&b, w ? ", '" : "'");
        luaL_addstring(&b, opt->words[w]);
        luaL_addstring(&b, "'");
    }
    luaL_pushresult(&b);
    return luaL_argerror(r->L, arg, lua_pushfstring(r->L, "%s: one of %s wanted, got %s", opt->name,
                                                    lua_tostring(r->L, -1),
                                                    luaL_tolstring(r->L, index, NULL)));
}

/* Reads option k from the value at a positive index. */
static void read_option(reading *r, int k, int index, int arg) {
    const rhl_option *opt = &r->sig->opt[k];
    rh_opt *value = &r->opt[k];
    int type = lua_type(r->L, index);
    value->given = true;
    r->opt_arg[k] = arg;
    switch (opt->type) {
    case 'f':
        if (type != LUA_TNUMBER)
            luaL_argerror(r->L, arg, lua_pushfstring(r->L, "%s: number wanted, got %s", opt->name,
                                                     lua_typename(r->L, type)));
        value->f = lua_tonumber(r->L, index);
        break;
    case 'b':
        if (type != LUA_TBOOLEAN)
            luaL_argerror(r->L, arg, lua_pushfstring(r->L, "%s: true or false wanted, got %s",
                                                     opt->name, lua_typename(r->L, type)));
        value->i = lua_toboolean(r->L, index);
        break;
    case 'i': value->i = read_integer(r, opt, index, arg); break;
    case 's': value->i = read_word(r, opt, index, arg); break;
    case 'd': case 'p': value->i = rhl_read_position(r->L, index, arg, opt->name); break;
    default: read_list(r, k, index, arg);
    }
}

static int option_index(const rhl_signature *sig, const char *name) {
    for (int k = 0; k < sig->n_opt; k++)
        if (strcmp(sig->opt[k].name, name) == 0) return k;
    return -1;
}

static void unknown_option(reading *r, int arg, const char *key) {
    const char *names[RH_MAX_OPTIONS + 1] = {NULL};
    for (int k = 0; k < r->sig->n_opt; k++) names[k] = r->sig->opt[k].name;
    rhl_unknown_option(r->L, arg, key, names);
}

static void read_table(reading *r, int arg) {
    lua_State *L = r->L;
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_argerror(L, arg, lua_pushfstring(L, "option names are strings, got %s",
                                                  luaL_tolstring(L, -2, NULL)));
        int k = option_index(r->sig, lua_tostring(L, -2));
        if (k < 0) unknown_option(r, arg, lua_tostring(L, -2));
        read_option(r, k, lua_gettop(L), arg);
    }
}

/* A table is the list for option k if k wants one and the table has a first element (or is empty). */
static bool is_list_for(reading *r, int k, int arg) {
    if (k >= r->sig->n_opt || !strchr("Dl", r->sig->opt[k].type)) return false;
    bool list = lua_geti(r->L, arg, 1) != LUA_TNIL;
    lua_pop(r->L, 1);
    if (list) return true;
    lua_pushnil(r->L);
    bool empty = !lua_next(r->L, arg);
    if (!empty) lua_pop(r->L, 2);
    return empty;
}

static void read_options(reading *r) {
    for (int k = 0; k < r->sig->n_opt; k++) {
        r->opt[k] = r->sig->opt[k].value;
        r->opt_arg[k] = 0;
    }
    for (int k = 0; r->next <= r->last; k++, r->next++) {
        int arg = r->next;
        if (lua_istable(r->L, arg) && !is_list_for(r, k, arg)) {
            luaL_argcheck(r->L, arg == r->last, arg, "the options table comes last");
            read_table(r, arg);
        } else if (k >= r->sig->n_opt) {
            luaL_argerror(r->L, arg, lua_pushfstring(r->L, "at most %d arguments wanted", arg - 1));
        } else if (!lua_isnil(r->L, arg)) {
            read_option(r, k, arg, arg);
        }
    }
    for (int k = 0; k < r->sig->n_opt; k++)
        if (r->sig->opt[k].required && !r->opt_arg[k])
            luaL_argerror(r->L, r->next, lua_pushfstring(r->L, "%s wanted", r->sig->opt[k].name));
}

static int raise_for(reading *r) {
    int operand = r->state->ctx->error.operand, arg = 0;
    if (operand >= 1000) arg = r->opt_arg[operand - 1000];
    else if (operand >= 0) arg = r->in_arg[operand < RH_MAX_INPUTS ? operand : 0];
    return rhl_raise_at(r->L, r->state, arg);
}

static int run(reading *r, rh_tensor **out) {
    int n_out = 0;
    rh_ctx *ctx = r->state->ctx;
    rh_status status = rh_apply(ctx, r->sig->row, r->in, r->n_in, r->opt, out, &n_out);
    if (rhl_collect_for_retry(r->L, r->state, status))
        status = rh_apply(ctx, r->sig->row, r->in, r->n_in, r->opt, out, &n_out);
    return status == RH_OK ? n_out : raise_for(r);
}

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

static int return_many(reading *r) {
    guard *g = lua_newuserdatauv(r->L, sizeof *g, 0);
    g->n = 0;
    luaL_setmetatable(r->L, GUARD);
    rh_tensor *out[RH_MAX_OUTPUTS];
    int n = run(r, out);
    memcpy(g->t, out, (size_t)n * sizeof *out);
    g->n = n;
    luaL_checkstack(r->L, n + 4, "too many results");
    for (int i = 0; i < n; i++) {
        rhl_handle *h = rhl_push_handle(r->L);
        h->t = g->t[i];
        g->t[i] = NULL;
        rhl_scope_own(r->L, r->state, h);
    }
    return n;
}

static int return_one(reading *r) {
    rh_tensor *out[RH_MAX_OUTPUTS];
    rhl_handle *h = rhl_push_handle(r->L);
    run(r, out);
    h->t = out[0];
    rhl_scope_own(r->L, r->state, h);
    return 1;
}

static int call_row(lua_State *L) {
    reading r;
    r.L = L;
    r.state = rhl_state_of(L);
    r.sig = lua_touserdata(L, lua_upvalueindex(2));
    r.next = 1;
    r.last = lua_gettop(L);
    rhl_pace(L, r.state);
    read_inputs(&r);
    read_options(&r);
    return r.sig->row->flags & RH_MULTI ? return_many(&r) : return_one(&r);
}

static const rh_row *const tables[] = {
    rh_rows_elementwise, rh_rows_compare, rh_rows_reduce, rh_rows_shape, rh_rows_index,
    rh_rows_linear, rh_rows_norm, rh_rows_rope, rh_rows_attention, rh_rows_loss,
};
enum { TABLES = sizeof tables / sizeof tables[0] };

static void push_row_function(lua_State *L, rhl_state *state, const rhl_signature *sig) {
    lua_pushlightuserdata(L, state);
    lua_pushlightuserdata(L, (void *)sig);
    lua_pushcclosure(L, call_row, 2);
}

/* {name=, inputs=, options=, samples={...}, differentiable=, flags..., doc=} for specs and docs */
static void push_description(lua_State *L, const rh_row *row) {
    lua_createtable(L, 0, 8);
    lua_pushstring(L, row->name), lua_setfield(L, -2, "name");
    lua_pushstring(L, row->inputs), lua_setfield(L, -2, "inputs");
    lua_pushstring(L, row->options ? row->options : ""), lua_setfield(L, -2, "options");
    lua_pushstring(L, row->doc), lua_setfield(L, -2, "doc");
    lua_pushboolean(L, row->backward != NULL), lua_setfield(L, -2, "differentiable");
    lua_pushboolean(L, (row->flags & RH_VIEW) != 0), lua_setfield(L, -2, "view");
    lua_newtable(L);
    for (int i = 0; row->samples && row->samples[i]; i++) {
        lua_pushstring(L, row->samples[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "samples");
}

/* One block for all signatures, kept alive by the registry. */
static rhl_signature *new_signatures(lua_State *L) {
    size_t n = 0;
    for (int t = 0; t < TABLES; t++)
        for (const rh_row *row = tables[t]; row->name; row++) n++;
    rhl_signature *sigs = lua_newuserdatauv(L, n * sizeof *sigs, 0);
    luaL_ref(L, LUA_REGISTRYINDEX);
    return sigs;
}

/* Into the module table on top: ops.NAME, rows[i]; into the tensors' methods: NAME. */
void rhl_open_rows(lua_State *L, rhl_state *state) {
    const luaL_Reg guard_methods[] = {{"__gc", guard_close}, {NULL, NULL}};
    luaL_newmetatable(L, GUARD);
    luaL_setfuncs(L, guard_methods, 0);
    lua_pop(L, 1);
    rhl_signature *sig = new_signatures(L);
    lua_newtable(L); /* ops */
    lua_newtable(L); /* rows */
    luaL_getmetatable(L, RHL_TENSOR);
    lua_getfield(L, -1, "__index");
    lua_remove(L, -2);
    int n = 0;
    for (int t = 0; t < TABLES; t++) {
        for (const rh_row *row = tables[t]; row->name; row++, sig++) {
            rhl_signature_read(row, sig);
            push_row_function(L, state, sig);
            lua_pushvalue(L, -1);
            lua_setfield(L, -3, row->name);
            lua_setfield(L, -4, row->name);
            push_description(L, row);
            lua_rawseti(L, -3, ++n);
        }
    }
    lua_pop(L, 1);
    lua_setfield(L, -3, "rows");
    lua_setfield(L, -2, "ops");
}
