/**
 * @file evaluation.h
 * `wardround-sim evaluation …`: what a coordinator would see of a model's quality through noised histograms,
 * beside the exact figures that only the simulator has.
 */
#ifndef SIM_APP_EVALUATION_H
#define SIM_APP_EVALUATION_H

/** @param argv argv[0] is "evaluation" @return the program's exit status: 0, 1 or 2 */
int evaluation_main(int argc, char **argv);

#endif
