/* libFuzzer target (make fuzz). The first byte chooses: one of the tokenizers below, and the rest is a
 * text to encode; or a tokenizer.json, up to the first NUL, and then a text. Ids must be tokens; what
 * they decode to must be UTF-8, part by part, and the same text trains a tokenizer. */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "io/json.h"
#include "text/bpe_train.h"
#include "text/read_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FOLLOW "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\\u2581\":3,\"<unk>\":4,\"<0x41>\":5,\"1\":6,\"\\u0120\":7,\"abab\":8}," \
    "\"merges\":[\"a b\",[\"ab\",\"ab\"]],\"unk_token\":\"<unk>\"}"
#define ADDED "\"added_tokens\":[{\"id\":9,\"content\":\"<x>\",\"special\":true,\"lstrip\":true},{\"id\":10,\"content\":\"ab1\"," \
    "\"normalized\":true,\"single_word\":true,\"rstrip\":true},{\"id\":11,\"content\":\"<x><\"}],"

static const char *const tokenizers[] = {
    "{" ADDED "\"normalizer\":{\"type\":\"NFKC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"fuse_unk\":true," FOLLOW "}",
    "{" ADDED "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"_\"},{\"type\":\"Replace\","
    "\"pattern\":{\"Regex\":\" +\"},\"content\":\"\\u2581\"},{\"type\":\"Lowercase\"},{\"type\":\"NFD\"}]},\"decoder\":{\"type\":\"Sequence\","
    "\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},"
    "{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":2}]},\"model\":{\"byte_fallback\":true," FOLLOW "}",
    "{" ADDED "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"Split\","
    "\"pattern\":{\"Regex\":\"\\\\s+(?!\\\\S)|\\\\b\"},\"behavior\":\"MergedWithNext\",\"invert\":true},{\"type\":\"Metaspace\","
    "\"replacement\":\"\\u2581\",\"prepend_scheme\":\"first\"}]},\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"},"
    "\"model\":{\"ignore_merges\":true," FOLLOW "}",
};
enum { KNOWN = sizeof tokenizers / sizeof *tokenizers };

static void check(bool holds) {
    if (!holds) abort();
}

/* Feeds the ids to a stream; every part of the text must be UTF-8. */
static void decode(rh_ctx *ctx, rh_tokenizer *t, const rh_ids *ids, rh_bytes *out) {
    rh_stream stream;
    check(rh_stream_open(&stream, t, false) == RH_OK);
    for (size_t i = 0; i < ids->used; i++) {
        size_t before = out->used;
        check(rh_stream_feed(&stream, ids->at[i], out) == RH_OK);
        if (out->used > before) check(rh_utf8_valid(out->at + before, out->used - before) == out->used - before);
    }
    check(rh_stream_finish(&stream, out) == RH_OK);
    rh_stream_close(ctx, &stream);
}

static void use(rh_ctx *ctx, rh_tokenizer *t, const char *text, size_t n) {
    rh_ids ids = {0};
    rh_bytes out = {0};
    rh_trainer trainer;
    if (rh_tokenizer_encode(t, text, n, true, &ids) == RH_OK) {
        for (size_t i = 0; i < ids.used; i++) check(rh_vocab_token(&t->vocab, ids.at[i]) != NULL);
        decode(ctx, t, &ids, &out);
    }
    check(rh_trainer_open(&trainer, t) == RH_OK);
    if (rh_trainer_feed(&trainer, text, n) == RH_OK)
        check(rh_trainer_run(&trainer, t->vocab.count + 20, 1) == RH_OK);
    rh_trainer_close(ctx, &trainer);
    rh_ids_free(ctx, &ids);
    rh_bytes_free(ctx, &out);
}

static rh_status read_file(rh_ctx *ctx, const char *file, size_t n, rh_tokenizer **out) {
    json_t *tree = NULL;
    *out = NULL;
    rh_status status = rh_json_parse(ctx, file, n, RH_JSON_LIMITS, &tree);
    if (status == RH_OK) status = rh_tokenizer_read(ctx, tree, out);
    json_decref(tree);
    return status;
}

/* One of those above, read once: reading takes a thousand times as long as a short text. */
static void use_known(unsigned which, const char *text, size_t n) {
    static rh_ctx *ctx;
    static rh_tokenizer *known[KNOWN];
    if (!ctx) ctx = rh_ctx_open();
    if (!known[which])
        check(read_file(ctx, tokenizers[which], strlen(tokenizers[which]), &known[which]) == RH_OK);
    use(ctx, known[which], text, n);
}

static void use_file(const char *all, size_t n) {
    static rh_ctx *ctx;
    rh_tokenizer *t;
    rh_memory memory;
    const char *end = memchr(all, 0, n);
    size_t json = end ? (size_t)(end - all) : n, rest = end ? json + 1 : n;
    if (!ctx) ctx = rh_ctx_open();
    rh_status status = read_file(ctx, all, json, &t);
    check(status == RH_OK || status == RH_EDATA);
    if (t) use(ctx, t, all + rest, n - rest);
    rh_tokenizer_free(t);
    rh_memory_read(ctx, &memory);
    check(memory.blocks == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    /* a copy without anything behind it, so that reading on is seen */
    char *rest = malloc(size);
    memmove(rest + 1, data + 1, size - 1);
    if (data[0] < 0x80) use_known(data[0] % KNOWN, rest + 1, size - 1);
    else use_file(rest + 1, size - 1);
    free(rest);
    return 0;
}
