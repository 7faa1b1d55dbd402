#include "sim/app/page.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "sim/app/page_attacks.h"
#include "sim/report/page.h"

enum { CEILING_PATIENTS = 20000, CONFIG_BYTES_MAX = 1 << 20 };

static enum rc read_config(const char *path, char **out, struct error *err)
{
    enum rc rc = RC_OK;
    char *text = calloc(CONFIG_BYTES_MAX + 1, 1);
    FILE *f = fopen(path, "rbe");
    if (text == NULL || f == NULL) {
        rc = error_set(err, text == NULL ? RC_NOMEM : RC_IO, "cannot read '%s' for the report: %s",
                       path, strerror(errno));
    } else {
        const size_t n = fread(text, 1, CONFIG_BYTES_MAX, f);
        text[n] = '\0';
        *out = text;
        text = NULL;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    free(text);
    return rc;
}

/* The best that any model can do, where the patients' law is known: of generated hospitals. */
static void find_ceiling(const char *config, struct report_page *page)
{
    static struct config_issues issues; /* large */
    struct hospital_world world;
    struct error why = {0};
    uint64_t seed = 0;
    struct icu_ceiling icu;
    page->ceiling = (double)NAN;
    issues = (struct config_issues){0};
    if (sweep_generated(config, &world, &seed, &issues, &why) != RC_OK) {
        return; /* real patients, whose law nobody knows */
    }
    if (world.kind == HOSPITAL_KIND_SOFTMAX) {
        return; /* its ceiling is an accuracy, and the page is of AUROCs */
    }
    if (world.kind == HOSPITAL_KIND_TABLE) {
        if (hospital_bayes_auroc(&world.table, seed, CEILING_PATIENTS, &page->ceiling, &why) !=
            RC_OK) {
            page->ceiling = (double)NAN;
        }
        page->ceiling_of = "patients whose true state is seen";
    } else if (icu_bayes(&world.icu, seed, CEILING_PATIENTS, &icu, &why) == RC_OK) {
        page->ceiling = icu.recorded;
        page->ceiling_of = "the patients as they are recorded, with what is missing";
    }
}

static size_t peak_bytes(void)
{
    struct rusage used;
    return getrusage(RUSAGE_SELF, &used) == 0 ? (size_t)used.ru_maxrss * 1024 : 0;
}

enum rc page_write(const char *folder, const char *config, const struct sweep *s,
                   const struct sweep_results *rows, struct error *err)
{
    struct report_page page = {.study = s->name,
                               .version = WARDROUND_VERSION,
                               .row = rows->row,
                               .n_rows = rows->n,
                               .peak_bytes = peak_bytes()};
    char *text = NULL;
    struct report_attack *attack = calloc(PAGE_ATTACKS_MAX, sizeof *attack);
    enum rc rc = attack != NULL ? RC_OK : error_set(err, RC_NOMEM, "no memory for a report");
    if (rc == RC_OK) {
        rc = page_attacks_read(folder, attack, &page.n_attacks, err);
    }
    if (rc == RC_OK) {
        rc = read_config(config, &text, err);
    }
    if (rc == RC_OK) {
        page.attack = attack;
        page.config = text;
        find_ceiling(config, &page);
        rc = report_write_page(folder, &page, err);
    }
    free(attack);
    free(text);
    return rc;
}
