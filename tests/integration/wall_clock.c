/* For LD_PRELOAD: the wall clock of a program as a test wants it. The file $WALL_CLOCK has the milliseconds that
 * it is ahead (int64, this machine's order) and is mapped before main, so that a sandbox is no obstacle and a test
 * can move the clock of a process that runs. All other clocks are the system's. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead_ms;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("WALL_CLOCK");
    const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    const void *map = mmap(NULL, sizeof *ahead_ms, PROT_READ, MAP_SHARED, fd, 0);
    ahead_ms = map != MAP_FAILED ? map : NULL;
    (void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    const long result = syscall(SYS_clock_gettime, id, t);
    if (result == 0 && id == CLOCK_REALTIME && ahead_ms != NULL) {
        t->tv_sec += (time_t)(*ahead_ms / 1000);
    }
    return (int)result;
}
