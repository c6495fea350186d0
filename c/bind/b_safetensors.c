/* safetensors files for Lua: a reader holds an open file and its header until it is closed or
 * collected; saving takes a list. lua/rlhf/safetensors.lua puts shards together. */
#include <string.h>

#include "bind/bind.h"
#include "io/safetensors.h"
#include "tensor/shape.h"

#define READER "rlhf.safetensors"

typedef struct reader {
    rh_safetensors st;
    rh_ctx *ctx; /* NULL: closed */
} reader;

static int reader_close(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    rh_ctx *ctx = r->ctx;
    r->ctx = NULL;
    if (ctx) rh_safetensors_close(ctx, &r->st);
    return 0;
}

static reader *check_reader(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    luaL_argcheck(L, r->ctx, 1, "attempt to use a closed safetensors file");
    return r;
}

/* The entry named by argument 2; NULL, with the error set, when the file has none. */
static const rh_st_entry *find_entry(lua_State *L, reader *r) {
    size_t n;
    const char *name = luaL_checklstring(L, 2, &n);
    const rh_st_entry *e = strlen(name) == n ? rh_safetensors_find(&r->st, name) : NULL;
    if (!e) rh_fail(r->ctx, RH_EDATA, RH_NO_OPERAND, "%s: no tensor '%s'", r->st.path, name);
    return e;
}

/* safetensors_open(path) -> reader | nil, message */
static int safetensors_open(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    const char *path = rhl_check_path(L, 1);
    reader *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (reader){RH_SAFETENSORS_NONE, NULL};
    luaL_setmetatable(L, READER);
    r->ctx = state->ctx;
    rh_status status = rh_safetensors_open(state->ctx, path, &r->st);
    if (status == RH_OK) return 1;
    rh_safetensors_close(state->ctx, &r->st);
    r->ctx = NULL;
    return rhl_world_error(L, state);
}

/* reader:names() -> list, sorted */
static int reader_names(lua_State *L) {
    const reader *r = check_reader(L);
    lua_createtable(L, r->st.count < 1 << 20 ? (int)r->st.count : 1 << 20, 0);
    for (size_t i = 0; i < r->st.count; i++) {
        lua_pushstring(L, r->st.entries[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* reader:info(name) -> {dtype = "BF16", shape = {...}, bytes =} | nil, message */
static int reader_info(lua_State *L) {
    reader *r = check_reader(L);
    const rh_st_entry *e = find_entry(L, r);
    if (!e) return rhl_nil_message(L, rhl_state_of(L));
    lua_createtable(L, 0, 3);
    lua_pushstring(L, rh_st_dtype_name(e->dtype));
    lua_setfield(L, -2, "dtype");
    lua_pushinteger(L, e->end - e->begin);
    lua_setfield(L, -2, "bytes");
    lua_createtable(L, e->rank, 0);
    for (int d = 0; d < e->rank; d++) {
        lua_pushinteger(L, e->shape[d]);
        lua_rawseti(L, -2, d + 1);
    }
    lua_setfield(L, -2, "shape");
    return 1;
}

/* reader:metadata() -> {key = text}, empty when the file has none */
static int reader_metadata(lua_State *L) {
    const reader *r = check_reader(L);
    json_t *metadata = r->st.metadata;
    lua_newtable(L);
    for (void *it = json_object_iter(metadata); it; it = json_object_iter_next(metadata, it)) {
        const json_t *value = json_object_iter_value(it);
        lua_pushstring(L, json_object_iter_key(it));
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        lua_rawset(L, -3);
    }
    return 1;
}

static rh_tensor *new_tensor(lua_State *L, rhl_state *state, const rh_st_entry *e) {
    rh_dtype dtype = rh_st_tensor_dtype(e->dtype);
    rh_tensor *t = rh_tensor_new(state->ctx, dtype, e->rank, e->shape);
    if (!t && rhl_collect_for_retry(L, state, state->ctx->error.code))
        t = rh_tensor_new(state->ctx, dtype, e->rank, e->shape);
    return t;
}

static bool wants_finite(lua_State *L) {
    static const char *const names[] = {"check_finite", NULL};
    rhl_check_options(L, 3, names);
    bool wanted = lua_istable(L, 3) && lua_getfield(L, 3, "check_finite") != LUA_TNIL &&
                  lua_toboolean(L, -1);
    lua_settop(L, 3);
    return wanted;
}

/* reader:read(name, {check_finite = false}) -> tensor | nil, message: floats as f32, integers as i64 */
static int reader_read(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    reader *r = check_reader(L);
    lua_settop(L, 3);
    bool finite = wants_finite(L);
    const rh_st_entry *e = find_entry(L, r);
    if (!e) return rhl_nil_message(L, state);
    rhl_pace(L, state);
    rhl_handle *h = rhl_push_handle(L);
    h->t = new_tensor(L, state, e);
    if (!h->t) return rhl_raise_at(L, state, 0);
    rh_status status = rh_safetensors_read(r->ctx, &r->st, e, h->t);
    if (status == RH_OK && finite && h->t->dtype == RH_F32)
        status = rh_safetensors_check_finite(r->ctx, &r->st, e, h->t);
    if (status != RH_OK) {
        rhl_handle_close(h);
        return rhl_world_error(L, state);
    }
    rhl_scope_own(L, state, h);
    return 1;
}

/* reader:read_into(name, tensor) -> true | nil, message: a contiguous tensor of the same shape */
static int reader_read_into(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    reader *r = check_reader(L);
    const rh_st_entry *e = find_entry(L, r);
    rh_tensor *t = rhl_check_tensor(L, 3);
    if (!e) return rhl_nil_message(L, state);
    rh_status status = rh_safetensors_read(r->ctx, &r->st, e, t);
    if (status == RH_EARG) return rhl_raise(L, state, 3);
    if (status != RH_OK) return rhl_world_error(L, state);
    lua_pushboolean(L, true);
    return 1;
}

/* ---- saving ---- */

/* The string on top, which stays where it was found: no NUL may hide its end. */
static const char *text_on_top(lua_State *L, int arg, const char *what) {
    size_t n;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
    if (!text || strlen(text) != n)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s: a string without NUL wanted, got %s", what,
                                              text ? "one with" : luaL_typename(L, -1)));
    return text;
}

static void raw_field(lua_State *L, const char *key) {
    lua_pushstring(L, key);
    lua_rawget(L, -2);
}

/* Pushes a block of the items in the list at argument 2. Its tables keep what the block points to. */
static rh_st_item *push_items(lua_State *L, size_t *n) {
    luaL_checktype(L, 2, LUA_TTABLE);
    *n = lua_rawlen(L, 2);
    rh_st_item *items = lua_newuserdatauv(L, *n * sizeof *items, 0);
    for (size_t i = 0; i < *n; i++) {
        if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TTABLE)
            luaL_argerror(L, 2, lua_pushfstring(L, "item %I: {name =, tensor =} wanted, got %s",
                                                (lua_Integer)i + 1, luaL_typename(L, -1)));
        raw_field(L, "name");
        items[i].name = text_on_top(L, 2, "a tensor's name");
        lua_pop(L, 1);
        raw_field(L, "tensor");
        items[i].tensor = rhl_test_tensor(L, -1, 2);
        if (!items[i].tensor)
            luaL_argerror(L, 2, lua_pushfstring(L, "'%s': tensor wanted, got %s", items[i].name,
                                                luaL_typename(L, -1)));
        lua_pop(L, 2);
    }
    return items;
}

/* Pushes a block of the notes in the table at argument 3, "format" = "pt" among them. */
static rh_st_note *push_notes(lua_State *L, size_t *n) {
    size_t room = 1;
    bool given = !lua_isnoneornil(L, 3);
    if (given) luaL_checktype(L, 3, LUA_TTABLE);
    for (lua_pushnil(L); given && lua_next(L, 3); lua_pop(L, 1)) room++;
    lua_settop(L, 4);
    rh_st_note *notes = lua_newuserdatauv(L, room * sizeof *notes, 0);
    bool has_format = false;
    *n = 0;
    for (lua_pushnil(L); given && lua_next(L, 3); lua_pop(L, 1)) {
        rh_st_note *note = &notes[(*n)++];
        note->value = text_on_top(L, 3, "metadata");
        lua_pushvalue(L, -2);
        note->key = text_on_top(L, 3, "metadata's key");
        lua_pop(L, 1);
        has_format = has_format || strcmp(note->key, "format") == 0;
    }
    if (!has_format) notes[(*n)++] = (rh_st_note){"format", "pt"};
    return notes;
}

/* safetensors_save(path, {{name =, tensor =}, ...} [, {key = text}]) -> true | nil, message */
static int safetensors_save(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    const char *path = rhl_check_path(L, 1);
    size_t n, n_notes;
    lua_settop(L, 3);
    rhl_pace(L, state);
    rh_st_item *items = push_items(L, &n);
    rh_st_note *notes = push_notes(L, &n_notes);
    rh_status status = rh_safetensors_save(state->ctx, path, items, n, notes, n_notes);
    if (status == RH_EARG) return rhl_raise_at(L, state, 2);
    if (status != RH_OK) return rhl_world_error(L, state);
    lua_pushboolean(L, true);
    return 1;
}

void rhl_open_safetensors(lua_State *L, rhl_state *state) {
    static const luaL_Reg functions[] = {
        {"safetensors_open", safetensors_open}, {"safetensors_save", safetensors_save}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {
        {"__gc", reader_close}, {"__close", reader_close}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"names", reader_names}, {"info", reader_info}, {"metadata", reader_metadata},
        {"read", reader_read}, {"read_into", reader_read_into}, {"close", reader_close}, {NULL, NULL}};
    rhl_new_class(L, state, READER, metamethods, methods);
    rhl_setfuncs(L, state, functions);
}
