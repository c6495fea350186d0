/* The Lua side of the library; the only folder that includes lua.h. What each file of it relies on:
 *
 * State: rhl_state, one for each lua_State, lives in the registry until lua_close; every C function
 * of ours has it as upvalue 1 (a light userdata).
 * Handles first: push the empty userdata with its metatable, then call the core, then store the
 * reference in it. Between taking a reference and storing it no Lua function that can raise.
 * Errors: core functions return a status; rhl_raise turns it into a Lua error at the caller's line. */
#ifndef RH_BIND_BIND_H
#define RH_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "autograd/autograd.h"
#include "base/context.h"

typedef struct rhl_scope rhl_scope;

typedef struct rhl_state {
    rh_ctx *ctx;
    rhl_scope *scopes;      /* open ones, newest first (b_scope.c) */
    size_t soft_limit;      /* the collector's pace (b_memory.c) */
    size_t paid_until;      /* pool bytes in use when it was last told */
} rhl_state;

/* A tensor as Lua holds it: one reference, and its place in the scope that will release it. */
typedef struct rhl_handle {
    rh_tensor *t; /* NULL: closed */
    rhl_scope *scope;
    struct rhl_handle *before, *after;
} rhl_handle;

/* b_core.c */
rhl_state *rhl_state_of(lua_State *L); /* from upvalue 1 */
/* Sets functions into the table on top, each with the state as upvalue 1. */
void rhl_setfuncs(lua_State *L, rhl_state *state, const luaL_Reg *functions);
/* Pushes one such function with the state and `extra` more upvalues from the stack. */
void rhl_pushfunction(lua_State *L, rhl_state *state, lua_CFunction f);
/* Each file's functions and metatables, put into the module table on top of the stack. */
void rhl_open_tensor(lua_State *L, rhl_state *state);
void rhl_open_rows(lua_State *L, rhl_state *state);
void rhl_open_make(lua_State *L, rhl_state *state);
void rhl_open_scope(lua_State *L, rhl_state *state);
void rhl_open_memory(lua_State *L, rhl_state *state);
void rhl_open_optim(lua_State *L, rhl_state *state);
void rhl_open_json(lua_State *L, rhl_state *state);
void rhl_open_io(lua_State *L, rhl_state *state);
void rhl_open_debug(lua_State *L, rhl_state *state);

/* b_error.c */
/* Raises the context's error. operand i speaks of argument first_arg + i; without operand the message
 * stands alone. Never returns. */
int rhl_raise(lua_State *L, rhl_state *state, int first_arg);
/* As rhl_raise, with the argument position already known (0: none). */
int rhl_raise_at(lua_State *L, rhl_state *state, int arg);
/* For the world's errors: pushes nil and the message, returns 2. */
int rhl_nil_message(lua_State *L, rhl_state *state);
/* Raises "unknown option 'x' (did you mean 'y'?)"; names ends in NULL. */
int rhl_unknown_option(lua_State *L, int arg, const char *key, const char *const *names);

/* b_tensor.c */
#define RHL_TENSOR "rlhf.tensor"
/* Pushes a closed handle. */
rhl_handle *rhl_push_handle(lua_State *L);
/* The handle's tensor, borrowed; raises unless argument `arg` is an open tensor. */
rh_tensor *rhl_check_tensor(lua_State *L, int arg);
/* The tensor at any stack index, borrowed, or NULL when it is something else; raises when closed. */
rh_tensor *rhl_test_tensor(lua_State *L, int index, int arg);
void rhl_handle_close(rhl_handle *h);

/* b_scope.c: gives a result of an operation to the scope open in this coroutine, if any. */
void rhl_scope_own(lua_State *L, rhl_state *state, rhl_handle *h);

/* b_memory.c: tells the collector of pool bytes; call on entry, before references are taken. */
void rhl_pace(lua_State *L, rhl_state *state);
/* After RH_ENOMEM: collects; true if it is worth another try. */
bool rhl_collect_for_retry(lua_State *L, rhl_state *state, rh_status status);

/* b_read.c: readers of arguments. They raise at the argument. */
/* A dimension or position that counts from 1, or from the end when negative; 0 raises. Returned
 * counting from 0, negative unchanged. */
int64_t rhl_read_position(lua_State *L, int index, int arg, const char *what);
/* Sizes from a list {2, 3} or from the integers at index and on. Returns how many. */
int rhl_read_shape(lua_State *L, int arg, int64_t shape[RH_MAX_RANK]);
rh_dtype rhl_read_dtype(lua_State *L, int index, int arg);

#endif
