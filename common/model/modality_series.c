/* Encoders of series: all steps of the grid, what is seen and how long ago; or the events as they came. */
#include "common/model/modality_internal.h"

static struct encoder_series series_of(const struct modality *m, const struct batch *batch)
{
    struct encoder_series x = {.T = m->layout.steps, .V = m->layout.variables};
    if (batch->part != NULL) {
        const struct batch_part *p = &batch->part[m->part];
        x.values = p->values;
        x.seen = p->mask;
        x.since = p->delta;
    }
    return x;
}

static enum rc gru_declare(struct modality *m, struct param_table *table, const char *name,
                           const struct study_model *spec, struct error *err)
{
    m->gru = (struct gru_encoder){.variables = m->layout.variables,
                                  .width = m->width,
                                  .layers = spec->layers};
    return gru_encoder_declare(table, name, &m->gru, err);
}

static struct node *gru_record(const struct modality *m, struct tape *t, const struct batch *batch,
                               const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return gru_encoder_record(&m->gru, t, &x, drop);
}

static struct encoder_positions gru_positions(const struct modality *m, struct tape *t,
                                              const struct batch *batch,
                                              const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return gru_encoder_positions(&m->gru, t, &x, drop);
}

static enum rc lstm_declare(struct modality *m, struct param_table *table, const char *name,
                            const struct study_model *spec, struct error *err)
{
    m->lstm = (struct lstm_encoder){.variables = m->layout.variables,
                                    .width = m->width,
                                    .layers = spec->layers};
    return lstm_encoder_declare(table, name, &m->lstm, err);
}

static struct node *lstm_record(const struct modality *m, struct tape *t, const struct batch *batch,
                                const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return lstm_encoder_record(&m->lstm, t, &x, drop);
}

static struct encoder_positions lstm_positions(const struct modality *m, struct tape *t,
                                               const struct batch *batch,
                                               const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return lstm_encoder_positions(&m->lstm, t, &x, drop);
}

static enum rc series_transformer_of(struct modality *m, struct param_table *table,
                                     const char *name, const struct study_model *spec,
                                     struct error *err)
{
    m->series =
        (struct series_transformer){.variables = m->layout.variables, .body = modality_body(spec)};
    return series_transformer_declare(table, name, &m->series, err);
}

static struct node *series_transformer_of_record(const struct modality *m, struct tape *t,
                                                 const struct batch *batch,
                                                 const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return series_transformer_record(&m->series, t, &x, drop);
}

static struct encoder_positions series_transformer_of_positions(const struct modality *m,
                                                                struct tape *t,
                                                                const struct batch *batch,
                                                                const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return series_transformer_positions(&m->series, t, &x, drop);
}

static enum rc summary_of(struct modality *m, struct param_table *table, const char *name,
                          const struct study_model *spec, struct error *err)
{
    (void)spec;
    m->summary = (struct summary_encoder){.variables = m->layout.variables, .width = m->width};
    return summary_encoder_declare(table, name, &m->summary, err);
}

static struct node *summary_of_record(const struct modality *m, struct tape *t,
                                      const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return summary_encoder_record(&m->summary, t, &x, drop);
}

/* As many blocks as see the whole series, and no more. */
static enum rc tcn_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    struct tcn_spec s = {
        .channels = 3 * m->layout.variables, .width = m->width, .blocks = 1, .size = 3};
    (void)spec;
    while (s.blocks < TCN_BLOCKS_MAX && tcn_reach(&s) < m->layout.steps) {
        s.blocks++;
    }
    return tcn_declare(&m->tcn, table, name, &s, err);
}

static struct node *tcn_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return encoder_drop(t, tcn_record(&m->tcn, t, encoder_series_record(t, &x), NULL), drop);
}

static struct encoder_positions tcn_of_positions(const struct modality *m, struct tape *t,
                                                 const struct batch *batch,
                                                 const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    struct node *h = tcn_record_steps(&m->tcn, t, encoder_series_record(t, &x));
    return (struct encoder_positions){.x = encoder_drop(t, h, drop)};
}

static size_t steps(const struct modality *m)
{
    return m->layout.steps;
}

const struct modality_kind MODALITY_SERIES[] = {
    {"gru", gru_declare, gru_record, gru_positions, steps},
    {"lstm", lstm_declare, lstm_record, lstm_positions, steps},
    {.word = "summary", .declare = summary_of, .record = summary_of_record},
    {"cnn", tcn_of, tcn_of_record, tcn_of_positions, steps},
    {"transformer", series_transformer_of, series_transformer_of_record,
     series_transformer_of_positions, steps},
    {.word = NULL},
};

/* ---- as events ------------------------------------------------------------------------------- */

static size_t events(const struct modality *m)
{
    return m->layout.items;
}

static enum rc events_of(struct modality *m, struct param_table *table, const char *name,
                         const struct study_model *spec, struct error *err)
{
    m->events = (struct event_transformer){.variables = m->layout.variables,
                                           .spread = m->looked_at && events(m) > 1,
                                           .body = modality_body(spec)};
    return event_transformer_declare(table, name, &m->events, err);
}

static struct encoder_events events_in(const struct modality *m, struct tape *t,
                                       const struct batch *batch)
{
    struct encoder_events x = {.T = m->layout.items, .code = modality_codes(m, t, batch)};
    if (batch->part != NULL) {
        x.values = batch->part[m->part].values;
        x.when = batch->part[m->part].delta;
    }
    return x;
}

static struct node *events_of_record(const struct modality *m, struct tape *t,
                                     const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_events x = events_in(m, t, batch);
    return event_transformer_record(&m->events, t, &x, drop);
}

static struct encoder_positions events_of_positions(const struct modality *m, struct tape *t,
                                                    const struct batch *batch,
                                                    const struct tape_dropout *drop)
{
    const struct encoder_events x = events_in(m, t, batch);
    return event_transformer_positions(&m->events, t, &x, drop);
}

const struct modality_kind MODALITY_EVENTS[] = {
    {"transformer", events_of, events_of_record, events_of_positions, events},
    {.word = NULL},
};
