/**
 * @file coordinator_internal.h
 * One running study: what `wardround-aggregator run` holds, and its parts. One process, one loop
 * (run.c), no thread but libzmq's; everything happens between two waits.
 *
 *   peers.c      enrolled cards, the allow-list, and what makes a message one we listen to
 *   inbox.c      what each message is: an event of the machine, a chunk, a credit, a word of progress
 *   coordinator.c  start and resume
 *   actions.c    the machine's steps and their actions, in the order KEEP, REPLY, CAST, MERGE
 *   timers.c     deadlines, revoked sites, a request to abort
 *   answers.c    actions -> messages       absences.c   why a site is not among those who answered
 *   uploads.c    updates on their way in     downloads.c  the model on its way out
 *   settling.c   updates that have arrived: kept together, then told one by one
 *   masked.c     masked rounds: keys, shares, survivors, votes and what opens their sum
 *   merging.c    updates -> the next model, one transaction
 *   evaluations.c  an evaluation of the finished model: asking, keeping, closing
 *   refusals.c   what was not listened to, counted by kind
 *   telling.c    lines for people, or JSON  live.c       the same as a file that `status` reads
 */
#ifndef AGGREGATOR_APP_COORDINATOR_INTERNAL_H
#define AGGREGATOR_APP_COORDINATOR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aggregator/app/folder.h"
#include "aggregator/registry/registry.h"
#include "aggregator/round/round.h"
#include "aggregator/unmasking/unmasking.h"
#include "common/agreement/agreement.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/evaluation/request.h"
#include "common/kernel/real.h"
#include "common/model/model.h"
#include "common/net/net.h"
#include "common/seal/seal.h"
#include "common/transfer/transfer.h"
#include "common/wire/wire.h"

/** Room for one sentence about a site or an end, as the registry keeps it. */
enum { REASON_MAX = 240 };

/* ---- limits ---------------------------------------------------------------------------------- */

enum {
    MESSAGES_A_TURN = 64,    /**< then timers and transfers get their turn */
    TURN_MAX_MS = 1000,      /**< the registry is looked at this often also when nobody speaks */
    UPLOADS_AT_ONCE = 16,    /**< each has TRANSFER_WINDOW chunks on their way: 16 MiB in all */
    CHUNKS_ON_THE_WAY = 128, /**< of the model, to all sites: 16 MiB in libzmq's queues, and … */
    CHUNKS_A_SITE = 4,       /**< … half a MiB for each site */
    SETTLE_MAX = 32,         /**< updates kept in one transaction */
    SETTLE_WAIT_MS = 100,    /**< that an update which has arrived waits at most for others */
    SETTLE_BYTES = 16 << 20, /**< of them in memory: then no longer, … */
    SETTLE_SOONER = 6 << 20, /**< … or of so many, when others wait for their room */
    UPLOADS_MEMORY = 12 << 20, /**< of updates larger than a message, in all */
    UPLOAD_FROZEN_MS = 20000,  /**< without a chunk, while others queue: its place is given away */
    SITE_STALLED_MS = 60000    /**< a site that is waited for and whose counter stands still */
};

/* ---- refusals.c ------------------------------------------------------------------------------ */

enum refusal {
    REFUSED_SIGNATURE, /**< unsigned, wrongly signed, or another raw frame than the one signed */
    REFUSED_MALFORMED, /**< too large, or not a message */
    REFUSED_VERSION,   /**< of another version of the protocol */
    REFUSED_ADDRESS,   /**< its sender is not the card's name, or its receiver not ours */
    REFUSED_REPLAY,    /**< a number or an epoch that is over */
    REFUSED_KIND,      /**< not for a coordinator */
    REFUSED_STUDY,     /**< about another study */
    REFUSED_ROSTER,    /**< enrolled, and not on this study's roster */
    REFUSED_PROTOCOL,  /**< the machine has no cell for it */
    REFUSED_SIZE,      /**< an update that is not as large as the study's */
    REFUSED_OTHER,     /**< other bytes for a part that is kept already */
    REFUSED_CHUNK,     /**< of no transfer that we asked for, or of a wrong size or hash */
    REFUSED_CREDIT,    /**< for chunks beyond the end, or more than the window */
    REFUSALS
};

struct refusals {
    uint64_t n[REFUSALS];
    uint64_t unlogged[REFUSALS];
    int64_t logged_ms[REFUSALS];     /**< 0: never */
    uint64_t door_seen, door_logged; /**< handshakes of unknown keys */
    int64_t door_logged_ms;
    /* no fault of anybody's: the network repeats, and rounds move on */
    uint64_t late_chunks, late_credits;
};

struct coordinator;
struct merge; /* aggregator/merge */

/** Counts, and logs unless this kind was logged moments ago. */
void refuse(struct coordinator *c, enum refusal kind, const char *from, const char *why);
const char *refusal_name(enum refusal kind);
/** In every turn: unknown keys that knocked are logged like other refusals, and shown in live.json. */
void refusals_at_the_door(struct coordinator *c);
/** Messages of all kinds, and what was refused at the door. */
uint64_t refusals_total(const struct coordinator *c);

/* ---- peers.c --------------------------------------------------------------------------------- */

/** One enrolled card. Peers below n_sites are the roster's sites, by their index there. */
struct peer {
    bool known; /**< a card of this name was seen */
    bool allowed;
    bool told_stranger; /**< the log says already that it is not on the roster */
    int64_t revoked_ms; /**< wall clock; 0: it is not */
    unsigned version;   /**< of the protocol, in which it spoke last and is answered; 0: ours */
    struct seal_card card;
    struct wire_order order;
};

/** The enrolled cards as they are now: admits new ones, drops revoked ones. */
RC peers_load(struct coordinator *c, struct error *err);
/** Has another process changed the registry? Then cards and requests to abort are read again. */
RC peers_refresh(struct coordinator *c, struct error *err);
/**
 * Is this a message that we listen to, and from whom it says? If not it has been counted and logged.
 * @param[out] m written if so
 */
bool peers_admit(struct coordinator *c, size_t peer, const struct net_frames *frames,
                 struct wire_message *m);

/* ---- transfers ------------------------------------------------------------------------------- */

enum upload_state {
    UPLOAD_NONE,
    UPLOAD_QUEUED,
    UPLOAD_RUNNING,
    UPLOAD_ARRIVED /**< whole and verified: soon kept, with others */
};

/** A site's update on its way in; at most one a site, of the present round. */
struct upload {
    enum upload_state state;
    uint64_t ticket; /**< order of asking: who waits longest is next */
    uint64_t round;
    struct wire_tensor tensor;
    struct hash anchor;    /**< as its UPDATE said; zero: none */
    struct transfer_in in; /**< RUNNING */
    int64_t moved_ms;      /**< when it was queued, began, or its last chunk came */
    int64_t arrived_ms;    /**< ARRIVED: since then */
};

/** The model on its way to a site. */
struct download {
    struct transfer_out out;
    int64_t credit_ms; /**< of the last credit; -1: none yet */
    int64_t retry_ms;  /**< not before: its queue was full */
};

/** What we know of a site beside what the machine holds. */
struct site {
    struct upload upload;
    struct download download;
    bool has_kept; /**< its update of the present round is in the registry, with this hash */
    struct hash kept;
    bool knows_anchor; /**< and it was kept in this life, with this anchor (zero: none) */
    struct hash anchor;
    bool summed;       /**< and is in `sum` */
    bool link_is_good; /**< its last update came without a halt: the next may come at once */
    bool heard, goodbye, stalled;
    bool silent;      /**< not a word in a phase that waited for it to its deadline, nor since */
    bool passed_over; /**< it was so when the present masked round was opened */
    bool scored;      /**< its answer to the open evaluation is kept, or why there is none */
    int64_t ask_ms;   /**< not asked (again) before */
    int64_t heard_ms;
    uint64_t progress_round, step, steps; /**< its last word of progress */
    int64_t moved_ms;                     /**< when that changed, or its round was announced */
};

/** The updates with which a round ends: durable with its outcome, and their sites answered after that. */
struct closing {
    size_t n; /**< 0: none */
    struct registry_update update[SETTLE_MAX];
    struct registry_anchor anchor[SETTLE_MAX];
    struct hash hash[SETTLE_MAX];
};

/* ---- the coordinator ------------------------------------------------------------------------- */

/** The evaluation that is open. */
struct evaluating {
    bool open;
    struct registry_evaluation kept;
    struct evaluation_request request;
    int64_t deadline_ms; /**< on our own clock */
};

/** Of the newest round that has an outcome. */
struct ending {
    uint64_t round;
    bool contributed[ROUND_SITES_MAX];
    char text[WIRE_TEXT_MAX]; /**< "3 of 4: a b d; c: did not answer" */
};

struct coordinator {
    struct folder folder;
    bool json;
    bool errand; /**< for another command: nothing on stdout, and no lingering */
    struct seal_keys *keys;
    struct seal_card card;
    struct agreement agreement;
    unsigned char *signed_bytes; /**< the agreement as sites get it */
    size_t signed_n;
    struct model model;
    struct registry *registry;
    struct net_server *server;

    struct round_machine machine;
    struct unmasking *unmasking; /**< of the present round of a masked study */
    int64_t phase_since_ms;      /**< when its phase began */
    bool outdated; /**< it was begun by an older program, which named the model otherwise */
    real *params;  /**< [S] the newest model: its only copy here */
    struct wire_tensor tensor;  /**< its name */
    void *sent;                 /**< the same as rounds send it (common/broadcast) */
    struct wire_tensor sent_as; /**< its name; of float32 the same as `tensor` */
    struct ending newest;       /**< round_finished() */
    struct evaluating evaluating;
    char failure[REASON_MAX];
    char why[REASON_MAX]; /**< the reason that the next KEEP_FAILURE writes; "": its counts */
    bool merge_due;
    struct merge
        *sum; /**< of the updates of the present round that were kept in this life; NULL: of none */
    struct closing closing;
    bool tidy_due; /**< of the registry, when everybody has been answered */
    bool abort_wanted;
    char abort_reason[REASON_MAX];

    size_t n_sites;
    struct site *site; /**< [n_sites] */
    struct peer *peer; /**< [NET_PEERS_MAX] */
    uint64_t version;  /**< of the registry, when it was last looked at */
    uint64_t epoch, sequence;
    int64_t room_ms; /**< when an update in memory was last done with */
    uint64_t tickets;
    size_t next_download;          /**< who begins the next turn */
    struct transfer_hashes chunks; /**< of the model on its way out: each goes to every site */
    struct refusals refusals;

    int64_t now_ms, wall_ms; /**< of this turn */
    int64_t over_since_ms;   /**< wall clock: it had ended before this life began; 0: it had not */
    int64_t ended_ms;        /**< when DONE was first cast in this life; -1: not yet */
    bool told_waiting;       /**< for sites to hear of the end */
    char model_path[FOLDER_PATH_MAX];
    bool live_due;
    int64_t live_ms;
    bool live_failed; /**< the log has been told */
    char
        address[FOLDER_BIND_MAX + 8]; /**< what we listen on, with the port that the system chose */
    bool terminal;                    /**< stdout is one */
    char shown[128];                  /**< the progress line as it stands */
    struct hash_leaves leaves;        /**< of the raw frame of the message in hand */
    unsigned char header[sizeof(struct seal_signature) + WIRE_PACKED_MAX];
};

static inline const struct study *study_of(const struct coordinator *c)
{
    return &c->agreement.study;
}

static inline const struct hash *coordinator_study(const struct coordinator *c)
{
    return &c->agreement.study_hash;
}

static inline const char *site_name(const struct coordinator *c, size_t site)
{
    return c->agreement.study.site[site].name;
}

/** The signing key on a site's card, as the registry remembers it by. */
static inline struct hash site_key(const struct coordinator *c, size_t site)
{
    struct hash key;
    _Static_assert(sizeof key.b == sizeof c->peer[site].card.sign.b, "a key is 32 bytes");
    memcpy(key.b, c->peer[site].card.sign.b, sizeof key.b);
    return key;
}

/** One thing that a site said or that we noticed, on its way through the machine. */
struct said {
    enum round_event event;
    size_t site;
    uint64_t round;
    const char *reason; /**< DECLINE, CANNOT; NULL: none */
    /* UPDATE: its bytes are kept already (uploads_settle), or the same as those that are */
};

/* ---- coordinator.c --------------------------------------------------------------------------- */

/** Opens, starts or resumes; acts on what restoring asks for. c is zeroed but folder, json and errand.
 *  @param kept where study_path is NULL: a study of the registry, as it was signed */
RC coordinator_open(struct coordinator *c, const char *study_path, const struct hash *kept,
                    struct config_issues *issues, struct error *err);
void coordinator_close(struct coordinator *c);

/* ---- actions.c ------------------------------------------------------------------------------- */

/** @param said what caused them; NULL: nobody's word (restoring) */
RC coordinator_act(struct coordinator *c, unsigned actions, const struct said *said,
                   struct error *err);
/** Through the machine, and all its actions. */
RC coordinator_step(struct coordinator *c, const struct said *said, struct error *err);
bool coordinator_ended(const struct coordinator *c);

/* ---- timers.c -------------------------------------------------------------------------------- */

/** Deadline, revoked sites, a request to abort, sites that stand still. */
RC coordinator_timers(struct coordinator *c, struct error *err);

/* ---- merging.c ------------------------------------------------------------------------------- */

/** The newest model into params and tensor. */
RC merging_load(struct coordinator *c, struct error *err);
/** MERGE and what follows from it. */
RC merging_run(struct coordinator *c, struct error *err);

/* ---- evaluations.c --------------------------------------------------------------------------- */

/** Is one asked for, and not over? At the start, and when another process has written. */
RC evaluations_load(struct coordinator *c, struct error *err);
/** SCORES, UNSCORED. */
RC evaluations_heard(struct coordinator *c, size_t site, const struct wire_message *m,
                     const void *raw, size_t raw_n, struct error *err);
RC evaluations_timers(struct coordinator *c, struct error *err);
bool evaluations_open(const struct coordinator *c);

/* ---- masked.c -------------------------------------------------------------------------------- */

bool masked_is(const struct coordinator *c);
/** The present round was one that could not be opened. */
bool masked_lost(const struct coordinator *c);
/** What an open round may take beyond the study's deadline for updates: four phases. */
int64_t masked_opening_ms(const struct coordinator *c);
/** @retval RC_INVALID a site without a key, or with another's */
RC masked_check(const struct coordinator *c, struct error *err);
/** Before a study begins; later a site may have been enrolled anew, and the others go on without it.
 *  @retval RC_INVALID the enrolled card of a site has another key than the study */
RC masked_check_cards(const struct coordinator *c, struct error *err);
/** Has the study another key for the site of this card? It could be in no sum. */
bool masked_lacks_key(const struct coordinator *c, size_t site, const struct seal_card *card);
RC masked_open_round(struct coordinator *c, struct error *err);
/** After a restart: what the phases of the open round ended with. */
RC masked_resume(struct coordinator *c, struct error *err);
/** And then: updates and refusals that are kept, and whose phase was not over. */
RC masked_settle(struct coordinator *c, struct error *err);
/** MASK_* of a site. */
RC masked_heard(struct coordinator *c, size_t site, const struct wire_message *m, const void *raw,
                size_t raw_n, struct error *err);
/** After the round machine has taken it and all is durable. */
RC masked_said(struct coordinator *c, const struct said *said, struct error *err);
/** May this site's update of the present round still be in the sum? */
bool masked_wants_update(const struct coordinator *c, size_t site);
RC masked_timers(struct coordinator *c, struct error *err);
int64_t masked_due_ms(const struct coordinator *c);
void masked_close(struct coordinator *c);

/* ---- answers.c ------------------------------------------------------------------------------- */

enum audience { EVERYBODY, ACCEPTED, WAITED_FOR };

/** Fills sender, receiver, study and number. What cannot be delivered is lost, as on any network.
 *  *sent may be NULL. */
RC answer_send(struct coordinator *c, size_t peer, struct wire_message *m, const void *raw,
               size_t raw_n, bool *sent, struct error *err);
/** The same of a frame that was hashed before: raw and raw_bytes of `m` are set. */
RC answer_send_named(struct coordinator *c, size_t peer, struct wire_message *m, const void *raw,
                     bool *sent, struct error *err);
RC answer_reply(struct coordinator *c, size_t site, enum wire_kind kind, struct error *err);
RC answer_cast(struct coordinator *c, enum wire_kind kind, enum audience audience,
               struct error *err);
RC answer_probe(struct coordinator *c, size_t peer, struct error *err);
/** Who contributed to a round that has an outcome, and why others did not: fills c->newest. */
RC answer_recall_round(struct coordinator *c, uint64_t round, struct error *err);

/* ---- absences.c ------------------------------------------------------------------------------ */

bool absence_is_revoked(const struct coordinator *c, size_t site);
/** How far a site had come that is waited for no longer, since the deadline has passed. */
void absence_at_deadline(const struct coordinator *c, size_t site, char out[REASON_MAX]);
/** Why a site did not contribute to a round; in round 0, did not accept the study. */
RC absence_in_round(struct coordinator *c, uint64_t round, size_t site, char out[REASON_MAX],
                    struct error *err);

/* ---- inbox.c --------------------------------------------------------------------------------- */

RC inbox_take(struct coordinator *c, size_t peer, const struct net_frames *frames,
              struct error *err);

/* ---- uploads.c ------------------------------------------------------------------------------- */

/** Spool files that belong to no upload of the present round are removed. */
RC uploads_open(struct coordinator *c, struct error *err);
/** UPDATE: begins, or asks again, or steps the machine where no bytes are needed. */
RC uploads_offer(struct coordinator *c, size_t site, const struct wire_message *m,
                 struct error *err);
void uploads_chunk(struct coordinator *c, size_t site, const struct wire_message *m,
                   const void *raw, size_t raw_n);
/** Does the answer to an UPDATE need its bytes? Only the first of a site that is waited for. */
bool uploads_wanted(const struct coordinator *c, size_t site, uint64_t round);
/** Is one queued that will be kept in memory when those that are there make room? */
bool uploads_wait_for_room(const struct coordinator *c);
/** Credits that are due; next in the queue. *due_ms: look again then, at the latest. */
RC uploads_pump(struct coordinator *c, int64_t *due_ms, struct error *err);
/** The site's upload is no longer wanted. @param keep leave its spool file (the program ends) */
void uploads_drop(struct coordinator *c, size_t site, bool keep);
void uploads_drop_all(struct coordinator *c, bool keep);

/* ---- settling.c ------------------------------------------------------------------------------ */

/** What has arrived is kept, all at once; then the machine hears of each, and its site is answered. */
RC uploads_settle(struct coordinator *c, struct error *err);
/** The same if it need not wait for others, by which a round that they end is merged, too. *due_ms: look again then, at
 *  the latest. */
RC uploads_settle_due(struct coordinator *c, int64_t *due_ms, struct error *err);
/** c->closing is durable, with its round's outcome: says so, and answers. */
RC settling_closed(struct coordinator *c, struct error *err);
/** The sum of exactly those who contribute to the present round, the caller's to close; NULL: they are to be
 *  read back. */
struct merge *settling_take_sum(struct coordinator *c);
/** The round is over: nothing that was kept concerns the next one. */
void settling_forget(struct coordinator *c);

/* ---- downloads.c ----------------------------------------------------------------------------- */

void downloads_credit(struct coordinator *c, size_t site, const struct wire_message *m);
/** The site says something that it could not without the model as it is now. */
void downloads_arrived(struct coordinator *c, size_t site);
RC downloads_pump(struct coordinator *c, int64_t *due_ms, struct error *err);

/* ---- telling.c ------------------------------------------------------------------------------- */

void tell_ready(struct coordinator *c, bool resumed);
void tell_joined(struct coordinator *c, size_t site, bool accepted, const char *reason);
void tell_round(struct coordinator *c);
/** The study has ended, and so many sites may not know it yet. */
void tell_waiting(struct coordinator *c, size_t n);
/** @param yes done; else c->failure says why */
void tell_end(struct coordinator *c, bool yes);
/** An evaluation is over, with so many answers. */
void tell_evaluated(struct coordinator *c, size_t n);
/** What was refused, when the program ends. */
void tell_counts(struct coordinator *c);
/** The running round on a terminal: a line that the next one overwrites. */
void tell_progress(struct coordinator *c);

/* ---- live.c ---------------------------------------------------------------------------------- */

/** Writes live.json (its format stands in live.c) if something changed, at most once a second.
 *  @param running false: the last one of this program */
void live_write(struct coordinator *c, bool running);

#endif
