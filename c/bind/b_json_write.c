/* See b_json.h: from Lua values to JSON text, without a tree. Keys stand in the order that a metatable's
 * __keys lists, the others after them by their bytes. The text grows in a userdata that has its slot on
 * the stack, so an error frees it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/b_json.h"
#include "io/json.h"

enum { MAX_DEPTH = 64 };

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

/* Writes the character as an escape if it needs one. */
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
    const char *p = lua_tolstring(w->L, index, &n);
    put_text(w, "\"");
    for (size_t i = 0; i < n; i += length) {
        length = rh_utf8_length(p + i, n - i);
        if (length == 0)
            luaL_error(w->L, "json_encode: a string is not valid UTF-8 at byte %I", (lua_Integer)i + 1);
        if (!put_escape(w, (unsigned char)p[i])) put(w, p + i, length);
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

/* Pushes a block of the table's keys in order; *n of them. Pushes one value, which also keeps the keys
 * alive: a finalizer may run meanwhile and change the table. */
static key *push_keys(lua_State *L, int index, size_t *n) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    key *keys = lua_newuserdatauv(L, count * sizeof *keys, 1);
    push_ranks(L, index);
    *n = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (*n == count) luaL_error(L, "json_encode: the table changed");
        key *k = &keys[(*n)++];
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "json_encode: an object's keys must be strings, got %s",
                       luaL_tolstring(L, -2, NULL));
        k->text = lua_tolstring(L, -2, &k->length);
        lua_pushvalue(L, -2);
        k->rank = lua_rawget(L, -4) == LUA_TNIL ? LUA_MAXINTEGER : lua_tointeger(L, -1);
        lua_pop(L, 1);
        lua_pushvalue(L, -2);
        lua_pushinteger(L, k->rank);
        lua_rawset(L, -5);
    }
    lua_setiuservalue(L, -2, 1);
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
    bool array = rhl_is_array(w->L, index) || has_first(w->L, index);
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
    rhl_push_null(L);
    if (!lua_rawequal(L, index, -1))
        luaL_error(L, "json_encode: a %s has no JSON form", luaL_typename(L, index));
    lua_pop(L, 1);
    put_text(w, "null");
}

/* json_encode(value, {indent = 0}) -> text */
int rhl_json_encode(lua_State *L) {
    static const char *const names[] = {"indent", NULL};
    writer w = {.L = L, .room = 256, .slot = 3};
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    rhl_check_options(L, 2, names);
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

/* json_keys(t) -> the keys of an object in the order in which it is written */
int rhl_json_keys(lua_State *L) {
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
