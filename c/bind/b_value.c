/* Single elements between Lua values and tensors. */
#include <string.h>

#include "bind/bind.h"

const char *rhl_wanted_value(rh_dtype dtype) {
    return dtype == RH_I64 ? "integer" : dtype == RH_BOOL ? "boolean" : "number";
}

/* true and false, or 1 and 0 as other programs write them */
static bool read_bool(lua_State *L, int index, uint8_t *at) {
    bool number = lua_type(L, index) == LUA_TNUMBER;
    lua_Number v = number ? lua_tonumber(L, index) : lua_toboolean(L, index);
    *at = v != 0;
    return (number || lua_isboolean(L, index)) && (v == 0 || v == 1);
}

bool rhl_read_value(lua_State *L, int index, rh_dtype dtype, void *at) {
    int whole = 1;
    if (dtype == RH_BOOL) return read_bool(L, index, at);
    if (lua_type(L, index) != LUA_TNUMBER) return false;
    switch (dtype) {
    case RH_F32: *(float *)at = (float)lua_tonumber(L, index); return true;
    case RH_I64: *(int64_t *)at = lua_tointegerx(L, index, &whole); return whole;
    default: return false;
    }
}

static float widen(uint16_t bf16) {
    uint32_t bits = (uint32_t)bf16 << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void rhl_push_value(lua_State *L, const rh_tensor *t, int64_t at) {
    const void *data = t->storage->data;
    switch (t->dtype) {
    case RH_F32: lua_pushnumber(L, ((const float *)data)[at]); break;
    case RH_I64: lua_pushinteger(L, ((const int64_t *)data)[at]); break;
    case RH_BOOL: lua_pushboolean(L, ((const uint8_t *)data)[at]); break;
    default: lua_pushnumber(L, widen(((const uint16_t *)data)[at]));
    }
}

void rhl_fill(rh_tensor *t, const void *value) {
    size_t size = rh_dtype_size(t->dtype);
    char *out = (char *)t->storage->data + (size_t)t->offset * size;
    size_t total = (size_t)rh_tensor_numel(t) * size, done = size;
    if (total == 0) return;
    memcpy(out, value, size);
    for (; done < total; done *= 2) memcpy(out + done, out, done < total - done ? done : total - done);
}
