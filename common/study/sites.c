/* The roster: each site's name, planning size and what it has not. */
#include <stdlib.h>
#include <string.h>

#include "common/study/draft_internal.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct site_words {
    struct study_site site;
    const struct config_node *lacks;
    char key[65];
};

/* clang-format off */
#define AT(field) offsetof(struct site_words, field)
const struct config_key study_site_keys[STUDY_SITE_KEYS] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = AT(site.name), .size = STUDY_NAME_MAX,
     .help = "name of the site: letters, digits, `.`, `_`, `-`"},
    {.name = "nominal", .type = CONFIG_COUNT, .offset = AT(site.nominal), .min = 1, .max = 1e9,
     .help = "public planning size: weight and divisor, never a count of patients"},
    {.name = "lacks", .type = CONFIG_NODE, .offset = AT(lacks), .fallback = "",
     .help = "multimodal: list of modalities that it has of nobody; it has no weight in their encoders"},
    {.name = "key", .type = CONFIG_TEXT, .offset = AT(key), .size = 65, .fallback = "",
     .help = "masked: the site's signing key, 64 hexadecimal digits, as `sign:` on its card has it"},
};
#undef AT
/* clang-format on */

/* Its bit; a name seen for the first time gets one. STUDY_BLOCKS_MAX: there is none left. */
static size_t block_of(struct study_model *m, const char *name)
{
    size_t k = 0;
    while (k < m->n_lacked && strcmp(m->lacked[k], name) != 0) {
        k++;
    }
    if (k == m->n_lacked && k < STUDY_BLOCKS_MAX) {
        (void)snprintf(m->lacked[k], sizeof m->lacked[k], "%s", name);
        m->n_lacked++;
    }
    return k;
}

static void read_lacks(struct study_model *m, const struct config_node *list, uint64_t *lacks,
                       struct config_issues *issues)
{
    const char *name;
    if (list->kind != CONFIG_LIST) {
        config_issue(issues, list, "lacks: must be a list of modalities, as in [notes]");
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        const struct config_node *node = &list->at[i];
        if (!config_as_text(node, &name, issues)) {
            continue;
        }
        if (name[0] == '\0' || strlen(name) >= STUDY_NAME_MAX) {
            config_issue(issues, node, "lacks: the name of a modality has 1 to %d letters",
                         (int)STUDY_NAME_MAX - 1);
            continue;
        }
        const size_t k = block_of(m, name);
        if (k == STUDY_BLOCKS_MAX) {
            config_issue(issues, node, "lacks: sites may lack at most %d different modalities",
                         (int)STUDY_BLOCKS_MAX);
        } else if ((*lacks >> k & 1) != 0) {
            config_issue(issues, node, "lacks: '%s' is in the list already", name);
        } else {
            *lacks |= UINT64_C(1) << k;
        }
    }
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static void read_key(const struct config_node *site, const char *hex, struct study_site *out,
                     struct config_issues *issues)
{
    for (size_t i = 0; i < sizeof out->key; i++) {
        const int high = digit(hex[2 * i]);
        const int low = high >= 0 ? digit(hex[2 * i + 1]) : -1;
        if (low < 0) {
            config_issue(issues, config_get(site, "key"),
                         "key: must be 64 hexadecimal digits, as `sign:` on the site's card");
            return;
        }
        out->key[i] = (unsigned char)(high << 4 | low);
    }
    out->keyed = true;
}

/* `{count: 1000, nominal: 60}`: a roster of sites that differ in nothing but their number. */
struct count_words {
    size_t count, nominal;
    char prefix[STUDY_NAME_MAX];
};

/* clang-format off */
#define AT(field) offsetof(struct count_words, field)
const struct config_key study_count_keys[STUDY_COUNT_KEYS] = {
    {.name = "count", .type = CONFIG_COUNT, .offset = AT(count), .min = 1, .max = STUDY_SITES_MAX,
     .help = "how many sites there are"},
    {.name = "nominal", .type = CONFIG_COUNT, .offset = AT(nominal), .min = 1, .max = 1e9,
     .help = "public planning size of each"},
    {.name = "prefix", .type = CONFIG_TEXT, .offset = AT(prefix), .size = STUDY_NAME_MAX - 8, .fallback = "hospital-",
     .help = "of the names, before a number from 1: hospital-01 of 8, hospital-0001 of 1000"},
};
#undef AT
/* clang-format on */

static enum rc count_sites(struct study_draft *d, struct config_issues *issues, struct error *err)
{
    struct count_words w = {0};
    int digits = 2;
    config_bind(d->sites, study_count_keys, STUDY_COUNT_KEYS, &w, issues);
    if (w.count == 0) {
        return RC_OK; /* said */
    }
    for (size_t top = 100; top <= w.count; top *= 10) {
        digits++;
    }
    struct study_site *site = calloc(w.count, sizeof *site);
    if (site == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu sites", w.count);
    }
    for (size_t i = 0; i < w.count; i++) {
        (void)snprintf(site[i].name, sizeof site[i].name, "%s%0*zu", w.prefix, digits, i + 1);
        site[i].nominal = w.nominal;
        site[i].line = d->sites->line;
    }
    d->study.site = site;
    d->study.n_sites = w.count;
    if (!study_is_name(site[0].name)) {
        config_issue(issues, config_get(d->sites, "prefix"),
                     "prefix: '%s' begins no name; begin with a letter or digit, then also . _ -",
                     w.prefix);
    }
    return RC_OK;
}

enum rc study_read_sites(struct study_draft *d, struct config_issues *issues, struct error *err)
{
    const struct config_node *list = d->sites;
    if (list->kind == CONFIG_MAP) {
        return count_sites(d, issues, err);
    }
    if (list->kind != CONFIG_LIST || list->n == 0 || list->n > STUDY_SITES_MAX) {
        config_issue(issues, list, "sites: must be a list of 1 to %d sites, or {count, nominal}",
                     (int)STUDY_SITES_MAX);
        return RC_OK;
    }
    struct study_site *site = calloc(list->n, sizeof *site);
    if (site == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu sites", list->n);
    }
    for (size_t i = 0; i < list->n; i++) {
        struct site_words w;
        memset(&w, 0, sizeof w);
        config_bind(&list->at[i], study_site_keys, STUDY_SITE_KEYS, &w, issues);
        if (w.lacks != NULL) {
            read_lacks(&d->study.model, w.lacks, &w.site.lacks, issues);
        }
        if (w.key[0] != '\0') {
            read_key(&list->at[i], w.key, &w.site, issues);
        }
        w.site.line = list->at[i].line;
        site[i] = w.site;
    }
    d->study.site = site;
    d->study.n_sites = list->n;
    return RC_OK;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void check_names(const struct study_draft *d, struct config_issues *issues)
{
    const struct study *s = &d->study;
    for (size_t i = 0; i < s->n_sites; i++) {
        const struct config_node *name = config_get(&d->sites->at[i], "name");
        if (name == NULL || s->site[i].name[0] == '\0') {
            if (name != NULL && name->kind == CONFIG_SCALAR && name->quoted &&
                name->text[0] == '\0') {
                config_issue(issues, name, "name: is empty");
            }
            continue;
        }
        if (!study_is_name(s->site[i].name)) {
            config_issue(issues, name,
                         "name: '%s' is no name; begin with a letter or digit, then also . _ -",
                         s->site[i].name);
        }
        const size_t first = study_find_site(s, s->site[i].name);
        if (first < i) {
            config_issue(issues, name, "name: '%s' is already the name of the site on line %zu",
                         s->site[i].name, d->sites->at[first].line);
        }
    }
}

/* An encoder that few sites train is, in a sum over these sites, nearly one site's update. */
static void check_lacks(const struct study_draft *d, struct config_issues *issues)
{
    const struct study *s = &d->study;
    for (size_t k = 0; k < s->model.n_lacked; k++) {
        size_t have = 0;
        const struct config_node *last = d->sites;
        for (size_t i = 0; i < s->n_sites; i++) {
            have += !study_lacks(s, i, k);
            last = study_lacks(s, i, k) ? config_get(&d->sites->at[i], "lacks") : last;
        }
        if (s->model.width == 0) {
            config_issue(issues, last, "lacks: has a meaning only with name: multimodal");
        } else if (have == 0) {
            config_issue(issues, last,
                         "lacks: no site has '%s'; take it out of the cohort.yaml that the study "
                         "is made with",
                         s->model.lacked[k]);
        } else if (s->min_sites > 0 && have < s->min_sites) {
            config_issue(issues, last,
                         "lacks: leaves '%s' to %zu of the sites, which are promised at least %zu "
                         "in every sum (min_sites)",
                         s->model.lacked[k], have, s->min_sites);
        }
    }
}

/* Who pastes keys means to mask; without the word each update would be seen by itself. */
static void check_keys(const struct study_draft *d, struct config_issues *issues)
{
    const struct study *s = &d->study;
    size_t i = 0;
    while (i < s->n_sites && !s->site[i].keyed) {
        i++;
    }
    if (!d->settled && !s->masked && i < s->n_sites) {
        config_issue(issues, config_get(&d->sites->at[i], "key"),
                     "key: has a meaning only with masked: true, and without it the coordinator "
                     "sees each site's update; write that, or leave out the keys");
    }
}

void study_check_sites(const struct study_draft *d, struct config_issues *issues)
{
    if (d->study.n_sites > 0 && d->sites->kind == CONFIG_LIST) {
        check_names(d, issues);
    }
    if (d->study.n_sites > 0 && d->sites->kind == CONFIG_LIST) {
        check_lacks(d, issues);
        check_keys(d, issues);
    }
}
