/**
 * @file roster.h
 * A masked study's sites as this hospital knows them: its own key, and whose cards it has confirmed itself
 * (`trust --peer`). Whom it has not confirmed the coordinator may have invented.
 */
#ifndef AGENT_APP_ROSTER_H
#define AGENT_APP_ROSTER_H

#include "common/mask/mask.h"
#include "common/study/study.h"

enum { ROSTER_WHY = 240 };

struct mask_terms roster_terms(const struct study *study);
/** Has this hospital confirmed a card of that name with that key? */
bool roster_confirmed(const char *folder, const struct study_site *site);
/** What a masked study lacks here, in one sentence: a key on the roster, or cards; "" if all is there. People
 *  may mend it. @param own index of this hospital on the roster */
void roster_obstacle(const char *folder, const struct study *study, size_t own,
                     char why[ROSTER_WHY]);

#endif
