/* The map `attacks:`. */
#include <math.h>
#include <stddef.h>

#include "sim/attack/attack.h"

struct draft {
    struct attack_params p;
    const struct config_node *epsilons;
};

/* clang-format off */
#define AT(field) offsetof(struct draft, field)
static const struct config_key keys[] = {
    {.name = "epsilons", .type = CONFIG_NODE, .offset = AT(epsilons), .fallback = "",
     .help = "list; those of the grid"},
    {.name = "references", .type = CONFIG_COUNT, .offset = AT(p.references), .min = 4, .max = 4096, .fallback = "16",
     .help = "runs without noise that ordinary patients are compared with, shared by all epsilons"},
    {.name = "patients", .type = CONFIG_COUNT, .offset = AT(p.patients), .min = 1, .max = 1024, .fallback = "16",
     .help = "ordinary subjects of a site: each is in a run by a coin of 1/2"},
    {.name = "canaries", .type = CONFIG_COUNT, .offset = AT(p.canaries), .min = 1, .max = 256, .fallback = "1",
     .help = "records made to be noticed, of a site in one run; many are cheap, few are found better"},
    {.name = "trials", .type = CONFIG_COUNT, .offset = AT(p.trials), .min = 20, .max = 10000000, .fallback = "2000",
     .help = "coins of each kind of subject at each epsilon, at least; from 10000 on TPR at FPR 0.1 %, too"},
    {.name = "known_others", .type = CONFIG_BOOL, .offset = AT(p.known_others), .fallback = "true",
     .help = "under noise, too, a coordinator's attacker knows everybody but the subjects (1/q steps a step)"},
    {.name = "inversions", .type = CONFIG_COUNT, .offset = AT(p.inversions), .min = 0, .max = 100000, .fallback = "500",
     .help = "updates of a patient alone that are turned back into a record, to be named among 100"},
};
#undef AT
/* clang-format on */
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void read_epsilons(const struct config_node *list, struct attack_params *p,
                          struct config_issues *issues)
{
    if (list == NULL) {
        return;
    }
    if (list->kind != CONFIG_LIST || list->n == 0 || list->n > ATTACK_EPSILONS_MAX) {
        config_issue(issues, list, "'epsilons' is a list of 1 to %d", ATTACK_EPSILONS_MAX);
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        const bool number = config_as_real(&list->at[i], &p->epsilon[i], issues);
        bool before = false; /* 1 and 1.0 are the same attack */
        for (size_t k = 0; number && k < i; k++) {
            before = before || !(p->epsilon[k] < p->epsilon[i] || p->epsilon[k] > p->epsilon[i]);
        }
        if (number && !(p->epsilon[i] > 0.0)) {
            config_issue(issues, &list->at[i], "an epsilon is above 0, or inf");
        } else if (before) {
            config_issue(issues, &list->at[i], "'%s' is in the list twice", list->at[i].text);
        }
        p->n_epsilons = i + 1;
    }
}

struct attack_params attack_params_default(void)
{
    static const struct config_node empty = {.kind = CONFIG_MAP};
    struct config_issues issues = {0};
    struct draft d = {0};
    config_bind(&empty, keys, COUNT(keys), &d, &issues);
    return d.p;
}

enum rc attack_params_read(const struct config_node *map, struct attack_params *out,
                           struct config_issues *issues, struct error *err)
{
    const size_t before = issues->n;
    struct draft d = {0};
    config_bind(map, keys, COUNT(keys), &d, issues);
    read_epsilons(d.epsilons, &d.p, issues);
    if (issues->n > before) {
        return config_verdict(issues, err);
    }
    *out = d.p;
    return RC_OK;
}

void attack_params_print(FILE *to)
{
    config_print_reference(keys, COUNT(keys), to);
}
