/* ledger: what has been spent, and what is left; whether it is sound; a copy of it. */
#include <stdio.h>
#include <time.h>

#include "agent/app/report.h"
#include "agent/app/site.h"
#include "agent/app/words.h"

enum { DAY_ROOM = 32 };

static const char *write_day(char day[DAY_ROOM], int64_t at_ms)
{
    const time_t at = (time_t)(at_ms / 1000);
    struct tm tm = {0};
    day[0] = '\0';
    if (gmtime_r(&at, &tm) != NULL) {
        (void)strftime(day, DAY_ROOM, "%Y-%m-%d %H:%M", &tm);
    }
    return day;
}

static void print_row(void *ctx, const struct ledger_row *row)
{
    (void)ctx;
    char day[DAY_ROOM];
    (void)printf("%6lld  %s UTC  %-20s round %-6llu %6llu steps  q %-8.4g sigma %-10.6g clip %g\n",
                 (long long)row->sequence, write_day(day, row->at_ms), row->study,
                 (unsigned long long)row->round, (unsigned long long)row->mechanism.steps,
                 row->mechanism.q, row->mechanism.sigma, row->clip);
}

static void json_row(void *ctx, const struct ledger_row *row)
{
    json_t *rows = ctx;
    json_t *o = json_object();
    char update[HASH_HEX];
    hash_hex(&row->update, update);
    (void)json_object_set_new(o, "sequence", json_integer((json_int_t)row->sequence));
    (void)json_object_set_new(o, "at_ms", json_integer((json_int_t)row->at_ms));
    (void)json_object_set_new(o, "study", json_string(row->study));
    (void)json_object_set_new(o, "round", json_integer((json_int_t)row->round));
    (void)json_object_set_new(o, "steps", json_integer((json_int_t)row->mechanism.steps));
    (void)json_object_set_new(o, "sample_rate", json_real(row->mechanism.q));
    (void)json_object_set_new(o, "noise_multiplier", json_real(row->mechanism.sigma));
    (void)json_object_set_new(o, "clip", json_real(row->clip));
    (void)json_object_set_new(o, "update", json_string(update));
    (void)json_array_append_new(rows, o);
}

static void print_evaluation(void *ctx, const struct ledger_evaluation_row *row)
{
    (void)ctx;
    char day[DAY_ROOM];
    (void)printf("%6lld  %s UTC  %-20s evaluation of its model  epsilon %.6g, at no delta\n",
                 (long long)row->number, write_day(day, row->at_ms), row->study, row->epsilon);
}

static void json_evaluation(void *ctx, const struct ledger_evaluation_row *row)
{
    json_t *o = json_object();
    char request[HASH_HEX];
    char released[HASH_HEX];
    hash_hex(&row->request, request);
    hash_hex(&row->released, released);
    (void)json_object_set_new(o, "number", json_integer((json_int_t)row->number));
    (void)json_object_set_new(o, "at_ms", json_integer((json_int_t)row->at_ms));
    (void)json_object_set_new(o, "study", json_string(row->study));
    (void)json_object_set_new(o, "epsilon", json_real(row->epsilon));
    (void)json_object_set_new(o, "request", json_string(request));
    (void)json_object_set_new(o, "released", json_string(released));
    (void)json_array_append_new(ctx, o);
}

/* Two figures where the noise is shared: against whom they hold differs. */
static void print_views(void *ctx, const struct ledger_study *s)
{
    (void)ctx;
    if (s->shared && s->sound) {
        (void)printf(
            "study '%s' shares its noise: epsilon %.6g at delta %g against the coordinator "
            "with %zu of the sites, %.6g against who reads models only\n",
            s->name, s->epsilon_spent, s->delta, s->max_colluding, s->reader_spent);
    }
}

static void json_views(void *ctx, const struct ledger_study *s)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "study", json_string(s->name));
    (void)json_object_set_new(o, "masked", json_boolean(s->masked));
    (void)json_object_set_new(o, "shared_noise", json_boolean(s->shared));
    (void)json_object_set_new(o, "delta", json_real(s->delta));
    (void)json_object_set_new(o, "epsilon_spent", report_number(s->epsilon_spent));
    (void)json_object_set_new(o, "epsilon_spent_reader", report_number(s->reader_spent));
    (void)json_object_set_new(o, "epsilon_evaluations", report_number(s->evaluation_epsilon));
    (void)json_object_set_new(o, "epsilon_with_evaluations", report_number(s->epsilon_all));
    (void)json_array_append_new(ctx, o);
}

static enum rc show_json(const struct site *site, struct ledger *ledger, double spent,
                         struct error *err)
{
    json_t *o = json_object();
    json_t *rows = json_array();
    json_t *studies = json_array();
    json_t *evaluations = json_array();
    enum rc rc = ledger_rows(ledger, json_row, rows, err);
    if (rc == RC_OK) {
        rc = ledger_evaluations(ledger, json_evaluation, evaluations, err);
    }
    if (rc == RC_OK) {
        rc = ledger_studies(ledger, json_views, studies, err);
    }
    (void)json_object_set_new(o, "site", json_string(site->name));
    (void)json_object_set_new(o, "epsilon_spent", report_number(spent));
    (void)json_object_set_new(o, "delta", json_real(site->policy.max_delta_per_study));
    (void)json_object_set_new(o, "max_epsilon_total",
                              report_number(site->policy.max_epsilon_total));
    (void)json_object_set_new(o, "spends", rows);
    (void)json_object_set_new(o, "evaluations", evaluations);
    (void)json_object_set_new(o, "studies", studies);
    if (rc != RC_OK) {
        json_decref(o);
        return rc;
    }
    return report_print(o, err);
}

static enum rc show(const struct words *w, const struct site *site, struct ledger *ledger,
                    struct error *err)
{
    double spent = 0.0;
    enum rc rc = ledger_epsilon(ledger, NULL, site->policy.max_delta_per_study, &spent, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (w->json) {
        return show_json(site, ledger, spent, err);
    }
    rc = ledger_rows(ledger, print_row, NULL, err);
    if (rc == RC_OK) {
        rc = ledger_evaluations(ledger, print_evaluation, NULL, err);
    }
    if (rc == RC_OK) {
        rc = ledger_studies(ledger, print_views, NULL, err);
    }
    if (rc == RC_OK) {
        const double left = site->policy.max_epsilon_total - spent;
        (void)printf("site '%s': epsilon %.6g of %.6g spent at delta %g, %.6g left (what joined "
                     "studies may still spend is in what-if)\n",
                     site->name, spent, site->policy.max_epsilon_total,
                     site->policy.max_delta_per_study, left > 0.0 ? left : 0.0);
    }
    return rc;
}

static enum rc verify(const struct words *w, const struct site *site, struct ledger *ledger,
                      struct error *err)
{
    struct ledger_verified v = {0};
    struct site_witnesses all = {0};
    enum rc rc = ledger_verify(ledger, &v, err);
    if (rc == RC_OK) {
        rc = site_witnesses(site, false, &all, err);
    }
    if (rc == RC_OK) {
        rc = site_witnessed(&all, ledger, err);
    }
    const size_t receipts = all.n;
    site_witnesses_release(&all);
    if (rc == RC_OK && !v.marked && v.spends > 0) {
        rc = error_set(
            err, RC_STATE,
            "'%.90s/ledger.db.mark' is gone, and an end that was cut off would not be seen: "
            "put back the newest copy of both (the next spend makes a new one)",
            site->folder);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (w->json) {
        return report_print(
            json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "site", site->name, "sound", 1,
                      "studies", (json_int_t)v.studies, "spends", (json_int_t)v.spends, "updates",
                      (json_int_t)v.updates, "site_states", (json_int_t)v.site_states,
                      "evaluations", (json_int_t)v.evaluations, "receipts", (json_int_t)receipts),
            err);
    }
    (void)printf(
        "sound: every row is chained as it was written, up to the mark (studies %zu, "
        "spends %zu); stored bytes have their hashes (updates %zu, site states %zu, evaluations "
        "%zu); "
        "every row that a coordinator has signed for is there (receipts %zu of %zu spends)\n",
        v.studies, v.spends, v.updates, v.site_states, v.evaluations, receipts, v.spends);
    return RC_OK;
}

static enum rc backup(const struct words *w, struct ledger *ledger, struct error *err)
{
    const enum rc rc = ledger_backup(ledger, w->backup, err);
    if (rc == RC_OK && w->json) {
        return report_print(json_pack("{s:s}", "file", w->backup), err);
    }
    if (rc == RC_OK) {
        (void)printf(
            "copied to %s. What is spent from now on is not in it: put it back only if the "
            "ledger is lost, and the agent will say so if it is too old\n",
            w->backup);
    }
    return rc;
}

enum rc command_ledger(const struct words *w, bool *yes, struct config_issues *issues,
                       struct error *err)
{
    if (w->what_if != NULL) {
        return command_what_if(w, yes, issues, err);
    }
    if (w->to != NULL) {
        return command_export(w, yes, issues, err);
    }
    struct site site = {0};
    struct ledger *ledger = NULL;
    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = site_ledger(&site, &ledger, err);
    }
    if (rc == RC_OK && w->backup != NULL) {
        rc = backup(w, ledger, err);
    } else if (rc == RC_OK) {
        rc = w->verify ? verify(w, &site, ledger, err) : show(w, &site, ledger, err);
    }
    *yes = true;
    ledger_close(&ledger);
    site_release(&site);
    return rc;
}
