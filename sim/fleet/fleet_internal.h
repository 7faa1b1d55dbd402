/**
 * @file fleet_internal.h
 * The parts of a world: the queue of things to happen, the drivers of sites and coordinator, and
 * what they share.
 */
#ifndef SIM_FLEET_FLEET_INTERNAL_H
#define SIM_FLEET_FLEET_INTERNAL_H

#include <pthread.h>

#include "agent/session/session.h"
#include "agent/train/train.h"
#include "aggregator/merge/merge.h"
#include "aggregator/registry/registry.h"
#include "aggregator/round/round.h"
#include "sim/fleet/fleet.h"

/** Messages of docs/PROTOCOL.md, then what a party does by itself. */
enum fleet_kind {
    FLEET_HELLO,
    FLEET_ACCEPT,
    FLEET_DECLINE,
    FLEET_UPDATE,
    FLEET_CANNOT,
    FLEET_STUDY,
    FLEET_ROUND,
    FLEET_ACK,
    FLEET_OUTCOME,
    FLEET_DONE,
    FLEET_CHECK_DUE,  /**< the trainer looks at the policy */
    FLEET_TRAIN_DUE,  /**< the trainer has had its time */
    FLEET_COMMIT_DUE, /**< the ledger commits */
    FLEET_ANSWER,     /**< trainer, ledger or transport answers the session: `answer` */
    FLEET_MERGE_DUE,  /**< the coordinator merges and commits */
    FLEET_MERGED      /**< and answers its machine: `answer` is a round_event */
};

struct fleet_event {
    int64_t at_ms;
    uint64_t number; /**< order among equals */
    enum fleet_kind kind;
    size_t to, from; /**< site index or FLEET_COORDINATOR */
    uint64_t round;
    uint64_t request; /**< TRAIN_DUE, COMMIT_DUE: which request; cancelled ones are stale */
    int64_t left_ms;
    int answer;
    unsigned char *bytes; /**< owned by the event */
    size_t n;
    char reason[240];
};

/** A heap of events by (at_ms, number). */
struct fleet_queue {
    struct fleet_event *event;
    size_t n, room;
    uint64_t numbered;
};

RC queue_push(struct fleet_queue *q, struct fleet_event e, struct error *err);
/** The next one, or NULL. */
const struct fleet_event *queue_peek(const struct fleet_queue *q);
/** Takes it out; the caller frees its bytes. n > 0. */
struct fleet_event queue_pop(struct fleet_queue *q);
/** Everything on its way to or from a party that died is lost. */
void queue_forget(struct fleet_queue *q, size_t party);
void queue_release(struct fleet_queue *q);

/** A hospital: what dies with it, and the path of what does not. */
struct fleet_site {
    size_t index;
    struct session session;
    struct ledger *ledger; /**< NULL: closed for now; site_ledger opens it */
    uint64_t ledger_used;  /**< when it was last asked for: a number that grows */
    struct train_result trained;
    bool has_trained;
    uint64_t trained_round;
    uint64_t request; /**< newest; older answers are dropped */
    uint64_t incarnation;
    real *model; /**< [S] global model of the present round, until it has trained; or NULL */
    struct hash model_hash;
    struct hash cohort;            /**< version of what it has trained on */
    char reason[240];              /**< of the last DECLINE or CANNOT */
    bool withdrawn;                /**< a person's word: survives a kill, as consent.db does */
    bool withdrawal_due;           /**< and the session has not taken it yet */
    struct fleet_queue *outbox;    /**< at a desk: what it sends is put here, until all are done */
    bool seated;                   /**< its event is among those being handled together */
    bool at_desk;                  /**< and it is being handled: its ledger is not to be closed */
    bool has_read;                 /**< the study has ended here: `read` is what the ledger said */
    struct fleet_site_result read; /**< state is owned */
};

struct fleet_coordinator {
    struct round_machine *machine;
    struct registry *registry;
    struct merge *merge;
    real *model;          /**< [S] newest */
    void *sent;           /**< the same as rounds send it (common/broadcast) */
    unsigned char *state; /**< server state */
    /** What people asked for, until the machine has taken it: survives a kill, as the registry does. */
    bool abort_due;
};

struct fleet {
    const struct fleet_params *p;
    struct hash study_hash;
    int64_t now_ms;
    uint64_t events, refused;
    struct fleet_queue queue;
    struct fleet_site *site; /**< [n_sites] */
    struct fleet_coordinator coordinator;
    pthread_mutex_t lock; /**< of the four numbers that sites at their desks change: refused,
                               ledgers_asked, and of sites ledger_used, and which ledgers are open */
    uint64_t ledgers_asked;
    int64_t opened_ms, closed_ms;               /**< wall clock of the rounds; 0: not yet */
    struct train_room *room[TRAIN_THREADS_MAX]; /**< [n_rooms] of all rounds of all sites */
    struct desks_crew *crew;                    /**< NULL: not needed yet */
    size_t n_rooms;                             /**< so many train at the same time */
};

/** How long things take in a world without faults. */
enum { FLEET_LATENCY_MS = 1, FLEET_TRAIN_MS = 20, FLEET_COMMIT_MS = 1 };

/** A copy of `bytes` (NULL: none) travels with the event. */
RC fleet_send(struct fleet *f, struct fleet_event e, int64_t delay_ms, const void *bytes, size_t n,
              struct error *err);

/** The site's ledger, opened where it is closed. Valid until the next call for another site. */
RC site_ledger(struct fleet *f, struct fleet_site *s, struct ledger **out, struct error *err);
RC site_start(struct fleet *f, struct fleet_site *s, struct error *err);
void site_stop(struct fleet_site *s);
/** @param room where it trains, if that is what is asked: nobody else does there meanwhile */
RC site_handle(struct fleet *f, struct fleet_site *s, const struct fleet_event *e,
               struct train_room *room, struct error *err);
RC site_time_out(struct fleet *f, struct fleet_site *s, struct error *err);
/** Of a study that is over here: site state and epsilon, while the ledger is open. */
RC site_read(struct fleet *f, struct fleet_site *s, struct error *err);

/**
 * The events at the head of the queue that are at one instant, of one kind, each of another site, and in which
 * a ledger is asked, are handled by several threads; what they send goes out in the order of the events, so
 * that the world is the one of a single thread. @param[out] handled how many; 0: the first is not such a one
 */
/** Nobody is killed and nobody decides: then several events may be handled together. */
bool desks_allowed(const struct fleet *f);
void desks_release(struct fleet *f);
RC desks_run(struct fleet *f, size_t *handled, struct error *err);

/** A person withdraws; site_decide tells the session as soon as it can hear it. */
RC site_withdraw(struct fleet *f, struct fleet_site *s, struct error *err);
RC site_decide(struct fleet *f, struct fleet_site *s, struct error *err);

RC coordinator_start(struct fleet *f, struct error *err);
void coordinator_stop(struct fleet_coordinator *c);
RC coordinator_handle(struct fleet *f, const struct fleet_event *e, struct error *err);
/**
 * All that sites say to the coordinator at one instant, if that is the head of the queue: kept in the registry
 * together, so that a thousand answers wait for the disk once. @param[out] handled how many; 0: nothing was done
 */
RC coordinator_hear(struct fleet *f, size_t *handled, struct error *err);
RC coordinator_time_out(struct fleet *f, struct error *err);
/** Tells the machine of an abort as soon as it can hear it. */
RC coordinator_decide(struct fleet *f, struct error *err);

#endif
