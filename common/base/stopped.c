#include "common/base/stopped.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

_Noreturn void stopped_by(int signal_number)
{
    sigset_t it;
    (void)fflush(NULL);
    (void)signal(signal_number, SIG_DFL);
    (void)sigemptyset(&it);
    (void)sigaddset(&it, signal_number);
    (void)raise(signal_number);
    (void)sigprocmask(SIG_UNBLOCK, &it, NULL);
    /* Process 1 of a container does not die of its own signals. */
    _exit(128 + signal_number);
}
