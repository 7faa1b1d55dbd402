/* The `generate:` map with `kind: icu`: the keys of a table's hospitals, other defaults, and more. */
#include <string.h>

#include "sim/hospital/icu_internal.h"

enum { MEAN_SIZE_DEFAULT = 2000 };

/* What params.c fills in, and what follows it here. */
struct written {
    struct hospital_written shared; /* first: the offsets of its keys are those of the table */
    struct icu_params icu;
    int side;
};

#define AT(field) offsetof(struct written, icu.field)
static const char *const sides[] = {"32", "64", NULL};

/* clang-format off */
static const struct config_key own_keys[] = {
    {.name = "no_image", .type = CONFIG_REAL, .offset = AT(no_film), .max = 1, .fallback = "0.317",
     .help = "share of patients without a film alone; with the next two what is left of 1, .423, is complete: as "
             "surveys of multimodal records find"},
    {.name = "no_notes", .type = CONFIG_REAL, .offset = AT(no_note), .max = 1, .fallback = "0.184",
     .help = "share of patients without a note alone"},
    {.name = "several_missing", .type = CONFIG_REAL, .offset = AT(several), .max = 1, .fallback = "0.076",
     .help = "share of patients who lack two: half film and note, a quarter each course and note, course and film"},
    {.name = "pattern_spread", .type = CONFIG_REAL, .offset = AT(pattern_spread), .max = 3, .fallback = "0.5",
     .help = "spread over hospitals of the logs of those shares: at 0.5 one in six has 1.6 times as many, or more"},
    {.name = "image_age", .type = CONFIG_REAL, .offset = AT(film_age_h), .max = 96, .fallback = "12",
     .help = "mean hours from film to prediction; a film shows the state of then, which is forgotten as "
             "exp(-hours / 72). Once or twice a day is usual"},
    {.name = "scanner_gain", .type = CONFIG_REAL, .offset = AT(scanner_gain), .max = 1, .fallback = "0.15",
     .help = "spread over hospitals of the log of a film's contrast: makers differ by some tens of percent"},
    {.name = "scanner_noise", .type = CONFIG_REAL, .offset = AT(scanner_noise), .max = 0.5, .fallback = "0.03",
     .help = "mean noise of a pixel as a part of white; single hospitals differ by a third. Portable films are grainy"},
    {.name = "scanner_blur", .type = CONFIG_REAL, .offset = AT(scanner_blur), .max = 2, .fallback = "0.5",
     .help = "mean blur, in pixels of a 32-pixel film: the scanner's resolution"},
    {.name = "style", .type = CONFIG_REAL, .offset = AT(style), .max = 1, .fallback = "0.5",
     .help = "how far a hospital keeps to its own words and order in notes; 0: all write alike"},
    {.name = "unit_mixups", .type = CONFIG_REAL, .offset = AT(unit_mixups), .max = 1, .fallback = "0",
     .help = "share of hospitals that deliver urea and bilirubin in SI units unsaid; 0: an error to be asked for"},
    {.name = "image_side", .type = CONFIG_CHOICE, .offset = offsetof(struct written, side), .choices = sides, .fallback = "32",
     .help = "pixels of a film's side: 32 trains on two cores, 64 shows more"},
};
/* clang-format on */

enum { OWN = sizeof own_keys / sizeof own_keys[0], KEYS = HOSPITAL_KEYS + OWN };

static const struct {
    const char *name, *fallback;
} others[] = {
    {"kind", "icu"},      {"prevalence", "0.2"}, {"case_mix", "0.3"},
    {"lab_bias", "0.15"}, {"missing", "0.1"},    {"mean_size", "0"},
};

static void keys_of(struct config_key keys[KEYS])
{
    memcpy(keys, hospital_keys, sizeof hospital_keys);
    memcpy(keys + HOSPITAL_KEYS, own_keys, sizeof own_keys);
    for (size_t k = 0; k < HOSPITAL_KEYS; k++) {
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            if (strcmp(keys[k].name, others[i].name) == 0) {
                keys[k].fallback = others[i].fallback;
            }
        }
    }
}

static void settle(struct written *w)
{
    hospital_settle(&w->shared, MEAN_SIZE_DEFAULT);
    w->icu.base = w->shared.p;
    w->icu.film_side = w->side == 0 ? 32 : 64;
}

struct icu_params icu_params_default(void)
{
    static const struct config_node empty = {.kind = CONFIG_MAP, .line = 1, .column = 1};
    struct config_issues none = {.path = "icu_params_default"};
    struct config_key keys[KEYS];
    struct written w = {0};
    keys_of(keys);
    config_bind(&empty, keys, KEYS, &w, &none);
    settle(&w);
    return w.icu;
}

enum rc icu_params_read(const struct config_node *map, struct icu_params *out,
                        struct config_issues *issues, struct error *err)
{
    const size_t before = issues->n;
    struct config_key keys[KEYS];
    struct written w = {0};
    keys_of(keys);
    config_bind(map, keys, KEYS, &w, issues);
    const bool patients_given = w.shared.p.patients > 0;
    settle(&w);
    if (issues->n == before) {
        hospital_check(map, &w.shared, patients_given, issues);
    }
    if (issues->n == before && w.icu.no_film + w.icu.no_note + w.icu.several > 1.0) {
        config_issue(issues, map,
                     "no_image, no_notes and several_missing are more than 1 together: they are "
                     "shares of all patients");
    }
    if (issues->n > before) {
        return config_verdict(issues, err);
    }
    *out = w.icu;
    return RC_OK;
}

void icu_params_print(FILE *to)
{
    struct config_key keys[KEYS];
    keys_of(keys);
    config_print_reference(keys, KEYS, to);
}
