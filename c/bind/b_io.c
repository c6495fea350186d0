/* Files for Lua: whole texts in and out, folders. The world's errors are nil and a message; a path that
 * no file can have is misuse. b_safetensors.c has the files of tensors. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/bind.h"
#include "io/file.h"

#define OPEN_FILE "rlhf.file"
#define OPEN_FOLDER "rlhf.folder"

enum { READ_LIMIT = 64 << 20 };

const char *rhl_check_path(lua_State *L, int arg) {
    size_t n;
    const char *path = luaL_checklstring(L, arg, &n);
    luaL_argcheck(L, n > 0 && strlen(path) == n, arg, "a path is not empty and has no NUL");
    return path;
}

int rhl_world_error(lua_State *L, rhl_state *state) {
    rh_status code = state->ctx->error.code;
    bool world = code == RH_EIO || code == RH_EDATA;
    return world ? rhl_nil_message(L, state) : rhl_raise_at(L, state, 0);
}

static int file_gc(lua_State *L) {
    rh_file_close(lua_touserdata(L, 1));
    return 0;
}

static int folder_gc(lua_State *L) {
    DIR **folder = lua_touserdata(L, 1);
    if (*folder) closedir(*folder);
    *folder = NULL;
    return 0;
}

/* read_file(path [, limit = 64 MiB]) -> text | nil, message. A regular file of at most `limit` bytes. */
static int read_file(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    const char *path = rhl_check_path(L, 1);
    lua_Integer limit = luaL_optinteger(L, 2, READ_LIMIT);
    rh_file *file = lua_newuserdatauv(L, sizeof *file, 0);
    *file = RH_FILE_CLOSED;
    luaL_setmetatable(L, OPEN_FILE);
    if (rh_file_open(state->ctx, path, file) != RH_OK) return rhl_nil_message(L, state);
    if (file->size > limit) {
        rh_file_close(file);
        rh_fail(state->ctx, RH_EDATA, RH_NO_OPERAND, "%s: %lld bytes, the limit is %lld", path,
                (long long)file->size, (long long)limit);
        return rhl_nil_message(L, state);
    }
    size_t n = (size_t)file->size;
    char *text = lua_newuserdatauv(L, n, 0);
    rh_status status = rh_file_read(state->ctx, file, path, 0, text, n);
    rh_file_close(file);
    if (status != RH_OK) return rhl_nil_message(L, state);
    lua_pushlstring(L, text, n);
    return 1;
}

/* write_file(path, text) -> true | nil, message. The file is the old one or the new one, never part. */
static int write_file(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_save save;
    size_t n;
    const char *path = rhl_check_path(L, 1), *text = luaL_checklstring(L, 2, &n);
    rh_status status = rh_save_begin(state->ctx, path, n, &save);
    if (status == RH_OK) status = rh_save_write(state->ctx, &save, text, n);
    if (status == RH_OK) status = rh_save_commit(state->ctx, &save);
    rh_save_end(state->ctx, &save);
    if (status != RH_OK) return rhl_world_error(L, state);
    lua_pushboolean(L, true);
    return 1;
}

/* file_info(path) -> {type = "file"|"folder"|"other", size = bytes} | nil, message */
static int file_info(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    const char *path = rhl_check_path(L, 1);
    struct stat info;
    if (stat(path, &info) != 0) {
        rh_file_fail(state->ctx, "find", path, errno);
        return rhl_nil_message(L, state);
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, S_ISREG(info.st_mode) ? "file" : S_ISDIR(info.st_mode) ? "folder" : "other");
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)info.st_size);
    lua_setfield(L, -2, "size");
    return 1;
}

/* make_folder(path) -> true | nil, message. Also those above it; fine if it is there. */
static int make_folder(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    if (rh_folder_make(state->ctx, rhl_check_path(L, 1)) != RH_OK) return rhl_world_error(L, state);
    lua_pushboolean(L, true);
    return 1;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The list of strings on top becomes a sorted list, by bytes. */
static void sort_list(lua_State *L) {
    size_t n = lua_rawlen(L, -1);
    const char **texts = lua_newuserdatauv(L, n * sizeof *texts, 0);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -3, (lua_Integer)i + 1);
        texts[i] = lua_tostring(L, -1); /* the old list keeps it */
        lua_pop(L, 1);
    }
    qsort(texts, n, sizeof *texts, compare_texts);
    for (size_t i = 0; i < n; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* list_folder(path) -> names, sorted, without . and .. | nil, message */
static int list_folder(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    const char *path = rhl_check_path(L, 1);
    lua_Integer n = 0;
    DIR **folder = lua_newuserdatauv(L, sizeof *folder, 0);
    *folder = NULL;
    luaL_setmetatable(L, OPEN_FOLDER);
    *folder = opendir(path);
    if (!*folder) {
        rh_file_fail(state->ctx, "list", path, errno);
        return rhl_nil_message(L, state);
    }
    lua_newtable(L);
    for (struct dirent *e; (e = readdir(*folder)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        lua_pushstring(L, e->d_name);
        lua_rawseti(L, -2, ++n);
    }
    closedir(*folder);
    *folder = NULL;
    sort_list(L);
    return 1;
}

/* is_terminal() -> is standard error one? */
static int is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty(STDERR_FILENO));
    return 1;
}

/* For specs. fail_saves(n [, sticky [, errno = 28]]): the n-th write, fsync or rename of saves from now
 * fails, 0: none; sticky: and all after it. Returns what was left of the last n. */
static int fail_saves(lua_State *L) {
    rh_faults *f = &rhl_state_of(L)->ctx->faults;
    int64_t left = f->io_countdown;
    f->io_countdown = luaL_checkinteger(L, 1);
    f->io_sticky = lua_toboolean(L, 2);
    f->io_error = (int)luaL_optinteger(L, 3, ENOSPC);
    lua_pushinteger(L, left);
    return 1;
}

static void set_gc(lua_State *L, const char *name, lua_CFunction gc) {
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

void rhl_open_io(lua_State *L, rhl_state *state) {
    static const luaL_Reg functions[] = {
        {"read_file", read_file}, {"write_file", write_file}, {"file_info", file_info},
        {"make_folder", make_folder}, {"list_folder", list_folder}, {"fail_saves", fail_saves},
        {"is_terminal", is_terminal}, {NULL, NULL}};
    set_gc(L, OPEN_FILE, file_gc);
    set_gc(L, OPEN_FOLDER, folder_gc);
    rhl_setfuncs(L, state, functions);
    rhl_open_json(L, state);
    rhl_open_safetensors(L, state);
}
