/* The arguments of one call of a row, read in two stages. Reading checks and keeps positions and
 * handles, and may run code of the user's (metamethods, finalizers); rhl_arguments_run then takes the
 * tensors out of their handles and runs the row, with no Lua function in between that could. */
#ifndef RH_BIND_ARGUMENTS_H
#define RH_BIND_ARGUMENTS_H

#include "bind/signature.h"

enum { RHL_LIST_ROOM = 64 };

/* Several KB on the C stack, left as they are: each part is written before it is read. */
typedef struct rhl_arguments {
    lua_State *L;
    rhl_state *state;
    const rhl_signature *sig;
    int next;                             /* next argument to read */
    int last;                             /* number of arguments the user gave */
    int n_in;
    bool integers;                        /* numbers become i64 where the row takes both */
    rhl_handle **list;                    /* a variadic input's handles, kept alive by the stack */
    rh_tensor **list_in;                  /* room for their tensors */
    rhl_handle *handle[RH_MAX_INPUTS];    /* NULL: left out, or a number at in_arg */
    bool number[RH_MAX_INPUTS];
    int in_arg[RH_MAX_INPUTS];
    rh_opt opt[RH_MAX_OPTIONS];
    int opt_arg[RH_MAX_OPTIONS];          /* where it stood; 0: not given */
    int64_t room[RH_MAX_OPTIONS][RHL_LIST_ROOM];
} rhl_arguments;

/* Reads the running function's arguments; raises at the one that is wrong. */
void rhl_arguments_read(rhl_arguments *a, lua_State *L, rhl_state *state, const rhl_signature *sig);
/* Runs the row, recorded if need be; collects and tries again when memory is short. Returns the
 * number of outputs; raises at the argument the core complains of. */
int rhl_arguments_run(rhl_arguments *a, rh_tensor **out);

#endif
