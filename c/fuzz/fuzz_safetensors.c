/* libFuzzer target (make fuzz): the input is a whole safetensors file. What the parser accepts must
 * hold what safetensors.h promises of it, or we abort. Good seeds: the headers of small models. */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

static void check_entries(const rh_safetensors *st, int64_t data_bytes) {
    int64_t total = 0;
    for (size_t i = 0; i < st->count; i++) {
        const rh_st_entry *e = &st->entries[i];
        check(e->name[0] != '\0' && rh_safetensors_find(st, e->name) == e);
        check(i == 0 || strcmp(e[-1].name, e->name) < 0);
        check(e->dtype < RH_ST_DTYPES && e->rank >= 0 && e->rank <= RH_MAX_RANK);
        check(e->begin >= 0 && e->begin <= e->end && e->end <= data_bytes);
        total += e->end - e->begin;
    }
    check(total == data_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rh_ctx *ctx;
    rh_safetensors st = RH_SAFETENSORS_NONE;
    uint64_t header;
    if (!ctx) ctx = rh_ctx_open();
    if (size < sizeof header) return 0;
    memcpy(&header, data, sizeof header);
    size -= sizeof header;
    if (header > size) header = size; /* a length that a mutation broke should not end the search */
    /* a copy of just the header, so that reading on from it is seen */
    char *text = malloc(header ? header : 1);
    memcpy(text, data + sizeof header, header);
    int64_t data_bytes = (int64_t)(size - header);
    rh_status status = rh_safetensors_parse(ctx, "f", text, header, data_bytes, &st);
    check(status == RH_OK || status == RH_EDATA);
    if (status == RH_OK) check_entries(&st, data_bytes);
    free(text);
    rh_safetensors_close(ctx, &st);
    rh_memory memory;
    rh_memory_read(ctx, &memory);
    check(memory.blocks == 0);
    return 0;
}
