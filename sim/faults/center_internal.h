/**
 * @file center_internal.h
 * What the files of the coordinator's driver share: center.c hears, center_round.c and center_unmasking.c do
 * what the two machines ask for, center_start.c makes the machines again.
 */
#ifndef SIM_FAULTS_CENTER_INTERNAL_H
#define SIM_FAULTS_CENTER_INTERNAL_H

#include "sim/faults/faults_internal.h"

/** Of one phase of a masked round; a restarted one has four of them. */
enum { CENTER_PHASE_MS = 3000 };

/* RC_IO of any of these is the end of the coordinator's process, as in faults_internal.h. */

/** After a record of the registry: `rc` is what came of it. @retval RC_IO it failed, or the party is killed
 *  here; a restart continues from what is there. @retval RC_STATE the registry refused it */
RC center_kept(struct world *w, enum rc rc, const char *what, struct error *err);
/** A letter as its honesty has it: watched, or bent, and then sent. */
RC center_send(struct world *w, struct letter l, const void *raw, size_t n, struct error *err);

/* ---- center_round.c ------------------------------------------------------------------------------ */

/** What round_step has returned, done in the order of docs/PROTOCOL.md. @param l the letter that it answers,
 *  or NULL */
RC center_act(struct world *w, unsigned actions, const struct letter *l, struct error *err);
/** The sum of the survivors without its masks, onto the model; model and outcome in one transaction. */
RC center_merge(struct world *w, struct error *err);

/* ---- center_unmasking.c -------------------------------------------------------------------------- */

/** The machine that a site is in, or NULL. */
struct face *center_face_of(struct world *w, size_t site);
/** One machine for the round that is open; a liar may have two. */
RC center_open_faces(struct world *w, struct error *err);
void center_close_faces(struct center *c);
/** Everything that `actions` of unmasking casts, and what it replies to `site` (SIZE_MAX: nobody). */
RC center_say_phases(struct world *w, const struct face *f, unsigned actions, size_t site,
                     struct error *err);
/** One event of unmasking, and what follows from it here and in the machine of rounds. */
RC center_unmask(struct world *w, struct face *f, struct unmasking_input in, struct error *err);
/** KEY, SHARES, VOTE or REVEAL of a site. */
RC center_got_masks(struct world *w, const struct letter *l, struct error *err);

#endif
