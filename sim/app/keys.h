/**
 * @file keys.h
 * `wardround-sim keys`: what a CONFIG may say, from the tables that it is read by.
 */
#ifndef SIM_APP_KEYS_H
#define SIM_APP_KEYS_H

/** @param argv argv[0] is "keys" @return the program's exit status: 0, 1 or 2 */
int keys_main(int argc, char **argv);

#endif
