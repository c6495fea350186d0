#include "ops/kernels/isa.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

rh_kernel_tables rh_kernels;

#if defined(__x86_64__)
#define RH_ISA_LIST(F) F(sse2) F(avx2) F(avx512)
#else
#define RH_ISA_LIST(F) F(generic)
#endif

/* every table of every set, declared untyped: only their addresses are needed here */
#define DECLARE_AVX512(file) extern const struct rh_##file##_kernels rh_kernels_##file##_avx512;
#define DECLARE_AVX2(file) extern const struct rh_##file##_kernels rh_kernels_##file##_avx2;
#define DECLARE_SSE2(file) extern const struct rh_##file##_kernels rh_kernels_##file##_sse2;
#define DECLARE_GENERIC(file) extern const struct rh_##file##_kernels rh_kernels_##file##_generic;
#define MEMBER_AVX512(file) .file = &rh_kernels_##file##_avx512,
#define MEMBER_AVX2(file) .file = &rh_kernels_##file##_avx2,
#define MEMBER_SSE2(file) .file = &rh_kernels_##file##_sse2,
#define MEMBER_GENERIC(file) .file = &rh_kernels_##file##_generic,

typedef struct isa {
    const char *name;
    bool (*supported)(void);
    rh_kernel_tables tables;
} isa;

static bool always(void) { return true; }

/* __builtin_cpu_supports asks xgetbv too: a system that doesn't save the registers counts as without */
#if defined(__x86_64__)
RH_KERNEL_FILES(DECLARE_SSE2)
RH_KERNEL_FILES(DECLARE_AVX2)
RH_KERNEL_FILES(DECLARE_AVX512)

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
static const isa sets[] = {
    {"sse2", always, {RH_KERNEL_FILES(MEMBER_SSE2)}},
    {"avx2", has_avx2, {RH_KERNEL_FILES(MEMBER_AVX2)}},
    {"avx512", has_avx512, {RH_KERNEL_FILES(MEMBER_AVX512)}},
};
#else
RH_KERNEL_FILES(DECLARE_GENERIC)
static const isa sets[] = {{"generic", always, {RH_KERNEL_FILES(MEMBER_GENERIC)}}};
#endif

enum { SETS = sizeof sets / sizeof sets[0] };

/* Written once, under the lock, by the first state of the process; every state passes the lock before it
 * reads them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *chosen;
static const char *supported[SETS + 1];

const char *rh_isa_name(void) { return chosen; }
const char *const *rh_isa_supported(void) { return supported; }

/* The best supported set, or the one named, or NULL. */
static const isa *find(const char *wanted) {
    const isa *best = NULL;
    for (int i = 0, n = 0; i < SETS; i++) {
        if (!sets[i].supported()) continue;
        supported[n++] = sets[i].name;
        if (!wanted || !*wanted || strcmp(wanted, sets[i].name) == 0) best = &sets[i];
    }
    return best;
}

static bool choose(const char *wanted) {
    const isa *set = find(wanted);
    if (!set) return false;
    rh_kernels = set->tables;
    chosen = set->name;
    return true;
}

rh_status rh_isa_choose(rh_ctx *ctx, const char *wanted) {
    pthread_mutex_lock(&lock);
    bool done = chosen || choose(wanted);
    pthread_mutex_unlock(&lock);
    if (done) return RH_OK;
    char have[64] = "";
    for (const char *const *name = supported; *name; name++)
        snprintf(have + strlen(have), sizeof have - strlen(have), " %s", *name);
    return rh_fail(ctx, RH_EARG, RH_NO_OPERAND, "RLHF_ISA=%s: this processor has%s", wanted, have);
}
