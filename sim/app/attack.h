/**
 * @file attack.h
 * wardround-sim attack.
 */
#ifndef SIM_APP_ATTACK_H
#define SIM_APP_ATTACK_H

/** Exit status; argv[0] is the command's name. */
int attack_main(int argc, char **argv);

#endif
