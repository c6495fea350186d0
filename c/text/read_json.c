/* See read_json.h: the typed look-ups, and the order in which the parts are read. */
#include "text/read_json.h"

#include <stdarg.h>
#include <stdio.h>

size_t rh_reader_enter(rh_reader *r, const char *format, ...) {
    size_t before = r->used, room = sizeof r->path - before;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(r->path + before, room, format, args);
    va_end(args);
    r->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    return before;
}

void rh_reader_leave(rh_reader *r, size_t before) {
    r->used = before;
    r->path[before] = '\0';
}

rh_status rh_reader_fail(rh_reader *r, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rh_fail(r->ctx, RH_EDATA, RH_NO_OPERAND, "%s%s%s", r->path, r->used ? ": " : "", text);
}

rh_status rh_reader_place(rh_reader *r, const char *key) {
    char text[sizeof r->ctx->error.text];
    if (r->ctx->error.code != RH_EDATA) return r->ctx->error.code;
    memcpy(text, r->ctx->error.text, sizeof text);
    size_t before = rh_reader_enter(r, ".%s", key);
    rh_status status = rh_reader_fail(r, "%s", text);
    rh_reader_leave(r, before);
    return status;
}

const char *rh_quoted(const char *text, size_t n, char out[RH_QUOTED]) {
    enum { MOST = 40 };
    size_t shown = n;
    if (n > MOST)
        for (shown = MOST; shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80;) shown--;
    snprintf(out, RH_QUOTED, "'%.*s%s'", (int)shown, text, shown < n ? "..." : "");
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20) *p = '?';
    return out;
}

/* ---- members ---- */

static const char *type_name(const json_t *value) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number", "true", "false", "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

static rh_status wrong_type(rh_reader *r, const char *key, const char *wanted, const json_t *got) {
    size_t before = rh_reader_enter(r, r->used ? ".%s" : "%s", key);
    rh_status status = rh_reader_fail(r, "%s wanted, got %s", wanted, type_name(got));
    rh_reader_leave(r, before);
    return status;
}

/* The member, or NULL when it is absent or null. */
static json_t *member(json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

rh_status rh_read_bool(rh_reader *r, json_t *object, const char *key, bool fallback, bool *out) {
    json_t *value = member(object, key);
    if (value && !json_is_boolean(value)) return wrong_type(r, key, "true or false", value);
    *out = value ? json_is_true(value) : fallback;
    return RH_OK;
}

rh_status rh_read_count(rh_reader *r, json_t *object, const char *key, int64_t most, size_t *out) {
    json_t *value = member(object, key);
    if (!json_is_integer(value)) return wrong_type(r, key, "an integer", value);
    json_int_t n = json_integer_value(value);
    if (n >= 0 && n <= most) return *out = (size_t)n, RH_OK;
    size_t before = rh_reader_enter(r, ".%s", key);
    rh_status status = rh_reader_fail(r, "%lld is outside 0 to %lld", (long long)n, (long long)most);
    rh_reader_leave(r, before);
    return status;
}

rh_status rh_read_optional_string(rh_reader *r, json_t *object, const char *key, const char **out,
                                  size_t *n) {
    json_t *value = member(object, key);
    *out = NULL;
    *n = 0;
    if (!value) return RH_OK;
    if (!json_is_string(value)) return wrong_type(r, key, "a string", value);
    *out = json_string_value(value);
    *n = json_string_length(value);
    return RH_OK;
}

rh_status rh_read_string(rh_reader *r, json_t *object, const char *key, const char **out, size_t *n) {
    RH_TRY(rh_read_optional_string(r, object, key, out, n));
    return *out ? RH_OK : wrong_type(r, key, "a string", NULL);
}

rh_status rh_read_optional(rh_reader *r, json_t *object, const char *key, json_type type, json_t **out) {
    *out = member(object, key);
    if (*out && json_typeof(*out) != type)
        return wrong_type(r, key, type == JSON_ARRAY ? "an array" : "an object", *out);
    return RH_OK;
}

rh_status rh_read_part(rh_reader *r, json_t *object, const char *key, json_type type, json_t **out) {
    RH_TRY(rh_read_optional(r, object, key, type, out));
    return *out ? RH_OK : wrong_type(r, key, type == JSON_ARRAY ? "an array" : "an object", NULL);
}

/* ---- chains of steps ---- */

rh_status rh_refuse_type(rh_reader *r, const char *type, const char *supported) {
    char name[RH_QUOTED];
    return rh_fail(r->ctx, RH_EDATA, RH_NO_OPERAND, "%s.type %s is not supported (%s)", r->path,
                   rh_quoted(type, strlen(type), name), supported);
}

rh_status rh_read_pattern(rh_reader *r, json_t *object, rh_pattern **out) {
    json_t *pattern;
    const char *text;
    size_t n;
    RH_TRY(rh_read_part(r, object, "pattern", JSON_OBJECT, &pattern));
    size_t before = rh_reader_enter(r, ".pattern");
    bool regex = json_object_get(pattern, "Regex") != NULL;
    RH_TRY(rh_read_string(r, pattern, regex ? "Regex" : "String", &text, &n));
    /* the empty text matches everywhere, as the empty expression does */
    *out = regex || n == 0 ? rh_pattern_regex(r->ctx, text, n) : rh_pattern_literal(r->ctx, text, n);
    if (!*out) return rh_reader_place(r, regex ? "Regex" : "String");
    rh_reader_leave(r, before);
    return RH_OK;
}

static rh_status read_step(rh_reader *r, json_t *item, const char *list, rh_step_fn fn, rh_tokenizer *t) {
    const char *type;
    size_t n;
    json_t *items;
    if (!json_is_object(item)) return rh_reader_fail(r, "an object wanted, got %s", type_name(item));
    RH_TRY(rh_read_string(r, item, "type", &type, &n));
    if (strcmp(type, "Sequence") != 0) return fn(r, item, type, t);
    RH_TRY(rh_read_part(r, item, list, JSON_ARRAY, &items));
    for (size_t i = 0; i < json_array_size(items); i++) {
        size_t before = rh_reader_enter(r, ".%s[%zu]", list, i);
        RH_TRY(read_step(r, json_array_get(items, i), list, fn, t));
        rh_reader_leave(r, before);
    }
    return RH_OK;
}

rh_status rh_read_chain(rh_reader *r, json_t *root, const char *key, const char *list, rh_step_fn fn,
                        rh_tokenizer *t) {
    json_t *part;
    RH_TRY(rh_read_optional(r, root, key, JSON_OBJECT, &part));
    if (!part) return RH_OK;
    size_t before = rh_reader_enter(r, "%s", key);
    RH_TRY(read_step(r, part, list, fn, t));
    rh_reader_leave(r, before);
    return RH_OK;
}

/* ---- the whole ---- */

/* Added tokens are normalized, and the post-processor names ids: hence this order. */
static rh_status read_all(rh_reader *r, json_t *root, rh_tokenizer *t) {
    if (!json_is_object(root)) return rh_reader_fail(r, "an object wanted, got %s", type_name(root));
    RH_TRY(rh_read_normalizer(r, root, t));
    RH_TRY(rh_read_model(r, root, t));
    RH_TRY(rh_read_pretokenizer(r, root, t));
    RH_TRY(rh_read_decoder(r, root, t));
    return rh_read_postprocessor(r, root, t);
}

rh_status rh_tokenizer_read(rh_ctx *ctx, json_t *root, rh_tokenizer **out) {
    rh_reader r = {.ctx = ctx};
    *out = NULL;
    rh_tokenizer *t = rh_tokenizer_new(ctx);
    if (!t) return RH_ENOMEM;
    rh_status status = read_all(&r, root, t);
    if (status == RH_OK) *out = t;
    else rh_tokenizer_free(t);
    return status;
}
