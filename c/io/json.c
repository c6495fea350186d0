/* See json.h. One pass of our own walks over the text before Jansson does: it counts depth and
 * values, and finds the integers that Jansson would refuse as too long. Those get "e0" appended in a
 * copy, which makes them reals. The pass needs no grammar: what it misreads is refused afterwards. */
#include "io/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

/* The well-formed sequences of the Unicode standard (table 3-7): no overlong forms, no surrogates,
 * nothing above U+10FFFF. low and high bound the second byte. */
static const struct { unsigned char first, last, low, high, length; } utf8_forms[] = {
    {0x00, 0x7F, 0x00, 0xFF, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

size_t rh_utf8_length(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    for (size_t f = 0; f < sizeof utf8_forms / sizeof utf8_forms[0]; f++) {
        size_t length = utf8_forms[f].length;
        if (*p < utf8_forms[f].first || *p > utf8_forms[f].last) continue;
        if (n < length || (length > 1 && (p[1] < utf8_forms[f].low || p[1] > utf8_forms[f].high)))
            return 0;
        for (size_t i = 2; i < length; i++)
            if ((p[i] & 0xC0) != 0x80) return 0;
        return length;
    }
    return 0;
}

size_t rh_utf8_check(const char *text, size_t n) {
    size_t i = 0, length;
    while (i < n && (length = rh_utf8_length(text + i, n - i)) > 0) i += length;
    return i;
}

/* An empty object takes the memory of so many numbers. */
enum { OBJECT_VALUES = 8 };

/* What the pass over the text found. */
typedef struct survey {
    size_t long_integers;
    size_t values;
    int depth;
    size_t deepest_at; /* where depth went over the limit */
} survey;

static const char *skip_string(const char *p, const char *end) {
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
    return p < end ? p + 1 : end;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The end of the number that begins at p. *is_long: an integer outside 64 bits. */
static const char *skip_number(const char *p, const char *end, bool *is_long) {
    enum { SAFE_DIGITS = 18, MOST_DIGITS = 19 };
    const char *begin = p, *digits = *p == '-' ? p + 1 : p;
    for (p = digits; p < end && is_digit(*p);) p++;
    size_t n = (size_t)(p - digits);
    bool integer = p == end || !strchr(".eE", *p) || *p == '\0';
    *is_long = integer && n > MOST_DIGITS;
    if (integer && n > SAFE_DIGITS && n <= MOST_DIGITS) {
        char copy[MOST_DIGITS + 2] = {0};
        memcpy(copy, begin, (size_t)(p - begin));
        errno = 0;
        (void)strtoll(copy, NULL, 10);
        *is_long = errno == ERANGE;
    }
    while (p < end && (is_digit(*p) || (*p && strchr("+-.eE", *p)))) p++;
    return p;
}

/* Whether the value that begins at *p is a long integer; *p moves past it. */
static bool skip_value(const char **p, const char *end) {
    bool is_long = false;
    if (**p == '"') *p = skip_string(*p, end);
    else if (**p == '-' || is_digit(**p)) *p = skip_number(*p, end, &is_long);
    else ++*p;
    return is_long;
}

static void look_over(const char *text, size_t length, int max_depth, survey *s) {
    const char *end = text + length;
    *s = (survey){0};
    for (const char *p = text; p < end && s->depth <= max_depth;) {
        char c = *p;
        s->values += c == '{' ? OBJECT_VALUES : c == ',' || c == ':' || c == '[';
        s->depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        s->deepest_at = (size_t)(p - text);
        s->long_integers += skip_value(&p, end);
    }
}

/* out has room for length + 2 * long_integers. Returns the new length. */
static size_t copy_as_reals(const char *text, size_t length, char *out) {
    const char *end = text + length;
    char *to = out;
    for (const char *p = text; p < end;) {
        const char *from = p;
        bool is_long = skip_value(&p, end);
        memcpy(to, from, (size_t)(p - from));
        to += p - from;
        if (is_long) {
            memcpy(to, "e0", 2);
            to += 2;
        }
    }
    return (size_t)(to - out);
}

/* Fails at byte `at` of `read`, which is the text or its copy by copy_as_reals: the line and column
 * are those of the text. */
static rh_status fail_at(rh_ctx *ctx, const char *text, size_t length, const char *read, size_t at,
                         const char *what) {
    size_t line = 1, column = 1, i = 0;
    for (size_t j = 0; i < length && j < at; j++) {
        if (text[i] != read[j]) {
            j++; /* an appended "e0"; no integer of the text is followed by 'e' */
            continue;
        }
        if (text[i] == '\n') line++, column = 1;
        else column += ((unsigned char)text[i] & 0xC0) != 0x80;
        i++;
    }
    return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "line %zu column %zu: %s", line, column, what);
}

static rh_status parse(rh_ctx *ctx, const char *text, size_t length, const char *read,
                       size_t read_length, json_t **out) {
    json_error_t error;
    *out = json_loadb(read, read_length,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (*out) return RH_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return rh_fail(ctx, RH_ENOMEM, RH_NO_OPERAND, "not enough memory: %zu bytes of JSON", length);
    return fail_at(ctx, text, length, read, error.position > 0 ? (size_t)error.position - 1 : 0,
                   error.text);
}

rh_status rh_json_parse(rh_ctx *ctx, const char *text, size_t length, rh_json_limits limits,
                        json_t **out) {
    survey s;
    *out = NULL;
    if (length > limits.bytes)
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "JSON of %zu bytes: the limit is %zu", length,
                       limits.bytes);
    look_over(text, length, limits.depth, &s);
    if (s.depth > limits.depth) {
        char what[48];
        snprintf(what, sizeof what, "nested more than %d deep", limits.depth);
        return fail_at(ctx, text, length, text, s.deepest_at, what);
    }
    if (s.values > limits.values)
        return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "JSON of %zu values: the limit is %zu", s.values,
                       limits.values);
    if (s.long_integers == 0) return parse(ctx, text, length, text, length, out);
    char *copy = rh_alloc(ctx, length + 2 * s.long_integers);
    if (!copy) return RH_ENOMEM;
    size_t n = copy_as_reals(text, length, copy);
    rh_status status = parse(ctx, text, length, copy, n, out);
    rh_free(ctx, copy);
    return status;
}
