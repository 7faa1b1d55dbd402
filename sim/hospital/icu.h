/**
 * @file icu.h
 * Multimodal virtual hospitals: intensive-care patients with a table, a course of 48 hours, a chest
 * film and a note, all drawn from one causal model whose best possible AUROC is known. The model, its
 * equations and the reason of each number are in README.md.
 *
 * A world is written as files in the formats that common/cohort imports, and the simulator imports
 * those very bytes: there is no second path from a patient to a number. Same (params, seed), same
 * bytes; a hospital's files are the same whether it is written alone or with the others.
 */
#ifndef SIM_HOSPITAL_ICU_H
#define SIM_HOSPITAL_ICU_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"
#include "common/schema/schema.h"
#include "sim/hospital/hospital.h"

/** What a patient may have. The table is always there. */
enum icu_modality { ICU_TABLE, ICU_COURSE, ICU_FILM, ICU_NOTE, ICU_MODALITIES };

/** Knobs of a world; what they share with hospital_params means the same there. Plain data. */
struct icu_params {
    struct hospital_params base;
    double no_film, no_note,
        several;           /**< shares of patients that lack a film, a note, two of all */
    double pattern_spread; /**< sd over hospitals of the logs of those shares */
    double film_age_h;     /**< mean hours from film to prediction */
    double scanner_gain;   /**< sd over hospitals of the log of contrast */
    double scanner_noise;  /**< mean noise of a pixel, as a part of white */
    double scanner_blur;   /**< mean blur in pixels of a 32-pixel film */
    double style;          /**< 0: all write alike; 1: a hospital has its own words */
    double unit_mixups;    /**< share of hospitals whose urea and bilirubin are in other units */
    size_t film_side;      /**< pixels: 32 or 64 */
};

struct icu_params icu_params_default(void);

/**
 * Reads a `generate:` map with `kind: icu`.
 * @retval RC_INVALID problems were added to `issues`; `out` is untouched
 */
RC icu_params_read(const struct config_node *map, struct icu_params *out,
                   struct config_issues *issues, struct error *err);
/** Key, range, default and reason of each knob, as Markdown. */
void icu_params_print(FILE *to);

/** Where the files of a world go, and how many rows each got. What is not wanted is NULL. */
struct icu_files {
    FILE *patients; /**< CSV: id, site, features, label */
    FILE *course;   /**< long CSV */
    FILE *film;     /**< bytes, side x side a film, one after the other */
    FILE *film_ids; /**< one a line, in the order of the films */
    FILE *notes;    /**< CSV: id, hours, text */
    size_t n_patients, n_courses, n_films, n_notes;
};

/**
 * Writes hospitals `from` … `to`-1, each file with one header. Whoever opened the files asks them for
 * errors. @retval RC_NOMEM
 */
RC icu_write(const struct icu_params *p, uint64_t seed, size_t from, size_t to,
             struct icu_files *files, struct error *err);

/** The cohort.yaml of files in `folder`s (each with a slash at its end, or ""): `n` hospitals'.
 *  @param lacks [n] bits (1 << modality) of what nobody in a folder has */
void icu_write_cohort(FILE *to, const struct icu_params *p, const char *const *folder,
                      const unsigned *lacks, size_t n);

/**
 * The world as the simulator sees it: written to memory, imported from there.
 * @param[out] schema schema_release when done @param[out] out dataset_close when done
 */
RC icu_generate(const struct icu_params *p, uint64_t seed, struct schema *schema,
                struct dataset **out, struct error *err);

/**
 * The world as folders for real agents: `folder`/hospital-01/{cohort.yaml, patients.csv, course.csv,
 * films.u8, films.csv, notes.csv}, and `folder`/cohort.yaml over all of them, where they are few
 * enough for one (SCHEMA_FILES_MAX). The folder is there already.
 * @retval RC_STATE a file is there already: nothing is overwritten; @retval RC_IO
 */
RC icu_write_folders(const struct icu_params *p, uint64_t seed, const char *folder,
                     struct error *err);

/** Names and public sizes. @param[out] site [p->base.hospitals] */
void icu_roster(const struct icu_params *p, uint64_t seed, struct hospital_site *site);

/** The best that any model can do, as AUROC over patients of all hospitals. */
struct icu_ceiling {
    double alone[ICU_MODALITIES]; /**< every patient has this one, and nothing else is looked at */
    double all;                   /**< every patient has all four */
    double without[ICU_MODALITIES]; /**< every patient has the other three */
    double recorded;                /**< each patient has what the world gives him */
    double latent;                  /**< whoever sees the patient's true state */
};

/**
 * Monte Carlo over `n` patients of this world: AUROC of P(death | what a set of modalities says about
 * the patient's state, and the hospital). No sampling of labels: the expectation over them is exact.
 * @retval RC_INVALID n < 2 or too many; @retval RC_NOMEM
 */
RC icu_bayes(const struct icu_params *p, uint64_t seed, size_t n, struct icu_ceiling *out,
             struct error *err);

#endif
