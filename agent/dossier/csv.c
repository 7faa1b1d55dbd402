/* Two tables (RFC 4180: CRLF, a header, quoted text). Columns are only ever added at the end. */
#include <inttypes.h>
#include <string.h>

#include "agent/dossier/dossier_internal.h"

static void number(FILE *f, double x)
{
    char text[TEXT_NUMBER_MAX];
    text_number(text, x);
    (void)fprintf(f, ",%s", text);
}

static void when(FILE *f, bool known, int64_t ms)
{
    char text[TEXT_TIME_MAX] = "";
    if (known) {
        text_time(text, ms);
    }
    (void)fprintf(f, ",%s", text);
}

static void hex(FILE *f, const struct hash *h)
{
    char text[HASH_HEX];
    hash_hex(h, text);
    (void)fprintf(f, ",\"%s\"", text); /* quoted: 12e34... is no number */
}

void dossier_studies_csv(FILE *f, const struct dossier *r)
{
    (void)fprintf(
        f, "number,study,document_blake2b_256_hex,state,joined_utc,ended_utc,noise_mode,"
           "sample_rate_per_step,noise_multiplier_ratio,steps_per_round,"
           "clip_l2_norm,rounds_planned,rounds_committed,steps_committed,steps_promised,"
           "delta_probability,epsilon_stated_nats,epsilon_committed_nats,epsilon_at_most_nats,"
           "attacker_tpr_committed_fraction_at_fpr_0.01,"
           "attacker_tpr_at_most_fraction_at_fpr_0.01,min_sites_count,max_colluding_count,"
           "masked_boolean,threshold_count,reader_epsilon_committed_nats,"
           "reader_epsilon_at_most_nats,"
           "chain_link_hex,evaluations_count,evaluation_epsilon_nats,"
           "epsilon_with_evaluations_nats\r\n");
    for (size_t i = 0; i < r->n_studies; i++) {
        const struct ledger_study *s = &r->study[i].ledger;
        (void)fprintf(f, "%" PRId64 ",", s->number);
        text_csv(f, s->name);
        hex(f, &s->hash);
        (void)fprintf(f, ",%s", text_state(r->study[i].state));
        when(f, true, s->joined_ms);
        when(f, s->ended, s->ended_ms);
        (void)fprintf(f, ",%s", text_noise(s));
        number(f, s->round.q);
        number(f, s->round.sigma);
        (void)fprintf(f, ",%" PRIu64, s->round.steps);
        number(f, s->clip);
        (void)fprintf(f, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, s->rounds,
                      s->rounds_spent, s->spent_steps, s->promised_steps);
        number(f, s->delta);
        number(f, s->epsilon);
        number(f, s->epsilon_spent);
        number(f, s->epsilon_most);
        number(f, r->study[i].tpr_spent);
        number(f, r->study[i].tpr_most);
        (void)fprintf(f, ",%zu,%zu,%d,%zu", s->min_sites, s->max_colluding, s->masked,
                      s->threshold);
        number(f, s->reader_spent);
        number(f, s->reader_most);
        hex(f, &s->link);
        (void)fprintf(f, ",%" PRIu64, s->evaluations);
        number(f, s->evaluation_epsilon);
        number(f, s->epsilon_all);
        (void)fprintf(f, "\r\n");
    }
}

void dossier_rounds_csv(FILE *f, const struct dossier *r)
{
    (void)fprintf(f,
                  "sequence,committed_utc,study,round,sample_rate_per_step,noise_multiplier_ratio,"
                  "steps,clip_l2_norm,update_bytes,update_blake2b_256_hex,chain_link_hex\r\n");
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct ledger_row *s = &r->row[i];
        (void)fprintf(f, "%" PRId64, s->sequence);
        when(f, true, s->at_ms);
        (void)fputc(',', f);
        text_csv(f, s->study);
        (void)fprintf(f, ",%" PRIu64, s->round);
        number(f, s->mechanism.q);
        number(f, s->mechanism.sigma);
        (void)fprintf(f, ",%" PRIu64, s->mechanism.steps);
        number(f, s->clip);
        if (s->stored) {
            (void)fprintf(f, ",%zu", s->update_bytes);
        } else {
            (void)fputc(',', f);
        }
        hex(f, &s->update);
        hex(f, &s->link);
        (void)fprintf(f, "\r\n");
    }
}
