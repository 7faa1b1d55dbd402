/**
 * @file overview.h
 * What a coordinator's folder holds, gathered for `status` and `models`: enrolled cards, studies,
 * and what each site of a study has said.
 */
#ifndef AGGREGATOR_APP_OVERVIEW_H
#define AGGREGATOR_APP_OVERVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/app/folder.h"
#include "aggregator/registry/registry.h"
#include "common/agreement/agreement.h"
#include "common/base/error.h"

struct overview_card {
    struct seal_card card;
    int64_t enrolled_ms, revoked_ms; /**< revoked_ms 0: not revoked */
};

/** One site of a study. */
struct overview_site {
    char name[SEAL_NAME_MAX]; /**< "site 2" where no agreement is read */
    enum round_member member;
    char said[240];       /**< why it declined */
    enum round_part part; /**< of the open round, if there is one */
    bool contributed;     /**< to the newest finished round, or to the round that failed */
    char absence[240];    /**< why not */
    bool revoked;         /**< its card; of a study that has ended: it was so at the end */
};

struct overview_study {
    struct registry_study study;
    char refused[240];      /**< why this program does not read its agreement; "": it does */
    size_t quorum;          /**< 0: no agreement is kept, or none that is read */
    uint64_t round_settled; /**< that `contributed` speaks of; 0: no round has ended */
    size_t n_sites;
    struct overview_site *site; /**< [n_sites] */
};

/** Owned; released by overview_release. Zeroed is empty. */
struct overview {
    struct seal_card card; /**< our own */
    size_t n_cards;
    struct overview_card *card_of_site;
    size_t n_studies;
    struct overview_study *study;
};

/** Reads all of it. What sites said is made printable. A study whose agreement is refused, as by a program with
 *  newer rules, is there with the reason. @retval RC_NOMEM, or as the registry */
RC overview_read(const struct folder *f, struct registry *r, struct overview *out,
                 struct error *err);
void overview_release(struct overview *o);

/** The agreement of a study, as this coordinator signed it. @retval RC_STATE none kept */
RC overview_agreement(struct registry *r, const struct seal_card *card, const struct hash *study,
                      struct agreement *out, struct error *err);

bool overview_has_ended(const struct registry_study *study);
const char *overview_state_name(enum registry_study_state state);

#endif
