/* One context for each lua_State: the error record, the memory pool, and the few switches that
 * operations look at. Nothing in the library is global but the thread pool (base/parallel.h), so
 * two states never see each other. A context belongs to one thread at a time. */
#ifndef RH_BASE_CONTEXT_H
#define RH_BASE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rh_status {
    RH_OK = 0,
    RH_EARG,   /* misuse: an operand or option is wrong (raises in Lua) */
    RH_ENOMEM, /* out of memory or over the limit (the binding collects and tries once more) */
    RH_EIO,    /* the world: a file or the system (nil, message in Lua) */
    RH_EDATA,  /* the world: contents that break their format (nil, message in Lua) */
    RH_ESYS    /* the system refused a thread (raises in Lua) */
} rh_status;

/* Which operand an error speaks of: an input's index from 0, an option, or none. */
#define RH_NO_OPERAND (-1)
#define RH_OPTION(k) (1000 + (k))

typedef struct rh_error {
    rh_status code;
    int operand;    /* index, RH_OPTION(k) or RH_NO_OPERAND */
    char text[512]; /* always ends in NUL; says what was got and what was wanted */
} rh_error;

struct rh_pool;
struct rh_row;
struct rh_autograd;
struct rh_node;

/* Faults that specs ask for (bind/b_debug.c); all zero in normal use. */
typedef struct rh_faults {
    int64_t alloc_countdown;          /* n > 0: the n-th allocation from now fails */
    bool alloc_sticky;                /* and every one after it */
    const struct rh_row *scaled_row;  /* the row whose gradients are multiplied by scale */
    float scale;
    int64_t io_countdown;             /* n > 0: the n-th write, fsync or rename of a save fails */
    bool io_sticky;                   /* and every one after it */
    int io_error;                     /* with this errno */
} rh_faults;

typedef struct rh_ctx {
    rh_error error;
    struct rh_pool *pool;
    uint64_t next_node;  /* id of the next recorded operation; ids only grow */
    int no_grad;         /* > 0: nothing is recorded */
    rh_faults faults;
    /* set by autograd/, so that tensor/ can drop what it does not know */
    void (*release_autograd)(struct rh_autograd *meta);
    /* autograd's list of nodes to free: release is never deep */
    struct rh_node *pending_release;
    bool releasing;
} rh_ctx;

/* Returns new, or NULL when the system has no memory. */
rh_ctx *rh_ctx_open(void);
/* Takes ctx. Everything allocated from it must have been released. */
void rh_ctx_close(rh_ctx *ctx);

/* Records an error and returns its code, so that callers can write `return rh_fail(...)`. */
rh_status rh_fail(rh_ctx *ctx, rh_status code, int operand, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Calls f and returns its status from the calling function unless it is RH_OK. */
#define RH_TRY(call)                                                                               \
    do {                                                                                           \
        rh_status rh_try_ = (call);                                                                \
        if (rh_try_ != RH_OK) return rh_try_;                                                      \
    } while (0)

#endif
