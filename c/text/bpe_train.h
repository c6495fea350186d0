/* Training of byte-pair merges: the pieces of a text are counted, and again and again the most frequent
 * pair of neighbours becomes a token; of equally frequent pairs the one with the smaller ids. The same
 * texts in whatever order give the same merges. Rests on a tokenizer with its alphabet but without
 * merges, which splits the text. */
#ifndef RH_TEXT_BPE_TRAIN_H
#define RH_TEXT_BPE_TRAIN_H

#include "text/tokenizer.h"

typedef struct rh_trainer {
    rh_tokenizer *tokenizer; /* borrows */
    rh_vocab words;          /* pieces seen, numbered as they came */
    int64_t *counts;         /* [words.ids] how often */
    size_t counts_room;
    rh_vocab vocab;          /* the tokenizer's tokens, then the new ones */
    rh_merge *merges;        /* by rank */
    size_t n, merges_room;
} rh_trainer;

rh_status rh_trainer_open(rh_trainer *tr, rh_tokenizer *t);
void rh_trainer_close(rh_ctx *ctx, rh_trainer *tr);
/* Counts the pieces of a text. */
rh_status rh_trainer_feed(rh_trainer *tr, const char *text, size_t n);
/* Fills merges until the vocabulary has `vocab_size` tokens or no pair stands `min_frequency` times. */
rh_status rh_trainer_run(rh_trainer *tr, size_t vocab_size, int64_t min_frequency);

#endif
