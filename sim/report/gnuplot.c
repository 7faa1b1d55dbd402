#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/report/report_internal.h"

enum { COMPLAINT_MAX = 160, EXIT_NO_FOLDER = 126, EXIT_NO_GNUPLOT = 127 };

/* Keeps the first bytes as one line and drains the rest, so that the child never blocks. */
static void read_complaint(int from, char complaint[COMPLAINT_MAX])
{
    size_t kept = 0;
    for (;;) {
        char piece[256];
        const ssize_t got = read(from, piece, sizeof piece);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        for (ssize_t i = 0; i < got && kept + 1 < COMPLAINT_MAX; i++) {
            const unsigned char c = (unsigned char)piece[i];
            const char shown = c < 0x20 || c == 0x7F ? ' ' : piece[i];
            if (shown != ' ' || (kept > 0 && complaint[kept - 1] != ' ')) {
                complaint[kept++] = shown;
            }
        }
    }
    complaint[kept] = '\0';
}

/* Between fork and exec only calls that a threaded program may make there. */
static void become_gnuplot(const char *folder, char *const argv[], int complaints)
{
    if (chdir(folder) != 0) {
        _exit(EXIT_NO_FOLDER);
    }
    const int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0 ||
        dup2(complaints, STDERR_FILENO) < 0) {
        _exit(EXIT_NO_FOLDER);
    }
    (void)execvp(argv[0], argv);
    _exit(EXIT_NO_GNUPLOT);
}

enum rc report_gnuplot(const char *folder, const char *script, const char *output,
                       struct error *err)
{
    char program[] = "gnuplot", option[] = "-c";
    char place[REPORT_PATH_MAX], target[REPORT_PATH_MAX];
    char *const argv[] = {program, option, place, target, NULL};
    int complaints[2] = {-1, -1};
    char complaint[COMPLAINT_MAX] = "";
    int status = 0;
    pid_t pid = -1;
    enum rc rc = RC_OK;

    /* "./" keeps a name such as "-x" or "|x" a name. */
    const int n = snprintf(place, sizeof place, "./%s", script);
    const int m = snprintf(target, sizeof target, "./%s", output);
    if (n < 0 || m < 0 || (size_t)n >= sizeof place || (size_t)m >= sizeof target) {
        rc = error_set(err, RC_LIMIT, "the name of the figure is too long");
        goto out;
    }
    if (pipe(complaints) != 0 || fcntl(complaints[0], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(complaints[1], F_SETFD, FD_CLOEXEC) != 0) {
        rc = error_set(err, RC_IO, "cannot start gnuplot: %s", strerror(errno));
        goto out;
    }
    pid = fork();
    if (pid < 0) {
        rc = error_set(err, RC_IO, "cannot start gnuplot: %s", strerror(errno));
        goto out;
    }
    if (pid == 0) {
        become_gnuplot(folder, argv, complaints[1]);
    }
    (void)close(complaints[1]);
    complaints[1] = -1;
    read_complaint(complaints[0], complaint);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            rc = error_set(err, RC_IO, "lost gnuplot: %s", strerror(errno));
            goto out;
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_GNUPLOT) {
        rc = error_set(err, RC_IO,
                       "cannot run gnuplot: install the package gnuplot-nox and run again");
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_FOLDER) {
        rc = error_set(err, RC_IO, "cannot run gnuplot in the folder '%s'", folder);
    } else if (!WIFEXITED(status)) {
        rc = error_set(err, RC_IO, "gnuplot was ended by signal %d", WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        rc = error_set(err, RC_IO, "gnuplot failed: %s",
                       complaint[0] != '\0' ? complaint : "it gave no reason");
    }
out:
    for (size_t k = 0; k < 2; k++) {
        if (complaints[k] >= 0) {
            (void)close(complaints[k]);
        }
    }
    return rc;
}
