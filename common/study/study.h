/**
 * @file study.h
 * The study document: everything that coordinator and hospitals agree on before the first round,
 * and all of it public. What the ledger charges, what the model is and who may contribute follows
 * from these numbers alone.
 *
 * See configs/studies/heart.yaml for the format, line by line.
 */
#ifndef COMMON_STUDY_STUDY_H
#define COMMON_STUDY_STUDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/config/config.h"

enum {
    STUDY_NAME_MAX = 64,
    STUDY_SITES_MAX = 1024,
    STUDY_MASKED_MAX = 128, /**< sites of a study with masked sums and without neighbours */
    STUDY_ROUNDS_MAX = 1000000,
    STUDY_HIDDEN_MAX = 4,
    STUDY_BLOCKS_MAX =
        8, /**< modalities that some site lacks, or blocks of a model that are frozen */
    STUDY_PATH_MAX = 512 /**< with NUL */
};

enum study_noise { STUDY_NOISE_NONE, STUDY_NOISE_SITE, STUDY_NOISE_SHARED };
enum study_optimiser { STUDY_SGD, STUDY_ADAM, STUDY_ADAMW };
enum study_schedule { STUDY_CONSTANT, STUDY_COSINE };
enum study_server { STUDY_FEDAVG, STUDY_FEDADAM, STUDY_FEDAVGM, STUDY_FEDYOGI };
/** What `additive` gives points for beside the table and the levels of courses: bits of a set. */
enum study_points {
    STUDY_POINTS_SHAPE = 1,     /**< of series on a grid: rise and swing */
    STUDY_POINTS_CONTRASTS = 2, /**< of images, at four sizes of detail */
    STUDY_POINTS_WORDS = 4      /**< of notes: each word, or what `ngrams` makes of them */
};
/** The numbers of the model that a round sends: as they are, or each in 16 bits (common/broadcast). */
enum study_broadcast { STUDY_FLOAT32, STUDY_FLOAT16 };
enum study_combine { STUDY_MEAN, STUDY_MEDIAN, STUDY_TRIMMED_MEAN };

/** The model, as its registry in common/model reads it. */
struct study_model {
    char name[STUDY_NAME_MAX]; /**< "logistic", "mlp", "multimodal", "additive" */
    size_t n_hidden;
    size_t hidden[STUDY_HIDDEN_MAX]; /**< widths, mlp only */
    size_t embedding;                /**< width of a categorical's embedding, mlp only */
    char activation[16];             /**< relu, gelu, tanh */
    bool layer_norm;
    bool site_norm; /**< gains and shifts of normalisations stay at the site */
    size_t adapter; /**< bottleneck of the per-site residual adapter; 0 = none */
    /* multimodal only; else empty and 0 */
    char fusion[24];                                  /**< by name: common/model/fusion */
    char missing[8];                                  /**< skip, token, zero */
    char table[16], series[16], image[16], notes[16]; /**< encoders: common/model/modality.h */
    size_t width, heads, layers;      /**< of vectors; of what attends; of encoders */
    double dropout, modality_dropout; /**< rates in [0, 1), while training */
    size_t shift;                     /**< pixels that an image moves by, at most, while training */
    char primary
        [STUDY_NAME_MAX];   /**< asymmetric: a modality, "table": the features; "": the first */
    char branch_weights[8]; /**< tri_branch: "equal" or "learned" */
    size_t points;          /**< additive: set of enum study_points */
    /** Parameters of which the name is one of these, or begins with it and a point, are not trained. */
    size_t n_frozen;
    char frozen[STUDY_BLOCKS_MAX][STUDY_NAME_MAX];
    /** Modalities that some site lacks: the bits of study_site.lacks. */
    size_t n_lacked;
    char lacked[STUDY_BLOCKS_MAX][STUDY_NAME_MAX];
};

/** Neighbouring numbers [first, end) of the shared parameters: the encoder of a modality. */
struct study_span {
    size_t first, end;
};

/** Optimiser of a site's local steps; step size is `rate`, under the schedule. */
struct study_local {
    enum study_optimiser optimiser;
    enum study_schedule schedule; /**< of the rate, over all steps of the study */
    double rate;
    double momentum;              /**< SGD */
    double beta1, beta2, epsilon; /**< Adam, AdamW */
    double weight_decay;          /**< AdamW: share of a weight that a step of rate 1 takes off */
    double rate_floor;            /**< COSINE: share of `rate` that it tends to */
    double proximal;              /**< mu of FedProx (Li et al. 2020); 0: none */
    size_t warmup_steps;          /**< the rate grows to `rate` in so many steps */
    size_t steps;                 /**< noised steps in a round */
    size_t physical_batch;
};

struct study_server_rule {
    enum study_server rule;
    enum study_combine
        combine; /**< how the sites' updates become the one that the rule is fed with */
    double rate;
    double beta1, beta2, epsilon; /**< FedAdam, FedYogi (Reddi et al. 2021, Alg. 2; its tau) */
    double momentum;              /**< FedAvgM */
    size_t trim;                  /**< TRIMMED_MEAN: sites cut off at each end */
    bool average_iterates;        /**< the final model is a mean of rounds' models */
    size_t average_from;          /**< of all from this round on; 0 without average_iterates */
};

struct study_privacy {
    enum study_noise noise;
    double epsilon; /**< target per site; INFINITY with noise none */
    double delta;
    double clip;             /**< C: bound on one patient's gradient norm */
    double sample_rate;      /**< q: each patient joins a step with this probability */
    double noise_multiplier; /**< sigma; solved by study_plan, 0 without noise. Not a key. */
};

/**
 * What the document leaves to the planning rule (common/accountant/planning.h): sample_rate, rounds
 * and with them sigma. All zero: nothing, the document states them.
 */
struct study_wish {
    double passes;      /**< of all steps over a site's data; 0: no wish */
    size_t steps_least; /**< what optimisation needs */
    size_t rounds_most; /**< the key `rounds`; study.rounds is what was chosen */
};

/**
 * One hospital of the roster. `nominal` is a public planning number, never a count.
 *
 * Where a site lacks a modality no gradient of its patients reaches that modality's encoder; its steps
 * there are noise alone. So it has no weight in these numbers: it sends zeros, and the mean there is
 * over the contributors that have the modality, by their nominal sizes. If none has it, they stay.
 */
struct study_site {
    char name[STUDY_NAME_MAX];
    size_t nominal;
    uint64_t lacks; /**< bit k: it has nothing of model.lacked[k] */
    bool keyed;
    unsigned char key[32]; /**< masked studies between programs: Ed25519, as on the site's card */
    size_t line;           /**< of the document, for an error's place; not in study_hash */
};

/**
 * What the model of round 0 is taken from: a public checkpoint, a safetensors file of the coordinator's.
 * Sites need no file: they are sent the model before round 1, and compare its hash.
 */
struct study_start {
    bool there;
    size_t line; /**< of the document, for an error's place; not in study_hash */
    struct hash
        numbers; /**< of the numbers that are taken, in the model's order: model_start_hash */
    size_t n_fresh;
    char fresh[STUDY_BLOCKS_MAX][STUDY_NAME_MAX]; /**< blocks that begin as without a checkpoint, as
                                                       study_model.frozen names them */
    char file[STUDY_PATH_MAX]; /**< the coordinator's, from the working folder; "" at a site. Not in
                                    study_hash: what counts is what is in it. */
};

/** Plain data after study_open; `site` is owned and freed by study_release. */
struct study {
    char name[STUDY_NAME_MAX];
    struct study_model model;
    struct study_local local;
    struct study_server_rule server;
    struct study_privacy privacy;
    struct study_wish wish; /**< not in study_hash: what came of it is */
    uint64_t seed;          /**< public: initial weights; sampling only without noise */
    size_t rounds;
    size_t quorum;    /**< least number of contributors of a valid round */
    size_t min_sites; /**< promised to the sites; their policies have floors */
    size_t max_colluding;
    size_t
        threshold; /**< masked: stated least number of sites that open a sum; 0: study_threshold */
    size_t
        neighbours; /**< masked: sites that each one draws to hold its shares; 0: all hold all's */
    size_t neighbour_threshold; /**< of them open a secret; 0 without neighbours */
    enum study_broadcast broadcast;
    bool masked; /**< only the sum of a round can be read (common/mask) */
    size_t
        sites_per_round; /**< drawn for each round from the seed (aggregator/round); 0: all are in each */
    size_t spare_rounds;  /**< masked: so many rounds may be lost; sigma is for them, too */
    size_t fraction_bits; /**< the public grid of updates is 2^-fraction_bits */
    double held_out;      /**< share of each site's patients that are never trained on; 0: none */
    int64_t join_deadline_ms, round_deadline_ms;
    size_t n_sites;
    struct study_site *site; /**< [n_sites], in document order */
    struct study_start start;
    char cohort[STUDY_PATH_MAX]; /**< the coordinator's own cohort.yaml, from the document's folder,
                                      or "": where the features to sign are read. Not agreed on by
                                      itself, hence not in study_hash. */
};

/**
 * Reads and checks the document. All problems at once: see config_print_issues. `issues` borrows the
 * path. Where the file is not even YAML, `issues` stays as it was and err->text has the place.
 * @retval RC_INVALID at least one issue (the first is in err); out is untouched
 * @retval RC_IO, RC_FORMAT, RC_LIMIT as config_open; RC_NOMEM
 */
RC study_open(const char *path, struct study *out, struct config_issues *issues, struct error *err);
/** The same from memory: `name` stands for the path. */
RC study_parse(const char *name, const char *text, size_t n, struct study *out,
               struct config_issues *issues, struct error *err);
/** The same from a map inside another file (the simulator's configs); only issues found here count
 *  against it. */
RC study_read(const struct config_node *map, struct study *out, struct config_issues *issues,
              struct error *err);
/** Deep copy, for overrides. @retval RC_NOMEM */
RC study_copy(const struct study *from, struct study *out, struct error *err);
/** Idempotent. */
void study_release(struct study *s);

/** What is solved and not written, as it travels beside a document: see study_parse_chosen. */
struct study_choice {
    double sigma;
    bool planned; /**< the document leaves these two to the rule; else they are 0 */
    double sample_rate;
    size_t rounds;
};

/**
 * Reads a document as study_parse, but solves nothing: what somebody else chose is checked and taken.
 * Two machines whose maths libraries differ in the last digit must not end up with two studies. With
 * a wish, the steps must be among those that the rule compares and the rate must be exactly what the
 * rule gives at these steps (neither needs more than one division); which of them is best is not
 * asked again. For sigma see study_take_sigma.
 * @retval RC_FORMAT  a plan for a document that has no wish, or none for one that has
 * @retval RC_INVALID a problem of the document, or a choice that breaks it; out is untouched
 */
RC study_parse_chosen(const char *name, const char *text, size_t n,
                      const struct study_choice *choice, struct study *out,
                      struct config_issues *issues, struct error *err);
/** Of a study that has been planned. */
struct study_choice study_choice_of(const struct study *s);

/**
 * Solves noise_multiplier from (epsilon, delta, sample_rate, steps) by the accountant; 0 without
 * noise. With a wish it chooses sample_rate and rounds, too; without noise these become what the rule
 * tends to as epsilon grows: the fewest steps. study_open and study_read call it; call it again after
 * changing one of these.
 * @retval RC_INVALID epsilon and noise contradict each other, a number is out of range, or masked sums or
 *                    shared noise are not possible so
 * @retval RC_LIMIT   no noise reaches the target
 */
RC study_plan(struct study *s, struct error *err);

/**
 * Do the study's masks and shared noise fit the rest of it? A reader has checked that; for a study that was
 * changed since. Solves nothing. @retval RC_INVALID no, and why
 */
RC study_check_masking(const struct study *s, struct error *err);

/**
 * Replaces the solved noise_multiplier by one that somebody else solved: two machines whose maths
 * libraries differ in the last digit must not end up with two studies. Compared exactly, as the
 * ledger does: more noise than needed is fine, the least bit less is not.
 * @retval RC_INVALID it costs more than the stated epsilon, or is none where noise was agreed on, or
 *                    is not 0 without noise; `s` is untouched
 */
RC study_take_sigma(struct study *s, double sigma, struct error *err);

/** Noised steps of one site over the whole study: rounds x local steps. */
size_t study_steps(const struct study *s);
/** The largest number that a round can have: rounds and spare rounds. */
size_t study_rounds_most(const struct study *s);
/** Noised steps that a site may have to pay for: study_rounds_most x local steps. */
size_t study_steps_most(const struct study *s);
/**
 * The rate of a step: of the site, or with shared noise of the coordinator. A function of what is public,
 * the study and the number of the step, so that a site that missed rounds, or began again, is where all
 * others are.
 *
 *   k = (round - 1) steps + step        from 0;  T = rounds x steps of the study, W its warm-up
 *   k < W     rate (k + 1) / W                                             (Goyal et al. 2017, 2.2)
 *   constant  rate
 *   cosine    rate (f + (1 - f) (1 + cos(pi (k - W) / (T - W))) / 2)       (Loshchilov, Hutter 2017, eq. 5)
 *
 * The last step is one before the cosine's end: at the end itself the rate is `rate f`, and with f = 0
 * a step that the budget has paid for would move nothing. A masked study that has lost rounds has steps
 * beyond T; they have the last one's rate.
 * @param round from 1  @param step from 0, below local.steps
 */
double study_rate(const struct study *s, uint64_t round, size_t step);
/** Sum of nominal sizes. */
size_t study_nominal_total(const struct study *s);
/** Weight of a site in the mean: nominal / sum of nominals. */
double study_weight(const struct study *s, size_t site);
/** Does the site lack modality model.lacked[block]? */
bool study_lacks(const struct study *s, size_t site, size_t block);
/** Masked: how many of the whole roster open a sum: the least t with 2t > n + max_colluding, or
 *  `threshold` if that is more. Of fewer members it is mask_threshold's. */
size_t study_threshold(const struct study *s);
/**
 * Noise multiplier that a reader of the model faces. The study's own holds against the coordinator with
 * max_colluding sites; with shared noise whoever sees only models has the noise of all min_sites against
 * him, sqrt(min_sites / (min_sites - max_colluding)) as much. Not so where sites have parameters of their
 * own: these carry the study's, and the sums that follow depend on them.
 */
double study_reader_sigma(const struct study *s);
/**
 * Shared noise: a site's part of a round is whole multiples of clip 2^-bits, in the ring mod 2^32, where
 * bits is a function of public numbers: at most 20, and small enough that the sum of all sites, noise
 * included, leaves the ring with a chance below 2^-100 a number (docs/PRIVACY.md). It counts on
 * sqrt(P) 2^-bits <= 1 of P trained numbers.
 * @return 0: no grid is both coarse enough for the ring and fine enough for the noise
 */
size_t study_share_bits(const struct study *s);
/** What each number of a site's clipped sum is cut to, in units of clip, before the noise: 2 q nominal +
 *  32, far above what a sample reaches. */
double study_share_most(const struct study *s, size_t site);
/** Of the noise of a sum: one site's part of its deviation, 1 / sqrt(min_sites - max_colluding). */
double study_share_of_noise(const struct study *s);
/**
 * Is this patient kept out of training, for evaluations? By a hash of the patient's id alone: the same
 * patients in every round, after every import and in every study of that share; those of a smaller share are
 * among those of a larger one.
 * @param patient as a dataset has it
 */
bool study_holds_out(const struct study *s, const struct hash *patient);
/** Index on the roster, or n_sites. */
size_t study_find_site(const struct study *s, const char *name);
/** The first site whose signing key is that of `site`, as of a card pasted twice: itself, if all is well. */
size_t study_key_first(const struct study *s, size_t site);

/**
 * What both ends compare: every field above but `cohort`, `start.file` and `wish`, in a fixed order, sigma
 * included, and the cohort schema's hash.
 */
struct hash study_hash(const struct study *s, const struct hash *schema);

const char *study_noise_name(enum study_noise noise);

/** Every key of the document with type, range, default and help, as Markdown tables. */
void study_print_reference(FILE *to);

#endif
