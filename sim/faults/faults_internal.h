/**
 * @file faults_internal.h
 * The parts of one schedule: the network between the parties, a hospital's driver, the coordinator's,
 * the liars, and who watches them all.
 */
#ifndef SIM_FAULTS_FAULTS_INTERNAL_H
#define SIM_FAULTS_FAULTS_INTERNAL_H

#include "agent/ledger/ledger.h"
#include "agent/masking/masking.h"
#include "agent/session/session.h"
#include "aggregator/registry/registry.h"
#include "aggregator/round/round.h"
#include "aggregator/unmasking/unmasking.h"
#include "common/base/rng.h"
#include "common/study/study.h"
#include "sim/faults/faults.h"

/** The coordinator's number; sites have their index on the roster. */
#define CENTER SIZE_MAX

enum {
    SITES = FAULTS_DRAWN_MOST,
    WORDS = 24,     /* numbers of a model */
    ROUNDS_MAX = 8, /* numbers that rounds can take */
    KILLS_MAX = 12,
    CUTS_MAX = 6
};

enum kind {
    STUDY, /* from the coordinator */
    ROUND,
    ACK,
    OUTCOME,
    DONE,
    MEMBERS,
    PARCELS,
    SURVIVORS,
    VOTES,
    HELLO, /* from a site */
    ACCEPT,
    DECLINE,
    UPDATE,
    CANNOT,
    KEY,
    SHARES,
    LIST,
    VOTE,
    REVEAL,
    CHECK_DUE, /* what a party does by itself */
    TRAIN_DUE,
    COMMIT_DUE,
    ANSWER,
    MERGE_DUE,
    MERGED,
    WITHDRAW_DUE,
    COME_BACK,
    KINDS
};
const char *kind_name(enum kind kind);

struct letter {
    int64_t at_ms;
    uint64_t number; /* order among equals */
    enum kind kind;
    size_t to, from;
    uint64_t round;
    uint64_t life;    /* of who does something by itself */
    uint64_t request; /* of a trainer */
    int64_t left_ms;
    int answer;
    struct hash model;
    struct mask_set set; /* OUTCOME: contributors */
    char reason[200];
    unsigned char *raw; /* owned */
    size_t n;
};

/* ---- what the seed says ---------------------------------------------------------------------- */

struct kill {
    size_t party;
    uint64_t point; /* of the party's own count of things done */
    int64_t away_ms;
};
struct cut { /* a party is cut off, or its disk is full */
    size_t party;
    int64_t from_ms, until_ms;
};

enum lie { /* of the coordinator */
           LIE_NONE,
           LIE_TWO_FACES, /* half of the sites in a round of their own, under the same number */
           LIE_TWO_SETS, /* some are told that one more has dropped out; every signature is tried on them */
           LIE_DROPPED,     /* calls a site dropped whose update has arrived */
           LIE_OLD_KEYS,    /* announcements of an earlier round */
           LIE_TWO_MEMBERS, /* other members for some */
           LIE_SAME_NUMBER, /* opens a number again, from another model too */
           LIE_FEW_VOTES,   /* one signature, many times */
           LIE_OUTCOME,     /* other contributors for some */
           LIE_PARCELS,     /* other boxes for some */
           LIE_STRANGERS,   /* leaves out every honest site that the strangers can stand in for */
           LIES_OF_ALL,     /* those from here on are for neighbours only */
           LIE_DRAWS = LIES_OF_ALL, /* parcels with other draws than the dealers' */
           LIE_OTHER_LIST, /* tells one site of few dealers, and the others that just these dropped out */
           LIE_CUTS_OFF, /* calls those dropped whom one site has drawn, and who have drawn it */
           LIES,
           LIE_TOO_FEW = LIES /* calls all dropped but as many as can sign; drawn apart */
};
enum site_lie {
    SITE_LIE_NONE,
    SITE_LIE_SHARE,
    SITE_LIE_VOTE,
    SITE_LIE_BOX,
    SITE_LIE_UPDATE,
    SITE_LIES
};

struct schedule {
    struct mask_terms terms;
    uint64_t rounds, lost_max;
    bool colludes[SITES]; /* tells the coordinator what it knows */
    bool stranger[SITES]; /* colludes, and no honest site has confirmed its card */
    bool declines[SITES];
    bool unsure[SITES][SITES]; /* [a][b]: a has not confirmed b, though b is honest */
    enum lie lie;
    size_t liar_site; /* SITES: none */
    enum site_lie site_lie;
    double lose, repeat, damage, late;
    double lose_update; /* an update, the large one, is lost */
    int64_t train_ms[SITES];
    struct kill kill[KILLS_MAX];
    size_t n_kills;
    struct cut cut[CUTS_MAX], full[CUTS_MAX];
    size_t n_cuts, n_full;
    int64_t quiet_ms; /* when faults stop */
    size_t withdraws; /* SITES: nobody */
    int64_t withdraw_ms;
    size_t
        clique; /* with neighbours: a site that is cut off with all its neighbours; SITES: none */
    int64_t clique_from_ms, clique_until_ms;
    bool shared; /* noise: shared */
};
void schedule_draw(const struct faults_params *p, struct schedule *out);
void schedule_print(const struct schedule *s, FILE *to);

/* ---- parties --------------------------------------------------------------------------------- */

struct hospital {
    size_t index;
    struct seal_keys *keys; /* the process's */
    bool up;
    uint64_t life, points;
    struct session session;
    struct masking *masking;
    struct ledger *ledger;
    uint64_t request;
    bool training, has_trained;
    uint64_t trained_round;
    uint32_t x[WORDS], y[WORDS];
    struct hash model;
    bool withdrawn; /* in its ledger */
    bool word;      /* its session has not heard of it yet */
    char reason[200];
    const struct letter *hears;              /* the OUTCOME that is being handled */
    struct mask_announcement members[SITES]; /* as taken */
    size_t n_members;
};

struct face { /* the coordinator's side of one masked round; a liar may have two */
    struct unmasking *u;
    struct mask_set invited;
};

struct center {
    bool up;
    uint64_t life, points;
    struct round_machine *machine;
    struct registry *registry;
    struct face face[2];
    size_t n_faces;
    bool silent[SITES]; /* missed a deadline and not a word since: not waited for */
    uint32_t model[WORDS];
    struct hash model_hash;
    char lost[200]; /* why the round that is being given up is lost */
    /* SHARES of each dealer as it came, until the phase is kept */
    unsigned char shares[SITES][MASK_DEAL_BYTES + MASK_DRAW_BYTES + SITES * MASK_PORTION_BYTES];
    size_t shares_bytes;
};

struct tracker;

struct world {
    const struct faults_params *p;
    struct schedule s;
    struct study study;
    struct study_site roster[SITES];
    struct hash study_hash, roster_hash;
    struct seal_public sign[SITES];
    struct rng rng;
    int64_t now_ms;
    struct letter *queue;
    size_t n_queue, queue_room;
    uint64_t numbered;
    struct hospital site[SITES];
    struct center center;
    struct tracker *tracker;
    struct faults_result *result;
    /* what a lying coordinator has heard */
    struct mask_announcement heard[ROUNDS_MAX][SITES];
    struct mask_set heard_from[ROUNDS_MAX];
    struct mask_vote stray[SITES]; /* signatures over the other set of LIE_TWO_SETS */
    size_t n_stray;
    size_t victim;
    struct mask_set few, told; /* of LIE_OTHER_LIST: the victim's list, and the others' survivors */
};

size_t sites_of(const struct world *w);
bool is_honest(const struct world *w, size_t site); /* neither tells nor lies */
bool liars(const struct world *w);
/** One line of the history. */
void note(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The first promise that is broken; the run stops after this step. */
void broken(struct world *w, unsigned promise, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- network --------------------------------------------------------------------------------- */

/** Copies `raw`. Between parties: with what the network does to it. */
RC send_letter(struct world *w, struct letter l, const void *raw, size_t n, struct error *err);
/** Of a party to itself. */
RC do_later(struct world *w, struct letter l, int64_t delay_ms, struct error *err);
bool next_letter(struct world *w, struct letter *out);
int64_t next_letter_ms(const struct world *w);
void network_release(struct world *w);

/** Whether the party is in one of these now. */
bool within_cuts(const struct world *w, const struct cut *c, size_t n, size_t party);
/** A point at which the party may be killed: RC_IO if it is. */
RC point(struct world *w, size_t party, struct error *err);

/** From now on this process answers what it has verified, or agreed on, before as it did then. */
void memo_use(void);

/* ---- disks ----------------------------------------------------------------------------------- */

extern const struct ledger_policy disk_policy;
/** A disk for every party: made by the program that owns it, once in a process, and copied since. */
RC disks_lay(struct world *w, struct error *err);
/** Before and after something durable: RC_IO from here on means that the party dies. */
void disk_before(struct world *w, size_t party);
void disk_after(void);

/* ---- drivers: RC_IO is the end of the party's process, anything else of the run --------------- */

RC hospital_start(struct world *w, struct hospital *h, struct error *err);
void hospital_stop(struct hospital *h);
RC hospital_handle(struct world *w, struct hospital *h, const struct letter *l, struct error *err);
/** A person withdraws: its ledger first. */
RC hospital_withdraw(struct world *w, struct hospital *h, struct error *err);
RC hospital_time_out(struct world *w, struct hospital *h, struct error *err);

RC center_start(struct world *w, struct error *err);
void center_stop(struct center *c);
RC center_handle(struct world *w, const struct letter *l, struct error *err);
RC center_time_out(struct world *w, struct error *err);
int64_t center_deadline(const struct center *c);
/** For a liar: what an honest coordinator would send, sent. */
RC center_say(struct world *w, struct letter l, const void *raw, size_t n, struct error *err);

/* ---- liars ----------------------------------------------------------------------------------- */

/** A letter that the coordinator would send, bent. `raw` has room for MASK_RAW_MAX. */
void liar_bends(struct world *w, struct letter *l, unsigned char *raw, size_t *n);
/** A letter that it has got: true if its honest part is not to see it. */
bool liar_hears(struct world *w, const struct letter *l, struct error *err);
/** A round opens: whom each face invites. */
void liar_opens(struct world *w, struct mask_set invited[2]);
void lying_site_bends(struct world *w, struct hospital *h, struct letter *l, unsigned char *raw,
                      size_t *n);

/* ---- who watches ----------------------------------------------------------------------------- */

RC tracker_open(struct world *w, struct error *err);
void tracker_close(struct world *w);
void tracker_seed(struct world *w, const struct hospital *h, const struct mask_seed *seed);
void tracker_members(struct world *w, const struct hospital *h);
void tracker_parcels(struct world *w, const struct hospital *h, const struct mask_parcel *p,
                     size_t n);
void tracker_masked(struct world *w, const struct hospital *h);
/** Everything that a site sends to the coordinator is known to it from then on. */
void tracker_sent(struct world *w, const struct hospital *h, const struct letter *l,
                  const unsigned char *raw, size_t n);
/** Masks of the present round's draws tie these two. */
bool tracker_ties(const struct world *w, size_t a, size_t b);
void tracker_spent(struct world *w, const struct hospital *h);
void tracker_outcome(struct world *w, const struct hospital *h, const struct letter *l);
void tracker_said(struct world *w, const struct letter *l); /* by an honest coordinator */
void tracker_opened(struct world *w, uint64_t round, const struct mask_set *survivors,
                    const uint32_t *sum);
void tracker_named(struct world *w, size_t site); /* as a liar */
void tracker_end(struct world *w, bool in_time);

#endif
