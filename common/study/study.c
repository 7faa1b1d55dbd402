#include "common/study/study.h"

#include <stdlib.h>
#include <string.h>

enum rc study_copy(const struct study *from, struct study *out, struct error *err)
{
    struct study_site *site = calloc(from->n_sites + 1, sizeof *site);
    if (site == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu sites", from->n_sites);
    }
    if (from->n_sites > 0) {
        memcpy(site, from->site, from->n_sites * sizeof *site);
    }
    *out = *from;
    out->site = site;
    return RC_OK;
}

void study_release(struct study *s)
{
    free(s->site);
    s->site = NULL;
    s->n_sites = 0;
}

size_t study_nominal_total(const struct study *s)
{
    size_t total = 0;
    for (size_t i = 0; i < s->n_sites; i++) {
        total += s->site[i].nominal;
    }
    return total;
}

double study_weight(const struct study *s, size_t site)
{
    return (double)s->site[site].nominal / (double)study_nominal_total(s);
}

bool study_lacks(const struct study *s, size_t site, size_t block)
{
    return (s->site[site].lacks >> block & 1) != 0;
}

size_t study_find_site(const struct study *s, const char *name)
{
    size_t i = 0;
    while (i < s->n_sites && strcmp(s->site[i].name, name) != 0) {
        i++;
    }
    return i;
}

size_t study_key_first(const struct study *s, size_t site)
{
    const struct study_site *own = &s->site[site];
    size_t i = 0;
    while (i < site && !(own->keyed && s->site[i].keyed &&
                         memcmp(s->site[i].key, own->key, sizeof own->key) == 0)) {
        i++;
    }
    return i;
}
