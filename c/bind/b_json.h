/* What reading and writing JSON share: the mark of arrays, the null value. Rests on bind.h. */
#ifndef RH_BIND_B_JSON_H
#define RH_BIND_B_JSON_H

#include "bind/bind.h"

/* Pushes the one value that stands for null. */
void rhl_push_null(lua_State *L);
/* Whether the table at index is marked as an array. */
bool rhl_is_array(lua_State *L, int index);

/* json_encode and json_keys of the module (b_json_write.c). */
int rhl_json_encode(lua_State *L);
int rhl_json_keys(lua_State *L);

#endif
