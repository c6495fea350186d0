/* See tokenizer.h. */
#include "text/tokenizer.h"

#include "base/pool.h"

rh_tokenizer *rh_tokenizer_new(rh_ctx *ctx) {
    rh_tokenizer *t = rh_alloc_zero(ctx, sizeof *t);
    if (t) t->ctx = ctx;
    return t;
}

void rh_tokenizer_free(rh_tokenizer *t) {
    if (!t) return;
    rh_vocab_close(t->ctx, &t->vocab);
    rh_bpe_close(t->ctx, &t->bpe);
    rh_added_close(t->ctx, &t->raw);
    rh_added_close(t->ctx, &t->normalized);
    rh_normalizer_close(t->ctx, &t->normalizer);
    rh_pretokenizer_close(t->ctx, &t->pretokenizer);
    rh_decoder_close(t->ctx, &t->decoder);
    rh_ids_free(t->ctx, &t->prefix);
    rh_ids_free(t->ctx, &t->suffix);
    rh_bytes_free(t->ctx, &t->repaired);
    rh_free(t->ctx, t);
}

/* ---- from text to pieces ---- */

typedef struct walk {
    rh_tokenizer *t;
    const char *text;  /* the whole of it */
    bool first;        /* the segment at hand begins where the text does */
    rh_piece_fn piece;
    rh_status (*token)(void *arg, uint32_t id); /* NULL: passed over */
    void *arg;
} walk;

static rh_status put_token(const walk *w, const rh_added_token *token) {
    return w->token ? w->token(w->arg, token->id) : RH_OK;
}

/* A part of a normalized segment. */
static rh_status on_normalized(void *arg, const char *text, size_t n, const rh_added_token *token) {
    walk *w = arg;
    bool first = w->first;
    w->first = false;
    if (token) return put_token(w, token);
    return rh_pretokenize(w->t->ctx, &w->t->pretokenizer, text, n, first, w->piece, w->arg);
}

/* A part of the text as it is. */
static rh_status on_raw(void *arg, const char *text, size_t n, const rh_added_token *token) {
    walk *w = arg;
    const char *out;
    size_t out_n;
    if (token) return put_token(w, token);
    w->first = text == w->text;
    RH_TRY(rh_normalize(w->t->ctx, &w->t->normalizer, text, n, &out, &out_n));
    return rh_added_split(w->t->ctx, &w->t->normalized, out, out_n, on_normalized, w);
}

/* Text that is not UTF-8 is repaired first. */
static rh_status walk_text(walk *w, const char *text, size_t n) {
    rh_tokenizer *t = w->t;
    if (rh_utf8_valid(text, n) != n) {
        t->repaired.used = 0;
        RH_TRY(rh_utf8_repair(t->ctx, &t->repaired, text, n));
        text = t->repaired.at;
        n = t->repaired.used;
    }
    w->text = text;
    return rh_added_split(t->ctx, &t->raw, text, n, on_raw, w);
}

rh_status rh_tokenizer_pieces(rh_tokenizer *t, const char *text, size_t n, rh_piece_fn fn, void *arg) {
    walk w = {.t = t, .piece = fn, .arg = arg};
    return walk_text(&w, text, n);
}

/* ---- encoding ---- */

typedef struct encoding {
    rh_tokenizer *t;
    rh_ids *out;
} encoding;

static rh_status encode_piece(void *arg, const char *text, size_t n) {
    const encoding *e = arg;
    return rh_bpe_encode(e->t->ctx, &e->t->bpe, text, n, e->out);
}

static rh_status encode_token(void *arg, uint32_t id) {
    const encoding *e = arg;
    return rh_ids_put(e->t->ctx, e->out, id);
}

static rh_status put_all(rh_ctx *ctx, rh_ids *out, const rh_ids *ids) {
    for (size_t i = 0; i < ids->used; i++) RH_TRY(rh_ids_put(ctx, out, ids->at[i]));
    return RH_OK;
}

rh_status rh_tokenizer_encode(rh_tokenizer *t, const char *text, size_t n, bool special, rh_ids *out) {
    encoding e = {t, out};
    walk w = {.t = t, .piece = encode_piece, .token = encode_token, .arg = &e};
    if (special) RH_TRY(put_all(t->ctx, out, &t->prefix));
    RH_TRY(walk_text(&w, text, n));
    return special ? put_all(t->ctx, out, &t->suffix) : RH_OK;
}

/* ---- decoding ---- */

rh_status rh_stream_open(rh_stream *s, const rh_tokenizer *t, bool skip_special) {
    *s = (rh_stream){.tokenizer = t, .skip_special = skip_special};
    return rh_decoding_open(t->ctx, &s->decoding, &t->decoder);
}

void rh_stream_close(rh_ctx *ctx, rh_stream *s) { rh_decoding_close(ctx, &s->decoding); }

rh_status rh_stream_feed(rh_stream *s, uint64_t id, rh_bytes *out) {
    const rh_vocab *v = &s->tokenizer->vocab;
    const rh_token *token = rh_vocab_token(v, id);
    if (!token || (s->skip_special && token->kind & RH_TOKEN_SPECIAL)) return RH_OK;
    return rh_decoding_feed(s->tokenizer->ctx, &s->decoding, v->text.at + token->shown, token->shown_length, out);
}

rh_status rh_stream_finish(rh_stream *s, rh_bytes *out) {
    return rh_decoding_finish(s->tokenizer->ctx, &s->decoding, out);
}
