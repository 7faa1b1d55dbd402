/* predict: scores for new patients, one a row of a CSV that is written like the cohort's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/report.h"
#include "agent/app/score.h"
#include "agent/app/whole_file.h"
#include "agent/app/words.h"
#include "common/metrics/metrics.h"

struct prediction {
    struct scorer scorer;
    struct cohort_rows *rows;
    struct cohort_summary found;
    struct arena memory;
    double *score; /* [rows->n, C] */
};

/* RFC 4180. */
static void put_cell(FILE *f, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0' && text[0] != ' ' && text[0] != '\t') {
        (void)fputs(text, f);
        return;
    }
    (void)fputc('"', f);
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            (void)fputc('"', f);
        }
        (void)fputc(*text, f);
    }
    (void)fputc('"', f);
}

/* The likeliest class, and the probability of each under its name. */
static void put_rows_of_classes(const struct prediction *p, const char *id, FILE *f)
{
    const struct schema *s = &p->scorer.site.schema;
    (void)fputs("patient,class", f);
    for (size_t c = 0; c < s->n_classes; c++) {
        (void)fputc(',', f);
        put_cell(f, s->class_name[c]);
    }
    (void)fputs(",model\n", f);
    for (size_t i = 0; i < p->rows->n; i++) {
        const double *score = p->score + i * s->n_classes;
        put_cell(f, p->rows->patient[i]);
        (void)fputc(',', f);
        put_cell(f, s->class_name[metrics_likeliest(score, s->n_classes)]);
        for (size_t c = 0; c < s->n_classes; c++) {
            (void)fprintf(f, ",%.9g", score[c]);
        }
        (void)fprintf(f, ",%s\n", id);
    }
}

static void put_rows(const struct prediction *p, FILE *f)
{
    char id[SCORER_ID_ROOM];
    scorer_short_id(&p->scorer, id);
    if (scorer_outputs(&p->scorer) > 1) {
        put_rows_of_classes(p, id, f);
        return;
    }
    (void)fputs("patient,score,model\n", f);
    for (size_t i = 0; i < p->rows->n; i++) {
        put_cell(f, p->rows->patient[i]);
        (void)fprintf(f, ",%.9g,%s\n", p->score[i], id);
    }
}

static json_t *score_object(const struct prediction *p, size_t i)
{
    const struct schema *s = &p->scorer.site.schema;
    const size_t C = scorer_outputs(&p->scorer);
    if (C == 1) {
        return json_real(p->score[i]);
    }
    json_t *o = json_object();
    for (size_t c = 0; c < C; c++) {
        (void)json_object_set_new(o, s->class_name[c], json_real(p->score[i * C + c]));
    }
    return o;
}

/* NULL: no memory. */
static json_t *object(const struct prediction *p)
{
    const struct scorer *s = &p->scorer;
    char id[HASH_HEX];
    char study[HASH_HEX];
    json_t *o = json_object();
    json_t *rows = json_array();
    json_t *warnings = json_array();
    hash_hex(&s->model.id, id);
    hash_hex(&s->model.agreement.study_hash, study);
    for (size_t i = 0; i < p->rows->n; i++) {
        json_t *row = json_object();
        (void)json_object_set_new(row, "patient", json_string(p->rows->patient[i]));
        (void)json_object_set_new(row, "score", score_object(p, i));
        (void)json_array_append_new(rows, row);
    }
    for (size_t i = 0; i < p->found.n_warnings && i < COHORT_WARNINGS_SHOWN; i++) {
        (void)json_array_append_new(warnings, json_string(p->found.warning[i]));
    }
    (void)json_object_set_new(o, "model", json_string(id));
    (void)json_object_set_new(o, "study", json_string(s->model.agreement.study.name));
    (void)json_object_set_new(o, "study_hash", json_string(study));
    (void)json_object_set_new(o, "round", json_integer((json_int_t)s->model.round));
    (void)json_object_set_new(o, "site", json_string(s->site.name));
    (void)json_object_set_new(o, "adapter", json_string(scorer_adapter_name(s)));
    (void)json_object_set_new(o, "missing_cells",
                              json_integer((json_int_t)p->found.n_missing_cells));
    (void)json_object_set_new(o, "warnings", warnings);
    (void)json_object_set_new(o, "rows", rows);
    if (json_array_size(rows) != p->rows->n) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* The whole text first, so that a file is written whole or not at all; and never over something: the
 * name may be the ledger's by mistake. */
static enum rc to_file(const struct words *w, const struct prediction *p, struct error *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (f == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu scores", p->rows->n);
    }
    bool failed = false;
    if (w->json) {
        json_t *o = object(p);
        failed = o == NULL || json_dumpf(o, f, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0;
        (void)fputc('\n', f);
        json_decref(o);
    } else {
        put_rows(p, f);
    }
    failed = ferror(f) != 0 || failed;
    failed = fclose(f) != 0 || failed;
    enum rc rc = failed ? error_set(err, RC_NOMEM, "no memory for %zu scores", p->rows->n)
                        : whole_file_create(w->output, text, n, err);
    if (text != NULL) {
        hash_wipe(text, n);
    }
    free(text);
    if (rc == RC_OK) {
        char id[SCORER_ID_ROOM];
        scorer_short_id(&p->scorer, id);
        (void)fprintf(stderr, "wardround-agent: %zu scores of model %s written to '%s'\n",
                      p->rows->n, id, w->output);
    }
    return rc;
}

static enum rc say(const struct words *w, const struct prediction *p, struct error *err)
{
    for (size_t i = 0; i < p->found.n_warnings && i < COHORT_WARNINGS_SHOWN; i++) {
        (void)fprintf(stderr, "wardround-agent: warning: %s: %s\n", w->input, p->found.warning[i]);
    }
    if (w->output != NULL) {
        return to_file(w, p, err);
    }
    if (w->json) {
        return report_print(object(p), err);
    }
    put_rows(p, stdout);
    return fflush(stdout) == 0 && ferror(stdout) == 0
               ? RC_OK
               : error_set(err, RC_IO, "cannot write the scores to stdout");
}

static enum rc score_rows(struct prediction *p, struct error *err)
{
    const struct cohort_rows *r = p->rows;
    const enum rc rc =
        arena_init(&p->memory, arena_cost(r->n * scorer_outputs(&p->scorer), sizeof *p->score),
                   err);
    if (rc != RC_OK) {
        return rc;
    }
    p->score = arena_take(&p->memory, r->n * scorer_outputs(&p->scorer), sizeof *p->score);
    return scorer_score(&p->scorer, r->values, r->codes, r->n, p->score, err);
}

enum rc command_predict(const struct words *w, bool *yes, struct config_issues *issues,
                        struct error *err)
{
    static struct prediction p; /* large: its warnings */
    bool there = false;
    *yes = true;
    enum rc rc = scorer_open(w->folder, w->model, &p.scorer, issues, err);
    if (rc == RC_OK) {
        rc = site_look(w->input, &there, err);
    }
    if (rc == RC_OK && !there) {
        rc = error_set(err, RC_IO,
                       "there is no file '%.150s' of new patients; --input wants a CSV that is "
                       "written like the cohort's own",
                       w->input);
    }
    if (rc == RC_OK) {
        rc = cohort_read_rows(&p.scorer.site.schema, w->input, &p.rows, &p.found, issues, err);
    }
    if (rc == RC_OK) {
        rc = score_rows(&p, err);
    }
    if (rc == RC_OK) {
        rc = say(w, &p, err);
    }
    arena_wipe(&p.memory);
    arena_release(&p.memory);
    cohort_rows_close(&p.rows);
    scorer_release(&p.scorer);
    return rc;
}
