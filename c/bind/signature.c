#include "bind/signature.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies characters up to one of `stop` (or the end) and returns where it stopped. */
static const char *take(const char *from, const char *stop, char out[RHL_NAME]) {
    size_t n = strcspn(from, stop);
    assert(n < RHL_NAME);
    memcpy(out, from, n);
    out[n] = '\0';
    return from + n;
}

/* "NAME:TYPE" with ? or * behind */
static const char *read_input(const char *p, rhl_input *in) {
    p = take(p, ":", in->name);
    assert(*p == ':' && strchr("fcibna", p[1]));
    in->type = p[1];
    p += 2;
    in->optional = *p == '?';
    in->variadic = *p == '*';
    return p + (in->optional || in->variadic);
}

static void read_words(const char *text, rhl_option *opt) {
    for (int w = 0; *text; w++) {
        assert(w < RHL_WORDS - 1);
        text = take(text, "|", opt->words[w]);
        if (*text == '|') text++;
    }
}

static void read_default(const char *text, rhl_option *opt) {
    opt->value.given = strcmp(text, "?") != 0;
    if (!opt->value.given) return;
    switch (opt->type) {
    case 'f': opt->value.f = strtod(text, NULL); break;
    case 'b': opt->value.i = strcmp(text, "true") == 0; break;
    case 's': read_words(text, opt); opt->value.i = 0; break;
    case 'i': case 'd': case 'p': opt->value.i = strtoll(text, NULL, 10); break;
    default: assert(!"lists have no default but ?");
    }
}

/* "TYPE:NAME=DEFAULT". Defaults of d and p are written as they are used: counting from 0. */
static const char *read_option(const char *p, rhl_option *opt) {
    opt->type = *p;
    assert(strchr("fibsdDpl", *p) && p[1] == ':');
    p = take(p + 2, "= ", opt->name);
    opt->required = *p != '=';
    if (opt->required) return p;
    char text[RHL_NAME * 3];
    size_t n = strcspn(p + 1, " ");
    assert(n < sizeof text);
    memcpy(text, p + 1, n);
    text[n] = '\0';
    read_default(text, opt);
    return p + 1 + n;
}

void rhl_signature_read(const rh_row *row, rhl_signature *sig) {
    memset(sig, 0, sizeof *sig);
    sig->row = row;
    for (const char *p = row->inputs; *p; p += *p == ' ') {
        assert(sig->n_in < RH_MAX_INPUTS);
        p = read_input(p, &sig->in[sig->n_in++]);
    }
    for (const char *p = row->options ? row->options : ""; *p; p += *p == ' ') {
        assert(sig->n_opt < RH_MAX_OPTIONS);
        p = read_option(p, &sig->opt[sig->n_opt++]);
    }
}
