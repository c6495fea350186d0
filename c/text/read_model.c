/* See read_json.h: what byte-pair encoding is made of, and the tokens added to it. */
#include <string.h>

#include "base/pool.h"
#include "text/read_json.h"

enum { LAST_ID = RH_VOCAB_MOST - 1 };

/* ---- the vocabulary ---- */

/* Adds a token under an id that the file gives; the caller says where. */
static rh_status put_token(rh_reader *r, rh_tokenizer *t, const char *text, size_t n, int64_t id, int kind) {
    char name[RH_QUOTED], other[RH_QUOTED];
    if (n > RH_TOKEN_MOST)
        return rh_reader_fail(r, "a token of %zu bytes: the limit is %d", n, RH_TOKEN_MOST);
    if (id < 0 || id > LAST_ID)
        return rh_reader_fail(r, "id %lld of %s is outside 0 to %d", (long long)id,
                              rh_quoted(text, n, name), LAST_ID);
    const rh_token *taken = rh_vocab_token(&t->vocab, (uint64_t)id);
    if (taken)
        return rh_reader_fail(r, "%s has the id %lld, which is that of %s", rh_quoted(text, n, name),
                              (long long)id,
                              rh_quoted(t->vocab.text.at + taken->begin, taken->length, other));
    return rh_vocab_put(r->ctx, &t->vocab, text, n, (uint32_t)id, kind);
}

static rh_status read_vocab(rh_reader *r, json_t *model, rh_tokenizer *t) {
    json_t *vocab;
    char name[RH_QUOTED];
    RH_TRY(rh_read_part(r, model, "vocab", JSON_OBJECT, &vocab));
    size_t before = rh_reader_enter(r, ".vocab"), n = json_object_size(vocab);
    if (n > RH_VOCAB_MOST) return rh_reader_fail(r, "%zu tokens: the limit is %d", n, RH_VOCAB_MOST);
    RH_TRY(rh_vocab_open(r->ctx, &t->vocab, n));
    for (void *it = json_object_iter(vocab); it; it = json_object_iter_next(vocab, it)) {
        const char *text = json_object_iter_key(it);
        size_t length = strlen(text);
        json_t *id = json_object_iter_value(it);
        if (!json_is_integer(id))
            return rh_reader_fail(r, "the id of %s is not an integer", rh_quoted(text, length, name));
        RH_TRY(put_token(r, t, text, length, json_integer_value(id), RH_TOKEN_MODEL));
    }
    rh_reader_leave(r, before);
    return RH_OK;
}

/* ---- merges ---- */

/* A merge is ["a", "b"] or "a b". */
static rh_status read_pair(rh_reader *r, json_t *merge, const char *text[2], size_t n[2]) {
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        for (size_t i = 0; i < 2; i++) {
            json_t *part = json_array_get(merge, i);
            if (!json_is_string(part)) return rh_reader_fail(r, "two strings wanted");
            text[i] = json_string_value(part);
            n[i] = json_string_length(part);
        }
        return RH_OK;
    }
    if (!json_is_string(merge)) return rh_reader_fail(r, "\"a b\" or [\"a\", \"b\"] wanted");
    text[0] = json_string_value(merge);
    size_t length = json_string_length(merge);
    const char *space = memchr(text[0], ' ', length);
    if (!space || memchr(space + 1, ' ', length - (size_t)(space + 1 - text[0])))
        return rh_reader_fail(r, "two tokens with one space between wanted");
    n[0] = (size_t)(space - text[0]);
    text[1] = space + 1;
    n[1] = length - n[0] - 1;
    return RH_OK;
}

static rh_status find_token(rh_reader *r, const rh_tokenizer *t, const char *text, size_t n, uint32_t *id) {
    char name[RH_QUOTED];
    int64_t found = rh_vocab_find_model(&t->vocab, text, n);
    if (found < 0) return rh_reader_fail(r, "%s is not in model.vocab", rh_quoted(text, n, name));
    *id = (uint32_t)found;
    return RH_OK;
}

static rh_status read_merge(rh_reader *r, json_t *merge, rh_tokenizer *t, rh_bytes *joined, uint32_t rank) {
    const char *text[2];
    size_t n[2];
    rh_merge m = {.rank = rank};
    RH_TRY(read_pair(r, merge, text, n));
    RH_TRY(find_token(r, t, text[0], n[0], &m.left));
    RH_TRY(find_token(r, t, text[1], n[1], &m.right));
    joined->used = 0;
    RH_TRY(rh_bytes_reserve(r->ctx, joined, n[0] + n[1] + 1));
    memcpy(joined->at, text[0], n[0]);
    memcpy(joined->at + n[0], text[1], n[1]);
    RH_TRY(find_token(r, t, joined->at, n[0] + n[1], &m.id));
    rh_bpe_put(&t->bpe, m);
    return RH_OK;
}

static rh_status read_merges(rh_reader *r, json_t *model, rh_tokenizer *t) {
    json_t *merges;
    rh_bytes joined = {0};
    rh_status status = RH_OK;
    RH_TRY(rh_read_part(r, model, "merges", JSON_ARRAY, &merges));
    size_t n = json_array_size(merges);
    RH_TRY(rh_bpe_open(r->ctx, &t->bpe, &t->vocab, n));
    for (size_t i = 0; i < n && status == RH_OK; i++) {
        size_t before = rh_reader_enter(r, ".merges[%zu]", i);
        status = read_merge(r, json_array_get(merges, i), t, &joined, (uint32_t)i);
        if (status == RH_OK) rh_reader_leave(r, before);
    }
    rh_bytes_free(r->ctx, &joined);
    return status;
}

/* ---- the model's switches ---- */

/* Members that would change the ids and that no language model's tokenizer has. */
static rh_status refuse_others(rh_reader *r, json_t *model) {
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *text;
    char name[RH_QUOTED];
    size_t n;
    for (size_t i = 0; i < 2; i++) {
        RH_TRY(rh_read_optional_string(r, model, affixes[i], &text, &n));
        if (n) return rh_reader_fail(r, "%s %s is not supported", affixes[i], rh_quoted(text, n, name));
    }
    double dropout = json_number_value(json_object_get(model, "dropout"));
    if (dropout > 0) return rh_reader_fail(r, "dropout %g is not supported", dropout);
    return RH_OK;
}

static rh_status read_type(rh_reader *r, json_t *model) {
    const char *type;
    size_t n;
    RH_TRY(rh_read_optional_string(r, model, "type", &type, &n));
    if (!type || strcmp(type, "BPE") == 0) return RH_OK; /* the oldest files have no type */
    return rh_refuse_type(r, type, "BPE is");
}

static rh_status read_switches(rh_reader *r, json_t *model, rh_tokenizer *t) {
    const char *unk;
    char name[RH_QUOTED];
    size_t n;
    RH_TRY(rh_read_bool(r, model, "ignore_merges", false, &t->bpe.ignore_merges));
    RH_TRY(rh_read_bool(r, model, "byte_fallback", false, &t->bpe.byte_fallback));
    RH_TRY(rh_read_bool(r, model, "fuse_unk", false, &t->bpe.fuse_unk));
    RH_TRY(rh_read_optional_string(r, model, "unk_token", &unk, &n));
    if (!unk) return RH_OK;
    int64_t id = rh_vocab_find_model(&t->vocab, unk, n);
    if (id < 0)
        return rh_reader_fail(r, "unk_token %s is not in model.vocab", rh_quoted(unk, n, name));
    t->bpe.unk = (uint32_t)id;
    return RH_OK;
}

/* ---- added tokens ---- */

/* Some published files number their added tokens against the model's own ids. As in the library that
 * wrote them the model is right then: a text that it has keeps the model's id, and a new text whose
 * id it has given away gets the next free one. Two added tokens never share an id. */
static rh_status name_token(rh_reader *r, rh_tokenizer *t, const char *text, size_t n, uint32_t *id, int kind) {
    char name[RH_QUOTED];
    rh_vocab *v = &t->vocab;
    int64_t known = rh_vocab_find(v, text, n);
    if (known < 0) {
        const rh_token *taken = rh_vocab_token(v, *id);
        if (taken && taken->kind & RH_TOKEN_MODEL) *id = (uint32_t)v->ids;
        return put_token(r, t, text, n, *id, kind);
    }
    if (known != *id && !(v->tokens[known].kind & RH_TOKEN_MODEL))
        return rh_reader_fail(r, "%s has the id %u here and %lld before", rh_quoted(text, n, name), *id,
                              (long long)known);
    *id = (uint32_t)known;
    v->tokens[known].kind |= (uint8_t)kind;
    return RH_OK;
}

/* A token that is looked for in normalized text decodes to what it looks like there. */
static rh_status put_normalized(rh_reader *r, rh_tokenizer *t, const char *text, size_t n,
                                rh_added_token token) {
    RH_TRY(rh_normalize(r->ctx, &t->normalizer, text, n, &text, &n));
    RH_TRY(rh_vocab_show(r->ctx, &t->vocab, token.id, text, n));
    return n ? rh_added_put(r->ctx, &t->normalized, text, n, token) : RH_OK;
}

static rh_status read_added_token(rh_reader *r, json_t *item, rh_tokenizer *t) {
    rh_added_token token = {0};
    const char *text;
    size_t n, id;
    bool special, normalized;
    if (!json_is_object(item)) return rh_reader_fail(r, "an object wanted");
    RH_TRY(rh_read_string(r, item, "content", &text, &n));
    RH_TRY(rh_read_count(r, item, "id", LAST_ID, &id));
    RH_TRY(rh_read_bool(r, item, "special", false, &special));
    RH_TRY(rh_read_bool(r, item, "normalized", !special, &normalized));
    RH_TRY(rh_read_bool(r, item, "single_word", false, &token.single_word));
    RH_TRY(rh_read_bool(r, item, "lstrip", false, &token.lstrip));
    RH_TRY(rh_read_bool(r, item, "rstrip", false, &token.rstrip));
    if (n == 0) return RH_OK; /* stands nowhere */
    token.id = (uint32_t)id;
    RH_TRY(name_token(r, t, text, n, &token.id, RH_TOKEN_ADDED | (special ? RH_TOKEN_SPECIAL : 0)));
    rh_status status = normalized ? put_normalized(r, t, text, n, token)
                                  : rh_added_put(r->ctx, &t->raw, text, n, token);
    return status == RH_OK ? RH_OK : rh_reader_place(r, "content");
}

static rh_status read_added(rh_reader *r, json_t *root, rh_tokenizer *t) {
    json_t *list;
    RH_TRY(rh_read_optional(r, root, "added_tokens", JSON_ARRAY, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t before = rh_reader_enter(r, "added_tokens[%zu]", i);
        RH_TRY(read_added_token(r, json_array_get(list, i), t));
        rh_reader_leave(r, before);
    }
    RH_TRY(rh_added_finish(r->ctx, &t->raw));
    return rh_added_finish(r->ctx, &t->normalized);
}

rh_status rh_read_model(rh_reader *r, json_t *root, rh_tokenizer *t) {
    json_t *model;
    RH_TRY(rh_read_part(r, root, "model", JSON_OBJECT, &model));
    size_t before = rh_reader_enter(r, "model");
    RH_TRY(read_type(r, model));
    RH_TRY(refuse_others(r, model));
    RH_TRY(read_vocab(r, model, t));
    RH_TRY(read_merges(r, model, t));
    RH_TRY(read_switches(r, model, t));
    rh_reader_leave(r, before);
    return read_added(r, root, t);
}
