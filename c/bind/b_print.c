/* tostring(x): a line that says what it is, then the values in columns; the middle of long dimensions
 * is left out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "tensor/shape.h"

enum { ALL = 100, TEXT = 32 }; /* tensors up to ALL elements are shown whole */

typedef struct printing {
    const rh_tensor *t;
    luaL_Buffer *out;
    int64_t edge;  /* elements kept at each end of a long dimension */
    int width;     /* of a column */
} printing;

static int format_float(double v, char text[TEXT]) {
    if (isnan(v)) return snprintf(text, TEXT, "nan");
    return snprintf(text, TEXT, "%.4g", v);
}

static int format_element(const rh_tensor *t, int64_t at, char text[TEXT]) {
    const void *data = t->storage->data;
    uint32_t bits;
    float f;
    switch (t->dtype) {
    case RH_F32: return format_float(((const float *)data)[at], text);
    case RH_I64: return snprintf(text, TEXT, "%lld", (long long)((const int64_t *)data)[at]);
    case RH_BOOL: return snprintf(text, TEXT, ((const uint8_t *)data)[at] ? "true" : "false");
    default:
        bits = (uint32_t)((const uint16_t *)data)[at] << 16;
        memcpy(&f, &bits, sizeof f);
        return format_float(f, text);
    }
}

/* The index after i that is shown in a dimension of this size. */
static int64_t next_shown(const printing *p, int64_t i, int64_t size) {
    return size > 2 * p->edge && i + 1 == p->edge ? size - p->edge : i + 1;
}

static void measure(printing *p, int d, int64_t at) {
    char text[TEXT];
    const rh_tensor *t = p->t;
    if (d == t->rank) {
        int n = format_element(t, at, text);
        if (n > p->width) p->width = n;
        return;
    }
    for (int64_t i = 0; i < t->shape[d]; i = next_shown(p, i, t->shape[d]))
        measure(p, d + 1, at + i * t->strides[d]);
}

/* Between two elements of dimension d: columns stand side by side, rows below one another. */
static void separate(printing *p, int d, bool gap) {
    if (d == p->t->rank - 1) {
        luaL_addstring(p->out, gap ? ", ..., " : ", ");
        return;
    }
    for (int pass = 0; pass <= gap; pass++) {
        luaL_addstring(p->out, pass ? "...\n" : ",\n");
        for (int indent = 0; indent <= d; indent++) luaL_addchar(p->out, ' ');
    }
}

static void print_level(printing *p, int d, int64_t at) {
    const rh_tensor *t = p->t;
    char text[TEXT];
    if (d == t->rank) {
        int n = format_element(t, at, text);
        for (int pad = n; pad < p->width; pad++) luaL_addchar(p->out, ' ');
        luaL_addlstring(p->out, text, (size_t)n);
        return;
    }
    luaL_addchar(p->out, '{');
    for (int64_t i = 0, next; i < t->shape[d]; i = next) {
        print_level(p, d + 1, at + i * t->strides[d]);
        next = next_shown(p, i, t->shape[d]);
        if (next < t->shape[d]) separate(p, d, next > i + 1);
    }
    luaL_addchar(p->out, '}');
}

/* "tensor f32 [2,3] requires_grad by 'exp'" */
static void print_title(printing *p) {
    const rh_tensor *t = p->t;
    char shape[RH_SHAPE_TEXT], title[RH_SHAPE_TEXT + 96];
    const char *row = rh_made_by(t);
    snprintf(title, sizeof title, "tensor %s %s%s%s%s%s", rh_dtype_name(t->dtype),
             rh_shape_text(t->rank, t->shape, shape), rh_requires_grad(t) ? " requires_grad" : "",
             row ? " by '" : "", row ? row : "", row ? "'" : "");
    luaL_addstring(p->out, title);
    luaL_addstring(p->out, t->rank < 2 ? " " : "\n");
}

static int64_t choose_edge(const rh_tensor *t) {
    if (rh_tensor_numel(t) <= ALL) return ALL;
    return t->rank <= 2 ? 3 : t->rank == 3 ? 2 : 1;
}

static int tensor_tostring(lua_State *L) {
    const rhl_handle *h = rhl_test_handle(L, 1);
    luaL_Buffer b;
    lua_settop(L, 1);
    if (h && !h->t) return lua_pushliteral(L, "tensor (closed)"), 1;
    printing p = {.t = rhl_hold(L, 1), .out = &b};
    luaL_buffinit(L, &b);
    p.edge = choose_edge(p.t);
    if (p.t->rank > 0) measure(&p, 0, p.t->offset);
    print_title(&p);
    print_level(&p, 0, p.t->offset);
    luaL_pushresult(&b);
    rhl_handle_close(lua_touserdata(L, 2));
    return 1;
}

/* "loss " .. x: the text, as with numbers */
static int tensor_concat(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    luaL_tolstring(L, 2, NULL);
    lua_concat(L, 2);
    return 1;
}

void rhl_open_print(lua_State *L, rhl_state *state) {
    const luaL_Reg metamethods[] = {
        {"__tostring", tensor_tostring}, {"__concat", tensor_concat}, {NULL, NULL}};
    rhl_add_metamethods(L, state, metamethods);
}
