/**
 * @file process.h
 * The agent's processes: a supervisor that starts and watches two others and touches nothing else,
 * the *gateway* (sockets, keys, session machine; it can open neither cohort nor ledger), and the
 * *trainer* (cohort, model, policy, ledger, consent; no network). docs/PROTOCOL.md, "On the wire".
 */
#ifndef AGENT_APP_PROCESS_H
#define AGENT_APP_PROCESS_H

#include <stdbool.h>

/** How a gateway or trainer ends. Death by a signal counts as AGAIN. */
enum process_end {
    PROCESS_DONE = 0,
    PROCESS_FAILED = 1, /**< said why; starting it again would not help */
    PROCESS_AGAIN = 75  /**< said why; a later start may succeed (disk full, other end gone) */
};

/** With --once: how the study ended, from the gateway to a later life of itself. In the site's folder. */
#define GATEWAY_FINISHED "gateway/finished"

/** What both are told. Borrowed. */
struct process_params {
    const char *folder;
    int pair_fd;  /**< its end of the socket pair; taken over */
    int ready_fd; /**< gateway: writes one byte when everything is up; taken over */
    int stop_fd;  /**< gateway: readable when the agent is to stop; taken over */
    bool once;    /**< gateway: end with the first study */
};

enum process_end gateway_main(const struct process_params *p);
enum process_end trainer_main(const struct process_params *p);

#endif
