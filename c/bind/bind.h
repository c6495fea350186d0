/* The Lua side of the library; the only folder that includes lua.h. What each file of it relies on:
 *
 * State: rhl_state, one for each lua_State, lives in the registry until lua_close; every C function
 * of ours has it as upvalue 1 and its own name as upvalue 2, so that errors name the function
 * however it was called.
 * Handles first: push the empty userdata with its metatable, then call the core, then store the
 * reference in it. Between taking a reference and storing it no Lua function that can raise.
 * Finalizers of the user's may run inside any Lua function that allocates, and may close any tensor:
 * a tensor is borrowed from its handle only where no such function follows, or held (rhl_hold).
 * Errors: core functions return a status; rhl_raise (read.h) makes it a Lua error at the caller's
 * line. */
#ifndef RH_BIND_BIND_H
#define RH_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "autograd/autograd.h"
#include "base/context.h"
#include "bind/read.h"

typedef struct rhl_scope rhl_scope;
typedef struct rhl_signature rhl_signature;

typedef struct rhl_state {
    rh_ctx *ctx;               /* NULL: lua_close has passed */
    rhl_scope *scopes;         /* open ones (b_scope.c) */
    const rhl_signature *rows; /* every operation's signature (b_rows.c) */
    int n_rows;
    size_t soft_limit;         /* the collector's pace (b_memory.c) */
    size_t paid_until;         /* pool bytes in use when it was last told */
    uint64_t unseeded;         /* random tensors made without a seed (b_make.c) */
} rhl_state;

/* A tensor as Lua holds it: one reference, and its place in the scope that will release it. */
typedef struct rhl_handle {
    rh_tensor *t; /* NULL: closed */
    rhl_scope *scope;
    struct rhl_handle *before, *after;
} rhl_handle;

/* b_core.c */
rhl_state *rhl_state_of(lua_State *L); /* from upvalue 1; raises once lua_close has passed */
/* Sets functions into the table on top. */
void rhl_setfuncs(lua_State *L, rhl_state *state, const luaL_Reg *functions);
/* Pushes one such function; errors take its name from how it was called. */
void rhl_pushfunction(lua_State *L, rhl_state *state, lua_CFunction f);
/* Pushes the state as a Lua value: upvalue 1 of functions made elsewhere. */
void rhl_push_state(lua_State *L);
/* A metatable of this name, its methods under __index, hidden from Lua. */
void rhl_new_class(lua_State *L, rhl_state *state, const char *name, const luaL_Reg *metamethods,
                   const luaL_Reg *methods);
/* Each file's functions and metatables, put into the module table on top of the stack. */
void rhl_open_tensor(lua_State *L, rhl_state *state);
void rhl_open_table(lua_State *L, rhl_state *state);
void rhl_open_print(lua_State *L, rhl_state *state);
void rhl_open_rows(lua_State *L, rhl_state *state);
void rhl_open_index(lua_State *L, rhl_state *state);
void rhl_open_make(lua_State *L, rhl_state *state);
void rhl_open_grad(lua_State *L, rhl_state *state);
void rhl_open_scope(lua_State *L, rhl_state *state);
void rhl_open_memory(lua_State *L, rhl_state *state);
void rhl_open_optim(lua_State *L, rhl_state *state);
void rhl_open_nn(lua_State *L, rhl_state *state);
void rhl_open_generate(lua_State *L, rhl_state *state);
void rhl_open_rl(lua_State *L, rhl_state *state);
void rhl_open_io(lua_State *L, rhl_state *state);
void rhl_open_text(lua_State *L, rhl_state *state);
void rhl_open_debug(lua_State *L, rhl_state *state);

/* b_tensor.c */
#define RHL_TENSOR "rlhf.tensor"
/* Pushes a closed handle. */
rhl_handle *rhl_push_handle(lua_State *L);
/* Pushes a handle on a new tensor, contents not set; collects and tries again when memory is short. */
rh_tensor *rhl_push_new(lua_State *L, rhl_state *state, rh_dtype dtype, int rank,
                        const int64_t *shape);
/* Pushes a second handle on argument `arg`'s tensor, which so outlives whatever finalizers do. The
 * caller closes it when done: until collected it would keep the memory. */
rh_tensor *rhl_hold(lua_State *L, int arg);
/* The handle at any stack index, open or closed, or NULL when it is something else. */
rhl_handle *rhl_test_handle(lua_State *L, int index);
/* The handle's tensor, borrowed; raises unless argument `arg` is an open tensor. */
rh_tensor *rhl_check_tensor(lua_State *L, int arg);
/* The tensor at any stack index, borrowed, or NULL when it is something else; raises when closed. */
rh_tensor *rhl_test_tensor(lua_State *L, int index, int arg);
void rhl_handle_close(rhl_handle *h);
/* Adds functions to the tensors' methods or metamethods. */
void rhl_add_methods(lua_State *L, rhl_state *state, const luaL_Reg *methods);
void rhl_add_metamethods(lua_State *L, rhl_state *state, const luaL_Reg *metamethods);
/* Pushes the table of methods. */
void rhl_push_methods(lua_State *L);

/* b_rows.c */
/* NULL when there is no such row. */
const rhl_signature *rhl_find_row(const rhl_state *state, const char *name);
/* Applies a row of one input and one output to the tensor at argument `arg`; pushes the result. */
int rhl_apply_row(lua_State *L, rhl_state *state, const rhl_signature *sig, int arg,
                  const rh_opt *opt);

/* b_scope.c */
/* Gives a result of an operation to the scope open in this coroutine, if any. */
void rhl_scope_own(lua_State *L, rhl_state *state, rhl_handle *h);
/* Takes a handle out of its scope, if it is in one. */
void rhl_scope_disown(rhl_handle *h);

/* b_memory.c */
/* Tells the collector of pool bytes; call on entry, before references are taken. */
void rhl_pace(lua_State *L, rhl_state *state);
/* After RH_ENOMEM: collects; true if it is worth another try. */
bool rhl_collect_for_retry(lua_State *L, rhl_state *state, rh_status status);

/* b_nn.c */
/* The open decoder at argument `arg`, borrowed from its handle; raises when it is something else. */
struct rh_decoder *rhl_check_decoder(lua_State *L, int arg);

/* b_io.c */
void rhl_open_json(lua_State *L, rhl_state *state);
void rhl_open_safetensors(lua_State *L, rhl_state *state);
/* A path at `arg`: a string that is not empty and has no NUL. */
const char *rhl_check_path(lua_State *L, int arg);
/* After a failure: nil and the message for the world's errors, else raises. */
int rhl_world_error(lua_State *L, rhl_state *state);

#endif
