/**
 * @file stopped.h
 * The end of a program that was told to stop before it had done what it was started for. For
 * programs only.
 */
#ifndef COMMON_BASE_STOPPED_H
#define COMMON_BASE_STOPPED_H

/**
 * Ends this process by the signal that it had caught, which is how the sender learns that it was
 * heeded: a shell sees 128 + signal, a service manager a clean stop. Everything is closed and said
 * before; stdio is flushed here. Not in a process with other threads at work.
 * @param signal_number one that ends a process by default, such as SIGTERM
 */
_Noreturn void stopped_by(int signal_number);

#endif
