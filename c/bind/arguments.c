#include "bind/arguments.h"

#include <string.h>

static bool accepts(char type, rh_dtype dtype) {
    switch (type) {
    case 'f': case 'c': return dtype == RH_F32;
    case 'i': return dtype == RH_I64;
    case 'b': return dtype == RH_BOOL;
    case 'n': return dtype == RH_F32 || dtype == RH_I64;
    default: return true;
    }
}

static const char *wanted_type(char type) {
    switch (type) {
    case 'f': case 'c': return "f32";
    case 'i': return "i64";
    case 'b': return "bool";
    default: return "f32 or i64";
    }
}

static void check_type(rhl_arguments *a, const rhl_input *in, const rhl_handle *h, int arg) {
    if (!h->t) rhl_argerror(a->L, arg, "attempt to use a closed tensor");
    if (in->type == 'c' && rh_requires_grad(h->t))
        rhl_argerror(a->L, arg, lua_pushfstring(a->L, "%s: a constant wanted, this tensor requires a "
                                                "gradient: pass its :detach()", in->name));
    if (accepts(in->type, h->t->dtype)) return;
    rhl_argerror(a->L, arg, lua_pushfstring(a->L, "%s: %s wanted, got %s", in->name,
                                            wanted_type(in->type), rh_dtype_name(h->t->dtype)));
}

/* Handles of a list go into a table that the stack holds; scratch behind it has room for pointers. */
static void read_list_of_tensors(rhl_arguments *a, const rhl_input *in) {
    lua_State *L = a->L;
    int arg = a->next++;
    if (!lua_istable(L, arg)) rhl_typeerror(L, arg, "list of tensors");
    lua_Integer n = luaL_len(L, arg);
    if (n < 1 || n > INT16_MAX)
        rhl_argerror(L, arg, lua_pushfstring(L, "a list of 1 to %d tensors wanted, got %I",
                                             INT16_MAX, n));
    lua_createtable(L, (int)n, 0);
    a->list = lua_newuserdatauv(L, (size_t)n * (sizeof *a->list + sizeof *a->list_in), 0);
    a->list_in = (rh_tensor **)(a->list + n);
    for (lua_Integer i = 0; i < n; i++) {
        lua_geti(L, arg, i + 1);
        a->list[i] = rhl_test_handle(L, -1);
        if (!a->list[i])
            rhl_argerror(L, arg, lua_pushfstring(L, "element %I: " RHL_TENSOR " expected, got %s",
                                                 i + 1, rhl_typename(L, -1)));
        check_type(a, in, a->list[i], arg);
        lua_rawseti(L, -3, i + 1);
    }
    a->in_arg[0] = arg;
    a->n_in = (int)n;
}

static void read_input(rhl_arguments *a, int i) {
    const rhl_input *in = &a->sig->in[i];
    int arg = a->next, type = lua_type(a->L, arg);
    a->in_arg[i] = arg;
    a->handle[i] = NULL;
    a->number[i] = false;
    if (in->optional && (type == LUA_TNIL || type == LUA_TNONE || type == LUA_TTABLE)) {
        a->next += type == LUA_TNIL;
        return;
    }
    a->number[i] = type == LUA_TNUMBER && (in->type == 'f' || in->type == 'n');
    if (!a->number[i]) {
        a->handle[i] = rhl_test_handle(a->L, arg);
        if (!a->handle[i]) rhl_typeerror(a->L, arg, RHL_TENSOR);
        check_type(a, in, a->handle[i], arg);
    }
    a->next++;
}

/* A number takes the type of the first tensor where the row takes f32 and i64. */
static void settle_numbers(rhl_arguments *a) {
    int first = 0, whole;
    while (first < a->n_in && !a->handle[first]) first++;
    a->integers = first < a->n_in && a->handle[first]->t->dtype == RH_I64;
    for (int i = 0; a->integers && i < a->n_in; i++) {
        if (!a->number[i] || a->sig->in[i].type != 'n') continue;
        lua_tointegerx(a->L, a->in_arg[i], &whole);
        if (!whole)
            rhl_argerror(a->L, a->in_arg[i],
                         lua_pushfstring(a->L, "%s: integer wanted beside i64, got %s",
                                         a->sig->in[i].name,
                                         rhl_got(a->L, a->in_arg[i])));
    }
}

static void read_inputs(rhl_arguments *a) {
    a->list = NULL;
    if (a->sig->n_in == 1 && a->sig->in[0].variadic) {
        read_list_of_tensors(a, &a->sig->in[0]);
        return;
    }
    a->n_in = a->sig->n_in;
    for (int i = 0; i < a->n_in; i++) read_input(a, i);
    settle_numbers(a);
}

static int wrong_option(rhl_arguments *a, const rhl_option *opt, const char *wanted, int index,
                        int arg) {
    return rhl_argerror(a->L, arg, lua_pushfstring(a->L, "%s: %s wanted, got %s", opt->name, wanted,
                                                   rhl_got(a->L, index)));
}

static int64_t read_integer(rhl_arguments *a, const rhl_option *opt, int index, int arg) {
    int whole = 0;
    lua_Integer v = 0;
    if (lua_type(a->L, index) == LUA_TNUMBER) v = lua_tointegerx(a->L, index, &whole);
    if (!whole) wrong_option(a, opt, "integer", index, arg);
    return v;
}

/* Appends the integer or position at `index` to option k's list. */
static void append(rhl_arguments *a, int k, int index, int arg) {
    const rhl_option *opt = &a->sig->opt[k];
    int64_t n = a->opt[k].list.n;
    if (n == RHL_LIST_ROOM)
        rhl_argerror(a->L, arg, lua_pushfstring(a->L, "%s: at most %d", opt->name, RHL_LIST_ROOM));
    a->room[k][n] = opt->type == 'D' ? rhl_read_position(a->L, index, arg, opt->name)
                                     : read_integer(a, opt, index, arg);
    a->opt[k].list.n++;
}

static void read_list(rhl_arguments *a, int k, int index, int arg) {
    lua_State *L = a->L;
    a->opt[k].list.v = a->room[k];
    a->opt[k].list.n = 0;
    if (!lua_istable(L, index)) {
        append(a, k, index, arg);
        return;
    }
    for (lua_Integer i = 1, n = luaL_len(L, index); i <= n; i++) {
        lua_geti(L, index, i);
        append(a, k, lua_gettop(L), arg);
        lua_pop(L, 1);
    }
}

static int64_t read_word(rhl_arguments *a, const rhl_option *opt, int index, int arg) {
    lua_State *L = a->L;
    const char *word = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
    luaL_Buffer b;
    for (int w = 0; opt->words[w][0]; w++)
        if (strcmp(word, opt->words[w]) == 0) return w;
    luaL_buffinit(L, &b);
    for (int w = 0; opt->words[w][0]; w++) {
        luaL_addstring(&b, w ? ", '" : "one of '");
        luaL_addstring(&b, opt->words[w]);
        luaL_addstring(&b, "'");
    }
    luaL_pushresult(&b);
    return wrong_option(a, opt, lua_tostring(L, -1), index, arg);
}

/* Reads option k from the value at a positive index. */
static void read_option(rhl_arguments *a, int k, int index, int arg) {
    const rhl_option *opt = &a->sig->opt[k];
    rh_opt *value = &a->opt[k];
    int type = lua_type(a->L, index);
    value->given = true;
    a->opt_arg[k] = arg;
    switch (opt->type) {
    case 'f':
        if (type != LUA_TNUMBER) wrong_option(a, opt, "number", index, arg);
        value->f = lua_tonumber(a->L, index);
        break;
    case 'b':
        if (type != LUA_TBOOLEAN) wrong_option(a, opt, "true or false", index, arg);
        value->i = lua_toboolean(a->L, index);
        break;
    case 'i': value->i = read_integer(a, opt, index, arg); break;
    case 's': value->i = read_word(a, opt, index, arg); break;
    case 'd': case 'p': value->i = rhl_read_position(a->L, index, arg, opt->name); break;
    default: read_list(a, k, index, arg);
    }
}

static int option_index(const rhl_signature *sig, const char *name) {
    for (int k = 0; k < sig->n_opt; k++)
        if (strcmp(sig->opt[k].name, name) == 0) return k;
    return -1;
}

static void unknown_option(rhl_arguments *a, int arg, const char *key) {
    const char *names[RH_MAX_OPTIONS + 1] = {NULL};
    for (int k = 0; k < a->sig->n_opt; k++) names[k] = a->sig->opt[k].name;
    rhl_unknown_option(a->L, arg, key, names);
}

static void read_table(rhl_arguments *a, int arg) {
    lua_State *L = a->L;
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            rhl_argerror(L, arg, lua_pushfstring(L, "option names are strings, got %s",
                                                 rhl_got(L, -2)));
        int k = option_index(a->sig, lua_tostring(L, -2));
        if (k < 0) unknown_option(a, arg, lua_tostring(L, -2));
        read_option(a, k, lua_gettop(L), arg);
    }
}

static bool wants_list(const rhl_arguments *a, int k) {
    return k < a->sig->n_opt && strchr("Dl", a->sig->opt[k].type);
}

/* A table is option k's list if k wants one and the table has a first element. An empty one is a list
 * of integers, or one that must be given; where dimensions may be left out it is options that say
 * nothing. */
static bool is_list_for(rhl_arguments *a, int k, int arg) {
    if (!wants_list(a, k)) return false;
    bool list = lua_geti(a->L, arg, 1) != LUA_TNIL;
    lua_pop(a->L, 1);
    if (list || (a->sig->opt[k].type == 'D' && !a->sig->opt[k].required)) return list;
    lua_pushnil(a->L);
    bool empty = !lua_next(a->L, arg);
    if (!empty) lua_pop(a->L, 2);
    return empty;
}

/* Option k stands at a->next by position; numbers in a row belong to one list. */
static void read_positional(rhl_arguments *a, int k) {
    int arg = a->next;
    if (k >= a->sig->n_opt)
        rhl_argerror(a->L, arg, "too many arguments");
    if (lua_isnil(a->L, arg)) return;
    read_option(a, k, arg, arg);
    if (!wants_list(a, k) || lua_type(a->L, arg) != LUA_TNUMBER) return;
    while (a->next < a->last && lua_type(a->L, a->next + 1) == LUA_TNUMBER) {
        a->next++;
        append(a, k, a->next, a->next);
    }
}

static void read_options(rhl_arguments *a) {
    for (int k = 0; k < a->sig->n_opt; k++) {
        a->opt[k] = a->sig->opt[k].value;
        a->opt_arg[k] = 0;
    }
    for (int k = 0; a->next <= a->last; k++, a->next++) {
        int arg = a->next;
        if (lua_istable(a->L, arg) && !is_list_for(a, k, arg)) {
            if (arg != a->last) rhl_argerror(a->L, arg, "the options table comes last");
            read_table(a, arg);
        } else {
            read_positional(a, k);
        }
    }
    for (int k = 0; k < a->sig->n_opt; k++)
        if (a->sig->opt[k].required && !a->opt_arg[k])
            rhl_argerror(a->L, a->next, lua_pushfstring(a->L, "%s wanted", a->sig->opt[k].name));
}

void rhl_arguments_read(rhl_arguments *a, lua_State *L, rhl_state *state,
                        const rhl_signature *sig) {
    a->L = L;
    a->state = state;
    a->sig = sig;
    a->next = 1;
    a->last = lua_gettop(L);
    read_inputs(a);
    read_options(a);
}

static rh_tensor *scalar(rhl_arguments *a, int i) {
    bool integer = a->integers && a->sig->in[i].type == 'n';
    rh_tensor *t = rh_tensor_new(a->state->ctx, integer ? RH_I64 : RH_F32, 0, NULL);
    if (!t) return NULL;
    if (integer) *rh_i64(t) = lua_tointeger(a->L, a->in_arg[i]);
    else *rh_f32(t) = (float)lua_tonumber(a->L, a->in_arg[i]);
    return t;
}

/* Takes the tensors out of their handles, which reading may have seen closed since. */
static void take_tensors(rhl_arguments *a, rh_tensor **in) {
    for (int i = 0; i < a->n_in; i++) {
        const rhl_handle *h = a->list ? a->list[i] : a->handle[i];
        in[i] = h ? h->t : NULL;
        if (h && !h->t)
            rhl_argerror(a->L, a->in_arg[a->list ? 0 : i], "attempt to use a closed tensor");
    }
}

static rh_status run_once(rhl_arguments *a, rh_tensor **out, int *n_out) {
    rh_tensor *fixed[RH_MAX_INPUTS], **in = a->list ? a->list_in : fixed;
    rh_status status = RH_OK;
    take_tensors(a, in);
    /* from here to the last release no Lua function that raises */
    for (int i = 0; !a->list && i < a->n_in && status == RH_OK; i++)
        if (a->number[i] && !(in[i] = scalar(a, i))) status = RH_ENOMEM;
    if (status == RH_OK)
        status = rh_apply(a->state->ctx, a->sig->row, in, a->n_in, a->opt, out, n_out);
    for (int i = 0; !a->list && i < a->n_in; i++)
        if (a->number[i]) rh_tensor_release(in[i]);
    return status;
}

static int raise_for(rhl_arguments *a) {
    int operand = a->state->ctx->error.operand, arg = 0;
    if (operand >= RH_OPTION(0)) arg = a->opt_arg[operand - RH_OPTION(0)];
    else if (operand >= 0) arg = a->in_arg[a->list ? 0 : operand];
    return rhl_raise_at(a->L, a->state, arg);
}

int rhl_arguments_run(rhl_arguments *a, rh_tensor **out) {
    int n_out = 0;
    rh_status status = run_once(a, out, &n_out);
    if (rhl_collect_for_retry(a->L, a->state, status)) status = run_once(a, out, &n_out);
    return status == RH_OK ? n_out : raise_for(a);
}
