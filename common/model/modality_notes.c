/* Encoders of notes: codes of words, in their order or in a bag. */
#include "common/model/modality_internal.h"

static enum rc bag_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    (void)spec;
    m->bag = (struct ngram_bag){.vocabulary = m->layout.vocabulary,
                                .embedding = m->width,
                                .width = m->width};
    return ngram_bag_declare(table, name, &m->bag, err);
}

static struct node *bag_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_codes x = {.T = m->layout.items, .code = modality_codes(m, t, batch)};
    return ngram_bag_record(&m->bag, t, &x, drop);
}

static enum rc text_of(struct modality *m, struct param_table *table, const char *name,
                       const struct study_model *spec, struct error *err)
{
    m->text =
        (struct text_transformer){.vocabulary = m->layout.vocabulary, .body = modality_body(spec)};
    return text_transformer_declare(table, name, &m->text, err);
}

static struct node *text_of_record(const struct modality *m, struct tape *t,
                                   const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_codes x = {.T = m->layout.items, .code = modality_codes(m, t, batch)};
    return text_transformer_record(&m->text, t, &x, drop);
}

static struct encoder_positions text_of_positions(const struct modality *m, struct tape *t,
                                                  const struct batch *batch,
                                                  const struct tape_dropout *drop)
{
    const struct encoder_codes x = {.T = m->layout.items, .code = modality_codes(m, t, batch)};
    return text_transformer_positions(&m->text, t, &x, drop);
}

static size_t codes(const struct modality *m)
{
    return m->layout.items;
}

const struct modality_kind MODALITY_NOTES[] = {
    {"bag", bag_of, bag_of_record, NULL, NULL},
    {"transformer", text_of, text_of_record, text_of_positions, codes},
    {.word = NULL},
};
