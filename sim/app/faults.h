/**
 * @file faults.h
 * `wardround-sim faults …`: bad days of masked studies, many of them, or one as a readable history.
 */
#ifndef SIM_APP_FAULTS_H
#define SIM_APP_FAULTS_H

/** @param argv argv[0] is "faults" @return the program's exit status: 0, 1 or 2 */
int faults_main(int argc, char **argv);

#endif
