/* From tokenizer.json to a tokenizer. The file is not to be trusted: every value is checked for its
 * type and range where it is read, and an error names the place in the file ("model.merges[3]") and
 * what stands there. The tree is the caller's (io/json.h parses it under its own limits). */
#ifndef RH_TEXT_READ_JSON_H
#define RH_TEXT_READ_JSON_H

#include <jansson.h>

#include "text/tokenizer.h"

/* *out = new tokenizer, or NULL unless RH_OK: RH_EDATA with the place in the file, RH_ENOMEM. Borrows
 * root. */
rh_status rh_tokenizer_read(rh_ctx *ctx, json_t *root, rh_tokenizer **out);

/* ---- for the files that read parts of it ---- */

typedef struct rh_reader {
    rh_ctx *ctx;
    char path[200]; /* where we are: "pre_tokenizer.pretokenizers[0]" */
    size_t used;
} rh_reader;

/* Goes into a part of the value at hand; returns what rh_reader_leave takes to come back. */
size_t rh_reader_enter(rh_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rh_reader_leave(rh_reader *r, size_t before);
/* rh_fail(RH_EDATA) with the place in front. */
rh_status rh_reader_fail(rh_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts the place in front of the error that was just recorded, and returns it; not of RH_ENOMEM. */
rh_status rh_reader_place(rh_reader *r, const char *key);

/* Members of an object. Absent and null are the same: the fallback, or an error when there is none. */
rh_status rh_read_bool(rh_reader *r, json_t *object, const char *key, bool fallback, bool *out);
rh_status rh_read_count(rh_reader *r, json_t *object, const char *key, int64_t most, size_t *out);
/* *out = NULL when absent. It lies in the tree. */
rh_status rh_read_optional_string(rh_reader *r, json_t *object, const char *key, const char **out, size_t *n);
rh_status rh_read_string(rh_reader *r, json_t *object, const char *key, const char **out, size_t *n);
/* type: JSON_ARRAY or JSON_OBJECT; *out = NULL when absent. */
rh_status rh_read_optional(rh_reader *r, json_t *object, const char *key, json_type type, json_t **out);
rh_status rh_read_part(rh_reader *r, json_t *object, const char *key, json_type type, json_t **out);

/* At most 40 bytes of text in quotes, for a message; cut between characters. */
enum { RH_QUOTED = 56 };
const char *rh_quoted(const char *text, size_t n, char out[RH_QUOTED]);

/* The member "pattern": {"String": text} or {"Regex": text}. Returns new in *out. */
rh_status rh_read_pattern(rh_reader *r, json_t *object, rh_pattern **out);
/* Reads one step of a chain: type is that of `item`. At most RH_STEPS_MOST: they call each other. */
enum { RH_STEPS_MOST = 64 };
typedef rh_status (*rh_step_fn)(rh_reader *r, json_t *item, const char *type, rh_tokenizer *t);
/* The root's member `key`, absent or a step, or a Sequence of them in its member `list`, however deep. */
rh_status rh_read_chain(rh_reader *r, json_t *root, const char *key, const char *list, rh_step_fn fn,
                        rh_tokenizer *t);
/* Fails: this type is not among those that are supported. */
rh_status rh_refuse_type(rh_reader *r, const char *type, const char *supported);

/* read_model.c: vocabulary, merges, added tokens. The normalizer is read before. */
rh_status rh_read_model(rh_reader *r, json_t *root, rh_tokenizer *t);
/* read_steps.c: each reads one member of the root. */
rh_status rh_read_normalizer(rh_reader *r, json_t *root, rh_tokenizer *t);
rh_status rh_read_pretokenizer(rh_reader *r, json_t *root, rh_tokenizer *t);
/* Metaspace's members, for the pre-tokenizer and the decoder; appends the replacement to *mark. */
rh_status rh_read_metaspace(rh_reader *r, json_t *item, rh_bytes *mark, rh_prepend *prepend);
/* read_post.c */
rh_status rh_read_decoder(rh_reader *r, json_t *root, rh_tokenizer *t);
rh_status rh_read_postprocessor(rh_reader *r, json_t *root, rh_tokenizer *t);

#endif
