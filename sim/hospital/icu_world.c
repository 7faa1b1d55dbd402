/* A world as files, and those files as a dataset. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/store/store.h"
#include "sim/hospital/icu_internal.h"

void icu_roster(const struct icu_params *p, uint64_t seed, struct hospital_site *site)
{
    hospital_roster(&p->base, seed, site);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void write_headers(struct icu_files *f)
{
    if (f->patients != NULL) {
        icu_table_header(f->patients);
    }
    if (f->course != NULL) {
        (void)fputs("patient,minute,variable,value\n", f->course);
    }
    if (f->notes != NULL) {
        (void)fputs("patient,text\n", f->notes);
    }
}

struct desk {
    unsigned char *pixel; /* [side * side] */
    double *spare;        /* [2 * side * side] */
};

static void write_patient(const struct icu_params *p, uint64_t seed, size_t site, size_t i,
                          const struct icu_site *s, double intercept, const struct desk *desk,
                          struct icu_files *f)
{
    const struct icu_patient patient = icu_patient_draw(p, seed, site, s, "patient", i);
    const double death = hospital_probability(&p->base, intercept, patient.drive);
    char id[SCHEMA_NAME_MAX];
    (void)snprintf(id, sizeof id, "h%s-%07zu", s->name + strlen("hospital-"), i + 1);
    f->n_patients++;
    if (f->patients != NULL) {
        struct rng r = icu_stream(seed, "table", site, i);
        icu_table_row(f->patients, &r, s, &patient, id, patient.chance < death);
    }
    if (patient.has[ICU_COURSE]) {
        f->n_courses++;
        if (f->course != NULL) {
            struct rng r = icu_stream(seed, "course", site, i);
            (void)icu_course_rows(f->course, &r, &patient, id);
        }
    }
    if (patient.has[ICU_FILM]) {
        f->n_films++;
        if (f->film != NULL) {
            struct rng r = icu_stream(seed, "film", site, i);
            icu_film_draw(&r, s, &patient, p->film_side, desk->pixel, desk->spare);
            (void)fwrite(desk->pixel, 1, p->film_side * p->film_side, f->film);
            (void)fprintf(f->film_ids, "%s\n", id);
        }
    }
    if (patient.has[ICU_NOTE]) {
        f->n_notes++;
        if (f->notes != NULL) {
            struct rng r = icu_stream(seed, "note", site, i);
            char note[ICU_NOTE_MAX];
            icu_note_write(&r, s, p->style, &patient, note);
            (void)fprintf(f->notes, "%s,\"%s\"\n", id, note);
        }
    }
}

enum rc icu_write(const struct icu_params *p, uint64_t seed, size_t from, size_t to,
                  struct icu_files *files, struct error *err)
{
    const double weight_total = hospital_weight_total(&p->base, seed);
    const size_t pixels = p->film_side * p->film_side;
    struct arena a = {0};
    struct desk desk;
    enum rc rc =
        arena_init(&a, arena_cost(pixels, 1) + arena_cost(2 * pixels, sizeof(double)), err);
    if (rc != RC_OK) {
        return error_context(err, "a film");
    }
    desk.pixel = arena_take(&a, pixels, 1);
    desk.spare = arena_take(&a, 2 * pixels, sizeof(double));
    const double intercept = icu_intercept(p, seed);
    write_headers(files);
    for (size_t site = from; site < to; site++) {
        const struct icu_site s = icu_site_draw(p, seed, site, weight_total);
        const size_t n = hospital_realised_size(seed, site, s.character.planned);
        for (size_t i = 0; i < n; i++) {
            write_patient(p, seed, site, i, &s, intercept, &desk, files);
        }
    }
    arena_release(&a);
    return RC_OK;
}

/* ---- cohort.yaml ----------------------------------------------------------------------------- */

static void write_paths(FILE *to, const char *name, const char *ids, enum icu_modality m,
                        const char *const *folder, const unsigned *lacks, size_t n)
{
    bool any = false;
    (void)fputs("    files: [", to);
    for (size_t i = 0; i < n; i++) {
        if ((lacks[i] & 1U << m) != 0) {
            continue;
        }
        (void)fprintf(to, "%s{path: \"%s%s\"", any ? ", " : "", folder[i], name);
        if (ids != NULL) {
            (void)fprintf(to, ", ids: \"%s%s\"", folder[i], ids);
        }
        (void)fputc('}', to);
        any = true;
    }
    (void)fputs("]\n", to);
}

void icu_write_cohort(FILE *to, const struct icu_params *p, const char *const *folder,
                      const unsigned *lacks, size_t n)
{
    (void)fputs("# Generated hospitals: their patients do not exist.\n"
                "cohort: virtual-icu\n"
                "files:\n",
                to);
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(to, "  - {path: \"%spatients.csv\"}\n", folder[i]);
    }
    (void)fputs("separator: \",\"\n"
                "patient: {column: patient, rows: one}\n"
                "site: {column: site}\n"
                "missing: [\"\"]\n"
                "label: {column: death, positive: [1], negative: [0]}\n\n"
                "features:\n",
                to);
    icu_table_features(to);
    (void)fputs("\nmodalities:\n"
                "  - name: course\n"
                "    type: series\n",
                to);
    write_paths(to, "course.csv", NULL, ICU_COURSE, folder, lacks, n);
    (void)fputs("    columns: {patient: patient, time: minute, variable: variable, value: value}\n"
                "    time_unit: minutes\n"
                "    window: [0, 48]\n"
                "    grid: {steps: 24, fill: last}\n"
                "    variables:\n",
                to);
    icu_course_variables(to);
    (void)fprintf(to,
                  "  - name: film\n"
                  "    type: image\n"
                  "    size: [%zu, %zu]\n"
                  "    standardise: true\n"
                  "    format: raw\n",
                  p->film_side, p->film_side);
    write_paths(to, "films.u8", "films.csv", ICU_FILM, folder, lacks, n);
    (void)fputs("  - name: note\n"
                "    type: notes\n",
                to);
    write_paths(to, "notes.csv", NULL, ICU_NOTE, folder, lacks, n);
    (void)fputs("    columns: {patient: patient, text: text}\n"
                "    tokens: 192\n"
                "    vocabulary: 2048\n"
                "    ngrams: 2\n",
                to);
}

static unsigned lacking(const struct icu_files *f)
{
    return (f->n_courses == 0 ? 1U << ICU_COURSE : 0U) | (f->n_films == 0 ? 1U << ICU_FILM : 0U) |
           (f->n_notes == 0 ? 1U << ICU_NOTE : 0U);
}

/* ---- in memory ------------------------------------------------------------------------------- */

enum { PATIENTS, COURSE, FILM, FILM_IDS, NOTES, COHORT, FILES };

struct memory {
    FILE *f[FILES];
    char *text[FILES];
    size_t n[FILES];
};

static enum rc memory_open(struct memory *m, struct error *err)
{
    for (size_t k = 0; k < FILES; k++) {
        m->f[k] = open_memstream(&m->text[k], &m->n[k]);
        if (m->f[k] == NULL) {
            return error_set(err, RC_NOMEM, "no memory for virtual hospitals");
        }
    }
    return RC_OK;
}

/* Everything written is in text and n after it. */
static enum rc memory_finish(struct memory *m, struct error *err)
{
    bool failed = false;
    for (size_t k = 0; k < FILES; k++) {
        if (m->f[k] != NULL) {
            failed = ferror(m->f[k]) != 0 || failed;
            failed = fclose(m->f[k]) != 0 || failed;
            m->f[k] = NULL;
        }
    }
    return failed ? error_set(err, RC_NOMEM, "no memory for virtual hospitals") : RC_OK;
}

static void memory_release(struct memory *m)
{
    struct error ignored = {0};
    error_ignore(memory_finish(m, &ignored));
    for (size_t k = 0; k < FILES; k++) {
        free(m->text[k]);
        m->text[k] = NULL;
    }
}

static enum rc import(const struct memory *m, unsigned lacks, struct schema *schema,
                      struct dataset **out, struct error *err)
{
    struct config_issues *issues = calloc(1, sizeof *issues);
    struct store *store = NULL;
    struct cohort_summary summary = {0};
    const struct cohort_bytes ids = {.data = m->text[FILM_IDS], .n = m->n[FILM_IDS]};
    struct cohort_bytes file[FILES];
    size_t n = 0;
    enum rc rc = issues == NULL ? error_set(err, RC_NOMEM, "no memory for virtual hospitals")
                                : schema_parse("virtual hospitals", m->text[COHORT], m->n[COHORT],
                                               schema, issues, err);
    file[n++] = (struct cohort_bytes){.data = m->text[PATIENTS], .n = m->n[PATIENTS]};
    if ((lacks & 1U << ICU_COURSE) == 0) {
        file[n++] = (struct cohort_bytes){.data = m->text[COURSE], .n = m->n[COURSE]};
    }
    if ((lacks & 1U << ICU_FILM) == 0) {
        file[n++] = (struct cohort_bytes){.data = m->text[FILM], .n = m->n[FILM], .ids = &ids};
    }
    if ((lacks & 1U << ICU_NOTE) == 0) {
        file[n++] = (struct cohort_bytes){.data = m->text[NOTES], .n = m->n[NOTES]};
    }
    if (rc == RC_OK) {
        rc = store_open(":memory:", &cohort_store_kind, &store, err);
    }
    if (rc == RC_OK) {
        rc = cohort_import_bytes(schema, NULL, file, store, issues, &summary, err);
    }
    if (rc == RC_OK) {
        rc = dataset_open(schema, store, out, err);
    }
    store_close(&store);
    free(issues);
    return rc;
}

enum rc icu_generate(const struct icu_params *p, uint64_t seed, struct schema *schema,
                     struct dataset **out, struct error *err)
{
    static const char *const here[] = {""};
    struct memory m = {0};
    struct schema s = {0};
    struct icu_files files;
    unsigned lacks = 0;
    enum rc rc = memory_open(&m, err);
    if (rc == RC_OK) {
        files = (struct icu_files){.patients = m.f[PATIENTS],
                                   .course = m.f[COURSE],
                                   .film = m.f[FILM],
                                   .film_ids = m.f[FILM_IDS],
                                   .notes = m.f[NOTES]};
        rc = icu_write(p, seed, 0, p->base.hospitals, &files, err);
    }
    if (rc == RC_OK) {
        lacks = lacking(&files);
        icu_write_cohort(m.f[COHORT], p, here, &lacks, 1);
        rc = memory_finish(&m, err);
    }
    if (rc == RC_OK) {
        rc = import(&m, lacks, &s, out, err);
    }
    if (rc == RC_OK) {
        *schema = s;
        s = (struct schema){0};
    }
    schema_release(&s);
    memory_release(&m);
    return rc == RC_OK ? rc : error_context(err, "virtual hospitals");
}

/* ---- as folders ------------------------------------------------------------------------------ */

static enum rc folder_files(const char *folder, struct icu_files *files, struct error *err)
{
    const struct {
        const char *name;
        FILE **to;
    } wanted[] = {{"patients.csv", &files->patients},
                  {"course.csv", &files->course},
                  {"films.u8", &files->film},
                  {"films.csv", &files->film_ids},
                  {"notes.csv", &files->notes}};
    for (size_t k = 0; k < sizeof wanted / sizeof wanted[0]; k++) {
        const enum rc rc = hospital_create(folder, wanted[k].name, wanted[k].to, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

static enum rc folder_close_files(struct icu_files *f, const char *folder, struct error *err)
{
    FILE *const all[] = {f->patients, f->course, f->film, f->film_ids, f->notes};
    enum rc rc = RC_OK;
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        if (all[k] != NULL) {
            struct error late = {0};
            const enum rc closed = hospital_finish(all[k], folder, &late);
            if (rc == RC_OK && closed != RC_OK) {
                rc = closed;
                *err = late;
            }
        }
    }
    return rc;
}

static enum rc write_cohort_file(const struct icu_params *p, const char *in,
                                 const char *const *folder, const unsigned *lacks, size_t n,
                                 struct error *err)
{
    FILE *f = NULL;
    const enum rc rc = hospital_create(in, "cohort.yaml", &f, err);
    if (rc != RC_OK) {
        return rc;
    }
    icu_write_cohort(f, p, folder, lacks, n);
    return hospital_finish(f, in, err);
}

static enum rc write_folder(const struct icu_params *p, uint64_t seed, size_t site,
                            const char *folder, unsigned *lacks, struct error *err)
{
    static const char *const here[] = {""};
    struct icu_files files = {0};
    enum rc rc = hospital_make_folder(folder, err);
    if (rc == RC_OK) {
        rc = folder_files(folder, &files, err);
    }
    if (rc == RC_OK) {
        rc = icu_write(p, seed, site, site + 1, &files, err);
    }
    struct error late = {0};
    const enum rc closed = folder_close_files(&files, folder, &late);
    if (rc == RC_OK && closed != RC_OK) {
        rc = closed;
        *err = late;
    }
    *lacks = lacking(&files);
    return rc == RC_OK ? write_cohort_file(p, folder, here, lacks, 1, err) : rc;
}

enum rc icu_write_folders(const struct icu_params *p, uint64_t seed, const char *folder,
                          struct error *err)
{
    enum { NAME = SCHEMA_NAME_MAX + 1 };
    const size_t n = p->base.hospitals;
    struct arena a = {0};
    enum rc rc = arena_init(
        &a, arena_cost(n, sizeof(unsigned)) + arena_cost(n, sizeof(char *)) + arena_cost(n, NAME),
        err);
    if (rc != RC_OK) {
        return rc;
    }
    unsigned *lacks = arena_take(&a, n, sizeof *lacks);
    const char **name = arena_take(&a, n, sizeof *name);
    char(*text)[NAME] = arena_take(&a, n, sizeof *text);
    for (size_t site = 0; rc == RC_OK && site < n; site++) {
        char path[512];
        hospital_name(n, site, text[site]);
        if (snprintf(path, sizeof path, "%s/%s", folder, text[site]) >= (int)sizeof path) {
            rc = error_set(err, RC_LIMIT, "the folder's name is too long");
        } else {
            rc = write_folder(p, seed, site, path, &lacks[site], err);
        }
        const size_t end = strlen(text[site]);
        text[site][end] = '/';
        text[site][end + 1] = '\0';
        name[site] = text[site];
    }
    if (rc == RC_OK && n <= SCHEMA_FILES_MAX) {
        rc = write_cohort_file(p, folder, name, lacks, n, err);
    }
    arena_release(&a);
    return rc;
}
