/*
 * The encoder of Vaswani et al. 2017 (3.1 to 3.3), layer by layer:
 *
 *   x = norm(x + attention(x));  x = norm(x + W2 relu(W1 x + b1) + b2)
 *
 * or with the norm in front of each part (Xiong et al. 2020), and GELU:
 *
 *   x = x + attention(norm(x));  x = x + W2 gelu(W1 norm(x) + b1) + b2
 */
#include "common/model/encoder/encoder_internal.h"

static enum rc block_declare(struct param_table *table, const char *prefix,
                             const struct transformer *e, struct transformer_block *k,
                             struct error *err)
{
    const size_t D = e->width;
    struct {
        const char *name;
        struct encoder_linear *l;
        size_t out, in;
    } const linear[6] = {{"query", &k->query, D, D},   {"key", &k->key, D, D},
                         {"value", &k->value, D, D},   {"out", &k->out, D, D},
                         {"up", &k->up, e->hidden, D}, {"down", &k->down, D, e->hidden}};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < 6; i++) {
        rc = encoder_linear_declare(table, prefix, linear[i].name, linear[i].out, linear[i].in,
                                    linear[i].l, err);
    }
    if (rc == RC_OK) {
        rc = encoder_norm_declare(table, prefix, "norm1", D, &k->first, err);
    }
    if (rc == RC_OK) {
        rc = encoder_norm_declare(table, prefix, "norm2", D, &k->second, err);
    }
    return rc;
}

enum rc transformer_declare(struct param_table *table, const char *prefix, struct transformer *e,
                            struct error *err)
{
    enum rc rc = encoder_size(prefix, "width", e->width, SIZE_MAX, err);
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "heads", e->heads, e->width, err);
    }
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "hidden", e->hidden, SIZE_MAX, err);
    }
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "layers", e->layers, ENCODER_LAYERS_MAX, err);
    }
    if (rc == RC_OK && e->width % e->heads != 0) {
        rc = error_set(err, RC_INVALID, "encoder '%s': width %zu is no multiple of %zu heads",
                       prefix, e->width, e->heads);
    }
    for (size_t i = 0; rc == RC_OK && i < e->layers; i++) {
        rc = block_declare(table, encoder_part(prefix, "block", i).text, e, &e->block[i], err);
    }
    return rc;
}

static struct node *attend(const struct transformer *e, const struct transformer_block *k,
                           struct tape *t, struct node *x, const uint8_t *key)
{
    struct node *q = encoder_linear_record(&k->query, t, x);
    struct node *m = encoder_linear_record(&k->key, t, x);
    struct node *v = encoder_linear_record(&k->value, t, x);
    return encoder_linear_record(&k->out, t, tape_attention(t, q, m, v, e->heads, key));
}

static struct node *feed(const struct transformer *e, const struct transformer_block *k,
                         struct tape *t, struct node *x)
{
    struct node *h = encoder_linear_record(&k->up, t, x);
    h = e->norm_first ? tape_gelu(t, h) : tape_relu(t, h);
    return encoder_linear_record(&k->down, t, h);
}

struct node *transformer_record(const struct transformer *e, struct tape *t, struct node *x,
                                const uint8_t *key, const struct tape_dropout *drop)
{
    for (size_t i = 0; i < e->layers; i++) {
        const struct transformer_block *k = &e->block[i];
        if (e->norm_first) {
            struct node *a = attend(e, k, t, encoder_norm_record(&k->first, t, x), key);
            x = tape_add(t, x, encoder_drop(t, a, drop));
            struct node *f = feed(e, k, t, encoder_norm_record(&k->second, t, x));
            x = tape_add(t, x, encoder_drop(t, f, drop));
        } else {
            struct node *a = attend(e, k, t, x, key);
            x = encoder_norm_record(&k->first, t, tape_add(t, x, encoder_drop(t, a, drop)));
            struct node *f = feed(e, k, t, x);
            x = encoder_norm_record(&k->second, t, tape_add(t, x, encoder_drop(t, f, drop)));
        }
    }
    return x;
}
