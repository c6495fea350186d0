/* Optimizers as Lua sees them: core.adamw(list, options) makes one, its methods are the verbs of a
 * training step. lua/rlhf/optim.lua reads the user's options and groups. */
#include <stdio.h>

#include "bind/bind.h"
#include "optim/adamw.h"

#define ADAMW "rlhf.adamw"

typedef struct box {
    rh_adamw *opt;
    double lr;
} box;

static box *check_open(lua_State *L) {
    box *b = luaL_checkudata(L, 1, ADAMW);
    luaL_argcheck(L, b->opt, 1, "attempt to use a closed optimizer");
    return b;
}

static int adamw_close(lua_State *L) {
    box *b = luaL_checkudata(L, 1, ADAMW);
    rh_adamw *opt = b->opt;
    b->opt = NULL;
    if (opt) rh_adamw_free(opt);
    return 0;
}

static double number_field(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    double v = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return v;
}

/* list[i] = {tensor, weight_decay =, lr_scale =} into scratch memory that Lua owns. */
static rh_adamw_parameter *read_parameters(lua_State *L, int64_t n) {
    rh_adamw_parameter *list = lua_newuserdatauv(L, (size_t)n * sizeof *list, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_geti(L, 1, i + 1);
        lua_geti(L, -1, 1);
        list[i].tensor = rhl_test_tensor(L, -1, 1);
        if (!list[i].tensor)
            luaL_argerror(L, 1, lua_pushfstring(L, "parameter %I: tensor expected, got %s", i + 1,
                                                luaL_typename(L, -1)));
        lua_pop(L, 1);
        list[i].weight_decay = number_field(L, -1, "weight_decay");
        list[i].lr_scale = number_field(L, -1, "lr_scale");
        lua_pop(L, 1);
    }
    return list;
}

/* core.adamw(list, lr, beta1, beta2, eps) */
static int adamw_new(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    double lr = luaL_checknumber(L, 2);
    rh_adamw_options options = {luaL_checknumber(L, 3), luaL_checknumber(L, 4),
                                luaL_checknumber(L, 5)};
    int64_t n = luaL_len(L, 1);
    box *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (box){.lr = lr};
    luaL_setmetatable(L, ADAMW);
    rh_adamw_parameter *list = read_parameters(L, n);
    b->opt = rh_adamw_new(state->ctx, list, n, options);
    if (!b->opt && rhl_collect_for_retry(L, state, state->ctx->error.code))
        b->opt = rh_adamw_new(state->ctx, list, n, options);
    if (!b->opt) return rhl_raise_at(L, state, 1);
    lua_pop(L, 1);
    return 1;
}

/* opt:clip(max_norm) -> norm before clipping */
static int adamw_clip(lua_State *L) {
    box *b = check_open(L);
    double max_norm = luaL_checknumber(L, 2);
    luaL_argcheck(L, max_norm > 0, 2, "max_norm above 0 wanted");
    lua_pushnumber(L, rh_adamw_clip(b->opt, max_norm));
    return 1;
}

/* opt:step(lr) -> true, or nil and the reason when a gradient isn't finite */
static int adamw_step(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    box *b = check_open(L);
    double lr = luaL_optnumber(L, 2, b->lr);
    luaL_argcheck(L, lr >= 0, 2, "a learning rate of 0 or more wanted");
    if (rh_adamw_step_all(b->opt, lr) != RH_OK) return rhl_nil_message(L, state);
    lua_pushboolean(L, true);
    return 1;
}

static int adamw_zero_grad(lua_State *L) {
    rh_adamw_clear(check_open(L)->opt);
    return 0;
}

static int adamw_lr(lua_State *L) {
    lua_pushnumber(L, check_open(L)->lr);
    return 1;
}

static void push_moment(lua_State *L, rh_adamw *opt, int moment, const char *name) {
    rhl_handle *h = rhl_push_handle(L);
    h->t = rh_tensor_retain(rh_adamw_moment(opt, moment));
    lua_setfield(L, -2, name);
}

/* opt:state() -> {moment1 =, moment2 = the live arenas, not copies; steps = {...}, total_steps =} */
static int adamw_state(lua_State *L) {
    box *b = check_open(L);
    lua_createtable(L, 0, 4);
    push_moment(L, b->opt, 1, "moment1");
    push_moment(L, b->opt, 2, "moment2");
    lua_createtable(L, (int)rh_adamw_count(b->opt), 0);
    for (int64_t i = 0; i < rh_adamw_count(b->opt); i++) {
        lua_pushinteger(L, rh_adamw_parameter_steps(b->opt, i));
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "steps");
    lua_pushinteger(L, rh_adamw_steps(b->opt));
    lua_setfield(L, -2, "total_steps");
    return 1;
}

static void load_moment(lua_State *L, rh_adamw *opt, int moment, const char *name) {
    rh_tensor *mine = rh_adamw_moment(opt, moment);
    lua_getfield(L, 2, name);
    rh_tensor *t = rhl_test_tensor(L, -1, 2);
    if (!t || t->dtype != RH_F32 || !rh_tensor_same_shape(t, mine))
        luaL_argerror(L, 2, lua_pushfstring(L, "%s: f32 tensor [%I] wanted", name, mine->shape[0]));
    rh_tensor_copy_data(mine, t);
    lua_pop(L, 1);
}

/* opt:load_state(state): continues where a state was taken, over the same parameters in order */
static int adamw_load_state(lua_State *L) {
    box *b = check_open(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "steps");
    luaL_checktype(L, -1, LUA_TTABLE);
    int64_t n = rh_adamw_count(b->opt);
    if (luaL_len(L, -1) != n)
        luaL_argerror(L, 2, lua_pushfstring(L, "steps of %I parameters wanted, got %I", n,
                                            luaL_len(L, -1)));
    load_moment(L, b->opt, 1, "moment1");
    load_moment(L, b->opt, 2, "moment2");
    for (int64_t i = 0; i < n; i++) {
        lua_geti(L, -1, i + 1);
        rh_adamw_set_steps(b->opt, i, luaL_checkinteger(L, -1));
        lua_pop(L, 1);
    }
    lua_getfield(L, 2, "total_steps");
    rh_adamw_set_total_steps(b->opt, luaL_checkinteger(L, -1));
    return 0;
}

static int adamw_tostring(lua_State *L) {
    box *b = luaL_checkudata(L, 1, ADAMW);
    char text[128] = "adamw (closed)";
    if (b->opt)
        snprintf(text, sizeof text, "adamw: %lld parameters, %lld numbers, lr %g, %lld steps done",
                 (long long)rh_adamw_count(b->opt), (long long)rh_adamw_elements(b->opt), b->lr,
                 (long long)rh_adamw_steps(b->opt));
    lua_pushstring(L, text);
    return 1;
}

static const luaL_Reg metamethods[] = {{"__gc", adamw_close}, {"__close", adamw_close},
                                       {"__tostring", adamw_tostring}, {NULL, NULL}};
static const luaL_Reg methods[] = {
    {"step", adamw_step}, {"clip", adamw_clip}, {"zero_grad", adamw_zero_grad}, {"lr", adamw_lr},
    {"state", adamw_state}, {"load_state", adamw_load_state}, {"close", adamw_close}, {NULL, NULL}};

void rhl_open_optim(lua_State *L, rhl_state *state) {
    rhl_new_class(L, state, ADAMW, metamethods, methods);
    rhl_pushfunction(L, state, adamw_new);
    lua_setfield(L, -2, "adamw");
}
