/* Whether what a study says about one site of its roster is what that site's cohort.yaml says. */
#include <stdbool.h>
#include <string.h>

#include "common/agreement/agreement_internal.h"
#include "common/base/text.h"

/* Files of other sites are not opened when this one imports. */
static bool has_files(const struct schema_modality *m, const char *site)
{
    bool has = false;
    for (size_t i = 0; i < m->n_files; i++) {
        has = has || m->file[i].site[0] == '\0' || strcmp(m->file[i].site, site) == 0;
    }
    return has;
}

static bool is_said_to_lack(const struct study *s, size_t site, const char *modality)
{
    for (size_t k = 0; k < s->model.n_lacked; k++) {
        if (strcmp(s->model.lacked[k], modality) == 0) {
            return study_lacks(s, site, k);
        }
    }
    return false;
}

enum rc agreement_fits_site(const struct agreement *a, const struct schema *own, const char *site,
                            struct error *err)
{
    const size_t index = study_find_site(&a->study, site);
    enum rc rc = agreement_fits(a, own, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (index == a->study.n_sites) {
        return error_set(err, RC_INVALID,
                         "the study's roster has no site '%s'; its coordinator can add it", site);
    }
    for (size_t i = 0; rc == RC_OK && i < own->n_modalities; i++) {
        const struct schema_modality *m = &own->modality[i];
        if (has_files(m, site) && is_said_to_lack(&a->study, index, m->name)) {
            rc = error_set(err, RC_INVALID,
                           "the study says that this site lacks '%s', and its cohort.yaml names "
                           "files of it; write `files: []` there, or ask the coordinator to take "
                           "it off the site's `lacks`",
                           m->name);
            text_make_printable(err->text);
        }
    }
    return rc;
}

const char *agreement_not_said(const struct agreement *a, const struct schema *own,
                               const char *site)
{
    const size_t index = study_find_site(&a->study, site);
    for (size_t i = 0; index < a->study.n_sites && i < own->n_modalities; i++) {
        const struct schema_modality *m = &own->modality[i];
        if (!has_files(m, site) && !is_said_to_lack(&a->study, index, m->name)) {
            return m->name;
        }
    }
    return NULL;
}
