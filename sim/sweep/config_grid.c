/* The map `tradeoff:`, or the one cell of `run`, and what the command line says over it. */
#include <math.h>
#include <string.h>

#include "sim/sweep/config_internal.h"

struct grid_draft {
    const struct config_node *modes, *epsilons, *seeds, *ablations, *sites, *noises;
    int noise;
    double delta;
    size_t curves;
};

static const char *const noises[] = {"none", "site", "shared", NULL};
static const char *const modes[] = {"pooled", "federated", "local_only"};

/* clang-format off */
#define AT(field) offsetof(struct grid_draft, field)
static const struct config_key grid_keys[] = {
    {.name = "modes", .type = CONFIG_NODE, .offset = AT(modes), .help = "list of pooled, federated, local_only"},
    {.name = "epsilons", .type = CONFIG_NODE, .offset = AT(epsilons), .help = "list; inf is without noise"},
    {.name = "seeds", .type = CONFIG_NODE, .offset = AT(seeds), .help = "list"},
    {.name = "noise", .type = CONFIG_CHOICE, .offset = AT(noise), .choices = noises, .fallback = "site",
     .help = "of the finite epsilons; shared: one site's in the sum of all, of a study with `masked`; a site alone and the pool add their own. Or a list of these two"},
    {.name = "delta", .type = CONFIG_REAL, .offset = AT(delta), .min = 0, .max = 0.5, .fallback = "0",
     .help = "of the finite epsilons, which need one above 0"},
    {.name = "curves", .type = CONFIG_COUNT, .offset = AT(curves), .min = 0, .max = SWEEP_CURVES_MAX, .fallback = "0",
     .help = "points of learning curves: so often, evenly spaced, those tested are scored while a model is trained; 0: never"},
    {.name = "ablations", .type = CONFIG_NODE, .offset = AT(ablations), .fallback = "",
     .help = "list of maps {name, model, without, without_sites}: the study with something changed or left out"},
    {.name = "sites", .type = CONFIG_NODE, .offset = AT(sites), .fallback = "",
     .help = "list of numbers: the study with so many sites, the first of its list; the others' patients are tested by their model"},
};
/* Instead of the row of the same name, where the value is a list. */
static const struct config_key noise_list_key =
    {.name = "noise", .type = CONFIG_NODE, .offset = AT(noises),
     .help = "list of site, shared: the federation with either"};
#undef AT
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

void sweep_config_print_grid(FILE *to)
{
    static const struct config_part part = {"`tradeoff`", grid_keys, COUNT(grid_keys)};
    config_print_parts(&part, 1, to);
}

static void one_noise(struct sweep *s, enum study_noise noise)
{
    s->n_noises = 1;
    s->noise[0] = noise;
}

static bool list_fits(const struct config_node *list, const char *what,
                      struct config_issues *issues)
{
    if (list == NULL) {
        return false; /* already an issue */
    }
    if (list->kind != CONFIG_LIST || list->n == 0 || list->n > SWEEP_LIST_MAX) {
        config_issue(issues, list, "'%s' is a list of 1 to %d", what, SWEEP_LIST_MAX);
        return false;
    }
    return true;
}

/* A row that is there twice would be counted as two observations. */
#define TWICE "'%s' is in the list twice"

static bool said_before(const struct config_node *list, size_t i, struct config_issues *issues)
{
    for (size_t k = 0; list->at[i].kind == CONFIG_SCALAR && k < i; k++) {
        if (list->at[k].kind == CONFIG_SCALAR && strcmp(list->at[k].text, list->at[i].text) == 0) {
            config_issue(issues, &list->at[i], TWICE, list->at[i].text);
            return true;
        }
    }
    return false;
}

static void read_modes(const struct config_node *list, struct sweep *s,
                       struct config_issues *issues)
{
    for (size_t i = 0; list_fits(list, "modes", issues) && i < list->n; i++) {
        bool found = said_before(list, i, issues);
        for (size_t m = 0; !found && list->at[i].kind == CONFIG_SCALAR && m < COUNT(modes); m++) {
            if (strcmp(list->at[i].text, modes[m]) == 0) {
                s->mode[s->n_modes++] = (enum sweep_mode)m;
                found = true;
            }
        }
        if (!found) {
            config_issue(issues, &list->at[i], "a mode is pooled, federated or local_only");
        }
    }
}

static void read_noises(const struct config_node *list, struct sweep *s,
                        struct config_issues *issues)
{
    s->n_noises = 0;
    for (size_t i = 0; list_fits(list, "noise", issues) && i < list->n; i++) {
        const bool word = list->at[i].kind == CONFIG_SCALAR;
        const bool site = word && strcmp(list->at[i].text, "site") == 0;
        const bool shared = word && strcmp(list->at[i].text, "shared") == 0;
        if (!site && !shared) {
            config_issue(issues, &list->at[i],
                         "a list of noise has site and shared; without noise is the epsilon inf");
        } else if (!said_before(list, i, issues)) {
            s->noise[s->n_noises++] = site ? STUDY_NOISE_SITE : STUDY_NOISE_SHARED;
        }
    }
}

/* By its value: 2 and 2.0 are one row. */
static void read_epsilons(const struct config_node *list, struct sweep *s,
                          struct config_issues *issues)
{
    for (size_t i = 0; list_fits(list, "epsilons", issues) && i < list->n; i++) {
        const bool number = config_as_real(&list->at[i], &s->epsilon[i], issues);
        bool before = false;
        for (size_t k = 0; number && k < i; k++) {
            before = before || !(s->epsilon[k] < s->epsilon[i] || s->epsilon[k] > s->epsilon[i]);
        }
        if (number && !(s->epsilon[i] > 0.0)) {
            config_issue(issues, &list->at[i], "an epsilon is above 0, or inf");
        } else if (before) {
            config_issue(issues, &list->at[i], TWICE, list->at[i].text);
        }
        s->n_epsilons = i + 1;
    }
}

struct sweep_changes sweep_config_grid(const struct config_node *map, struct sweep *s,
                                       struct config_issues *issues)
{
    struct grid_draft g = {0};
    struct config_key table[COUNT(grid_keys)];
    const struct config_node *noise = config_get(map, "noise");
    memcpy(table, grid_keys, sizeof grid_keys);
    sweep_config_instead(table, COUNT(table), &noise_list_key,
                         noise != NULL && noise->kind == CONFIG_LIST);
    config_bind(map, table, COUNT(table), &g, issues);
    read_modes(g.modes, s, issues);
    read_epsilons(g.epsilons, s, issues);
    for (size_t i = 0; list_fits(g.seeds, "seeds", issues) && i < g.seeds->n; i++) {
        size_t seed = 0;
        (void)config_as_count(&g.seeds->at[i], &seed, issues);
        (void)said_before(g.seeds, i, issues);
        s->seed[i] = seed;
        s->n_seeds = i + 1;
    }
    one_noise(s, (enum study_noise)g.noise);
    if (g.noises != NULL) {
        read_noises(g.noises, s, issues);
    }
    s->delta = g.delta;
    s->curves = g.curves;
    return (struct sweep_changes){.ablations = g.ablations, .sites = g.sites};
}

void sweep_config_cell(struct sweep *s, uint64_t seed)
{
    const struct study_privacy *p = &s->study.privacy;
    s->n_modes = s->n_epsilons = s->n_seeds = 1;
    s->curves = 0;
    s->mode[0] = SWEEP_FEDERATED;
    s->epsilon[0] = p->noise == STUDY_NOISE_NONE ? HUGE_VAL : p->epsilon;
    s->seed[0] = seed;
    one_noise(s, p->noise);
    s->delta = p->delta > 0.0 ? p->delta : s->delta; /* that of the grid, for --epsilon alone */
}

enum rc sweep_config_override(struct sweep *s, const struct sweep_overrides *o, struct error *err)
{
    if (o->has_noise) {
        one_noise(s, o->noise);
    }
    if (o->has_epsilon) {
        s->n_epsilons = 1;
        s->epsilon[0] = o->epsilon;
        if (isfinite(o->epsilon) && !o->has_noise && s->noise[0] == STUDY_NOISE_NONE) {
            one_noise(s, STUDY_NOISE_SITE);
        }
    }
    if (o->has_delta) {
        s->delta = o->delta;
    }
    if (o->has_seed) {
        s->n_seeds = 1;
        s->seed[0] = o->seed;
    }
    s->jobs = o->has_jobs ? o->jobs : 1;
    s->ledgers = o->ledgers != NULL ? o->ledgers : "";

    bool finite = false;
    for (size_t i = 0; i < s->n_epsilons; i++) {
        finite = finite || isfinite(s->epsilon[i]);
    }
    if (o->has_noise && o->noise == STUDY_NOISE_NONE && finite) {
        return error_set(err, RC_INVALID,
                         "a finite epsilon needs noise: leave --noise none out, or say --epsilon "
                         "inf");
    }
    if (o->has_noise && o->noise != STUDY_NOISE_NONE && !finite) {
        return error_set(err, RC_INVALID, "--noise %s needs a finite --epsilon",
                         study_noise_name(o->noise));
    }
    if (finite && !(s->delta > 0.0 && s->delta <= 0.5)) {
        return error_set(err, RC_INVALID,
                         "a finite epsilon needs a delta above 0 and up to 0.5: say delta: under "
                         "tradeoff:, or --delta, such as 1e-5");
    }
    return RC_OK;
}
