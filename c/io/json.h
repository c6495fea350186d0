/* JSON in: Jansson's parser behind limits that hold before it allocates anything. Strict UTF-8, no
 * duplicate keys, NUL allowed in strings but not in keys (which are C strings: Jansson tells their
 * lengths only from 2.14 on, Ubuntu 22.04 has 2.13), no NaN or infinity, any value at the top.
 * Integers of 64 bits stay integers; longer ones become the nearest double, as Lua's own do. Objects
 * keep the order of their keys. Writing is the binding's (bind/b_json.c): it needs no tree. */
#ifndef RH_IO_JSON_H
#define RH_IO_JSON_H

#include <jansson.h>

#include "base/context.h"

typedef struct rh_json_limits {
    size_t bytes;  /* of text */
    size_t values; /* numbers, strings, keys, ..., an object being 8: each takes some 40 bytes of memory */
    int depth;     /* of arrays and objects in each other */
} rh_json_limits;

/* What files of people's own may need. */
#define RH_JSON_LIMITS ((rh_json_limits){(size_t)64 << 20, SIZE_MAX, 64})

/* *out = a new tree that the caller gives back with json_decref; NULL unless RH_OK. Errors are
 * RH_EDATA, "line 3 column 7: what is wrong", columns in characters; or RH_ENOMEM. */
rh_status rh_json_parse(rh_ctx *ctx, const char *text, size_t length, rh_json_limits limits,
                        json_t **out);


/* Bytes of the UTF-8 sequence that begins at text, which has n > 0 bytes; 0 when it is none. */
size_t rh_utf8_length(const char *text, size_t n);
/* The index of the first byte that is not UTF-8; n when all are. */
size_t rh_utf8_check(const char *text, size_t n);

#endif
