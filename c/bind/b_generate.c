/* Generation sessions as Lua sees them: core.session(decoder, slots, options) holds a decoder (user value
 * 1), the stop ids (2) and how to sample; lua/rlhf/generate.lua decides who is fed what, checks what
 * users give, and raises at their line. */
#include <string.h>

#include "bind/bind.h"
#include "nn/session.h"
#include "sample/sample.h"

#define SESSION "rlhf.session"
enum { DECODER_VALUE = 1, STOP_VALUE };

typedef struct box {
    rh_session *s; /* NULL: closed */
    rh_sampling sampling;
} box;

/* The open session at argument 1, whose decoder is open too. */
static box *check_open(lua_State *L) {
    box *b = luaL_checkudata(L, 1, SESSION);
    luaL_argcheck(L, b->s, 1, "attempt to use a closed session");
    lua_getiuservalue(L, 1, DECODER_VALUE);
    rhl_check_decoder(L, lua_gettop(L));
    lua_pop(L, 1);
    return b;
}

static int session_close(lua_State *L) {
    box *b = luaL_checkudata(L, 1, SESSION);
    rh_session *s = b->s;
    b->s = NULL;
    if (s) rh_session_free(s);
    return 0;
}

/* A list of integers at `index` as an array of Lua's, pushed. */
static int64_t *read_list(lua_State *L, int index, int arg, int64_t *n) {
    if (!lua_istable(L, index)) rhl_typeerror(L, arg, "list of integers");
    *n = (int64_t)lua_rawlen(L, index);
    int64_t *out = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *out, 0);
    for (int64_t i = 0; i < *n; i++) {
        int whole;
        lua_rawgeti(L, index, i + 1);
        out[i] = lua_tointegerx(L, -1, &whole);
        if (!whole)
            rhl_argerror(L, arg, lua_pushfstring(L, "integer expected at place %I, got %s",
                                                 (lua_Integer)i + 1, rhl_typename(L, -1)));
        lua_pop(L, 1);
    }
    return out;
}

static double number_field(lua_State *L, int arg, const char *name, double otherwise) {
    int is_number = 1;
    double v = otherwise;
    if (lua_getfield(L, arg, name) != LUA_TNIL) v = lua_tonumberx(L, -1, &is_number);
    if (!is_number) rhl_argerror(L, arg, lua_pushfstring(L, "%s: number expected", name));
    lua_pop(L, 1);
    return v;
}

static int64_t integer_field(lua_State *L, int arg, const char *name) {
    int whole = 1;
    int64_t v = 0;
    if (lua_getfield(L, arg, name) != LUA_TNIL) v = lua_tointegerx(L, -1, &whole);
    if (!whole) rhl_argerror(L, arg, lua_pushfstring(L, "%s: integer expected", name));
    lua_pop(L, 1);
    return v;
}

/* How to sample from the table at `arg`; pushes the array of stop ids, which `sampling` borrows. */
static rh_sampling read_sampling(lua_State *L, int arg) {
    luaL_checktype(L, arg, LUA_TTABLE);
    rh_sampling s = {.temperature = number_field(L, arg, "temperature", 1),
                     .top_p = number_field(L, arg, "top_p", 1),
                     .min_p = number_field(L, arg, "min_p", 0),
                     .repetition_penalty = number_field(L, arg, "repetition_penalty", 1),
                     .top_k = integer_field(L, arg, "top_k"),
                     .min_new_tokens = integer_field(L, arg, "min_new_tokens"),
                     .seed = (uint64_t)integer_field(L, arg, "seed")};
    lua_getfield(L, arg, "greedy");
    s.greedy = lua_toboolean(L, -1);
    if (lua_getfield(L, arg, "stop") == LUA_TNIL) lua_newtable(L);
    s.stop = read_list(L, lua_gettop(L), arg, &s.n_stop);
    lua_replace(L, -3);
    lua_pop(L, 1);
    return s;
}

/* core.session(decoder, slots, options) -> session */
static int session_new(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    rhl_check_decoder(L, 1);
    int64_t slots = luaL_checkinteger(L, 2);
    rh_sampling sampling = read_sampling(L, 3);
    box *b = lua_newuserdatauv(L, sizeof *b, 2);
    *b = (box){.sampling = sampling};
    luaL_setmetatable(L, SESSION);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, DECODER_VALUE);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, STOP_VALUE);
    rh_decoder *d = rhl_check_decoder(L, 1);
    b->s = rh_session_new(state->ctx, d, slots);
    if (!b->s && rhl_collect_for_retry(L, state, state->ctx->error.code))
        b->s = rh_session_new(state->ctx, d, slots);
    return b->s ? 1 : rhl_raise_at(L, state, 0);
}

/* Tokens at argument 3, for each slot an id or a list of ids, laid end to end; pushes two arrays. */
static int64_t *read_tokens(lua_State *L, int64_t n, const int64_t **length) {
    luaL_checktype(L, 3, LUA_TTABLE);
    int64_t *lengths = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *lengths, 0), total = 0;
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = lua_rawgeti(L, 3, i + 1) == LUA_TTABLE ? (int64_t)lua_rawlen(L, -1) : 1;
        total += lengths[i];
        lua_pop(L, 1);
    }
    int64_t *ids = lua_newuserdatauv(L, (size_t)(total + 1) * sizeof *ids, 0), *to = ids;
    for (int64_t i = 0; i < n; i++) {
        bool list = lua_rawgeti(L, 3, i + 1) == LUA_TTABLE;
        for (int64_t k = 0; k < lengths[i]; k++, to++) {
            if (list) lua_rawgeti(L, -1, k + 1);
            int whole;
            *to = lua_tointegerx(L, -1, &whole);
            if (!whole)
                rhl_argerror(L, 3, lua_pushfstring(L, "token id expected, got %s",
                                                   rhl_typename(L, -1)));
            if (list) lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    *length = lengths;
    return ids;
}

/* s:feed(slots, tokens): each slot (from 1) goes on with tokens[i], an id or a list of ids */
static int session_feed(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    rh_feed feed;
    int64_t *slots = read_list(L, 2, 2, &feed.n);
    for (int64_t i = 0; i < feed.n; i++) slots[i]--;
    feed.slot = slots;
    feed.ids = read_tokens(L, feed.n, &feed.length);
    rh_session *s = check_open(L)->s;
    rh_status status = rh_session_feed(s, feed);
    if (rhl_collect_for_retry(L, state, status)) status = rh_session_feed(check_open(L)->s, feed);
    return status == RH_OK ? 0 : rhl_raise_at(L, state, 0);
}

/* s:logits() -> [n, vocab] of the slots that were fed last */
static int session_logits(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    const rh_session *s = check_open(L)->s;
    int64_t size[2] = {s->fed, s->d->config.vocab};
    rh_tensor *t = rhl_push_new(L, state, RH_F32, 2, size);
    s = check_open(L)->s;
    if (s->fed == size[0])
        memcpy(rh_f32(t), s->logits, (size_t)(size[0] * size[1]) * sizeof(float));
    return 1;
}

/* s:sample(streams, counts) -> the next id of each sequence fed last, sequence i from stream streams[i]
 * as its new token number counts[i], from 0. The logits are used up. */
static int session_sample(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    int64_t n, n_counts;
    const int64_t *streams = read_list(L, 2, 2, &n), *counts = read_list(L, 3, 3, &n_counts);
    rh_sample_row *rows = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *rows, 0);
    int64_t *next = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *next, 0);
    box *b = check_open(L);
    rh_session *s = b->s;
    if (n != s->fed || n_counts != n)
        return luaL_error(L, "streams and counts of %I sequences wanted", (lua_Integer)s->fed);
    for (int64_t i = 0; i < n; i++) {
        rows[i] = (rh_sample_row){.stream = (uint64_t)streams[i], .index = counts[i]};
        rows[i].ids = rh_session_ids(s, s->slot[i], &rows[i].n);
    }
    s->fed = 0;
    if (rh_sample(state->ctx, &b->sampling, n, s->d->config.vocab, s->logits, rows, next) != RH_OK)
        return rhl_raise_at(L, state, 0);
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushinteger(L, next[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* s:finish(slot): forgets its sequence */
static int session_finish(lua_State *L) {
    rh_session *s = check_open(L)->s;
    int64_t slot = luaL_checkinteger(L, 2);
    luaL_argcheck(L, slot >= 1 && slot <= s->cache.n, 2, "no such slot");
    rh_session_end(s, slot - 1);
    s->fed = 0;
    return 0;
}

/* core.process_logits(x [V], ids, options, count) -> what the processors make of them, [V]; ids: prompt
 * and new tokens; count: new tokens among them */
static int process_logits(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rhl_pace(L, state);
    rh_sample_row row = {.index = luaL_optinteger(L, 4, 0)};
    row.ids = read_list(L, 2, 2, &row.n);
    rh_sampling sampling = read_sampling(L, 3);
    rh_tensor *x = rhl_hold(L, 1);
    rhl_handle *held = rhl_test_handle(L, -1);
    if (x->dtype != RH_F32 || x->rank != 1 || x->shape[0] < 1 || x->shape[0] > INT32_MAX)
        return rhl_argerror(L, 1, "a f32 vector of at least one logit wanted");
    void *scratch = lua_newuserdatauv(L, rh_sample_scratch(x->shape[0]), 0);
    rh_tensor *y = rhl_push_new(L, state, RH_F32, 1, x->shape);
    rh_tensor_copy_data(y, x);
    rhl_handle_close(held);
    rh_process_logits(&sampling, &row, rh_f32(y), y->shape[0], scratch);
    return 1;
}

static const luaL_Reg metamethods[] = {
    {"__gc", session_close}, {"__close", session_close}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"feed", session_feed},     {"logits", session_logits},
                                   {"sample", session_sample}, {"finish", session_finish},
                                   {"close", session_close},   {NULL, NULL}};

void rhl_open_generate(lua_State *L, rhl_state *state) {
    rhl_new_class(L, state, SESSION, metamethods, methods);
    const luaL_Reg functions[] = {
        {"session", session_new}, {"process_logits", process_logits}, {NULL, NULL}};
    rhl_setfuncs(L, state, functions);
}
