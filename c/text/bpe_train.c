/* See bpe_train.h. Each different piece is kept once, as a chain of symbols. A pair knows where it
 * stands (at most: places that have changed are passed over), so a merge touches only those places and
 * their neighbours' counts. A heap of (count, pair) gives the next merge; counts that have fallen since
 * are found out when they come to the top. */
#include "text/bpe_train.h"

#include "base/pool.h"

#define NONE UINT32_MAX

typedef struct symbol {
    uint32_t id;          /* NONE: eaten by its left neighbour */
    uint32_t word;
    uint32_t left, right; /* places of the neighbours in the piece, or NONE */
} symbol;

typedef struct place { /* in a pair's list */
    uint32_t symbol, next;
} place;

typedef struct pair {
    uint32_t left, right;
    int64_t count;
    uint32_t first, last; /* places, from the left; NONE: none */
    bool grown;           /* by the merge at hand */
} pair;

typedef struct entry {
    int64_t count;
    uint32_t pair;
} entry;

typedef struct training {
    rh_ctx *ctx;
    rh_trainer *tr;
    symbol *symbols;
    place *places;
    pair *pairs;
    uint32_t *slots; /* [mask + 1]: pair + 1, or 0 */
    entry *heap;
    uint32_t *grown; /* pairs to put into the heap */
    size_t n_symbols, n_places, n_pairs, n_heap, n_grown, mask;
    size_t symbols_room, places_room, pairs_room, heap_room, grown_room;
    rh_bytes joined;
} training;

rh_status rh_trainer_open(rh_trainer *tr, rh_tokenizer *t) {
    const rh_vocab *from = &t->vocab;
    *tr = (rh_trainer){.tokenizer = t};
    RH_TRY(rh_vocab_open(t->ctx, &tr->words, 0));
    RH_TRY(rh_vocab_open(t->ctx, &tr->vocab, from->count));
    for (uint32_t id = 0; id < from->ids; id++) {
        const rh_token *k = rh_vocab_token(from, id);
        if (k) RH_TRY(rh_vocab_put(t->ctx, &tr->vocab, from->text.at + k->begin, k->length, id, k->kind));
    }
    return RH_OK;
}

void rh_trainer_close(rh_ctx *ctx, rh_trainer *tr) {
    rh_vocab_close(ctx, &tr->words);
    rh_vocab_close(ctx, &tr->vocab);
    rh_free(ctx, tr->counts);
    rh_free(ctx, tr->merges);
    *tr = (rh_trainer){0};
}

/* Room for one more element of an array. */
#define GROW(ctx, array, room, n)                                                                  \
    do {                                                                                           \
        void *grown_ = (array);                                                                    \
        rh_status grow_ = rh_grow((ctx), &grown_, &(room), (n) + 1, sizeof *(array));              \
        (array) = grown_;                                                                          \
        RH_TRY(grow_);                                                                             \
    } while (0)

/* ---- counting pieces ---- */

static rh_status count_piece(void *arg, const char *text, size_t n) {
    rh_trainer *tr = arg;
    rh_ctx *ctx = tr->tokenizer->ctx;
    int64_t word = rh_vocab_find(&tr->words, text, n);
    if (word < 0) {
        if (tr->words.ids >= NONE || n >= NONE)
            return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "the text has too many different pieces");
        GROW(ctx, tr->counts, tr->counts_room, tr->words.ids);
        word = (int64_t)tr->words.ids;
        RH_TRY(rh_vocab_put(ctx, &tr->words, text, n, (uint32_t)word, RH_TOKEN_MODEL));
        tr->counts[word] = 0;
    }
    tr->counts[word]++;
    return RH_OK;
}

rh_status rh_trainer_feed(rh_trainer *tr, const char *text, size_t n) {
    return rh_tokenizer_pieces(tr->tokenizer, text, n, count_piece, tr);
}

/* ---- pairs ---- */

static size_t slot_of(const training *t, uint32_t left, uint32_t right) {
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    size_t i = (h ^ h >> 32) & t->mask;
    for (; t->slots[i]; i = (i + 1) & t->mask) {
        const pair *p = &t->pairs[t->slots[i] - 1];
        if (p->left == left && p->right == right) break;
    }
    return i;
}

static rh_status widen(training *t) {
    size_t n = t->mask ? 2 * (t->mask + 1) : 1024;
    uint32_t *slots = rh_alloc_zero(t->ctx, n * sizeof *slots);
    if (!slots) return RH_ENOMEM;
    rh_free(t->ctx, t->slots);
    t->slots = slots;
    t->mask = n - 1;
    for (uint32_t i = 0; i < t->n_pairs; i++) t->slots[slot_of(t, t->pairs[i].left, t->pairs[i].right)] = i + 1;
    return RH_OK;
}

/* The pair, made with count 0 when it is new. */
static rh_status pair_of(training *t, uint32_t left, uint32_t right, uint32_t *out) {
    if (t->n_pairs * 2 >= t->mask) RH_TRY(widen(t));
    size_t slot = slot_of(t, left, right);
    if (!t->slots[slot]) {
        GROW(t->ctx, t->pairs, t->pairs_room, t->n_pairs);
        t->pairs[t->n_pairs] = (pair){.left = left, .right = right, .first = NONE, .last = NONE};
        t->slots[slot] = (uint32_t)++t->n_pairs;
    }
    *out = t->slots[slot] - 1;
    return RH_OK;
}

/* The pair stands at a symbol, too. */
static rh_status grow_pair(training *t, uint32_t left, uint32_t right, uint32_t at) {
    uint32_t index;
    RH_TRY(pair_of(t, left, right, &index));
    if (t->n_places >= NONE)
        return rh_fail(t->ctx, RH_EDATA, RH_NO_OPERAND, "too much text to train a tokenizer on");
    GROW(t->ctx, t->places, t->places_room, t->n_places);
    GROW(t->ctx, t->grown, t->grown_room, t->n_grown);
    pair *p = &t->pairs[index];
    uint32_t here = (uint32_t)t->n_places++;
    t->places[here] = (place){at, NONE};
    if (p->first == NONE) p->first = here;
    else t->places[p->last].next = here;
    p->last = here;
    p->count += t->tr->counts[t->symbols[at].word];
    if (!p->grown) t->grown[t->n_grown++] = index;
    p->grown = true;
    return RH_OK;
}

/* It stands no more where it stood in a word. */
static void shrink_pair(training *t, uint32_t left, uint32_t right, uint32_t word) {
    size_t slot = slot_of(t, left, right);
    t->pairs[t->slots[slot] - 1].count -= t->tr->counts[word];
}

/* ---- the heap: greater counts, then smaller ids, on top ---- */

static bool before(const training *t, entry a, entry b) {
    const pair *p = &t->pairs[a.pair], *q = &t->pairs[b.pair];
    if (a.count != b.count) return a.count > b.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static rh_status heap_put(training *t, entry e) {
    GROW(t->ctx, t->heap, t->heap_room, t->n_heap);
    size_t i = t->n_heap++;
    for (; i > 0 && before(t, e, t->heap[(i - 1) / 2]); i = (i - 1) / 2) t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = e;
    return RH_OK;
}

static entry heap_take(training *t) {
    entry top = t->heap[0], e = t->heap[--t->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && before(t, t->heap[child + 1], t->heap[child])) child++;
        if (!before(t, t->heap[child], e)) break;
        t->heap[i] = t->heap[child];
    }
    if (t->n_heap) t->heap[i] = e;
    return top;
}

/* Pairs that have grown go into the heap with their new counts. */
static rh_status put_grown(training *t) {
    for (; t->n_grown > 0; t->n_grown--) {
        uint32_t index = t->grown[t->n_grown - 1];
        t->pairs[index].grown = false;
        RH_TRY(heap_put(t, (entry){t->pairs[index].count, index}));
    }
    return RH_OK;
}

/* The most frequent pair, or NONE when none stands often enough. */
static rh_status next_pair(training *t, int64_t least, uint32_t *out) {
    *out = NONE;
    while (t->n_heap > 0) {
        entry top = heap_take(t);
        int64_t count = t->pairs[top.pair].count;
        if (count == top.count && count < least) break;
        if (count == top.count) return *out = top.pair, RH_OK;
        if (count >= least) RH_TRY(heap_put(t, (entry){count, top.pair}));
    }
    return RH_OK;
}

/* ---- merging ---- */

static rh_status add_word(training *t, uint32_t word) {
    const rh_token *k = &t->tr->words.tokens[word];
    const char *text = t->tr->words.text.at + k->begin;
    uint32_t previous = NONE;
    for (size_t i = 0, length; i < k->length; i += length) {
        length = rh_utf8_length_of((unsigned char)text[i]);
        int64_t id = rh_vocab_find_model(&t->tr->vocab, text + i, length);
        if (id < 0) continue; /* outside the alphabet */
        if (t->n_symbols >= NONE)
            return rh_fail(t->ctx, RH_EDATA, RH_NO_OPERAND, "too much text to train a tokenizer on");
        GROW(t->ctx, t->symbols, t->symbols_room, t->n_symbols);
        uint32_t here = (uint32_t)t->n_symbols++;
        t->symbols[here] = (symbol){(uint32_t)id, word, previous, NONE};
        if (previous != NONE) {
            t->symbols[previous].right = here;
            RH_TRY(grow_pair(t, t->symbols[previous].id, (uint32_t)id, previous));
        }
        previous = here;
    }
    return RH_OK;
}

/* left b -> left and b are one: the neighbours' pairs change with them. */
static rh_status merge_at(training *t, uint32_t at, uint32_t id) {
    symbol s = t->symbols[at], r = t->symbols[s.right];
    t->symbols[at].id = id;
    t->symbols[at].right = r.right;
    t->symbols[s.right].id = NONE;
    if (s.left != NONE) {
        shrink_pair(t, t->symbols[s.left].id, s.id, s.word);
        RH_TRY(grow_pair(t, t->symbols[s.left].id, id, s.left));
    }
    if (r.right != NONE) {
        t->symbols[r.right].left = at;
        shrink_pair(t, r.id, t->symbols[r.right].id, s.word);
        RH_TRY(grow_pair(t, id, t->symbols[r.right].id, at));
    }
    return RH_OK;
}

/* The token that two become: one of that text may be there from another pair. */
static rh_status join_tokens(training *t, const pair *p, uint32_t *id) {
    rh_vocab *v = &t->tr->vocab;
    const rh_token *a = &v->tokens[p->left], *b = &v->tokens[p->right];
    t->joined.used = 0;
    RH_TRY(rh_bytes_put(t->ctx, &t->joined, v->text.at + a->begin, a->length));
    RH_TRY(rh_bytes_put(t->ctx, &t->joined, v->text.at + b->begin, b->length));
    int64_t known = rh_vocab_find_model(v, t->joined.at, t->joined.used);
    *id = known < 0 ? (uint32_t)v->ids : (uint32_t)known;
    if (known >= 0) return RH_OK;
    return rh_vocab_put(t->ctx, v, t->joined.at, t->joined.used, *id, RH_TOKEN_MODEL);
}

static bool too_long(const training *t, const pair *p) {
    const rh_token *tokens = t->tr->vocab.tokens;
    return tokens[p->left].length + tokens[p->right].length > RH_TOKEN_MOST;
}

static rh_status merge_pair(training *t, uint32_t index) {
    pair p = t->pairs[index];
    uint32_t id;
    t->pairs[index].first = t->pairs[index].last = NONE;
    if (too_long(t, &p)) return t->pairs[index].count = 0, RH_OK;
    RH_TRY(join_tokens(t, &p, &id));
    GROW(t->ctx, t->tr->merges, t->tr->merges_room, t->tr->n);
    t->tr->merges[t->tr->n] = (rh_merge){p.left, p.right, (uint32_t)t->tr->n, id};
    t->tr->n++;
    for (uint32_t i = p.first; i != NONE; i = t->places[i].next) {
        uint32_t at = t->places[i].symbol, right = t->symbols[at].right;
        if (t->symbols[at].id != p.left || right == NONE || t->symbols[right].id != p.right) continue;
        RH_TRY(merge_at(t, at, id));
    }
    t->pairs[index].count = 0;
    return put_grown(t);
}

static rh_status train(training *t, size_t vocab_size, int64_t min_frequency) {
    int64_t least = min_frequency > 1 ? min_frequency : 1;
    for (size_t word = 0; word < t->tr->words.ids; word++) RH_TRY(add_word(t, (uint32_t)word));
    RH_TRY(put_grown(t));
    while (t->tr->vocab.count < vocab_size) {
        uint32_t index;
        RH_TRY(next_pair(t, least, &index));
        if (index == NONE) break;
        RH_TRY(merge_pair(t, index));
    }
    return RH_OK;
}

rh_status rh_trainer_run(rh_trainer *tr, size_t vocab_size, int64_t min_frequency) {
    rh_ctx *ctx = tr->tokenizer->ctx;
    training t = {.ctx = ctx, .tr = tr};
    rh_status status = widen(&t);
    if (status == RH_OK) status = train(&t, vocab_size, min_frequency);
    rh_free(ctx, t.symbols);
    rh_free(ctx, t.places);
    rh_free(ctx, t.pairs);
    rh_free(ctx, t.slots);
    rh_free(ctx, t.heap);
    rh_free(ctx, t.grown);
    rh_bytes_free(ctx, &t.joined);
    return status;
}
