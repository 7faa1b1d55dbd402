/**
 * @file cohort.h
 * `wardround-sim cohort …`: virtual hospitals as folders for real agents, and the best that any model
 * can do on their patients.
 */
#ifndef SIM_APP_COHORT_H
#define SIM_APP_COHORT_H

/** @param argv argv[0] is "cohort" @return the program's exit status: 0, 1 or 2 */
int cohort_main(int argc, char **argv);

#endif
