/**
 * @file tracker_internal.h
 * The adversary's notebook: tracker.c writes down what sites do, tracker_closure.c what follows from it,
 * tracker_center.c what an honest coordinator has said.
 */
#ifndef SIM_FAULTS_TRACKER_INTERNAL_H
#define SIM_FAULTS_TRACKER_INTERNAL_H

#include "sim/faults/faults_internal.h"

enum { DRAFTS_MAX = 4 * ROUNDS_MAX * SITES, STREAMS_MAX = SITES };

/* One site's secrets in one attempt. */
struct draft {
    size_t site;
    uint64_t round;
    struct mask_secrets secrets;
    struct mask_point key, box;
    struct hash members;
    bool said, dealt, boxes_tried[SITES];
    struct mask_set shown[2]; /* whose shares of which secret are known */
    bool known[2];
    struct mask_portion portion[SITES];
    struct mask_set receivers; /* of its boxes */
    struct mask_set holders;   /* whom it drew, or everybody */
};

struct stream_use {
    unsigned char key[32];
    bool subtract;
    size_t other; /* SITES: its own mask */
    size_t draft_other;
};

/* One masked update. */
struct masked {
    size_t site, draft;
    uint64_t round;
    bool sent;
    uint32_t x[WORDS], y[WORDS];
    struct stream_use use[STREAMS_MAX];
    size_t n;
};

struct tracker {
    struct draft draft[DRAFTS_MAX];
    struct masked masked[DRAFTS_MAX];
    size_t n_drafts, n_masked; /* from here on small */
    struct {
        bool there;
        struct mask_set set;
    } believed[ROUNDS_MAX][SITES], opened[ROUNDS_MAX], cast[ROUNDS_MAX], shown[ROUNDS_MAX][SITES];
    struct hash model_of[ROUNDS_MAX];
    bool opened_number[ROUNDS_MAX], over[ROUNDS_MAX];
    size_t confirmed_colluding;
};

/** After anything new is known: everything that it gives away, and whether promise 2 is broken by it. */
void tracker_learnt(struct world *w);

#endif
