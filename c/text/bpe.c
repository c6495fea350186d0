/* See bpe.h. A short piece looks for its first merge again after each one; a long piece keeps its
 * pairs in a heap, so that n characters take n log n steps. Both give the same ids: the lowest rank,
 * then the leftmost pair. */
#include "text/bpe.h"

#include <stdio.h>

#include "base/pool.h"

enum {
    WORDS = 1 << 14, /* remembered pieces, each in the one place that its hash gives */
    WORD_BYTES = 30,
    WORD_IDS = 8,
    SHORT = 48       /* ids; up to here a scan is faster than the heap */
};

struct rh_bpe_word {
    uint8_t length, n; /* length 0: free */
    char text[WORD_BYTES];
    uint32_t ids[WORD_IDS];
};

struct rh_bpe_symbol {
    uint32_t id;         /* RH_NO_ID: eaten by its left neighbour */
    uint32_t left, right; /* indices of the neighbours, or RH_NO_ID */
};

/* ---- merges ---- */

static size_t merge_slot(const rh_bpe *bpe, uint32_t left, uint32_t right) {
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    size_t i = (h ^ h >> 32) & bpe->mask;
    while (bpe->merges[i].left != RH_NO_ID &&
           (bpe->merges[i].left != left || bpe->merges[i].right != right))
        i = (i + 1) & bpe->mask;
    return i;
}

/* The merge of two tokens, or NULL. */
static const rh_merge *find_merge(const rh_bpe *bpe, uint32_t left, uint32_t right) {
    const rh_merge *m = &bpe->merges[merge_slot(bpe, left, right)];
    return m->left == RH_NO_ID ? NULL : m;
}

static uint32_t rank_of(const rh_bpe *bpe, uint32_t left, uint32_t right) {
    return bpe->merges[merge_slot(bpe, left, right)].rank; /* RH_NO_ID in empty slots */
}

void rh_bpe_put(rh_bpe *bpe, rh_merge merge) {
    bpe->merges[merge_slot(bpe, merge.left, merge.right)] = merge;
}

/* ---- opening ---- */

static void fill_tables(rh_bpe *bpe) {
    char text[8];
    for (uint32_t c = 0; c < RH_BPE_LOW; c++) {
        int64_t id = rh_vocab_find_model(bpe->vocab, text, rh_utf8_write(c, text));
        bpe->low[c] = id < 0 ? RH_NO_ID : (uint32_t)id;
    }
    for (unsigned b = 0; b < 256; b++) {
        snprintf(text, sizeof text, "<0x%02X>", b);
        int64_t id = rh_vocab_find_model(bpe->vocab, text, 6);
        bpe->bytes[b] = id < 0 ? RH_NO_ID : (uint32_t)id;
    }
}

rh_status rh_bpe_open(rh_ctx *ctx, rh_bpe *bpe, const rh_vocab *vocab, size_t merges) {
    size_t n = 64;
    while (n < merges * 2) n *= 2;
    *bpe = (rh_bpe){.vocab = vocab, .mask = n - 1, .unk = RH_NO_ID};
    bpe->merges = rh_alloc(ctx, n * sizeof *bpe->merges);
    if (!bpe->merges) return RH_ENOMEM;
    memset(bpe->merges, 0xFF, n * sizeof *bpe->merges);
    bpe->words = rh_alloc_zero(ctx, WORDS * sizeof *bpe->words);
    if (!bpe->words) return RH_ENOMEM;
    fill_tables(bpe);
    return RH_OK;
}

void rh_bpe_close(rh_ctx *ctx, rh_bpe *bpe) {
    rh_free(ctx, bpe->merges);
    rh_free(ctx, bpe->words);
    rh_free(ctx, bpe->symbols);
    rh_free(ctx, bpe->heap);
    rh_ids_free(ctx, &bpe->scratch);
    *bpe = (rh_bpe){0};
}

/* ---- from characters to ids ---- */

static uint32_t char_id(const rh_bpe *bpe, const char *p, size_t *length) {
    uint32_t c = rh_utf8_read(p, length);
    if (c < RH_BPE_LOW) return bpe->low[c];
    int64_t id = rh_vocab_find_model(bpe->vocab, p, *length);
    return id < 0 ? RH_NO_ID : (uint32_t)id;
}

/* Appends the byte tokens of a character; false when one of them is missing. */
static bool put_bytes(const rh_bpe *bpe, rh_ids *out, const char *p, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (bpe->bytes[(unsigned char)p[i]] == RH_NO_ID) return false;
    for (size_t i = 0; i < length; i++) out->at[out->used++] = bpe->bytes[(unsigned char)p[i]];
    return true;
}

/* The piece's characters into the scratch. An unknown one waits until it is known whether the next
 * fuses with it; byte tokens don't end the wait, as in the library whose files we read. */
static rh_status read_chars(rh_ctx *ctx, rh_bpe *bpe, const char *text, size_t n) {
    rh_ids *ids = &bpe->scratch;
    bool waiting = false;
    ids->used = 0;
    RH_TRY(rh_ids_reserve(ctx, ids, n + 1));
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t id = char_id(bpe, text + i, &length);
        if (id != RH_NO_ID) {
            if (waiting) ids->at[ids->used++] = bpe->unk;
            waiting = false;
            ids->at[ids->used++] = id;
        } else if (!(bpe->byte_fallback && put_bytes(bpe, ids, text + i, length)) &&
                   bpe->unk != RH_NO_ID) {
            if (waiting && !bpe->fuse_unk) ids->at[ids->used++] = bpe->unk;
            waiting = true;
        }
    }
    if (waiting) ids->at[ids->used++] = bpe->unk;
    return RH_OK;
}

/* ---- short pieces ---- */

/* Merges ids[0..n) in place; returns how many are left. ranks[i] is that of the pair i, i + 1. */
static size_t merge_short(const rh_bpe *bpe, uint32_t *ids, size_t n) {
    uint32_t ranks[SHORT];
    for (size_t i = 0; i + 1 < n; i++) ranks[i] = rank_of(bpe, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == RH_NO_ID) break;
        ids[best] = find_merge(bpe, ids[best], ids[best + 1])->id;
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        n--;
        if (best + 1 < n) {
            memmove(ranks + best + 1, ranks + best + 2, (n - best - 2) * sizeof *ranks);
            ranks[best] = rank_of(bpe, ids[best], ids[best + 1]);
        }
        if (best > 0) ranks[best - 1] = rank_of(bpe, ids[best - 1], ids[best]);
    }
    return n;
}

/* ---- long pieces: a binary heap of rank << 32 | place, the least on top ---- */

static void sift_up(uint64_t *heap, size_t i) {
    uint64_t key = heap[i];
    for (; i > 0 && heap[(i - 1) / 2] > key; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = key;
}

static void sift_down(uint64_t *heap, size_t n, size_t i) {
    uint64_t key = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= key) break;
        heap[i] = heap[child];
    }
    heap[i] = key;
}

/* The heap's entry for the pair that begins at symbol i: false when there is no such merge. */
static bool pair_key(const rh_bpe *bpe, uint32_t i, uint64_t *key) {
    const rh_bpe_symbol *s = bpe->symbols;
    if (i == RH_NO_ID || s[i].id == RH_NO_ID || s[i].right == RH_NO_ID) return false;
    uint32_t rank = rank_of(bpe, s[i].id, s[s[i].right].id);
    *key = (uint64_t)rank << 32 | i;
    return rank != RH_NO_ID;
}

static void push_pair(rh_bpe *bpe, size_t *used, uint32_t i) {
    if (!pair_key(bpe, i, &bpe->heap[*used])) return;
    sift_up(bpe->heap, (*used)++);
}

static void merge_at(rh_bpe *bpe, uint32_t i) {
    rh_bpe_symbol *s = bpe->symbols;
    uint32_t right = s[i].right, beyond = s[right].right;
    s[i].id = find_merge(bpe, s[i].id, s[right].id)->id;
    s[i].right = beyond;
    s[right].id = RH_NO_ID;
    if (beyond != RH_NO_ID) s[beyond].left = i;
}

/* Every merge takes one entry out of at most n and puts in two: 3 n of them are room enough. */
static rh_status reserve_long(rh_ctx *ctx, rh_bpe *bpe, size_t n) {
    void *symbols = bpe->symbols, *heap = bpe->heap;
    rh_status status = rh_grow(ctx, &symbols, &bpe->symbols_room, n, sizeof *bpe->symbols);
    bpe->symbols = symbols;
    RH_TRY(status);
    status = rh_grow(ctx, &heap, &bpe->heap_room, 3 * n, sizeof *bpe->heap);
    bpe->heap = heap;
    return status;
}

static rh_status merge_long(rh_ctx *ctx, rh_bpe *bpe, uint32_t *ids, size_t *n) {
    size_t used = 0, left = 0;
    uint64_t key;
    RH_TRY(reserve_long(ctx, bpe, *n));
    for (uint32_t i = 0; i < *n; i++)
        bpe->symbols[i] = (rh_bpe_symbol){ids[i], i ? i - 1 : RH_NO_ID, i + 1 < *n ? i + 1 : RH_NO_ID};
    for (uint32_t i = 0; i < *n; i++) used += pair_key(bpe, i, &bpe->heap[used]);
    for (size_t i = used / 2; i-- > 0;) sift_down(bpe->heap, used, i);
    while (used > 0) {
        uint64_t top = bpe->heap[0];
        uint32_t i = (uint32_t)top;
        bpe->heap[0] = bpe->heap[--used];
        if (used > 1) sift_down(bpe->heap, used, 0);
        if (!pair_key(bpe, i, &key) || key != top) continue; /* a neighbour has changed since */
        merge_at(bpe, i);
        push_pair(bpe, &used, bpe->symbols[i].left);
        push_pair(bpe, &used, i);
    }
    for (uint32_t i = 0; i < *n; i++)
        if (bpe->symbols[i].id != RH_NO_ID) ids[left++] = bpe->symbols[i].id;
    *n = left;
    return RH_OK;
}

/* ---- pieces ---- */

static rh_bpe_word *word_for(rh_bpe *bpe, const char *text, size_t n) {
    return n <= WORD_BYTES ? &bpe->words[rh_hash_bytes(text, n) & (WORDS - 1)] : NULL;
}

static void remember(rh_bpe_word *word, const char *text, size_t n, const rh_ids *ids) {
    if (!word || ids->used > WORD_IDS) return;
    word->length = (uint8_t)n;
    word->n = (uint8_t)ids->used;
    memcpy(word->text, text, n);
    memcpy(word->ids, ids->at, ids->used * sizeof *ids->at);
}

static rh_status put_ids(rh_ctx *ctx, rh_ids *out, const uint32_t *ids, size_t n) {
    if (n == 0) return RH_OK; /* all of it unknown, without a token for that */
    RH_TRY(rh_ids_reserve(ctx, out, n));
    memcpy(out->at + out->used, ids, n * sizeof *ids);
    out->used += n;
    return RH_OK;
}

rh_status rh_bpe_encode(rh_ctx *ctx, rh_bpe *bpe, const char *text, size_t n, rh_ids *out) {
    if (n == 0) return RH_OK;
    if (n >= RH_NO_ID) return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "a piece of %zu bytes is too long", n);
    rh_bpe_word *word = word_for(bpe, text, n);
    if (word && word->length == n && memcmp(word->text, text, n) == 0)
        return put_ids(ctx, out, word->ids, word->n);
    int64_t whole = bpe->ignore_merges ? rh_vocab_find_model(bpe->vocab, text, n) : -1;
    if (whole >= 0) return rh_ids_put(ctx, out, (uint32_t)whole);
    RH_TRY(read_chars(ctx, bpe, text, n));
    rh_ids *ids = &bpe->scratch;
    if (ids->used <= SHORT) ids->used = merge_short(bpe, ids->at, ids->used);
    else RH_TRY(merge_long(ctx, bpe, ids->at, &ids->used));
    remember(word, text, n, ids);
    return put_ids(ctx, out, ids->at, ids->used);
}
