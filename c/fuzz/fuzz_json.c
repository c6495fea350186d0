/* libFuzzer target (make fuzz): the input is JSON text. What is read is written by Jansson and read
 * again: both trees must be equal; what fails must say line and column. */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

static void check_again(rh_ctx *ctx, json_t *tree) {
    json_t *again = NULL;
    char *text = json_dumps(tree, JSON_ENCODE_ANY | JSON_COMPACT);
    check(text != NULL);
    check(rh_json_parse(ctx, text, strlen(text), RH_JSON_LIMITS, &again) == RH_OK);
    check(json_equal(tree, again));
    free(text);
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rh_ctx *ctx;
    json_t *tree;
    rh_memory memory;
    if (!ctx) ctx = rh_ctx_open();
    /* a copy without anything behind it, so that reading on is seen */
    char *text = malloc(size ? size : 1);
    memcpy(text, data, size);
    rh_status status = rh_json_parse(ctx, text, size, RH_JSON_LIMITS, &tree);
    check(status == RH_OK || (status == RH_EDATA && strncmp(ctx->error.text, "line ", 5) == 0));
    if (tree) check_again(ctx, tree);
    check(rh_utf8_check(text, size) <= size);
    free(text);
    json_decref(tree);
    rh_memory_read(ctx, &memory);
    check(memory.blocks == 0);
    return 0;
}
