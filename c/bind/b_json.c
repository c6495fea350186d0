/* JSON for Lua. Reading: io/json.h's tree becomes tables; arrays carry a metatable that marks them,
 * so that an empty one is still an array when written, and null is a value of its own. Writing goes
 * from tables to text without a tree, keys sorted or in the order that a metatable's __keys lists.
 * The tree stands in a box on the stack while Lua allocates: an error there frees it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "io/json.h"

#define BOX "rlhf.json.box"
#define ARRAY "rlhf.array"
#define NULL_VALUE "rlhf.null"

enum { MAX_DEPTH = 64 };

static int box_close(lua_State *L) {
    json_t **box = lua_touserdata(L, 1);
    json_decref(*box);
    *box = NULL;
    return 0;
}

static void push_null(lua_State *L) { lua_getfield(L, LUA_REGISTRYINDEX, NULL_VALUE ".value"); }

static int null_tostring(lua_State *L) {
    lua_pushliteral(L, "null");
    return 1;
}

/* ---- reading ---- */

static void push_value(lua_State *L, json_t *value, bool order);

static void push_array(lua_State *L, json_t *array, bool order) {
    size_t n = json_array_size(array);
    lua_createtable(L, n < 1 << 20 ? (int)n : 1 << 20, 0);
    luaL_setmetatable(L, ARRAY);
    for (size_t i = 0; i < n; i++) {
        push_value(L, json_array_get(array, i), order);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* Gives the object on top of the stack its {__keys = {...}}. */
static void set_key_order(lua_State *L, json_t *object) {
    lua_Integer n = 0;
    lua_createtable(L, 0, 1);
    lua_newtable(L);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        lua_pushlstring(L, json_object_iter_key(it), json_object_iter_key_len(it));
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "__keys");
    lua_setmetatable(L, -2);
}

static void push_object(lua_State *L, json_t *object, bool order) {
    size_t n = json_object_size(object);
    lua_createtable(L, 0, n < 1 << 20 ? (int)n : 1 << 20);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        lua_pushlstring(L, json_object_iter_key(it), json_object_iter_key_len(it));
        push_value(L, json_object_iter_value(it), order);
        lua_rawset(L, -3);
    }
    if (order) set_key_order(L, object);
}

static void push_value(lua_State *L, json_t *value, bool order) {
    luaL_checkstack(L, 6, "JSON");
    switch (json_typeof(value)) {
    case JSON_OBJECT: push_object(L, value, order); break;
    case JSON_ARRAY: push_array(L, value, order); break;
    case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
    case JSON_TRUE: lua_pushboolean(L, true); break;
    case JSON_FALSE: lua_pushboolean(L, false); break;
    case JSON_NULL: push_null(L); break;
    }
}

/* The options table at `arg`: every key must be one of names. */
static void check_options(lua_State *L, int arg, const char *const *names) {
    if (lua_isnoneornil(L, arg)) return;
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
        const char *const *known = names;
        while (*known && strcmp(*known, key) != 0) known++;
        if (!*known) rhl_unknown_option(L, arg, key, names);
    }
}

/* json_decode(text, {order = false, limit = 64 MiB}) -> value | nil, message */
static int json_decode(lua_State *L) {
    static const char *const names[] = {"order", "limit", NULL};
    rhl_state *state = rhl_state_of(L);
    rh_json_limits limits = RH_JSON_LIMITS;
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_settop(L, 2);
    check_options(L, 2, names);
    bool order = false;
    if (lua_istable(L, 2)) {
        order = lua_getfield(L, 2, "order") != LUA_TNIL && lua_toboolean(L, -1);
        if (lua_getfield(L, 2, "limit") != LUA_TNIL) {
            lua_Integer n = lua_tointeger(L, -1);
            luaL_argcheck(L, n > 0, 2, "limit: a positive integer wanted");
            limits.bytes = (size_t)n;
        }
    }
    json_t **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, BOX);
    rh_status status = rh_json_parse(state->ctx, text, length, limits, box);
    if (status == RH_ENOMEM) return rhl_raise_at(L, state, 0);
    if (status != RH_OK) return rhl_nil_message(L, state);
    push_value(L, *box, order);
    json_decref(*box);
    *box = NULL;
    return 1;
}

/* ---- writing ---- */

/* The value that is written stands on the stack above the buffer's own slot; nothing but the buffer
 * may use that slot, so every function here leaves the stack as it found it. */
typedef struct writer {
    lua_State *L;
    char *text; /* a userdata's memory, at stack index `slot` */
    size_t used, room;
    int slot;
    int indent; /* spaces a level; 0: all in one line */
    const void *open[MAX_DEPTH]; /* the tables around the current value */
    int depth;
} writer;

static void put(writer *w, const char *bytes, size_t n) {
    if (n > w->room - w->used) {
        size_t room = (w->used + n) * 2;
        char *larger = lua_newuserdatauv(w->L, room, 0);
        memcpy(larger, w->text, w->used);
        lua_replace(w->L, w->slot);
        w->text = larger;
        w->room = room;
    }
    memcpy(w->text + w->used, bytes, n);
    w->used += n;
}

static void put_text(writer *w, const char *text) { put(w, text, strlen(text)); }

static void new_line(writer *w) {
    if (w->indent == 0) return;
    put_text(w, "\n");
    for (int i = 0; i < w->depth * w->indent; i++) put_text(w, " ");
}

/* Bytes of the UTF-8 sequence at p, at most n; 0 when it is none (overlong, surrogate, > U+10FFFF). */
static size_t utf8_length(const unsigned char *p, size_t n) {
    static const struct { unsigned char first, last, low, high; size_t length; } forms[] = {
        {0x00, 0x7F, 0x00, 0xFF, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (*p < forms[f].first || *p > forms[f].last) continue;
        if (n < forms[f].length) return 0;
        if (forms[f].length > 1 && (p[1] < forms[f].low || p[1] > forms[f].high)) return 0;
        for (size_t i = 2; i < forms[f].length; i++)
            if ((p[i] & 0xC0) != 0x80) return 0;
        return forms[f].length;
    }
    return 0;
}

/* Writes the character at p as an escape if it needs one. */
static bool put_escape(writer *w, unsigned char c) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    char text[8];
    if (!at && c >= 0x20) return false;
    if (at) snprintf(text, sizeof text, "\\%c", letters[at - plain]);
    else snprintf(text, sizeof text, "\\u%04x", c);
    put_text(w, text);
    return true;
}

static void put_string(writer *w, int index) {
    size_t n, length;
    const unsigned char *p = (const unsigned char *)lua_tolstring(w->L, index, &n);
    put_text(w, "\"");
    for (size_t i = 0; i < n; i += length) {
        length = utf8_length(p + i, n - i);
        if (length == 0)
            luaL_error(w->L, "json_encode: a string is not valid UTF-8 at byte %I", (lua_Integer)i + 1);
        if (!put_escape(w, p[i])) put(w, (const char *)p + i, length);
    }
    put_text(w, "\"");
}

/* The shortest of 15, 16, 17 digits that reads back as the same double; always with '.' or 'e', so
 * that it is read back as a float, whatever the locale's point is. */
static void put_float(writer *w, double v) {
    char text[40];
    if (!isfinite(v)) luaL_error(w->L, "json_encode: %f is not a JSON number", v);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    bool whole = true;
    for (char *p = text; *p; p++) {
        if (*p != '-' && *p != '+' && *p != 'e' && (*p < '0' || *p > '9')) *p = '.';
        whole = whole && *p != '.' && *p != 'e';
    }
    put_text(w, text);
    if (whole) put_text(w, ".0");
}

static void put_number(writer *w, int index) {
    char text[24];
    if (!lua_isinteger(w->L, index)) {
        put_float(w, lua_tonumber(w->L, index));
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(w->L, index));
    put_text(w, text);
}

static void put_value(writer *w, int index);

/* Whether the metatable of the table at index is the mark of arrays. */
static bool is_marked(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    luaL_getmetatable(L, ARRAY);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return marked;
}

static bool has_first(lua_State *L, int index) {
    bool has = lua_rawgeti(L, index, 1) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

static void put_array(writer *w, int index) {
    lua_State *L = w->L;
    lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        if (key < 1 || key > n)
            luaL_error(L, "json_encode: an array has the key %s beside its %I elements",
                       luaL_tolstring(L, -2, NULL), n);
    }
    put_text(w, "[");
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1) put_text(w, w->indent ? "," : ", ");
        new_line(w);
        if (lua_rawgeti(L, index, i) == LUA_TNIL)
            luaL_error(L, "json_encode: element %I of %I of an array is nil (null is rlhf.null)", i, n);
        put_value(w, lua_gettop(L));
        lua_pop(L, 1);
    }
}

typedef struct key {
    const char *text; /* the table's own string */
    size_t length;
    lua_Integer rank; /* its place in __keys */
} key;

static int compare_keys(const void *pa, const void *pb) {
    const key *a = pa, *b = pb;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    int d = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return d ? d : (a->length > b->length) - (a->length < b->length);
}

/* Pushes a table from key to place in __keys; empty without one. */
static void push_ranks(lua_State *L, int index) {
    lua_newtable(L);
    int type = luaL_getmetafield(L, index, "__keys");
    if (type == LUA_TNIL) return;
    if (type == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            lua_pushinteger(L, i);
            lua_rawset(L, -4);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Pushes a block of the table's keys in order; *n of them. Pushes one value. */
static key *push_keys(lua_State *L, int index, size_t *n) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    key *keys = lua_newuserdatauv(L, count * sizeof *keys, 0);
    push_ranks(L, index);
    *n = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        key *k = &keys[(*n)++];
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "json_encode: an object's keys must be strings, got %s",
                       luaL_tolstring(L, -2, NULL));
        k->text = lua_tolstring(L, -2, &k->length);
        lua_pushvalue(L, -2);
        k->rank = lua_rawget(L, -4) == LUA_TNIL ? LUA_MAXINTEGER : lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    qsort(keys, *n, sizeof *keys, compare_keys);
    return keys;
}

static void put_object(writer *w, int index) {
    lua_State *L = w->L;
    size_t n;
    const key *keys = push_keys(L, index, &n);
    put_text(w, "{");
    for (size_t i = 0; i < n; i++) {
        if (i > 0) put_text(w, w->indent ? "," : ", ");
        new_line(w);
        lua_pushlstring(L, keys[i].text, keys[i].length);
        put_string(w, lua_gettop(L));
        put_text(w, ": ");
        lua_rawget(L, index);
        put_value(w, lua_gettop(L));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void put_table(writer *w, int index) {
    const void *self = lua_topointer(w->L, index);
    for (int i = 0; i < w->depth; i++)
        if (w->open[i] == self) luaL_error(w->L, "json_encode: a table holds itself");
    if (w->depth == MAX_DEPTH) luaL_error(w->L, "json_encode: nested too deeply (%d levels)", MAX_DEPTH);
    bool array = is_marked(w->L, index) || has_first(w->L, index);
    size_t before = w->used;
    w->open[w->depth++] = self;
    if (array) put_array(w, index);
    else put_object(w, index);
    w->depth--;
    if (w->used > before + 1) new_line(w);
    put_text(w, array ? "]" : "}");
}

/* The value at a positive index. */
static void put_value(writer *w, int index) {
    lua_State *L = w->L;
    luaL_checkstack(L, 10, "json_encode");
    switch (lua_type(L, index)) {
    case LUA_TTABLE: put_table(w, index); return;
    case LUA_TSTRING: put_string(w, index); return;
    case LUA_TNUMBER: put_number(w, index); return;
    case LUA_TBOOLEAN: put_text(w, lua_toboolean(L, index) ? "true" : "false"); return;
    }
    push_null(L);
    if (!lua_rawequal(L, index, -1))
        luaL_error(L, "json_encode: a %s has no JSON form", luaL_typename(L, index));
    lua_pop(L, 1);
    put_text(w, "null");
}

/* json_encode(value, {indent = 0}) -> text */
static int json_encode(lua_State *L) {
    static const char *const names[] = {"indent", NULL};
    writer w = {.L = L, .room = 256, .slot = 3};
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    check_options(L, 2, names);
    w.text = lua_newuserdatauv(L, w.room, 0);
    if (lua_istable(L, 2) && lua_getfield(L, 2, "indent") != LUA_TNIL) {
        lua_Integer n = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
        luaL_argcheck(L, n >= 0 && n <= 16, 2, "indent: an integer from 0 to 16 wanted");
        w.indent = (int)n;
    }
    put_value(&w, 1);
    lua_pushlstring(L, w.text, w.used);
    return 1;
}

/* ---- marks ---- */

/* array(t) -> t, marked: written as an array even when empty. */
static int array(lua_State *L) {
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_setmetatable(L, ARRAY);
    return 1;
}

/* is_array(v): a marked table, as json_decode makes of every JSON array. */
static int is_array(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, lua_istable(L, 1) && is_marked(L, 1));
    return 1;
}

/* json_keys(t) -> the keys of an object in the order in which it is written */
static int json_keys(lua_State *L) {
    size_t n;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    const key *keys = push_keys(L, 1, &n);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushlstring(L, keys[i].text, keys[i].length);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* A second opening in one state finds the first's null. */
static void make_null(lua_State *L) {
    if (lua_getfield(L, LUA_REGISTRYINDEX, NULL_VALUE ".value") == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newuserdatauv(L, 0, 0);
        luaL_newmetatable(L, NULL_VALUE);
        lua_pushcfunction(L, null_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, NULL_VALUE ".value");
    }
}

void rhl_open_json(lua_State *L, rhl_state *state) {
    static const luaL_Reg functions[] = {
        {"json_decode", json_decode}, {"json_encode", json_encode}, {"json_keys", json_keys},
        {"array", array}, {"is_array", is_array}, {NULL, NULL}};
    luaL_newmetatable(L, BOX);
    lua_pushcfunction(L, box_close);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, ARRAY);
    lua_pop(L, 2);
    rhl_setfuncs(L, state, functions);
    make_null(L);
    lua_setfield(L, -2, "null");
}
