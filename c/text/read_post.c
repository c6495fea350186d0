/* See read_json.h: decoders, and what the post-processor puts around a text. */
#include "text/read_json.h"

/* ---- decoders ---- */

static rh_status read_replace(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_decoder_step step = {.kind = RH_DECODE_REPLACE};
    const char *text;
    size_t n;
    RH_TRY(rh_read_string(r, item, "content", &text, &n));
    RH_TRY(rh_read_pattern(r, item, &step.pattern));
    rh_status status = rh_bytes_put(r->ctx, &step.content, text, n);
    if (status == RH_OK) return rh_decoder_add(r->ctx, &t->decoder, step);
    rh_pattern_free(step.pattern);
    return status;
}

static rh_status read_strip(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_decoder_step step = {.kind = RH_DECODE_STRIP};
    const char *text;
    size_t n, length;
    RH_TRY(rh_read_string(r, item, "content", &text, &n));
    if (n == 0 || (rh_utf8_read(text, &length), length != n))
        return rh_reader_fail(r, "content must be one character");
    RH_TRY(rh_read_count(r, item, "start", INT32_MAX, &step.start));
    RH_TRY(rh_read_count(r, item, "stop", INT32_MAX, &step.stop));
    RH_TRY(rh_bytes_put(r->ctx, &step.content, text, n));
    return rh_decoder_add(r->ctx, &t->decoder, step);
}

static rh_status read_metaspace(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_decoder_step step = {.kind = RH_DECODE_METASPACE};
    rh_prepend prepend;
    RH_TRY(rh_read_metaspace(r, item, &step.content, &prepend));
    step.drop = prepend != RH_PREPEND_NEVER;
    return rh_decoder_add(r->ctx, &t->decoder, step);
}

static rh_status read_decoder(rh_reader *r, json_t *item, const char *type, rh_tokenizer *t) {
    static const struct {
        const char *type;
        rh_decoder_kind kind;
    } simple[] = {{"ByteLevel", RH_DECODE_BYTE_LEVEL}, {"ByteFallback", RH_DECODE_BYTE_FALLBACK},
                  {"Fuse", RH_DECODE_FUSE}};
    if (t->decoder.n >= RH_STEPS_MOST) return rh_reader_fail(r, "more than %d steps", RH_STEPS_MOST);
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (strcmp(type, simple[i].type) == 0)
            return rh_decoder_add(r->ctx, &t->decoder, (rh_decoder_step){.kind = simple[i].kind});
    if (strcmp(type, "Replace") == 0) return read_replace(r, item, t);
    if (strcmp(type, "Strip") == 0) return read_strip(r, item, t);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(r, item, t);
    return rh_refuse_type(r, type, "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence are");
}

/* Without one, tokens are joined by spaces; an empty Sequence joins them as they are. */
rh_status rh_read_decoder(rh_reader *r, json_t *root, rh_tokenizer *t) {
    bool none = json_is_null(json_object_get(root, "decoder")) || !json_object_get(root, "decoder");
    if (none) RH_TRY(rh_decoder_add(r->ctx, &t->decoder, (rh_decoder_step){.kind = RH_DECODE_JOIN}));
    RH_TRY(rh_read_chain(r, root, "decoder", "decoders", read_decoder, t));
    rh_decoder_finish(&t->decoder);
    return RH_OK;
}

/* ---- the post-processor ---- */

/* The ids of a template's special token, appended to out. */
static rh_status put_special(rh_reader *r, json_t *specials, json_t *piece, const rh_tokenizer *t, rh_ids *out) {
    json_t *special, *ids;
    const char *name;
    char shown[RH_QUOTED];
    size_t n;
    RH_TRY(rh_read_string(r, piece, "id", &name, &n));
    special = json_object_get(specials, name);
    if (!special)
        return rh_reader_fail(r, "%s is not in special_tokens", rh_quoted(name, n, shown));
    if (!json_is_object(special)) return rh_reader_fail(r, "special_tokens: objects wanted");
    RH_TRY(rh_read_part(r, special, "ids", JSON_ARRAY, &ids));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));
        if (!json_is_integer(json_array_get(ids, i)) || id < 0 || !rh_vocab_token(&t->vocab, (uint64_t)id))
            return rh_reader_fail(r, "%s stands for an id that is no token's", rh_quoted(name, n, shown));
        RH_TRY(rh_ids_put(r->ctx, out, (uint32_t)id));
    }
    return RH_OK;
}

/* One place of a template: before the text, the text, or behind it. */
static rh_status read_place(rh_reader *r, json_t *specials, json_t *place, rh_tokenizer *t, bool *seen) {
    json_t *piece;
    const char *name;
    size_t n;
    if (!json_is_object(place)) return rh_reader_fail(r, "an object wanted");
    RH_TRY(rh_read_optional(r, place, "SpecialToken", JSON_OBJECT, &piece));
    if (piece) return put_special(r, specials, piece, t, *seen ? &t->suffix : &t->prefix);
    RH_TRY(rh_read_part(r, place, "Sequence", JSON_OBJECT, &piece));
    RH_TRY(rh_read_string(r, piece, "id", &name, &n));
    if (*seen || strcmp(name, "A") != 0) return rh_reader_fail(r, "the text A wanted, once");
    *seen = true;
    return RH_OK;
}

static rh_status read_places(rh_reader *r, json_t *item, rh_tokenizer *t) {
    json_t *places, *specials;
    bool seen = false;
    RH_TRY(rh_read_part(r, item, "single", JSON_ARRAY, &places));
    RH_TRY(rh_read_part(r, item, "special_tokens", JSON_OBJECT, &specials));
    for (size_t i = 0; i < json_array_size(places); i++) {
        size_t back = rh_reader_enter(r, ".single[%zu]", i);
        RH_TRY(read_place(r, specials, json_array_get(places, i), t, &seen));
        rh_reader_leave(r, back);
    }
    return seen ? RH_OK : rh_reader_fail(r, "single does not hold the text A");
}

static rh_status read_postprocessor(rh_reader *r, json_t *item, const char *type, rh_tokenizer *t) {
    if (strcmp(type, "ByteLevel") == 0) return RH_OK; /* it trims offsets, which we don't have */
    if (strcmp(type, "TemplateProcessing") != 0)
        return rh_refuse_type(r, type, "TemplateProcessing, ByteLevel, Sequence are");
    if (t->prefix.used + t->suffix.used) return rh_reader_fail(r, "one TemplateProcessing wanted, this is another");
    return read_places(r, item, t);
}

rh_status rh_read_postprocessor(rh_reader *r, json_t *root, rh_tokenizer *t) {
    return rh_read_chain(r, root, "post_processor", "processors", read_postprocessor, t);
}
