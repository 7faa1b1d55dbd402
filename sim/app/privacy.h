/**
 * @file privacy.h
 * `wardround-sim privacy …`: the accountant on the command line.
 */
#ifndef SIM_APP_PRIVACY_H
#define SIM_APP_PRIVACY_H

/** @param argv argv[0] is "privacy" @return the program's exit status: 0, 1 or 2 */
int privacy_main(int argc, char **argv);

#endif
