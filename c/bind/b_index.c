/* Elements and contents: x[i], x[i] = value, x:copy_(y), x:fill_(v). Positions count from 1, or from
 * the end when negative. What changes a tensor in place counts its storage's version, by which
 * backward sees that a saved value is no longer what it was. */
#include <assert.h>

#include "bind/signature.h"
#include "tensor/shape.h"

/* Upvalue 3 of __index and __newindex: the signature of the row `select`. */
enum { SELECT = 3 };

/* Reads x[i]'s i at 2 into an index from 0; false when it lies behind the end. */
static bool read_index(lua_State *L, const rh_tensor *t, int64_t *out) {
    int whole = 0;
    lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &whole) : 0;
    if (!whole) return luaL_error(L, "index %s: integer wanted", rhl_got(L, 2));
    if (t->rank == 0) return luaL_error(L, "a scalar tensor has no elements to index: use :item()");
    int64_t n = t->shape[0];
    if (i == 0) return luaL_error(L, "index 0: positions count from 1 (or from the end: -1)");
    if (i < -n) return luaL_error(L, "index %I of a tensor with %I", i, (lua_Integer)n);
    *out = i > 0 ? i - 1 : i + n;
    return *out < n;
}

/* x[i]: a view of the i-th slice of the first dimension, nil behind the end; x.name: a method */
static int tensor_index(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_pushvalue(L, lua_upvalueindex(SELECT + 1));
        lua_insert(L, 2);
        lua_rawget(L, 2);
        return 1;
    }
    rhl_state *state = rhl_state_of(L);
    int64_t i;
    rhl_pace(L, state);
    if (!read_index(L, rhl_check_tensor(L, 1), &i)) return lua_pushnil(L), 1;
    const rhl_signature *sig = lua_touserdata(L, lua_upvalueindex(SELECT));
    rh_opt opt[RH_MAX_OPTIONS];
    for (int k = 0; k < sig->n_opt; k++) {
        opt[k].given = true;
        opt[k].i = sig->opt[k].type == 'p' ? i : 0;
    }
    return rhl_apply_row(L, state, sig, 1, opt);
}

/* Argument `arg` may be changed: nobody's gradient depends on its value, and no two of its elements
 * are the same memory. */
static void check_writable(lua_State *L, const rhl_state *state, const rh_tensor *t, int arg) {
    if (rh_requires_grad(t) && state->ctx->no_grad == 0)
        rhl_argerror(L, arg, "a tensor that requires a gradient is changed in place only under "
                             "rlhf.no_grad");
    for (int d = 0; d < t->rank; d++)
        if (t->strides[d] == 0 && t->shape[d] > 1)
            rhl_argerror(L, arg, "an expanded tensor can't be changed in place: its elements share "
                                 "memory");
}

static bool spreads_to(const rh_tensor *src, const rh_tensor *dst) {
    for (int back = 1; back <= src->rank; back++) {
        int64_t size = src->shape[src->rank - back];
        if (back > dst->rank ? size != 1 : size != 1 && size != dst->shape[dst->rank - back])
            return false;
    }
    return true;
}

/* The value at argument `arg` that goes into dst: same type, broadcast, with no gradient to lose. */
static void check_source(lua_State *L, const rhl_state *state, const rh_tensor *dst,
                         const rh_tensor *src, int arg) {
    char a[RH_SHAPE_TEXT], b[RH_SHAPE_TEXT];
    if (src->dtype != dst->dtype)
        rhl_argerror(L, arg, lua_pushfstring(L, "%s wanted, got %s", rh_dtype_name(dst->dtype),
                                             rh_dtype_name(src->dtype)));
    if (rh_requires_grad(src) && state->ctx->no_grad == 0)
        rhl_argerror(L, arg, "its gradient would be lost: use :detach()");
    if (!spreads_to(src, dst))
        rhl_argerror(L, arg, lua_pushfstring(L, "%s does not broadcast to %s",
                                             rh_shape_text(src->rank, src->shape, a),
                                             rh_shape_text(dst->rank, dst->shape, b)));
}

/* dst = src, broadcast. A source in the same storage is copied out first: the two may overlap. */
static rh_status put(rh_tensor *dst, rh_tensor *src) {
    int64_t strides[RH_MAX_RANK] = {0};
    rh_tensor *from = src, *spread;
    while (from->rank > dst->rank && from == src) { /* leading sizes of 1 */
        int extra = src->rank - dst->rank;
        from = rh_tensor_view(src, dst->rank, src->shape + extra, src->strides + extra, src->offset);
        if (!from) return RH_ENOMEM;
    }
    if (src->storage == dst->storage) {
        rh_tensor *copy = rh_tensor_new(src->ctx, from->dtype, from->rank, from->shape);
        if (copy) rh_tensor_copy_data(copy, from);
        if (from != src) rh_tensor_release(from);
        if (!copy) return RH_ENOMEM;
        from = copy;
    }
    rh_broadcast_strides(from, dst->rank, dst->shape, strides);
    spread = rh_tensor_view(from, dst->rank, dst->shape, strides, from->offset);
    if (from != src) rh_tensor_release(from);
    if (!spread) return RH_ENOMEM;
    rh_tensor_copy_data(dst, spread);
    rh_tensor_release(spread);
    dst->storage->version++;
    return RH_OK;
}

/* dst = the number (or boolean) at `value`. */
static rh_status put_value(rh_tensor *dst, const void *value) {
    if (rh_tensor_is_contiguous(dst)) {
        rhl_fill(dst, value);
        dst->storage->version++;
        return RH_OK;
    }
    rh_tensor *one = rh_tensor_new(dst->ctx, dst->dtype, 0, NULL);
    if (!one) return RH_ENOMEM;
    rhl_fill(one, value);
    rh_status status = put(dst, one);
    rh_tensor_release(one);
    return status;
}

/* The slice of t that x[i] means, or t itself for i < 0: new. */
static rh_tensor *slice(rh_tensor *t, int64_t i) {
    if (i < 0) return rh_tensor_retain(t);
    return rh_tensor_view(t, t->rank - 1, t->shape + 1, t->strides + 1,
                          t->offset + i * t->strides[0]);
}

/* Writes the tensor or value at argument `arg` to x[i] (i < 0: to all of x), x at argument 1. */
static rh_status write_once(lua_State *L, int64_t i, int arg) {
    rh_tensor *t = rhl_check_tensor(L, 1), *src = rhl_test_tensor(L, arg, arg);
    rh_tensor *dst = slice(t, i);
    int64_t value;
    if (!dst) return RH_ENOMEM;
    if (!src) rhl_read_value(L, arg, t->dtype, &value);
    rh_status status = src ? put(dst, src) : put_value(dst, &value);
    rh_tensor_release(dst);
    return status;
}

static void write(lua_State *L, rhl_state *state, int64_t i, int arg) {
    rh_status status = write_once(L, i, arg);
    if (rhl_collect_for_retry(L, state, status)) status = write_once(L, i, arg);
    if (status != RH_OK) rhl_raise_at(L, state, 0);
}

static void check_value(lua_State *L, const rh_tensor *t, int arg) {
    int64_t value;
    if (!rhl_read_value(L, arg, t->dtype, &value)) rhl_typeerror(L, arg, rhl_wanted_value(t->dtype));
}

/* x[i] = number or tensor */
static int tensor_newindex(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_tensor *t = rhl_check_tensor(L, 1), *src = rhl_test_tensor(L, 3, 3);
    int64_t i;
    rhl_pace(L, state);
    if (!read_index(L, t, &i))
        return luaL_error(L, "index %I of a tensor with %I", lua_tointeger(L, 2),
                          (lua_Integer)t->shape[0]);
    check_writable(L, state, t, 1);
    if (!src) {
        check_value(L, t, 3);
    } else {
        rh_tensor part = *t; /* for its shape alone */
        part.rank--;
        for (int d = 0; d < part.rank; d++) part.shape[d] = t->shape[d + 1];
        check_source(L, state, &part, src, 3);
    }
    write(L, state, i, 3);
    return 0;
}

/* x:copy_(y) -> x */
static int tensor_copy(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_tensor *t = rhl_check_tensor(L, 1), *src = rhl_check_tensor(L, 2);
    check_writable(L, state, t, 1);
    check_source(L, state, t, src, 2);
    write(L, state, -1, 2);
    lua_settop(L, 1);
    return 1;
}

/* x:fill_(value) -> x */
static int tensor_fill(lua_State *L) {
    rhl_state *state = rhl_state_of(L);
    rh_tensor *t = rhl_check_tensor(L, 1);
    check_writable(L, state, t, 1);
    check_value(L, t, 2);
    write(L, state, -1, 2);
    lua_settop(L, 1);
    return 1;
}

/* Sets metatable[event], a function with the row and the methods at hand; the metatable is on top. */
static void set_event(lua_State *L, const char *event, lua_CFunction f, const rhl_signature *sig) {
    rhl_push_state(L);
    lua_pushstring(L, event + 2); /* as Lua itself names metamethods */
    lua_pushlightuserdata(L, (void *)sig);
    rhl_push_methods(L);
    lua_pushcclosure(L, f, SELECT + 1);
    lua_setfield(L, -2, event);
}

void rhl_open_index(lua_State *L, rhl_state *state) {
    const luaL_Reg methods[] = {{"copy_", tensor_copy}, {"fill_", tensor_fill}, {NULL, NULL}};
    const rhl_signature *sig = rhl_find_row(state, "select");
    assert(sig);
    rhl_add_methods(L, state, methods);
    luaL_getmetatable(L, RHL_TENSOR);
    set_event(L, "__index", tensor_index, sig);
    set_event(L, "__newindex", tensor_newindex, sig);
    lua_pop(L, 1);
}
