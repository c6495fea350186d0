/* Reading arguments and raising errors: what every file of the binding needs. Readers raise at the
 * argument; messages say what they wanted and what they got, and name the function as the user knows
 * it. Included by bind.h. */
#ifndef RH_BIND_READ_H
#define RH_BIND_READ_H

#include <lauxlib.h>
#include <lua.h>

#include "tensor/tensor.h"

struct rhl_state;

/* b_error.c */
/* luaL_argerror and luaL_typeerror with the function's own name. Never return. */
int rhl_argerror(lua_State *L, int arg, const char *text);
int rhl_typeerror(lua_State *L, int arg, const char *wanted);
/* What the value at an index is called in messages: its __name, else its type. */
const char *rhl_typename(lua_State *L, int index);
/* Pushes what messages say they got: a number, true or false, a short 'string', else its type. */
const char *rhl_got(lua_State *L, int index);
/* Raises the context's error. operand i speaks of argument first_arg + i; without operand the message
 * stands alone. Never returns. */
int rhl_raise(lua_State *L, struct rhl_state *state, int first_arg);
/* As rhl_raise, with the argument position already known (0: none). */
int rhl_raise_at(lua_State *L, struct rhl_state *state, int arg);
/* For the world's errors: pushes nil and the message, returns 2. */
int rhl_nil_message(lua_State *L, struct rhl_state *state);
/* The word of `names` (ends in NULL) that is most like `word`; NULL when there are none. */
const char *rhl_nearest(const char *word, const char *const *names);
/* core.nearest(word, words) -> the word most like it, nil when there are none */
int rhl_nearest_word(lua_State *L);
/* Raises "unknown option 'x' (did you mean 'y'?)"; names ends in NULL. */
int rhl_unknown_option(lua_State *L, int arg, const char *key, const char *const *names);

/* b_value.c: single elements. */
/* Writes the Lua value at `index` as a dtype to `at`; false when it is not one. */
bool rhl_read_value(lua_State *L, int index, rh_dtype dtype, void *at);
const char *rhl_wanted_value(rh_dtype dtype); /* "number", "integer", "boolean" */
/* Pushes element number `at` (an offset from the start of the storage). */
void rhl_push_value(lua_State *L, const rh_tensor *t, int64_t at);
/* Sets each element of a contiguous tensor to the one at `value`. */
void rhl_fill(rh_tensor *t, const void *value);

/* b_read.c: readers of arguments. They raise at the argument. */
/* A dimension or position that counts from 1, or from the end when negative; 0 raises. Returned
 * counting from 0, negative unchanged. */
int64_t rhl_read_position(lua_State *L, int index, int arg, const char *what);
/* Sizes from a list {2, 3} or from the integers at arg .. last. Returns how many. */
int rhl_read_shape(lua_State *L, int arg, int last, int64_t shape[RH_MAX_RANK]);
rh_dtype rhl_read_dtype(lua_State *L, int index, int arg);
/* Checks that the table at `arg`, which may be missing, has no keys but these (names ends in NULL). */
void rhl_check_options(lua_State *L, int arg, const char *const *names);
/* Raises when the list at `arg` has named fields: options in the wrong table. */
void rhl_check_plain_list(lua_State *L, int arg);

#endif
