/* A note as the mean of its n-grams' embeddings (Joulin et al. 2017): relu(W mean_t E[code_t] + b). */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/model/encoder/encoder_internal.h"

static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo): the same codes at every site, for ever. */
static uint64_t hash_byte(uint64_t h, unsigned char c)
{
    return (h ^ c) * 0x100000001b3u;
}

static const uint64_t HASH_START = 0xcbf29ce484222325u;

static void put(uint64_t h, size_t V, int32_t *code, size_t room, size_t *n)
{
    h ^= h >> 32; /* the lowest bits of FNV are its weakest */
    if (*n < room) {
        code[*n] = (int32_t)(h % V);
    }
    (*n)++;
}

size_t ngram_codes(const char *text, size_t bytes, size_t n_max, size_t V, int32_t *code,
                   size_t room)
{
    assert(V > 0);
    assert(V <= INT32_MAX);
    size_t n = 0;
    bool before = false; /* there is a word before this one … */
    uint64_t pair = 0;   /* … with this hash, and a space */
    for (size_t at = 0; at < bytes;) {
        if (!is_letter((unsigned char)text[at])) {
            at++;
            continue;
        }
        uint64_t word = HASH_START;
        for (; at < bytes && is_letter((unsigned char)text[at]); at++) {
            const unsigned char c = (unsigned char)text[at];
            const unsigned char lower = c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
            word = hash_byte(word, lower);
            pair = hash_byte(pair, lower);
        }
        put(word, V, code, room, &n);
        if (before && n_max > 1) {
            put(pair, V, code, room, &n);
        }
        before = true;
        pair = hash_byte(word, ' ');
    }
    for (size_t i = n; i < room; i++) {
        code[i] = -1;
    }
    return n;
}

enum rc ngram_bag_declare(struct param_table *table, const char *prefix, struct ngram_bag *e,
                          struct error *err)
{
    enum rc rc = encoder_size(prefix, "vocabulary", e->vocabulary, INT32_MAX, err);
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "embedding", e->embedding, SIZE_MAX, err);
    }
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "width", e->width, SIZE_MAX, err);
    }
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, "table", PARAM_FAN_IN, e->vocabulary, e->embedding,
                           &e->table, err);
    }
    if (rc == RC_OK) {
        rc = encoder_linear_declare(table, prefix, "out", e->width, e->embedding, &e->out, err);
    }
    return rc;
}

struct node *ngram_bag_record(const struct ngram_bag *e, struct tape *t,
                              const struct encoder_codes *x, const struct tape_dropout *drop)
{
    struct node *h = tape_embedding_sequence(t, e->table, x->code, x->T);
    h = tape_masked_mean(t, h, tape_coded(t, x->code, x->T));
    h = tape_relu(t, encoder_linear_record(&e->out, t, h));
    return encoder_drop(t, h, drop);
}
