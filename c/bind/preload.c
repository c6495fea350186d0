/* rlhf.preload: what must be in the environment before OpenBLAS is loaded, for it chooses its kernels
 * then and never again. This module is linked without it. set() adds only variables that the user
 * left unset, restore() takes exactly these away again, so that child processes don't inherit them.
 * Several states may load the library at the same time: the first to come sets, the last restores. */
#include <lauxlib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CORE, THREADS, ONEDNN, VARIABLES };
static struct {
    const char *name;
    bool ours;
} variables[VARIABLES] = {
    {"OPENBLAS_CORETYPE", false}, {"OPENBLAS_NUM_THREADS", false}, {"ONEDNN_MAX_CPU_ISA", false}};
static int inside; /* states between set and restore */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

typedef struct isa {
    const char *name;
    bool supported;
    const char *core;   /* OpenBLAS's kernels; one for every maker of processors, so equal bits */
    const char *onednn;
} isa;

/* The best set that the processor and the system support, or the one that RLHF_ISA names; NULL core:
 * OpenBLAS's own choice. A wrong RLHF_ISA is corelib's to complain of. */
static isa choose(const char *wanted) {
    isa best = {"", true, NULL, NULL};
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("bmi2");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    const isa sets[] = {
        {"sse2", wanted && __builtin_cpu_supports("ssse3"), "Core2", "SSE41"},
        {"avx2", avx2, "Haswell", "AVX2"},
        {"avx512", avx512, "SkylakeX", "AVX512_CORE"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (sets[i].supported && (!wanted || strcmp(wanted, sets[i].name) == 0)) best = sets[i];
#endif
    if (!wanted) best.onednn = NULL;
    return best;
}

static void set_one(int which, const char *value) {
    if (!value || getenv(variables[which].name)) return;
    variables[which].ours = setenv(variables[which].name, value, 0) == 0;
}

static int set(lua_State *L) {
    (void)L;
    pthread_mutex_lock(&lock);
    if (inside++ == 0) {
        const char *wanted = getenv("RLHF_ISA");
        isa best = choose(wanted && *wanted ? wanted : NULL);
        set_one(CORE, best.core);
        set_one(THREADS, "1");
        set_one(ONEDNN, best.onednn);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

static int restore(lua_State *L) {
    (void)L;
    pthread_mutex_lock(&lock);
    if (inside > 0 && --inside == 0) {
        for (int i = 0; i < VARIABLES; i++) {
            if (variables[i].ours) unsetenv(variables[i].name);
            variables[i].ours = false;
        }
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

__attribute__((visibility("default"))) int luaopen_rlhf_preload(lua_State *L);

int luaopen_rlhf_preload(lua_State *L) {
    const luaL_Reg functions[] = {{"set", set}, {"restore", restore}, {NULL, NULL}};
    luaL_checkversion(L);
    luaL_newlib(L, functions);
    return 1;
}
