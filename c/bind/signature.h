/* A row's strings (ops/row.h), read once when the module is loaded. */
#ifndef RH_BIND_SIGNATURE_H
#define RH_BIND_SIGNATURE_H

#include "bind/bind.h"

enum { RHL_NAME = 40, RHL_WORDS = 8 };

typedef struct rhl_input {
    char name[RHL_NAME];
    char type; /* f i b n a */
    bool optional, variadic;
} rhl_input;

typedef struct rhl_option {
    char name[RHL_NAME];
    char type;         /* f i b s d D p l */
    bool required;     /* no default and not "=?" */
    rh_opt value;      /* the default; given = false for "=?" */
    char words[RHL_WORDS][RHL_NAME]; /* s: what it may be; an empty one ends the list */
} rhl_option;

struct rhl_signature {
    const rh_row *row;
    int n_in, n_opt;
    rhl_input in[RH_MAX_INPUTS];
    rhl_option opt[RH_MAX_OPTIONS];
};

/* Reads row's strings; they are ours, so a mistake in them is an assertion. */
void rhl_signature_read(const rh_row *row, rhl_signature *sig);

#endif
