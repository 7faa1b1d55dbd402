#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/neighbours/neighbours.h"
#include "common/study/draft_internal.h"
#include "common/study/study.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- the tables: key, place, bounds, default, help --------------------------------------------- */

static const char *const models[] = {"logistic", "mlp", "multimodal", "additive", NULL};
static const char *const activations[] = {"relu", "gelu", "tanh", NULL};
static const char *const fusions[] = {
    "attention",  "concat",  "projected",    "gate", "gmu",        "gmu_heads", "cross_attention",
    "asymmetric", "medfuse", "hierarchical", "late", "tri_branch", NULL};
static const char *const missings[] = {"skip", "token", "zero", NULL};
static const char *const branch_weights[] = {"equal", "learned", NULL};
static const char *const tables[] = {"mlp", "transformer", NULL};
static const char *const series[] = {"gru", "lstm", "cnn", "transformer", "summary", NULL};
static const char *const images[] = {"cnn", "vit", NULL};
static const char *const notes[] = {"bag", "transformer", NULL};
static const char *const points[] = {"shape", "contrasts", "words", NULL};
static const char *const optimisers[] = {
    [STUDY_SGD] = "sgd", [STUDY_ADAM] = "adam", [STUDY_ADAMW] = "adamw", NULL};
static const char *const schedules[] = {
    [STUDY_CONSTANT] = "constant", [STUDY_COSINE] = "cosine", NULL};
static const char *const rules[] = {[STUDY_FEDAVG] = "fedavg",
                                    [STUDY_FEDADAM] = "fedadam",
                                    [STUDY_FEDAVGM] = "fedavgm",
                                    [STUDY_FEDYOGI] = "fedyogi",
                                    NULL};
static const char *const combines[] = {
    [STUDY_MEAN] = "mean", [STUDY_MEDIAN] = "median", [STUDY_TRIMMED_MEAN] = "trimmed_mean", NULL};
static const char *const broadcasts[] = {
    [STUDY_FLOAT32] = "float32", [STUDY_FLOAT16] = "float16", NULL};
static const char *const noises[] = {[STUDY_NOISE_NONE] = "none",
                                     [STUDY_NOISE_SITE] = "site",
                                     [STUDY_NOISE_SHARED] = "shared",
                                     NULL};

static_assert(sizeof(enum study_noise) == sizeof(int), "a choice is written as an int");
static_assert(sizeof(enum study_optimiser) == sizeof(int), "a choice is written as an int");
static_assert(sizeof(enum study_schedule) == sizeof(int), "a choice is written as an int");
static_assert(sizeof(enum study_broadcast) == sizeof(int), "a choice is written as an int");
static_assert(sizeof(enum study_combine) == sizeof(int), "a choice is written as an int");
static_assert(sizeof(enum study_server) == sizeof(int), "a choice is written as an int");

/* Names that the model's map gives as choices and struct study_model keeps as text. */
struct model_words {
    struct study_model m;
    int name, activation, fusion, missing, table, series, image, notes, branch_weights;
    const struct config_node *hidden, *frozen, *points;
};

/* clang-format off */
#define AT(field) offsetof(struct study_draft, field)
static const struct config_key study_keys[] = {
    {.name = "study", .type = CONFIG_TEXT, .offset = AT(study.name), .size = STUDY_NAME_MAX,
     .help = "name of the study: letters, digits, `.`, `_`, `-`"},
    {.name = "seed", .type = CONFIG_U64, .offset = AT(study.seed), .fallback = "1",
     .help = "public: initial weights; sampling only without noise"},
    {.name = "rounds", .type = CONFIG_COUNT, .offset = AT(study.rounds), .min = 1, .max = STUDY_ROUNDS_MAX,
     .help = "training rounds; with `passes` the most that may be planned"},
    {.name = "quorum", .type = CONFIG_COUNT, .offset = AT(study.quorum), .min = 1, .max = STUDY_SITES_MAX,
     .help = "least number of contributors of a valid round"},
    {.name = "min_sites", .type = CONFIG_COUNT, .offset = AT(study.min_sites), .min = 1, .max = STUDY_SITES_MAX,
     .help = "promise to the sites: never fewer than this many in one sum"},
    {.name = "max_colluding", .type = CONFIG_COUNT, .offset = AT(study.max_colluding), .max = STUDY_SITES_MAX,
     .fallback = "0", .help = "how many sites may share what they know and the others still be safe"},
    {.name = "sites_per_round", .type = CONFIG_COUNT, .offset = AT(study.sites_per_round), .max = STUDY_SITES_MAX,
     .fallback = "0", .help = "so many sites, drawn from `seed`, train in a round, the others rest; 0 is all. Noise is planned as if each site were in every round"},
    {.name = "broadcast", .type = CONFIG_CHOICE, .offset = AT(study.broadcast), .choices = broadcasts,
     .fallback = "float32", .help = "numbers of the model that a round sends; with float16 sites train on rounded ones, and half as much goes down"},
    {.name = "masked", .type = CONFIG_BOOL, .offset = AT(study.masked), .fallback = "false",
     .help = "the coordinator reads nothing but the sum of a round's updates; 3 sites at least, above 128 with `neighbours`"},
    {.name = "spare_rounds", .type = CONFIG_COUNT, .offset = AT(study.spare_rounds), .max = STUDY_ROUNDS_MAX,
     .fallback = "0", .help = "masked: so many rounds may be lost before the study fails; each is paid for beforehand"},
    {.name = "threshold", .type = CONFIG_COUNT, .offset = AT(study.threshold), .max = STUDY_SITES_MAX,
     .fallback = "0", .help = "masked: sites that must agree to open a sum, if more than half of all and max_colluding"},
    {.name = "neighbours", .type = CONFIG_COUNT, .offset = AT(study.neighbours), .max = NEIGHBOURS_EACH_MAX,
     .fallback = "0", .help = "masked, above 128 sites: how many others each site draws to hold its shares"},
    {.name = "neighbour_threshold", .type = CONFIG_COUNT, .offset = AT(study.neighbour_threshold), .max = NEIGHBOURS_EACH_MAX,
     .fallback = "0", .help = "masked, with `neighbours`: how many of them open a secret"},
    {.name = "held_out", .type = CONFIG_REAL, .offset = AT(study.held_out), .max = 0.5, .fallback = "0",
     .help = "share of each site's patients that no round is trained on, so that the finished model can be evaluated on them; nominal sizes are then of the others"},
    {.name = "join_deadline_s", .type = CONFIG_COUNT, .offset = AT(join_deadline_s), .min = 1, .max = 2592000,
     .fallback = "600", .help = "seconds that sites have to accept the study"},
    {.name = "round_deadline_s", .type = CONFIG_COUNT, .offset = AT(round_deadline_s), .min = 1, .max = 2592000,
     .fallback = "600", .help = "seconds that sites have for one round"},
    {.name = "cohort", .type = CONFIG_TEXT, .offset = AT(study.cohort), .size = STUDY_PATH_MAX, .fallback = "",
     .help = "coordinator: path of a cohort.yaml, from this file's folder, that says which features the model reads"},
    {.name = "start", .type = CONFIG_NODE, .offset = AT(start), .fallback = "",
     .help = "map, see below: the checkpoint that the model begins from"},
    {.name = "model", .type = CONFIG_NODE, .offset = AT(model), .help = "map, see below"},
    {.name = "local", .type = CONFIG_NODE, .offset = AT(local), .help = "map, see below"},
    {.name = "server", .type = CONFIG_NODE, .offset = AT(server), .fallback = "", .help = "map, see below"},
    {.name = "privacy", .type = CONFIG_NODE, .offset = AT(privacy), .help = "map, see below"},
    {.name = "update", .type = CONFIG_NODE, .offset = AT(update), .fallback = "", .help = "map, see below"},
    {.name = "sites", .type = CONFIG_NODE, .offset = AT(sites), .help = "list of maps, or one map that counts, see below"},
};
#undef AT

#define AT(field) offsetof(struct model_words, field)
static const struct config_key model_keys[] = {
    {.name = "name", .type = CONFIG_CHOICE, .offset = AT(name), .choices = models,
     .help = "which model"},
    {.name = "hidden", .type = CONFIG_NODE, .offset = AT(hidden), .fallback = "",
     .help = "mlp, required there: list of 1 to 4 layer widths, each from 1 to 4096"},
    {.name = "embedding", .type = CONFIG_COUNT, .offset = AT(m.embedding), .min = 1, .max = 256,
     .fallback = "4", .help = "mlp: width of a category's embedding"},
    {.name = "activation", .type = CONFIG_CHOICE, .offset = AT(activation), .choices = activations,
     .fallback = "relu", .help = "mlp: after each hidden layer"},
    {.name = "layer_norm", .type = CONFIG_BOOL, .offset = AT(m.layer_norm), .fallback = "false",
     .help = "mlp: normalise each hidden layer within the patient"},
    {.name = "site_norm", .type = CONFIG_BOOL, .offset = AT(m.site_norm), .fallback = "false",
     .help = "mlp with layer_norm, multimodal: gains and shifts of normalisations are each site's own and stay there"},
    {.name = "adapter", .type = CONFIG_COUNT, .offset = AT(m.adapter), .max = 1024, .fallback = "0",
     .help = "mlp, multimodal: bottleneck of the adapter that stays at the site, multimodal: of one after each encoder; 0 is none"},
    {.name = "fusion", .type = CONFIG_CHOICE, .offset = AT(fusion), .choices = fusions, .fallback = "attention",
     .help = "multimodal: how a patient's modalities become one; cross_attention and asymmetric look at positions: steps of series, cells of images, with `transformer` words and features"},
    {.name = "missing", .type = CONFIG_CHOICE, .offset = AT(missing), .choices = missings, .fallback = "skip",
     .help = "multimodal: what stands for a modality that a patient lacks: nothing, a learned token, zeros"},
    {.name = "table", .type = CONFIG_CHOICE, .offset = AT(table), .choices = tables, .fallback = "mlp",
     .help = "multimodal: encoder of the features"},
    {.name = "series", .type = CONFIG_CHOICE, .offset = AT(series), .choices = series, .fallback = "gru",
     .help = "multimodal: encoder of series; those that come as events: transformer"},
    {.name = "image", .type = CONFIG_CHOICE, .offset = AT(image), .choices = images, .fallback = "cnn",
     .help = "multimodal: encoder of images"},
    {.name = "notes", .type = CONFIG_CHOICE, .offset = AT(notes), .choices = notes, .fallback = "bag",
     .help = "multimodal: encoder of notes"},
    {.name = "width", .type = CONFIG_COUNT, .offset = AT(m.width), .min = 4, .max = 1024, .fallback = "64",
     .help = "multimodal: numbers in the vector of a modality, and of what is fused"},
    {.name = "heads", .type = CONFIG_COUNT, .offset = AT(m.heads), .min = 1, .max = 16, .fallback = "4",
     .help = "multimodal: heads of what attends; divides `width`"},
    {.name = "layers", .type = CONFIG_COUNT, .offset = AT(m.layers), .min = 1, .max = 8, .fallback = "1",
     .help = "multimodal: layers of recurrent encoders and of transformers"},
    {.name = "dropout", .type = CONFIG_REAL, .offset = AT(m.dropout), .max = 0.9, .fallback = "0",
     .help = "multimodal: share of numbers dropped while training"},
    {.name = "modality_dropout", .type = CONFIG_REAL, .offset = AT(m.modality_dropout), .max = 0.9, .fallback = "0",
     .help = "multimodal: chance of each modality to be dropped while training; never all that a patient has"},
    {.name = "shift", .type = CONFIG_COUNT, .offset = AT(m.shift), .max = 64, .fallback = "0",
     .help = "multimodal: pixels by which an image may move, each way, while training; drawn for each patient and step"},
    {.name = "primary", .type = CONFIG_TEXT, .offset = AT(m.primary), .size = STUDY_NAME_MAX, .fallback = "",
     .help = "fusion asymmetric: the modality that looks at all others, and they at it alone; `table` is the features, the default the cohort's first modality"},
    {.name = "branch_weights", .type = CONFIG_CHOICE, .offset = AT(branch_weights), .choices = branch_weights,
     .fallback = "equal", .help = "fusion tri_branch: shares of the branches in the average; learned ones are trained like all parameters"},
    {.name = "points", .type = CONFIG_NODE, .offset = AT(points), .fallback = "",
     .help = "additive: list of what else has points: `shape` of series on a grid (rise, and swing about it), `contrasts` of images at four sizes of detail, `words` of notes"},
    {.name = "frozen", .type = CONFIG_NODE, .offset = AT(frozen), .fallback = "",
     .help = "list of blocks, by the names of their parameters, that stay as they begin: no training, no noise, zeros in updates"},
};
#undef AT

#define AT(field) offsetof(struct study_local, field)
static const struct config_key local_keys[] = {
    {.name = "optimiser", .type = CONFIG_CHOICE, .offset = AT(optimiser), .choices = optimisers,
     .fallback = "sgd", .help = "of the steps at a site"},
    {.name = "rate", .type = CONFIG_REAL, .offset = AT(rate), .min = 1e-9, .max = 1e3,
     .help = "step size at a site"},
    {.name = "momentum", .type = CONFIG_REAL, .offset = AT(momentum), .max = 0.9999, .fallback = "0",
     .help = "sgd: share of the last step that is kept"},
    {.name = "beta1", .type = CONFIG_REAL, .offset = AT(beta1), .max = 0.9999, .fallback = "0.9",
     .help = "adam, adamw: decay of the mean"},
    {.name = "beta2", .type = CONFIG_REAL, .offset = AT(beta2), .max = 0.999999, .fallback = "0.999",
     .help = "adam, adamw: decay of the mean square"},
    {.name = "epsilon", .type = CONFIG_REAL, .offset = AT(epsilon), .min = 1e-15, .max = 1,
     .fallback = "1e-8", .help = "adam, adamw: added to the root of the mean square"},
    {.name = "weight_decay", .type = CONFIG_REAL, .offset = AT(weight_decay), .max = 10, .fallback = "0.01",
     .help = "adamw: a step takes off `rate` times this share of each weight; not of biases, gains and shifts"},
    {.name = "schedule", .type = CONFIG_CHOICE, .offset = AT(schedule), .choices = schedules, .fallback = "constant",
     .help = "of the rate, over all steps of the study, after the warm-up"},
    {.name = "rate_floor", .type = CONFIG_REAL, .offset = AT(rate_floor), .max = 1, .fallback = "0",
     .help = "cosine: share of `rate` that it falls towards"},
    {.name = "warmup_steps", .type = CONFIG_COUNT, .offset = AT(warmup_steps), .max = 1000000, .fallback = "0",
     .help = "the first steps of the study, in which the rate grows to `rate`"},
    {.name = "proximal", .type = CONFIG_REAL, .offset = AT(proximal), .max = 1e3, .fallback = "0",
     .help = "mu of FedProx: pull towards the global model; added after the noise, needs several steps in a round"},
    {.name = "steps", .type = CONFIG_COUNT, .offset = AT(steps), .min = 1, .max = 100000, .fallback = "1",
     .help = "noised steps in a round; the budget pays for rounds x steps"},
    {.name = "physical_batch", .type = CONFIG_COUNT, .offset = AT(physical_batch), .min = 1, .max = 256,
     .fallback = "256", .help = "patients in memory at once; changes no result"},
};
#undef AT

#define AT(field) offsetof(struct study_server_rule, field)
static const struct config_key server_keys[] = {
    {.name = "rule", .type = CONFIG_CHOICE, .offset = AT(rule), .choices = rules, .fallback = "fedavg",
     .help = "how the mean update moves the global model"},
    {.name = "rate", .type = CONFIG_REAL, .offset = AT(rate), .min = 1e-9, .max = 1e3, .fallback = "1",
     .help = "step size at the coordinator"},
    {.name = "beta1", .type = CONFIG_REAL, .offset = AT(beta1), .max = 0.9999, .fallback = "0.9",
     .help = "fedadam, fedyogi: decay of the mean"},
    {.name = "beta2", .type = CONFIG_REAL, .offset = AT(beta2), .max = 0.999999, .fallback = "0.99",
     .help = "fedadam, fedyogi: decay of the mean square"},
    {.name = "epsilon", .type = CONFIG_REAL, .offset = AT(epsilon), .min = 1e-15, .max = 1,
     .fallback = "1e-3", .help = "fedadam, fedyogi: tau of Reddi et al. 2021, added to the root"},
    {.name = "momentum", .type = CONFIG_REAL, .offset = AT(momentum), .max = 0.9999, .fallback = "0.9",
     .help = "fedavgm: share of the last step that is kept"},
    {.name = "combine", .type = CONFIG_CHOICE, .offset = AT(combine), .choices = combines, .fallback = "mean",
     .help = "of the sites' updates: the weighted mean; or of each number the median or the trimmed mean, where every site counts the same"},
    {.name = "trim", .type = CONFIG_COUNT, .offset = AT(trim), .min = 1, .max = STUDY_SITES_MAX, .fallback = "1",
     .help = "trimmed_mean: sites whose values are cut off at each end"},
    {.name = "average_iterates", .type = CONFIG_BOOL, .offset = AT(average_iterates), .fallback = "false",
     .help = "the final model is the mean of all rounds' models, or of those from `average_from` on"},
    {.name = "average_from", .type = CONFIG_COUNT, .offset = AT(average_from), .min = 1, .max = STUDY_ROUNDS_MAX,
     .fallback = "1", .help = "average_iterates: the first round of the mean; what a network was in its early rounds spoils it"},
};
#undef AT

#define AT(field) offsetof(struct study, field)
static const struct config_key privacy_keys[] = {
    {.name = "noise", .type = CONFIG_CHOICE, .offset = AT(privacy.noise), .choices = noises,
     .help = "who adds it"},
    {.name = "epsilon", .type = CONFIG_REAL, .offset = AT(privacy.epsilon), .max = (double)INFINITY,
     .help = "what the whole study may cost a patient at a site; inf only with noise: none"},
    {.name = "delta", .type = CONFIG_REAL, .offset = AT(privacy.delta), .max = 1, .fallback = "0",
     .help = "chance that epsilon does not hold, above 0 and below 1; required with noise"},
    {.name = "clip", .type = CONFIG_REAL, .offset = AT(privacy.clip), .min = 1e-6, .max = 1e6,
     .help = "largest norm of one patient's gradient"},
    {.name = "sample_rate", .type = CONFIG_REAL, .offset = AT(privacy.sample_rate), .min = 1e-6, .max = 1,
     .fallback = "1", .help = "chance of each patient to join a step"},
    {.name = "passes", .type = CONFIG_REAL, .offset = AT(wish.passes), .max = 1e6, .fallback = "0",
     .help = "instead of `sample_rate`: how often all steps together may go over a site's data, from 0.01; rate, rounds (at most `rounds`) and noise are then planned"},
    {.name = "steps_least", .type = CONFIG_COUNT, .offset = AT(wish.steps_least), .min = 1, .max = 1e6,
     .fallback = "20", .help = "with `passes`: fewest steps that train the model; some 20 if it is convex"},
};
#undef AT

#define AT(field) offsetof(struct study, field)
static const struct config_key update_keys[] = {
    {.name = "fraction_bits", .type = CONFIG_COUNT, .offset = AT(fraction_bits), .min = STUDY_FRACTION_BITS_LEAST, .max = 30,
     .fallback = "24", .help = "updates are whole multiples of 2^-fraction_bits"},
};
#undef AT

/* clang-format on */

void study_print_reference(FILE *to)
{
    static const struct config_part part[] = {
        {"The study", study_keys, COUNT(study_keys)},
        {"`start`: a public checkpoint", study_start_keys, STUDY_START_KEYS},
        {"`model`", model_keys, COUNT(model_keys)},
        {"`local`: the steps at a site", local_keys, COUNT(local_keys)},
        {"`server`: the coordinator's step", server_keys, COUNT(server_keys)},
        {"`privacy`", privacy_keys, COUNT(privacy_keys)},
        {"`update`", update_keys, COUNT(update_keys)},
        {"`sites`: each item", study_site_keys, STUDY_SITE_KEYS},
        {"`sites`: sites that differ in nothing", study_count_keys, STUDY_COUNT_KEYS},
    };
    config_print_parts(part, COUNT(part), to);
}

const char *study_noise_name(enum study_noise noise)
{
    return (unsigned)noise < COUNT(noises) - 1 ? noises[noise] : "?";
}

/* ---- reading ----------------------------------------------------------------------------------- */

static void read_hidden(const struct config_node *list, struct study_model *m,
                        struct config_issues *issues)
{
    if (list->kind != CONFIG_LIST || list->n == 0 || list->n > STUDY_HIDDEN_MAX) {
        config_issue(issues, list, "hidden: must be a list of 1 to %d widths, as in [32, 16]",
                     (int)STUDY_HIDDEN_MAX);
        return;
    }
    m->n_hidden = list->n;
    for (size_t i = 0; i < list->n; i++) {
        if (config_as_count(&list->at[i], &m->hidden[i], issues) &&
            (m->hidden[i] < 1 || m->hidden[i] > 4096)) {
            config_issue(issues, &list->at[i], "hidden: is %zu, must be from 1 to 4096",
                         m->hidden[i]);
        }
    }
}

/* The names as a set of bits, in the order of the enum. */
static size_t read_points(const struct config_node *list, struct config_issues *issues)
{
    char name[STUDY_BLOCKS_MAX][STUDY_NAME_MAX];
    const size_t n = study_read_names(list, "points", name, issues);
    size_t set = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (points[k] != NULL && strcmp(points[k], name[i]) != 0) {
            k++;
        }
        if (points[k] == NULL) {
            config_issue(issues, list, "points: '%s' is none of shape, contrasts, words", name[i]);
        } else {
            set |= (size_t)1 << k;
        }
    }
    return set;
}

static void read_model(struct study_draft *d, struct config_issues *issues)
{
    struct model_words w;
    memset(&w, 0, sizeof w);
    config_bind(d->model, model_keys, COUNT(model_keys), &w, issues);
    (void)snprintf(w.m.name, sizeof w.m.name, "%s", models[w.name]);
    (void)snprintf(w.m.activation, sizeof w.m.activation, "%s", activations[w.activation]);
    if (w.hidden != NULL) {
        read_hidden(w.hidden, &w.m, issues);
    }
    if (w.frozen != NULL) {
        w.m.n_frozen = study_read_names(w.frozen, "frozen", w.m.frozen, issues);
    }
    if (w.points != NULL) {
        w.m.points = read_points(w.points, issues);
    }
    if (strcmp(w.m.name, "multimodal") == 0) {
        (void)snprintf(w.m.fusion, sizeof w.m.fusion, "%s", fusions[w.fusion]);
        (void)snprintf(w.m.missing, sizeof w.m.missing, "%s", missings[w.missing]);
        (void)snprintf(w.m.table, sizeof w.m.table, "%s", tables[w.table]);
        (void)snprintf(w.m.series, sizeof w.m.series, "%s", series[w.series]);
        (void)snprintf(w.m.image, sizeof w.m.image, "%s", images[w.image]);
        (void)snprintf(w.m.notes, sizeof w.m.notes, "%s", notes[w.notes]);
        if (strcmp(w.m.fusion, "tri_branch") == 0) {
            (void)snprintf(w.m.branch_weights, sizeof w.m.branch_weights, "%s",
                           branch_weights[w.branch_weights]);
        }
    } else { /* the defaults are a multimodal model's */
        w.m.width = w.m.heads = w.m.layers = 0;
        w.m.dropout = w.m.modality_dropout = 0.0;
    }
    if (strcmp(w.m.name, "logistic") == 0 || strcmp(w.m.name, "additive") == 0) {
        w.m.embedding = 0; /* the default is of models that embed */
    }
    d->study.model = w.m;
    d->hidden = w.hidden;
}

/* A default of what the optimiser does not use is no part of the study. */
static void read_local(struct study_draft *d, struct config_issues *issues)
{
    struct study_local *l = &d->study.local;
    config_bind(d->local, local_keys, COUNT(local_keys), l, issues);
    l->weight_decay = l->optimiser == STUDY_ADAMW ? l->weight_decay : 0.0;
}

static void read_server(struct study_draft *d, struct config_issues *issues)
{
    struct study_server_rule *r = &d->study.server;
    config_bind(d->server, server_keys, COUNT(server_keys), r, issues);
    r->momentum = r->rule == STUDY_FEDAVGM ? r->momentum : 0.0;
    r->trim = r->combine == STUDY_TRIMMED_MEAN ? r->trim : 0;
    r->average_from = r->average_iterates ? r->average_from : 0;
}

/* The solved noise is part of the study; a target out of reach is a problem of the file. */
static enum rc plan(struct study_draft *d, struct config_issues *issues, struct error *err)
{
    struct error why;
    const enum rc rc = study_plan(&d->study, &why);
    if (rc == RC_INVALID || rc == RC_LIMIT || rc == RC_NUMERIC) {
        config_issue(issues, config_get(d->privacy, "epsilon"), "%s", why.text);
        return RC_OK;
    }
    if (rc != RC_OK) {
        *err = why;
    }
    return rc;
}

/* steps_least is a default where nothing was wished for. */
static void take_wish(struct study_draft *d)
{
    if (d->study.wish.passes > 0.0) {
        d->study.wish.rounds_most = d->study.rounds;
    } else {
        d->study.wish = (struct study_wish){0};
    }
}

/* @param choice NULL: solved here */
static enum rc read_and_plan(const struct config_node *map, const struct study_choice *choice,
                             struct study *out, struct config_issues *issues, struct error *err)
{
    const size_t before = issues->n;
    struct study_draft d;
    enum rc rc = RC_OK;

    memset(&d, 0, sizeof d);
    d.map = map;
    d.settled = choice != NULL;
    config_bind(map, study_keys, COUNT(study_keys), &d, issues);
    d.study.join_deadline_ms = (int64_t)d.join_deadline_s * 1000;
    d.study.round_deadline_ms = (int64_t)d.round_deadline_s * 1000;
    if (d.model != NULL) {
        read_model(&d, issues);
    }
    if (d.start != NULL) {
        study_read_start(d.start, &d.study.start, issues);
    }
    if (d.local != NULL) {
        read_local(&d, issues);
    }
    read_server(&d, issues);
    if (d.privacy != NULL) {
        config_bind(d.privacy, privacy_keys, COUNT(privacy_keys), &d.study, issues);
        take_wish(&d);
    }
    config_bind(d.update, update_keys, COUNT(update_keys), &d.study, issues);
    if (d.sites != NULL) {
        rc = study_read_sites(&d, issues, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    study_check(&d, issues);
    if (issues->n == before) {
        rc = choice == NULL ? plan(&d, issues, err) : study_take_choice(&d.study, choice, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    if (issues->n != before) {
        rc = config_verdict(issues, err);
        goto out;
    }
    *out = d.study;
    d.study.site = NULL; /* ownership moved */
out:
    study_release(&d.study);
    return rc;
}

enum rc study_read(const struct config_node *map, struct study *out, struct config_issues *issues,
                   struct error *err)
{
    return read_and_plan(map, NULL, out, issues, err);
}

enum rc study_open(const char *path, struct study *out, struct config_issues *issues,
                   struct error *err)
{
    struct config_doc *doc = NULL;
    enum rc rc = config_open(path, &doc, err);
    if (rc != RC_OK) {
        goto out;
    }
    issues->path = path;
    rc = study_read(config_root(doc), out, issues, err);
out:
    config_close(&doc);
    return rc;
}

static enum rc parse(const char *name, const char *text, size_t n,
                     const struct study_choice *choice, struct study *out,
                     struct config_issues *issues, struct error *err)
{
    struct config_doc *doc = NULL;
    enum rc rc = config_parse(name, text, n, &doc, err);
    if (rc != RC_OK) {
        goto out;
    }
    issues->path = name;
    rc = read_and_plan(config_root(doc), choice, out, issues, err);
out:
    config_close(&doc);
    return rc;
}

enum rc study_parse(const char *name, const char *text, size_t n, struct study *out,
                    struct config_issues *issues, struct error *err)
{
    return parse(name, text, n, NULL, out, issues, err);
}

enum rc study_parse_chosen(const char *name, const char *text, size_t n,
                           const struct study_choice *choice, struct study *out,
                           struct config_issues *issues, struct error *err)
{
    return parse(name, text, n, choice, out, issues, err);
}
