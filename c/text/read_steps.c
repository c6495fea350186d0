/* See read_json.h: normalizers and pre-tokenizers, one reader for each type that a file may name. */
#include "text/read_json.h"

/* ---- normalizers ---- */

static rh_status read_replace(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_normalizer_step step = {.kind = RH_NORMALIZE_REPLACE};
    const char *text;
    size_t n;
    RH_TRY(rh_read_string(r, item, "content", &text, &n));
    RH_TRY(rh_read_pattern(r, item, &step.pattern));
    rh_status status = rh_bytes_put(r->ctx, &step.content, text, n);
    if (status == RH_OK) return rh_normalizer_add(r->ctx, &t->normalizer, step);
    rh_pattern_free(step.pattern);
    return status;
}

static rh_status read_prepend(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_normalizer_step step = {.kind = RH_NORMALIZE_PREPEND};
    const char *text;
    size_t n;
    RH_TRY(rh_read_string(r, item, "prepend", &text, &n));
    RH_TRY(rh_bytes_put(r->ctx, &step.content, text, n));
    return rh_normalizer_add(r->ctx, &t->normalizer, step);
}

/* It stands in files of language models with everything off; then it does nothing. */
static rh_status read_bert(rh_reader *r, json_t *item) {
    static const char *const switches[] = {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"};
    bool on;
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        bool fallback = i != 2; /* strip_accents: as lowercase says */
        RH_TRY(rh_read_bool(r, item, switches[i], fallback, &on));
        if (on) return rh_reader_fail(r, "BertNormalizer's %s is not supported", switches[i]);
    }
    return RH_OK;
}

static rh_status read_normalizer(rh_reader *r, json_t *item, const char *type, rh_tokenizer *t) {
    static const struct {
        const char *type;
        rh_normalizer_kind kind;
    } simple[] = {{"NFC", RH_NORMALIZE_NFC}, {"NFD", RH_NORMALIZE_NFD}, {"NFKC", RH_NORMALIZE_NFKC},
                  {"NFKD", RH_NORMALIZE_NFKD}, {"Lowercase", RH_NORMALIZE_LOWERCASE}};
    if (t->normalizer.n >= RH_STEPS_MOST) return rh_reader_fail(r, "more than %d steps", RH_STEPS_MOST);
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (strcmp(type, simple[i].type) == 0)
            return rh_normalizer_add(r->ctx, &t->normalizer, (rh_normalizer_step){.kind = simple[i].kind});
    if (strcmp(type, "Replace") == 0) return read_replace(r, item, t);
    if (strcmp(type, "Prepend") == 0) return read_prepend(r, item, t);
    if (strcmp(type, "BertNormalizer") == 0) return read_bert(r, item);
    return rh_refuse_type(r, type, "NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Sequence are");
}

rh_status rh_read_normalizer(rh_reader *r, json_t *root, rh_tokenizer *t) {
    return rh_read_chain(r, root, "normalizer", "normalizers", read_normalizer, t);
}

/* ---- pre-tokenizers ---- */

static rh_status read_behavior(rh_reader *r, json_t *item, rh_split_behavior *out) {
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};
    const char *text;
    char name[RH_QUOTED];
    size_t n;
    RH_TRY(rh_read_string(r, item, "behavior", &text, &n));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) return *out = (rh_split_behavior)i, RH_OK;
    return rh_reader_fail(r, "behavior %s is not supported", rh_quoted(text, n, name));
}

static rh_status read_split(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_pretoken_step step = {.kind = RH_PRETOKEN_SPLIT};
    RH_TRY(read_behavior(r, item, &step.behavior));
    RH_TRY(rh_read_bool(r, item, "invert", false, &step.invert));
    RH_TRY(rh_read_pattern(r, item, &step.pattern));
    return rh_pretokenizer_add(r->ctx, &t->pretokenizer, step);
}

static rh_status read_digits(rh_reader *r, json_t *item, rh_tokenizer *t) {
    bool single;
    RH_TRY(rh_read_bool(r, item, "individual_digits", false, &single));
    return rh_pretokenizer_add(r->ctx, &t->pretokenizer,
                               (rh_pretoken_step){.kind = RH_PRETOKEN_DIGITS,
                                                  .behavior = single ? RH_ISOLATED : RH_CONTIGUOUS});
}

static rh_status read_byte_level(rh_reader *r, json_t *item, rh_tokenizer *t) {
    static const char gpt2[] = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    rh_pretoken_step step = {.kind = RH_PRETOKEN_BYTE_LEVEL};
    bool prefix, split;
    RH_TRY(rh_read_bool(r, item, "add_prefix_space", true, &prefix));
    RH_TRY(rh_read_bool(r, item, "use_regex", true, &split));
    if (prefix) step.prepend = RH_PREPEND_ALWAYS;
    if (split) {
        step.pattern = rh_pattern_regex(r->ctx, gpt2, sizeof gpt2 - 1);
        if (!step.pattern) return r->ctx->error.code;
    }
    return rh_pretokenizer_add(r->ctx, &t->pretokenizer, step);
}

/* Old files say add_prefix_space, new ones prepend_scheme. */
static rh_status read_scheme(rh_reader *r, json_t *item, rh_prepend *out) {
    static const char *const names[] = {"never", "first", "always"};
    const char *scheme;
    char name[RH_QUOTED];
    size_t n;
    bool prefix;
    RH_TRY(rh_read_bool(r, item, "add_prefix_space", true, &prefix));
    RH_TRY(rh_read_optional_string(r, item, "prepend_scheme", &scheme, &n));
    *out = prefix ? RH_PREPEND_ALWAYS : RH_PREPEND_NEVER;
    for (size_t i = 0; scheme && i < 3; i++)
        if (strcmp(scheme, names[i]) == 0) return *out = (rh_prepend)i, RH_OK;
    return scheme ? rh_reader_fail(r, "prepend_scheme %s is not supported", rh_quoted(scheme, n, name)) : RH_OK;
}

rh_status rh_read_metaspace(rh_reader *r, json_t *item, rh_bytes *mark, rh_prepend *prepend) {
    const char *text;
    size_t n, length;
    RH_TRY(read_scheme(r, item, prepend));
    RH_TRY(rh_read_string(r, item, "replacement", &text, &n));
    if (n == 0 || (rh_utf8_read(text, &length), length != n))
        return rh_reader_fail(r, "replacement must be one character");
    return rh_bytes_put(r->ctx, mark, text, n);
}

static rh_status read_metaspace(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_pretoken_step step = {.kind = RH_PRETOKEN_METASPACE};
    RH_TRY(rh_read_bool(r, item, "split", true, &step.split));
    RH_TRY(rh_read_metaspace(r, item, &step.content, &step.prepend));
    step.pattern = rh_pattern_literal(r->ctx, step.content.at, step.content.used);
    if (step.pattern) return rh_pretokenizer_add(r->ctx, &t->pretokenizer, step);
    rh_bytes_free(r->ctx, &step.content);
    return RH_ENOMEM;
}

static rh_status read_pretokenizer(rh_reader *r, json_t *item, const char *type, rh_tokenizer *t) {
    if (t->pretokenizer.n >= RH_STEPS_MOST) return rh_reader_fail(r, "more than %d steps", RH_STEPS_MOST);
    if (strcmp(type, "ByteLevel") == 0) return read_byte_level(r, item, t);
    if (strcmp(type, "Split") == 0) return read_split(r, item, t);
    if (strcmp(type, "Digits") == 0) return read_digits(r, item, t);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(r, item, t);
    return rh_refuse_type(r, type, "ByteLevel, Split, Digits, Metaspace, Sequence are");
}

rh_status rh_read_pretokenizer(rh_reader *r, json_t *root, rh_tokenizer *t) {
    return rh_read_chain(r, root, "pre_tokenizer", "pretokenizers", read_pretokenizer, t);
}
