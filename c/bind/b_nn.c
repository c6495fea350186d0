/* Decoders as Lua sees them: core.decoder(settings, frequencies) makes one; lua/rlhf/model.lua gives it names,
 * files and the methods that users call. */
#include <stddef.h>
#include <string.h>

#include "bind/bind.h"
#include "nn/decoder.h"

#define DECODER "rlhf.decoder"

typedef struct box {
    rh_decoder *d;
} box;

rh_decoder *rhl_check_decoder(lua_State *L, int arg) {
    box *b = luaL_checkudata(L, arg, DECODER);
    luaL_argcheck(L, b->d, arg, "attempt to use a closed decoder");
    return b->d;
}

static int decoder_close(lua_State *L) {
    box *b = luaL_checkudata(L, 1, DECODER);
    rh_decoder *d = b->d;
    b->d = NULL;
    if (d) rh_decoder_free(d);
    return 0;
}

/* Settings by name: whole numbers, booleans, and words for the enumerations. */
typedef struct field {
    const char *name;
    size_t at;
} field;
#define FIELD(name) {#name, offsetof(rh_decoder_config, name)}

static const field numbers[] = {FIELD(layers), FIELD(dim), FIELD(heads), FIELD(kv_heads),
                                FIELD(head_dim), FIELD(hidden), FIELD(vocab), FIELD(context)};
static const field flags[] = {FIELD(norm_bias), FIELD(gated), FIELD(fused_qkv), FIELD(in_out),
                              FIELD(qkv_bias), FIELD(attention_bias), FIELD(mlp_bias), FIELD(tied),
                              FIELD(head)};

/* A whole number, or nil and a message on the stack (then false). */
static bool read_number(lua_State *L, const field *f, rh_decoder_config *config) {
    int whole;
    lua_getfield(L, 1, f->name);
    int64_t v = lua_tointegerx(L, -1, &whole);
    if (!whole) {
        const char *got = luaL_tolstring(L, -1, NULL);
        lua_pushnil(L);
        lua_pushfstring(L, "%s: a whole number wanted, got %s", f->name, got);
        return false;
    }
    lua_pop(L, 1);
    memcpy((char *)config + f->at, &v, sizeof v);
    return true;
}

static int word(lua_State *L, const char *name, const char *const *words) {
    lua_getfield(L, 1, name);
    int index = luaL_checkoption(L, -1, NULL, words);
    lua_pop(L, 1);
    return index;
}

static bool read_config(lua_State *L, rh_decoder_config *config) {
    static const char *const norms[] = {"layer", "rms", NULL};
    static const char *const positions[] = {"learned", "rotary", NULL};
    static const char *const activations[] = {"gelu", "gelu_tanh", "relu", "silu", NULL};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!read_number(L, &numbers[i], config)) return false;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        lua_getfield(L, 1, flags[i].name);
        bool v = lua_toboolean(L, -1);
        memcpy((char *)config + flags[i].at, &v, sizeof v);
        lua_pop(L, 1);
    }
    config->norm = (rh_norm_kind)word(L, "norm", norms);
    config->position = (rh_position_kind)word(L, "position", positions);
    config->activation = (rh_activation)word(L, "activation", activations);
    lua_getfield(L, 1, "norm_eps");
    config->norm_eps = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return true;
}

/* core.decoder(settings, frequencies or nil) -> decoder, or nil and what is wrong with the settings */
static int decoder_new(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    rh_decoder_config config = {0};
    if (!read_config(L, &config)) return 2;
    rh_tensor *frequencies = lua_isnoneornil(L, 2) ? NULL : rhl_check_tensor(L, 2);
    box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->d = NULL;
    luaL_setmetatable(L, DECODER);
    b->d = rh_decoder_new(state->ctx, &config, frequencies);
    if (!b->d && rhl_collect_for_retry(L, state, state->ctx->error.code))
        b->d = rh_decoder_new(state->ctx, &config, frequencies);
    return b->d ? 1 : rhl_nil_message(L, state);
}

/* core.decoder_count(settings) -> numbers in a decoder's parameters, or nil and what is wrong */
static int decoder_count(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    rh_decoder_config config = {0};
    int64_t count;
    if (!read_config(L, &config)) return 2;
    if (rh_parameters_count(state->ctx, &config, &count) != RH_OK)
        return rhl_nil_message(L, state);
    lua_pushinteger(L, count);
    return 1;
}

/* d:parameters() -> list of {name =, tensor =} in the order of the arena */
static int decoder_parameters(lua_State *L) {
    const rh_parameters *p = &rhl_check_decoder(L, 1)->parameters;
    char name[RH_PARAMETER_NAME];
    lua_createtable(L, (int)p->n, 0);
    for (int64_t i = 0; i < p->n; i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, rh_parameter_name(p, i, name));
        lua_setfield(L, -2, "name");
        rhl_handle *h = rhl_push_handle(L);
        h->t = rh_tensor_retain(p->list[i]);
        lua_setfield(L, -2, "tensor");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* d:forward(ids, positions, segments, blocks, final) -> hidden [N, dim] */
static int decoder_forward(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    rh_decoder *d = rhl_check_decoder(L, 1);
    rh_decoder_input input = {rhl_check_tensor(L, 2), rhl_check_tensor(L, 3),
                              rhl_check_tensor(L, 4)};
    int64_t blocks = luaL_checkinteger(L, 5);
    luaL_argcheck(L, blocks >= 0 && blocks <= d->config.layers, 5, "more blocks than there are");
    bool final = lua_toboolean(L, 6);
    rhl_handle *h = rhl_push_handle(L);
    rh_status status = rh_decoder_forward(d, input, blocks, final, &h->t);
    if (rhl_collect_for_retry(L, state, status))
        status = rh_decoder_forward(d, input, blocks, final, &h->t);
    if (status != RH_OK) return rhl_raise_at(L, state, 0);
    rhl_scope_own(L, state, h);
    return 1;
}

/* d:head() -> the output head's weight [vocab, dim], or nil where there is none */
static int decoder_head(lua_State *L) {
    rh_decoder *d = rhl_check_decoder(L, 1);
    rhl_handle *h = rhl_push_handle(L);
    rh_tensor *head = rh_decoder_head(d);
    if (!head) return lua_pushnil(L), 1;
    h->t = rh_tensor_retain(head);
    return 1;
}

/* d:init(seed, deviation) */
static int decoder_init(lua_State *L) {
    rh_decoder *d = rhl_check_decoder(L, 1);
    rh_parameters_init(&d->parameters, (uint64_t)luaL_checkinteger(L, 2), luaL_checknumber(L, 3));
    return 0;
}

static const luaL_Reg metamethods[] = {
    {"__gc", decoder_close}, {"__close", decoder_close}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"parameters", decoder_parameters},
                                   {"forward", decoder_forward},
                                   {"head", decoder_head},
                                   {"init", decoder_init},
                                   {"close", decoder_close},
                                   {NULL, NULL}};

void rhl_open_nn(lua_State *L, rhl_state *state) {
    rhl_new_class(L, state, DECODER, metamethods, methods);
    const luaL_Reg functions[] = {
        {"decoder", decoder_new}, {"decoder_count", decoder_count}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
}
