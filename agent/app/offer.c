#include "agent/app/offer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/whole_file.h"
#include "common/model/model.h"

struct search {
    const char *word;
    struct offer found;
};

static void find_row(void *ctx, const struct consent_row *row)
{
    struct search *x = ctx;
    char hex[HASH_HEX];
    hash_hex(&row->study, hex);
    const size_t n = strlen(x->word);
    if (strcmp(row->name, x->word) == 0 || (n >= 8 && strncmp(hex, x->word, n) == 0)) {
        x->found.n++;
        x->found.study = row->study;
        x->found.over = row->state == CONSENT_WITHDRAWN || row->ended_ms != 0;
    }
}

enum rc offer_find(struct consent *consent, const char *word, struct offer *out, struct error *err)
{
    struct search x = {.word = word};
    const enum rc rc = consent_each(consent, find_row, &x, err);
    if (rc == RC_OK) {
        *out = x.found;
    }
    return rc;
}

enum rc offer_open(const struct site *site, const struct hash *study, struct agreement *out,
                   struct error *err)
{
    char hex[HASH_HEX];
    char file[HASH_HEX + 32];
    char path[SITE_PATH_MAX];
    struct seal_card coordinator;
    unsigned char *bytes = NULL;
    size_t n = 0;
    hash_hex(study, hex);
    (void)snprintf(file, sizeof file, "studies/%s.agreement", hex);
    enum rc rc = site_coordinator(site->folder, &coordinator, err);
    if (rc == RC_OK) {
        rc = site_path(site->folder, file, path, err);
    }
    if (rc == RC_OK) {
        rc = whole_file_read(path, AGREEMENT_BYTES_MAX, &bytes, &n, err);
    }
    if (rc == RC_OK) {
        rc = agreement_verify(bytes, n, &coordinator.sign, out, err);
    }
    free(bytes);
    if (rc == RC_OK && !hash_equal(&out->study_hash, study)) {
        agreement_release(out);
        rc = error_set(err, RC_FORMAT, "'%s' holds another study than its name says", path);
    }
    return rc;
}

enum rc offer_model(const struct site *site, const struct study *study, struct error *err)
{
    struct model model = {0};
    const enum rc rc = model_open(&study->model, &site->schema, &model, err);
    if (rc == RC_OK) {
        model_release(&model);
    }
    return rc;
}

void offer_masks(const struct study *study, char out[240])
{
    out[0] = '\0';
    if (study->masked) {
        (void)snprintf(
            out, 240,
            "the coordinator reads sums of at least %zu sites, which %zu of them open; this "
            "holds while at most %zu are in league with it; its epsilon pays for %zu lost "
            "round%s",
            study->min_sites, study_threshold(study), study->max_colluding, study->spare_rounds,
            study->spare_rounds == 1 ? "" : "s");
    }
}
