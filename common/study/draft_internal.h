/**
 * @file draft_internal.h
 * A study while it is being read: the fields so far, and where in the file they stand, so that a
 * rule between two fields can point at one of them.
 */
#ifndef COMMON_STUDY_DRAFT_INTERNAL_H
#define COMMON_STUDY_DRAFT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/study/study.h"

struct study_draft {
    struct study study;
    size_t join_deadline_s, round_deadline_s;
    const struct config_node *map; /* the whole document */
    const struct config_node *start;
    const struct config_node *model, *local, *server, *privacy, *update, *sites;
    const struct config_node *hidden;
    bool settled; /* signed already: what only its author can mend is not asked again */
};

/** A list of different short names into name[STUDY_BLOCKS_MAX]. @return how many were read */
size_t study_read_names(const struct config_node *list, const char *key,
                        char name[STUDY_BLOCKS_MAX][STUDY_NAME_MAX], struct config_issues *issues);

/** The checkpoint that the model begins from (start.c). */
enum { STUDY_START_KEYS = 3 };
extern const struct config_key study_start_keys[STUDY_START_KEYS];
void study_read_start(const struct config_node *map, struct study_start *out,
                      struct config_issues *issues);

/** The roster (sites.c): keys of an item, reading, rules. */
enum { STUDY_SITE_KEYS = 4, STUDY_COUNT_KEYS = 3 };
extern const struct config_key study_count_keys[STUDY_COUNT_KEYS];
extern const struct config_key study_site_keys[STUDY_SITE_KEYS];
/** @retval RC_NOMEM */
RC study_read_sites(struct study_draft *d, struct config_issues *issues, struct error *err);
void study_check_sites(const struct study_draft *d, struct config_issues *issues);

/** Masked sums and shared noise (masking.c). Where a fault is: a map of the document and its key. */
enum study_section { STUDY_TOP, STUDY_LOCAL, STUDY_SERVER, STUDY_PRIVACY };
enum { STUDY_MASKING_FAULTS = 10 };
struct study_fault {
    enum study_section section;
    const char *key;
    char text[256];
};
/** @return how many; a number that was not read is 0 and breaks no rule */
size_t study_masking_faults(const struct study *s, struct study_fault out[STUDY_MASKING_FAULTS]);

enum { STUDY_FRACTION_BITS_LEAST = 8 };
/** Of a sum's noise, that the ring has room for: a normal is beyond with a chance of 2^-146. */
#define STUDY_RING_DEVIATIONS 14.0

/** Once sigma is known: can a round's noise be sent and added up (ring.c)? @retval RC_LIMIT no */
RC study_check_ring(const struct study *s, struct error *err);

/** Every rule between fields; rules within one field were the tables' (read.c). */
void study_check(const struct study_draft *d, struct config_issues *issues);

/**
 * sample_rate, rounds and sigma by the planning rule, for a study with a wish (choice.c).
 * @retval RC_INVALID, RC_LIMIT as planning_choose; `s` is untouched
 */
RC study_choose(struct study *s, struct error *err);
/** The same without noise, if there is a wish. */
void study_choose_without_noise(struct study *s);
/** Checks and takes what somebody else chose. */
RC study_take_choice(struct study *s, const struct study_choice *choice, struct error *err);
/** Steps of the shortest plan: steps_least in whole rounds. */
size_t study_wish_least(const struct study *s);

/** May name a study or a site: a file's and a log's word, [A-Za-z0-9][A-Za-z0-9._-]*. */
bool study_is_name(const char *text);

#endif
