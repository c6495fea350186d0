/* Tokenizers as Lua sees them: core.tokenizer_read(text of a tokenizer.json) makes one,
 * lua/rlhf/tokenizer.lua gives it files and special tokens. Ids count from 0. Results are written into boxes that Lua owns, so
 * that an error while they become Lua values loses nothing. */
#include "bind/bind.h"
#include "io/json.h"
#include "text/bpe_train.h"
#include "text/read_json.h"

#define TOKENIZER "rlhf.tokenizer.core"
#define STREAM "rlhf.tokenizer.stream"
#define TRAINER "rlhf.tokenizer.trainer"
#define TREE "rlhf.tokenizer.tree"
#define RESULT "rlhf.tokenizer.result"

typedef struct tokenizer_box {
    rh_tokenizer *t;
} tokenizer_box;

typedef struct stream_box { /* its user value is the tokenizer */
    rh_ctx *ctx;
    rh_stream stream;
} stream_box;

typedef struct trainer_box { /* its user value is the tokenizer */
    rh_ctx *ctx;
    rh_trainer trainer;
} trainer_box;

typedef struct result_box {
    rh_ctx *ctx;
    rh_ids ids;
    rh_bytes bytes;
} result_box;

/* ---- boxes ---- */

static int tokenizer_gc(lua_State *L) {
    tokenizer_box *b = lua_touserdata(L, 1);
    rh_tokenizer_free(b->t);
    b->t = NULL;
    return 0;
}

static int stream_gc(lua_State *L) {
    stream_box *b = lua_touserdata(L, 1);
    rh_stream_close(b->ctx, &b->stream);
    return 0;
}

static int trainer_gc(lua_State *L) {
    trainer_box *b = lua_touserdata(L, 1);
    rh_trainer_close(b->ctx, &b->trainer);
    return 0;
}

static int tree_gc(lua_State *L) {
    json_t **tree = lua_touserdata(L, 1);
    json_decref(*tree);
    *tree = NULL;
    return 0;
}

static void free_result(result_box *r) {
    rh_ids_free(r->ctx, &r->ids);
    rh_bytes_free(r->ctx, &r->bytes);
}

static int result_gc(lua_State *L) {
    free_result(lua_touserdata(L, 1));
    return 0;
}

static result_box *push_result(lua_State *L, rhl_state *state) {
    result_box *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (result_box){.ctx = state->ctx};
    luaL_setmetatable(L, RESULT);
    return r;
}

/* Raises the context's error at the line that called rlhf.tokenizer's method. */
static int raise_to_user(lua_State *L, rhl_state *state) {
    luaL_where(L, 2);
    lua_pushstring(L, state->ctx->error.text);
    lua_concat(L, 2);
    return lua_error(L);
}

/* ---- the tokenizer ---- */

static rh_tokenizer *check_tokenizer(lua_State *L) {
    return ((tokenizer_box *)luaL_checkudata(L, 1, TOKENIZER))->t;
}

static rh_status read_text(rh_ctx *ctx, const char *text, size_t n, json_t **tree, rh_tokenizer **out) {
    RH_TRY(rh_json_parse(ctx, text, n, RH_JSON_LIMITS, tree));
    return rh_tokenizer_read(ctx, *tree, out);
}

/* core.tokenizer_read(text of a tokenizer.json) -> tokenizer | nil, message */
static int tokenizer_new(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    tokenizer_box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->t = NULL;
    luaL_setmetatable(L, TOKENIZER);
    json_t **tree = lua_newuserdatauv(L, sizeof *tree, 0);
    *tree = NULL;
    luaL_setmetatable(L, TREE);
    rh_status status = read_text(state->ctx, text, n, tree, &b->t);
    json_decref(*tree);
    *tree = NULL;
    if (status == RH_ENOMEM) return rhl_raise_at(L, state, 0);
    if (status != RH_OK) return rhl_nil_message(L, state);
    lua_pop(L, 1);
    return 1;
}

/* t:encode(text, special) -> ids */
static int tokenizer_encode(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_tokenizer *t = check_tokenizer(L);
    size_t n;
    const char *text = luaL_checklstring(L, 2, &n);
    result_box *r = push_result(L, state);
    rh_status status = rh_tokenizer_encode(t, text, n, lua_toboolean(L, 3), &r->ids);
    if (rhl_collect_for_retry(L, state, status)) {
        r->ids.used = 0;
        status = rh_tokenizer_encode(t, text, n, lua_toboolean(L, 3), &r->ids);
    }
    if (status != RH_OK) return raise_to_user(L, state);
    lua_createtable(L, r->ids.used < INT32_MAX ? (int)r->ids.used : 0, 0);
    for (size_t i = 0; i < r->ids.used; i++) {
        lua_pushinteger(L, r->ids.at[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    free_result(r);
    return 1;
}

/* The id at list[i] on top of the stack; raises unless it is a count. */
static uint64_t check_id(lua_State *L, rhl_state *state, lua_Integer i) {
    lua_Integer id = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
    if (id >= 0) return (uint64_t)id;
    rh_fail(state->ctx, RH_EARG, RH_NO_OPERAND,
            "tokenizer:decode: id %lld of the list is %s, an integer of 0 or more wanted", (long long)i,
            luaL_tolstring(L, -1, NULL));
    return (uint64_t)raise_to_user(L, state);
}

static rh_status feed_list(lua_State *L, rhl_state *state, rh_stream *s, lua_Integer n, rh_bytes *out) {
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 2, i);
        uint64_t id = check_id(L, state, i);
        lua_pop(L, 1);
        RH_TRY(rh_stream_feed(s, id, out));
    }
    return rh_stream_finish(s, out);
}

/* A stream over the tokenizer that is argument 1. */
static stream_box *push_stream(lua_State *L, rhl_state *state, bool skip_special) {
    const rh_tokenizer *t = check_tokenizer(L);
    stream_box *b = lua_newuserdatauv(L, sizeof *b, 1);
    *b = (stream_box){.ctx = state->ctx};
    luaL_setmetatable(L, STREAM);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    if (rh_stream_open(&b->stream, t, skip_special) != RH_OK) rhl_raise_at(L, state, 0);
    return b;
}

/* t:decode(ids, skip_special) -> text */
static int tokenizer_decode(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    check_tokenizer(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    stream_box *b = push_stream(L, state, lua_toboolean(L, 3));
    result_box *r = push_result(L, state);
    if (feed_list(L, state, &b->stream, (lua_Integer)lua_rawlen(L, 2), &r->bytes) != RH_OK)
        return raise_to_user(L, state);
    lua_pushlstring(L, r->bytes.at ? r->bytes.at : "", r->bytes.used);
    free_result(r);
    rh_stream_close(state->ctx, &b->stream);
    return 1;
}

/* t:count() -> how many tokens, one more than the greatest id */
static int tokenizer_count(lua_State *L) {
    const rh_tokenizer *t = check_tokenizer(L);
    lua_pushinteger(L, (lua_Integer)t->vocab.count);
    lua_pushinteger(L, (lua_Integer)t->vocab.ids);
    return 2;
}

/* t:token(id) -> its text as the file has it | nil */
static int tokenizer_token(lua_State *L) {
    const rh_tokenizer *t = check_tokenizer(L);
    lua_Integer id = luaL_checkinteger(L, 2);
    const rh_token *token = id < 0 ? NULL : rh_vocab_token(&t->vocab, (uint64_t)id);
    if (token) lua_pushlstring(L, t->vocab.text.at + token->shown, token->shown_length);
    else lua_pushnil(L);
    return 1;
}

/* t:id(text) -> id | nil */
static int tokenizer_id(lua_State *L) {
    const rh_tokenizer *t = check_tokenizer(L);
    size_t n;
    const char *text = luaL_checklstring(L, 2, &n);
    int64_t id = rh_vocab_find(&t->vocab, text, n);
    if (id >= 0) lua_pushinteger(L, id);
    else lua_pushnil(L);
    return 1;
}

/* ---- streams ---- */

/* t:stream(skip_special) -> stream */
static int tokenizer_stream(lua_State *L) {
    push_stream(L, rhl_state_of(L), lua_toboolean(L, 2));
    return 1;
}

static int push_text(lua_State *L, rhl_state *state, result_box *r, rh_status status) {
    if (status != RH_OK) return rhl_raise_at(L, state, 0);
    lua_pushlstring(L, r->bytes.at ? r->bytes.at : "", r->bytes.used);
    free_result(r);
    return 1;
}

/* s:feed(id) -> the text that is complete with it, maybe "" */
static int stream_feed(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    stream_box *b = luaL_checkudata(L, 1, STREAM);
    lua_Integer id = luaL_checkinteger(L, 2);
    luaL_argcheck(L, id >= 0, 2, "an id of 0 or more wanted");
    result_box *r = push_result(L, state);
    return push_text(L, state, r, rh_stream_feed(&b->stream, (uint64_t)id, &r->bytes));
}

/* s:finish() -> the rest; the stream may begin anew */
static int stream_finish(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    stream_box *b = luaL_checkudata(L, 1, STREAM);
    result_box *r = push_result(L, state);
    return push_text(L, state, r, rh_stream_finish(&b->stream, &r->bytes));
}

/* ---- training ---- */

/* t:trainer() -> trainer that splits text as t does and begins with its tokens */
static int tokenizer_trainer(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_tokenizer *t = check_tokenizer(L);
    trainer_box *b = lua_newuserdatauv(L, sizeof *b, 1);
    *b = (trainer_box){.ctx = state->ctx};
    luaL_setmetatable(L, TRAINER);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    if (rh_trainer_open(&b->trainer, t) != RH_OK) return rhl_raise_at(L, state, 0);
    return 1;
}

static rh_trainer *check_trainer(lua_State *L) {
    return &((trainer_box *)luaL_checkudata(L, 1, TRAINER))->trainer;
}

/* trainer:feed(text) */
static int trainer_feed(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    size_t n;
    const char *text = luaL_checklstring(L, 2, &n);
    if (rh_trainer_feed(check_trainer(L), text, n) != RH_OK) return rhl_raise_at(L, state, 0);
    return 0;
}

static void push_token(lua_State *L, const rh_vocab *v, uint32_t id) {
    lua_pushlstring(L, v->text.at + v->tokens[id].begin, v->tokens[id].length);
}

/* trainer:run(vocab_size, min_frequency) -> tokens from id 0 on, merges {{left, right}, ...} */
static int trainer_run(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_trainer *tr = check_trainer(L);
    lua_Integer size = luaL_checkinteger(L, 2), least = luaL_checkinteger(L, 3);
    luaL_argcheck(L, size >= 0 && size <= RH_VOCAB_MOST, 2, "an integer from 0 to 1048576 wanted");
    if (rh_trainer_run(tr, (size_t)size, least) != RH_OK) return rhl_raise_at(L, state, 0);
    lua_createtable(L, (int)tr->vocab.ids, 0);
    for (uint32_t id = 0; id < tr->vocab.ids; id++) {
        push_token(L, &tr->vocab, id);
        lua_rawseti(L, -2, (lua_Integer)id + 1);
    }
    lua_createtable(L, (int)tr->n, 0);
    for (size_t i = 0; i < tr->n; i++) {
        lua_createtable(L, 2, 0);
        push_token(L, &tr->vocab, tr->merges[i].left);
        lua_rawseti(L, -2, 1);
        push_token(L, &tr->vocab, tr->merges[i].right);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 2;
}

/* ---- opening ---- */

static void make_class(lua_State *L, rhl_state *state, const char *name, lua_CFunction gc,
                       const luaL_Reg *methods) {
    const luaL_Reg metamethods[] = {{"__gc", gc}, {NULL, NULL}};
    rhl_new_class(L, state, name, metamethods, methods);
}

void rhl_open_text(lua_State *L, rhl_state *state) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg tokenizer[] = {
        {"encode", tokenizer_encode}, {"decode", tokenizer_decode}, {"count", tokenizer_count},
        {"token", tokenizer_token}, {"id", tokenizer_id}, {"stream", tokenizer_stream},
        {"trainer", tokenizer_trainer}, {NULL, NULL}};
    static const luaL_Reg stream[] = {{"feed", stream_feed}, {"finish", stream_finish}, {NULL, NULL}};
    static const luaL_Reg trainer[] = {{"feed", trainer_feed}, {"run", trainer_run}, {NULL, NULL}};
    make_class(L, state, TOKENIZER, tokenizer_gc, tokenizer);
    make_class(L, state, STREAM, stream_gc, stream);
    make_class(L, state, TRAINER, trainer_gc, trainer);
    make_class(L, state, TREE, tree_gc, none);
    make_class(L, state, RESULT, result_gc, none);
    rhl_pushfunction(L, state, tokenizer_new);
    lua_setfield(L, -2, "tokenizer_read");
}
