/* The thread pool. One atomic ticket holds {workers that may help, pieces not yet taken}; a piece is
 * taken by lowering it, and only then does a thread look at the region's function and argument. Why a
 * late thread can't harm: a region ends when `undone` reaches 0, which needs every taken piece done;
 * so between taking a piece and reporting it the region is alive, and outside of that a thread reads
 * nothing but the ticket. Where a ticket of one region equals a later region's, taking from it takes a
 * piece of the later one, which is as good.
 *
 * Waiting is the same on both sides: look at an atomic for some microseconds, then announce the sleep,
 * look once more under the lock, sleep. Whoever changes the atomic looks for sleepers afterwards. Both
 * are sequentially consistent, so that one of the two sees the other. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/size.h"

enum {
    CACHE_LINE = 64,
    SPIN_NANOSECONDS = 100000, /* a few times what waking a thread takes */
    PAUSES = 16, /* between two looks at the clock */
    WORKER_SHIFT = 56,
    STACK_BYTES = 2 << 20 /* counts in full under ulimit -v */
};
#define PIECE_MASK (((uint64_t)1 << WORKER_SHIFT) - 1)

static struct {
    /* held by the caller whose region runs, and while threads are started or stopped */
    pthread_mutex_t region;
    pthread_t threads[RH_MAX_THREADS]; /* [0] is no thread of ours: the caller */
    int started;                       /* threads that live, the caller included */
    atomic_int count;                  /* threads in use, the caller included; 0: not yet asked */
    atomic_int keep;                   /* a worker from here on ends */
    atomic_bool spins;                 /* there is a processor for each thread */

    /* the region: written before the ticket, read after a piece is taken */
    rh_piece_fn fn;
    void *arg;
    int64_t pieces;

    pthread_mutex_t sleep;
    pthread_cond_t work, finished;
    atomic_int sleepers;
    atomic_bool caller_sleeps;

    _Alignas(CACHE_LINE) _Atomic uint64_t ticket;
    _Alignas(CACHE_LINE) _Atomic int64_t undone;
} pool = {.region = PTHREAD_MUTEX_INITIALIZER,
          .started = 1,
          .keep = 1,
          .sleep = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .finished = PTHREAD_COND_INITIALIZER};

/* This thread is a worker, or runs a region: a region that it starts is its own affair. */
static _Thread_local bool inside;
/* What rh_threads() told this thread last: it may have scratch memory for no more. 0: never asked. */
static _Thread_local int told;

/* -- waiting -------------------------------------------------------------------------------- */

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory"); /* waits about as long as x86's pause; yield doesn't */
#endif
}

static int64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* True as soon as ready(id) is, false when it isn't for a while. */
static bool spin_until(bool (*ready)(int id), int id) {
    if (ready(id)) return true;
    if (!atomic_load_explicit(&pool.spins, memory_order_relaxed)) return false;
    int64_t end = nanoseconds() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < PAUSES; i++) {
            relax();
            if (ready(id)) return true;
        }
    } while (nanoseconds() < end);
    return false;
}

/* -- pieces --------------------------------------------------------------------------------- */

static bool may_take(uint64_t ticket, int id) {
    return (ticket & PIECE_MASK) != 0 && (uint64_t)id < ticket >> WORKER_SHIFT;
}

/* Takes a piece for worker `id`; false when none is left for it. */
static bool take_piece(int id, int64_t *piece) {
    uint64_t ticket = atomic_load_explicit(&pool.ticket, memory_order_relaxed);
    do {
        if (!may_take(ticket, id)) return false;
    } while (!atomic_compare_exchange_weak_explicit(&pool.ticket, &ticket, ticket - 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
    *piece = pool.pieces - (int64_t)(ticket & PIECE_MASK);
    return true;
}

static void wake_caller(void) {
    pthread_mutex_lock(&pool.sleep);
    pthread_cond_signal(&pool.finished);
    pthread_mutex_unlock(&pool.sleep);
}

/* Does pieces until none is left. After the last line's subtraction the region may be gone. */
static void work_as(int id) {
    int64_t piece, done = 0;
    for (; take_piece(id, &piece); done++) pool.fn(pool.arg, piece, id);
    if (done && atomic_fetch_sub(&pool.undone, done) == done && atomic_load(&pool.caller_sleeps))
        wake_caller();
}

/* -- workers -------------------------------------------------------------------------------- */

static bool worker_has_news(int id) {
    return may_take(atomic_load(&pool.ticket), id) || id >= atomic_load(&pool.keep);
}

static void worker_sleep(int id) {
    pthread_mutex_lock(&pool.sleep);
    atomic_fetch_add(&pool.sleepers, 1);
    while (!worker_has_news(id)) pthread_cond_wait(&pool.work, &pool.sleep);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.sleep);
}

static void *worker_main(void *index) {
    int id = (int)(intptr_t)index;
    inside = true;
#ifdef __linux__
    pthread_setname_np(pthread_self(), "rlhf"); /* for top and debuggers */
#endif
    while (id < atomic_load(&pool.keep)) {
        work_as(id);
        if (!spin_until(worker_has_news, id)) worker_sleep(id);
    }
    return NULL;
}

/* Wakes as many sleepers as are missed. Which ones is the system's choice. */
static void wake_workers(int missed) {
    int asleep = atomic_load(&pool.sleepers);
    if (asleep == 0 || missed <= 0) return;
    pthread_mutex_lock(&pool.sleep);
    if (missed >= asleep)
        pthread_cond_broadcast(&pool.work);
    else
        for (int i = 0; i < missed; i++) pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.sleep);
}

/* -- how many ------------------------------------------------------------------------------- */

int rh_processors(void) {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static int threads_in_use(void) {
    int n = atomic_load(&pool.count);
    if (n > 0) return n;
    int first = (int)rh_min(rh_processors(), RH_MAX_THREADS);
    /* another thread may have set a number meanwhile, which then counts */
    return atomic_compare_exchange_strong(&pool.count, &n, first) ? first : n;
}

int rh_threads(void) { return told = threads_in_use(); }

static void use_threads(int n) {
    atomic_store(&pool.spins, n <= rh_processors());
    atomic_store(&pool.count, n);
}

/* -- starting and stopping: with pool.region held ------------------------------------------- */

/* Signals go to the program's threads. Faults are no such signals: blocked, they would end the
 * process without asking its handler. */
static void block_signals(sigset_t *saved) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, saved);
}

/* A child of fork has the forking thread alone, and perhaps locks that nobody will open: everything
 * begins anew but the number of threads, which start again when a region wants them. */
static void after_fork_in_child(void) {
    pool.region = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pool.sleep = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pool.work = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pool.finished = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pool.started = 1;
    atomic_store(&pool.keep, 1);
    atomic_store(&pool.ticket, 0);
    atomic_store(&pool.undone, 0);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.caller_sleeps, false);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

/* Starts workers until n threads live; returns the system's error, or 0. */
static int start_threads(int n) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t saved;
    pthread_attr_t attributes;
    pthread_once(&once, watch_forks);
    int error = pthread_attr_init(&attributes);
    if (error) return error;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    block_signals(&saved);
    for (; pool.started < n; pool.started++) {
        int id = pool.started;
        atomic_store(&pool.keep, id + 1);
        error = pthread_create(&pool.threads[id], &attributes, worker_main, (void *)(intptr_t)id);
        if (error) break;
    }
    atomic_store(&pool.keep, pool.started);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static void stop_threads(int n) {
    if (pool.started <= n) return;
    atomic_store(&pool.keep, n);
    wake_workers(RH_MAX_THREADS);
    while (pool.started > n) pthread_join(pool.threads[--pool.started], NULL);
}

/* Starts what is missing. What the system refuses now is no error: the pieces get done by fewer. */
static int live_threads(void) {
    int wanted = threads_in_use();
    if (pool.started < wanted) {
        start_threads(wanted);
        use_threads(pool.started);
    }
    return pool.started;
}

/* -- regions -------------------------------------------------------------------------------- */

static bool region_is_done(int unused) {
    (void)unused;
    return atomic_load(&pool.undone) == 0;
}

static void wait_for_region(void) {
    if (spin_until(region_is_done, 0)) return;
    pthread_mutex_lock(&pool.sleep);
    atomic_store(&pool.caller_sleeps, true);
    while (!region_is_done(0)) pthread_cond_wait(&pool.finished, &pool.sleep);
    atomic_store(&pool.caller_sleeps, false);
    pthread_mutex_unlock(&pool.sleep);
}

/* Those awake see the ticket by themselves, before they sleep. Where not every worker may help, all
 * are asked: a sleeper that is woken at random may be one that may not. */
static void wake_helpers(int64_t pieces, int workers) {
    int awake = pool.started - 1 - atomic_load(&pool.sleepers);
    bool all = workers < pool.started;
    wake_workers(all ? RH_MAX_THREADS : (int)rh_min(workers, pieces) - 1 - awake);
}

static void run_together(int64_t pieces, rh_piece_fn fn, void *arg, int workers) {
    pool.fn = fn;
    pool.arg = arg;
    pool.pieces = pieces;
    atomic_store_explicit(&pool.undone, pieces, memory_order_relaxed);
    atomic_store(&pool.ticket, (uint64_t)workers << WORKER_SHIFT | (uint64_t)pieces);
    wake_helpers(pieces, workers);
    inside = true;
    work_as(0);
    inside = false;
    wait_for_region();
}

static void run_alone(int64_t pieces, rh_piece_fn fn, void *arg) {
    for (int64_t piece = 0; piece < pieces; piece++) fn(arg, piece, 0);
}

void rh_parallel(int64_t pieces, rh_piece_fn fn, void *arg) {
    bool together = pieces > 1 && !inside && threads_in_use() > 1 &&
                    pthread_mutex_trylock(&pool.region) == 0;
    if (!together) {
        run_alone(pieces, fn, arg);
        return;
    }
    int workers = live_threads();
    if (told && told < workers) workers = told;
    run_together(pieces, fn, arg, workers); /* with 1 the caller takes every piece */
    pthread_mutex_unlock(&pool.region);
}

typedef struct range {
    rh_range_fn fn;
    void *arg;
    int64_t n, grain;
} range;

static void range_piece(void *arg, int64_t piece, int worker) {
    const range *r = arg;
    int64_t begin = piece * r->grain, left = r->n - begin;
    r->fn(r->arg, begin, begin + rh_min(left, r->grain), worker);
}

void rh_parallel_range(int64_t n, int64_t grain, rh_range_fn fn, void *arg) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    range r = {.fn = fn, .arg = arg, .n = n, .grain = grain};
    rh_parallel((n - 1) / grain + 1, range_piece, &r);
}

/* -- setting the number --------------------------------------------------------------------- */

/* Starts or stops threads until there are n. */
static rh_status change_threads(rh_ctx *ctx, int n) {
    int before = pool.started, error = start_threads(n);
    if (error) {
        rh_fail(ctx, RH_ESYS, RH_NO_OPERAND, "cannot start thread %d: %s", pool.started + 1,
                strerror(error));
        stop_threads(before);
        return RH_ESYS;
    }
    stop_threads(n);
    use_threads(n);
    return RH_OK;
}

rh_status rh_threads_set(rh_ctx *ctx, int n) {
    if (n < 1 || n > RH_MAX_THREADS)
        return rh_fail(ctx, RH_EARG, 0, "%d threads: 1 to %d are possible", n, RH_MAX_THREADS);
    pthread_mutex_lock(&pool.region); /* a region of another state ends first */
    rh_status status = change_threads(ctx, n);
    pthread_mutex_unlock(&pool.region);
    told = 0;
    return status;
}
