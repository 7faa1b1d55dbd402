/* Rules between fields. A field that could not be read has been reported already: its rules are
 * skipped, so that one mistake is one line. */
#include <math.h>
#include <string.h>

#include "common/study/draft_internal.h"

static bool is_letter_or_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool study_is_name(const char *text)
{
    if (!is_letter_or_digit(text[0])) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!is_letter_or_digit(*text) && *text != '.' && *text != '_' && *text != '-') {
            return false;
        }
    }
    return true;
}

/* The key's value, or else the map: a place to point at. */
static const struct config_node *at(const struct config_node *map, const char *key)
{
    const struct config_node *node = config_get(map, key);
    return node != NULL ? node : map;
}

/* The key is there and its value is this word. */
static bool says(const struct config_node *map, const char *key, const char *word)
{
    const struct config_node *node = config_get(map, key);
    return node != NULL && node->kind == CONFIG_SCALAR && strcmp(node->text, word) == 0;
}

/* Keys that would be read and then not used: a wish that silently does nothing. */
static void refuse_unused(const struct config_node *map, const char *const *key, size_t n,
                          const char *instead, struct config_issues *issues)
{
    for (size_t i = 0; i < n; i++) {
        if (config_get(map, key[i]) != NULL) {
            config_issue(issues, config_get(map, key[i]), "%s: has a meaning only with %s", key[i],
                         instead);
        }
    }
}

static void check_model(const struct study_draft *d, struct config_issues *issues)
{
    static const char *const of_mlp[] = {"hidden", "activation", "layer_norm"};
    static const char *const of_embedding[] = {"embedding"};
    static const char *const of_norms[] = {"site_norm"};
    static const char *const of_multimodal[] = {
        "fusion", "missing", "table",   "series",           "image", "notes", "width",
        "heads",  "layers",  "dropout", "modality_dropout", "shift"};
    static const char *const of_additive[] = {"points"};
    static const char *const of_asymmetric[] = {"primary"};
    static const char *const of_branches[] = {"branch_weights"};
    if (!says(d->model, "name", "multimodal")) {
        refuse_unused(d->model, of_multimodal, sizeof of_multimodal / sizeof of_multimodal[0],
                      "name: multimodal", issues);
    } else {
        refuse_unused(d->model, of_mlp, 3, "name: mlp", issues);
        if (d->study.model.heads > 0 && d->study.model.width % d->study.model.heads != 0) {
            config_issue(issues, at(d->model, "heads"),
                         "heads: must divide width, and %zu does not divide %zu",
                         d->study.model.heads, d->study.model.width);
        }
    }
    if (!says(d->model, "name", "additive")) {
        refuse_unused(d->model, of_additive, 1, "name: additive", issues);
    }
    if (!says(d->model, "fusion", "asymmetric")) {
        refuse_unused(d->model, of_asymmetric, 1, "fusion: asymmetric", issues);
    }
    if (!says(d->model, "fusion", "tri_branch")) {
        refuse_unused(d->model, of_branches, 1, "fusion: tri_branch", issues);
    }
    if (says(d->model, "name", "mlp") && config_get(d->model, "hidden") == NULL) {
        config_issue(issues, at(d->model, "name"),
                     "missing key 'hidden': an mlp needs the widths of its layers, as in [32, 16]");
    }
    if (!says(d->model, "name", "multimodal") && !d->study.model.layer_norm) {
        refuse_unused(d->model, of_norms, 1, "layer_norm: true or name: multimodal", issues);
    }
    if (says(d->model, "name", "logistic") || says(d->model, "name", "additive")) {
        refuse_unused(d->model, of_mlp, 3, "name: mlp", issues);
        refuse_unused(d->model, of_embedding, 1, "name: mlp or multimodal", issues);
        if (d->study.model.adapter > 0) {
            config_issue(issues, at(d->model, "adapter"),
                         "adapter: %s has no hidden layer for it; use 0, or name: mlp",
                         d->study.model.name);
        }
    }
}

/* Not there, or a count: what was read is what is meant. */
static bool is_count(const struct config_node *map, const char *key)
{
    const struct config_node *node = config_get(map, key);
    size_t value;
    return node == NULL || config_as_count(node, &value, NULL);
}

static const char *const of_adam[] = {"beta1", "beta2", "epsilon"};

static void check_optimiser(const struct study_draft *d, struct config_issues *issues)
{
    static const char *const of_sgd[] = {"momentum"};
    static const char *const of_adamw[] = {"weight_decay"};
    const bool adamw = says(d->local, "optimiser", "adamw");
    const bool adam = says(d->local, "optimiser", "adam");
    const bool sgd =
        config_get(d->local, "optimiser") == NULL || says(d->local, "optimiser", "sgd");
    if (adam || adamw) {
        refuse_unused(d->local, of_sgd, 1, "optimiser: sgd", issues);
    }
    if (sgd) {
        refuse_unused(d->local, of_adam, 3, "optimiser: adam or adamw", issues);
    }
    if (sgd || adam) {
        refuse_unused(d->local, of_adamw, 1, "optimiser: adamw", issues);
    }
}

/* What the rate and the pull towards the global model do in the course of the steps. */
static void check_course(const struct study_draft *d, struct config_issues *issues)
{
    static const char *const of_cosine[] = {"rate_floor"};
    const struct study *s = &d->study;
    if (config_get(d->local, "schedule") == NULL || says(d->local, "schedule", "constant")) {
        refuse_unused(d->local, of_cosine, 1, "schedule: cosine", issues);
    }
    if (!is_count(d->local, "steps") || !is_count(d->local, "warmup_steps") || s->rounds == 0 ||
        s->local.steps == 0) {
        return;
    }
    /* a plan may choose fewer rounds, and at least these steps */
    const bool planned = s->wish.passes > 0.0;
    const size_t steps = planned ? study_wish_least(s) : study_steps(s);
    if (s->local.warmup_steps > 0 && s->local.warmup_steps >= steps) {
        config_issue(issues, at(d->local, "warmup_steps"),
                     "warmup_steps: is %zu, must be below the %zu steps of the %s",
                     s->local.warmup_steps, steps, planned ? "shortest plan" : "study");
    }
    if (s->local.steps == 1 && s->local.proximal > 0.0) {
        config_issue(
            issues, at(d->local, "proximal"),
            "proximal: does nothing where a round has one step; write more steps, or leave "
            "it out");
    }
}

/* The word of a key with a default. */
static const char *word_of(const struct config_node *map, const char *key, const char *otherwise)
{
    const struct config_node *node = config_get(map, key);
    return node == NULL ? otherwise : node->kind == CONFIG_SCALAR ? node->text : "";
}

/* What looks at single updates: there must be some, and enough that some are left. */
static void check_combine(const struct study_draft *d, struct config_issues *issues)
{
    const struct study *s = &d->study;
    const struct config_node *combine = config_get(d->server, "combine");
    const bool trimmed = says(d->server, "combine", "trimmed_mean");
    if (!trimmed && !says(d->server, "combine", "median")) {
        return;
    }
    if (is_count(d->map, "quorum") && s->quorum > 0 && s->quorum < 3) {
        config_issue(
            issues, combine,
            "combine: %s needs 3 sites in every round, and quorum promises only %zu; raise "
            "quorum, or use combine: mean",
            combine->text, s->quorum);
    } else if (trimmed && is_count(d->server, "trim") && s->quorum > 0 &&
               s->server.trim >= (s->quorum + 1) / 2) {
        config_issue(
            issues, at(d->server, "trim"),
            "trim: is %zu at each end, which leaves none of the %zu sites that a round may "
            "have (quorum); at most %zu",
            s->server.trim, s->quorum, (s->quorum - 1) / 2);
    }
}

/* The mean of iterates is of one round at least. */
static void check_average(const struct study_draft *d, struct config_issues *issues)
{
    static const char *const of_average[] = {"average_from"};
    const struct study *s = &d->study;
    const struct config_node *average = config_get(d->server, "average_iterates");
    if (average == NULL || says(d->server, "average_iterates", "false")) {
        refuse_unused(d->server, of_average, 1, "average_iterates: true", issues);
        return;
    }
    if (!is_count(d->server, "average_from") || s->rounds == 0 || s->local.steps == 0) {
        return;
    }
    /* a plan may choose fewer rounds, and at least these */
    const bool planned = s->wish.passes > 0.0;
    const size_t rounds = planned ? study_wish_least(s) / s->local.steps : s->rounds;
    if (s->server.average_from > rounds) {
        config_issue(issues, at(d->server, "average_from"),
                     "average_from: is %zu, must be at most the %zu rounds of the %s",
                     s->server.average_from, rounds, planned ? "shortest plan" : "study");
    }
}

static void check_server(const struct study_draft *d, struct config_issues *issues)
{
    static const char *const of_fedavgm[] = {"momentum"};
    static const char *const of_trimmed[] = {"trim"};
    const char *rule = word_of(d->server, "rule", "fedavg");
    const bool known = strcmp(rule, "fedavg") == 0 || strcmp(rule, "fedavgm") == 0;
    const bool adaptive = strcmp(rule, "fedadam") == 0 || strcmp(rule, "fedyogi") == 0;
    if (known) {
        refuse_unused(d->server, of_adam, 3, "rule: fedadam or fedyogi", issues);
    }
    if (adaptive || strcmp(rule, "fedavg") == 0) {
        refuse_unused(d->server, of_fedavgm, 1, "rule: fedavgm", issues);
    }
    const char *combine = word_of(d->server, "combine", "mean");
    if (strcmp(combine, "mean") == 0 || strcmp(combine, "median") == 0) {
        refuse_unused(d->server, of_trimmed, 1, "combine: trimmed_mean", issues);
    }
    check_combine(d, issues);
    check_average(d, issues);
}

static void check_privacy(const struct study_draft *d, struct config_issues *issues)
{
    double epsilon, delta;
    const struct config_node *e = config_get(d->privacy, "epsilon");
    const struct config_node *x = config_get(d->privacy, "delta");
    const bool has_epsilon = e != NULL && config_as_real(e, &epsilon, NULL);
    const bool has_delta = x != NULL && config_as_real(x, &delta, NULL);
    const bool site = says(d->privacy, "noise", "site");
    const bool shared = says(d->privacy, "noise", "shared");

    if (says(d->privacy, "noise", "none") && has_epsilon && isfinite(epsilon)) {
        config_issue(issues, e,
                     "epsilon: without noise nothing bounds it; write inf, or noise: site");
    }
    if (!site && !shared) {
        return;
    }
    if (has_epsilon && isinf(epsilon) && epsilon > 0) {
        config_issue(issues, e, "epsilon: noise needs a finite one; write it, or noise: none");
    } else if (has_epsilon && !(epsilon < 0) && !(epsilon > 0)) {
        config_issue(issues, e, "epsilon: must be above 0");
    }
    if (x == NULL) {
        config_issue(issues, d->privacy, "missing key 'delta': with noise it must be stated");
    } else if (has_delta && !(delta < 0) && !(delta > 0)) {
        config_issue(issues, x, "delta: must be above 0");
    } else if (has_delta && !(delta < 1) && !(delta > 1)) {
        config_issue(issues, x, "delta: must be below 1");
    }
}

/* A wish for a plan stands alone, and its budget can be kept. */
static void check_wish(const struct study_draft *d, struct config_issues *issues)
{
    static const char *const of_passes[] = {"steps_least"};
    const struct study *s = &d->study;
    const struct config_node *passes = config_get(d->privacy, "passes");
    double value;
    if (passes == NULL) {
        refuse_unused(d->privacy, of_passes, 1, "passes", issues);
        return;
    }
    if (!config_as_real(passes, &value, NULL) || value > 1e6 || value < 0) {
        return;
    }
    if (value < 0.01) {
        config_issue(issues, passes, "passes: is %g, must be from 0.01 to 1000000", value);
        return;
    }
    if (says(d->privacy, "noise", "none")) {
        config_issue(issues, passes,
                     "passes: without noise there is nothing to plan; write sample_rate, or noise: "
                     "site");
        return;
    }
    if (config_get(d->privacy, "sample_rate") != NULL) {
        config_issue(issues, config_get(d->privacy, "sample_rate"),
                     "sample_rate: is chosen by the plan that passes (line %zu) asks for; write "
                     "one of the two",
                     passes->line);
    }
    const bool known = is_count(d->privacy, "steps_least") && is_count(d->local, "steps");
    if (known && s->rounds > 0 && s->local.steps > 0 && s->wish.steps_least > 0 &&
        s->rounds * s->local.steps < study_wish_least(s)) {
        config_issue(issues, at(d->map, "rounds"),
                     "rounds: is %zu, but the shortest plan has %zu steps (steps_least), %zu in a "
                     "round; write at least %zu, or a smaller steps_least",
                     s->rounds, study_wish_least(s), s->local.steps,
                     study_wish_least(s) / s->local.steps);
    }
}

static void check_masking(const struct study_draft *d, struct config_issues *issues)
{
    struct study_fault fault[STUDY_MASKING_FAULTS];
    const struct config_node *const section[] = {[STUDY_TOP] = d->map,
                                                 [STUDY_LOCAL] = d->local,
                                                 [STUDY_SERVER] = d->server,
                                                 [STUDY_PRIVACY] = d->privacy};
    const size_t n = study_masking_faults(&d->study, fault);
    for (size_t i = 0; i < n; i++) {
        config_issue(issues, at(section[fault[i].section], fault[i].key), "%s", fault[i].text);
    }
}

static void check_numbers_of_sites(const struct study_draft *d, struct config_issues *issues)
{
    const struct study *s = &d->study;
    if (s->quorum > 0 && s->quorum < s->min_sites) {
        config_issue(issues, at(d->map, "quorum"),
                     "quorum: is %zu, but the sites are promised at least %zu in every sum "
                     "(min_sites)",
                     s->quorum, s->min_sites);
    }
    if (s->n_sites > 0 && s->quorum > s->n_sites) {
        config_issue(issues, at(d->map, "quorum"), "quorum: is %zu, but there are only %zu sites",
                     s->quorum, s->n_sites);
    }
    if (s->n_sites > 0 && s->min_sites > s->n_sites) {
        config_issue(issues, at(d->map, "min_sites"),
                     "min_sites: is %zu, but there are only %zu sites", s->min_sites, s->n_sites);
    }
    if (s->min_sites > 0 && s->max_colluding >= s->min_sites) {
        config_issue(issues, at(d->map, "max_colluding"),
                     "max_colluding: is %zu, must be below min_sites, which is %zu",
                     s->max_colluding, s->min_sites);
    }
}

/* Who is drawn. With masks the roster of a sum would change each round, and shared noise counts on all. */
static void check_sampling(const struct study_draft *d, struct config_issues *issues)
{
    const struct study *s = &d->study;
    const struct config_node *here = config_get(d->map, "sites_per_round");
    if (s->sites_per_round == 0) {
        return;
    }
    if (s->masked || s->privacy.noise == STUDY_NOISE_SHARED) {
        config_issue(
            issues, here,
            "sites_per_round: with masked sums every site is in every round; leave it out, "
            "or leave out masked and noise: shared");
    } else if (s->n_sites > 0 && s->sites_per_round > s->n_sites) {
        config_issue(issues, here, "sites_per_round: is %zu, but there are only %zu sites",
                     s->sites_per_round, s->n_sites);
    } else if (s->sites_per_round < s->quorum) {
        config_issue(
            issues, here,
            "sites_per_round: is %zu, but a round counts with %zu sites (quorum) or not at "
            "all",
            s->sites_per_round, s->quorum);
    }
}

/* A site compares the first model with the checkpoint, number by number. */
static void check_broadcast(const struct study_draft *d, struct config_issues *issues)
{
    if (d->study.broadcast == STUDY_FLOAT16 && d->start != NULL) {
        config_issue(issues, config_get(d->map, "broadcast"),
                     "broadcast: with float16 no site could tell that the first model is the "
                     "checkpoint of `start`; leave out one of them");
    }
}

void study_check(const struct study_draft *d, struct config_issues *issues)
{
    const struct config_node *name = config_get(d->map, "study");
    if (name != NULL && config_as_text(name, &(const char *){NULL}, NULL) &&
        strlen(name->text) < STUDY_NAME_MAX && !study_is_name(name->text)) {
        config_issue(issues, name,
                     "study: '%s' is no name; begin with a letter or digit, then also . _ -",
                     name->text);
    }
    check_numbers_of_sites(d, issues);
    check_model(d, issues);
    if (d->local != NULL) {
        check_optimiser(d, issues);
        check_course(d, issues);
    }
    check_server(d, issues);
    check_privacy(d, issues);
    check_wish(d, issues);
    check_masking(d, issues);
    check_sampling(d, issues);
    check_broadcast(d, issues);
    study_check_sites(d, issues);
}
