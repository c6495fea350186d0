/* A program that embeds Lua, for spec/bind/states_spec.lua: host states N SCRIPT | threads N SCRIPT |
 * fork SCRIPT | starve SCRIPT. Every state runs SCRIPT; what fails is printed, the exit code is 1. */
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int run_state(const char *script) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    int failed = luaL_dofile(L, script);
    if (failed) printf("%s\n", lua_tostring(L, -1));
    lua_close(L);
    return failed;
}

static long resident_pages(void) {
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &size, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return resident;
}

/* Prints how many KiB the second half of n states added. */
static int states(int n, const char *script) {
    long middle = 0;
    for (int i = 0; i < n; i++) {
        if (i == n / 2) middle = resident_pages();
        if (run_state(script)) return 1;
    }
    printf("grown %ld\n", (resident_pages() - middle) * (sysconf(_SC_PAGESIZE) / 1024));
    return 0;
}

static void *thread_main(void *script) {
    for (int i = 0; i < 5; i++)
        if (run_state(script)) return script;
    return NULL;
}

static int threads(int n, char *script) {
    pthread_t thread[16];
    int failed = 0;
    for (int i = 0; i < n && i < 16; i++) pthread_create(&thread[i], NULL, thread_main, script);
    for (int i = 0; i < n && i < 16; i++) {
        void *result;
        pthread_join(thread[i], &result);
        failed |= result != NULL;
    }
    return failed;
}

/* The script runs in the parent, then `again()` in a child of fork and in the parent. */
static int forked(const char *script) {
    int status = 1;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dofile(L, script)) return printf("%s\n", lua_tostring(L, -1)), 1;
    fflush(stdout);
    pid_t child = fork();
    if (luaL_dostring(L, "print(again())")) return printf("%s\n", lua_tostring(L, -1)), 1;
    fflush(stdout);
    if (child == 0) _exit(0);
    waitpid(child, &status, 0);
    lua_close(L);
    return status;
}

static long until_failure; /* 0: never */

static void *starved_alloc(void *unused, void *block, size_t old, size_t size) {
    (void)unused;
    if (size == 0) return free(block), NULL;
    if (until_failure > 0 && (!block || size > old) && --until_failure == 0) {
        until_failure = 1; /* and every one after it */
        return NULL;
    }
    return realloc(block, size);
}

/* Calls the script's work() with Lua's n-th allocation failing, n = 1, 2, ... until it returns, and
 * its check() in between. Prints how many failed. */
static int starve(const char *script) {
    lua_State *L = lua_newstate(starved_alloc, NULL);
    luaL_openlibs(L);
    if (luaL_dofile(L, script)) return printf("%s\n", lua_tostring(L, -1)), 1;
    for (long n = 1;; n++) {
        lua_settop(L, 0);
        lua_getglobal(L, "work");
        until_failure = n;
        int status = lua_pcall(L, 0, 0, 0);
        until_failure = 0;
        lua_settop(L, 0);
        if (luaL_dostring(L, "check()")) return printf("%ld: %s\n", n, lua_tostring(L, -1)), 1;
        if (status == LUA_OK) return printf("%ld failed\n", n - 1), lua_close(L), 0;
    }
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "states") == 0) return states(atoi(argv[2]), argv[3]);
    if (argc == 4 && strcmp(argv[1], "threads") == 0) return threads(atoi(argv[2]), argv[3]);
    if (argc == 3 && strcmp(argv[1], "fork") == 0) return forked(argv[2]);
    if (argc == 3 && strcmp(argv[1], "starve") == 0) return starve(argv[2]);
    return 2;
}
