/* A tokenizer as tokenizer.json describes it: added tokens are found in the text; what lies between is
 * normalized, split into pieces and encoded by byte-pair merges; the post-processor's tokens go around
 * the whole. The ids are those of Hugging Face's tokenizers library. text/read_json.h makes one. */
#ifndef RH_TEXT_TOKENIZER_H
#define RH_TEXT_TOKENIZER_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/decode.h"
#include "text/normalize.h"
#include "text/pretokenize.h"

typedef struct rh_tokenizer {
    rh_ctx *ctx;
    rh_vocab vocab;
    rh_bpe bpe;
    rh_added raw, normalized; /* looked for in the text as it is, and after normalizing */
    rh_normalizer normalizer;
    rh_pretokenizer pretokenizer;
    rh_decoder decoder;
    rh_ids prefix, suffix;    /* what the post-processor puts around a text */
    rh_bytes repaired;        /* the text at hand, when it was not UTF-8 */
} rh_tokenizer;

/* Returns new, empty: the reader fills it. NULL after rh_fail. */
rh_tokenizer *rh_tokenizer_new(rh_ctx *ctx);
/* Takes t, which may be NULL. */
void rh_tokenizer_free(rh_tokenizer *t);

/* Appends the ids of a text. What is not UTF-8 in it counts as U+FFFD. special: with what the
 * post-processor adds. */
rh_status rh_tokenizer_encode(rh_tokenizer *t, const char *text, size_t n, bool special, rh_ids *out);
/* Calls fn for each piece that byte-pair encoding would see; added tokens are passed over. */
rh_status rh_tokenizer_pieces(rh_tokenizer *t, const char *text, size_t n, rh_piece_fn fn, void *arg);

/* Text from ids that come one by one. */
typedef struct rh_stream {
    const rh_tokenizer *tokenizer; /* borrows */
    rh_decoding decoding;
    bool skip_special;
} rh_stream;

rh_status rh_stream_open(rh_stream *s, const rh_tokenizer *t, bool skip_special);
void rh_stream_close(rh_ctx *ctx, rh_stream *s);
/* Appends the text that is complete with this id; one that is no token's adds nothing. */
rh_status rh_stream_feed(rh_stream *s, uint64_t id, rh_bytes *out);
/* Appends the rest; the stream may begin anew. */
rh_status rh_stream_finish(rh_stream *s, rh_bytes *out);

#endif
