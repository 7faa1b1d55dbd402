#include "agent/app/people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pwd.h>

void people_name(char *out, size_t room)
{
    const struct passwd *user = getpwuid(getuid());
    const char *before = getenv("SUDO_USER");
    char number[32];
    (void)snprintf(number, sizeof number, "user %lu", (unsigned long)getuid());
    const char *name = user != NULL && user->pw_name[0] != '\0' ? user->pw_name : number;
    if (before != NULL && before[0] != '\0') {
        (void)snprintf(out, room, "%.60s (as %.40s)", before, name);
    } else {
        (void)snprintf(out, room, "%.100s", name);
    }
}

void people_day(int64_t wall_ms, char out[PEOPLE_DAY])
{
    const time_t at = (time_t)(wall_ms / 1000);
    struct tm tm = {0};
    if (gmtime_r(&at, &tm) == NULL || strftime(out, PEOPLE_DAY, "%Y-%m-%d %H:%M UTC", &tm) == 0) {
        out[0] = '\0';
    }
}

bool people_ask(const char *question, char *out, size_t room)
{
    if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) {
        return false;
    }
    (void)fprintf(stderr, "%s", question);
    (void)fflush(stderr);
    if (fgets(out, (int)room, stdin) == NULL) {
        return false;
    }
    out[strcspn(out, "\r\n")] = '\0';
    return out[0] != '\0';
}
