#include "tests/support/mortal_store.h"

#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "common/store/store.h"

int mortal_die_at = -1;

static int calls;

/* A call from within a call is a part of it: some linkers wrap it (lld), others do not, and a number
 * must not be passed over. */
static int depth;

static void perhaps_die(int moment)
{
    depth -= moment;
    if (depth == 0) {
        if (mortal_die_at >= 0 && 2 * calls + moment == mortal_die_at) {
            (void)kill(getpid(), SIGKILL);
        }
        calls += moment;
    }
    depth += !moment;
}

RC __real_store_begin(struct store *s, struct error *err);
RC __real_store_commit(struct store *s, struct error *err);
RC __real_statement_step(struct statement *st, bool *row, struct error *err);
RC __real_statement_run(struct statement *st, struct error *err);
RC __wrap_store_begin(struct store *s, struct error *err);
RC __wrap_store_commit(struct store *s, struct error *err);
RC __wrap_statement_step(struct statement *st, bool *row, struct error *err);
RC __wrap_statement_run(struct statement *st, struct error *err);

int __real_rename(const char *from, const char *to);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_rename(const char *from, const char *to)
{
    perhaps_die(0);
    const int answer = __real_rename(from, to);
    perhaps_die(1);
    return answer;
}

int __wrap_fsync(int fd)
{
    perhaps_die(0);
    const int answer = __real_fsync(fd);
    perhaps_die(1);
    return answer;
}

int __wrap_fdatasync(int fd)
{
    perhaps_die(0);
    const int answer = __real_fdatasync(fd);
    perhaps_die(1);
    return answer;
}

enum rc __wrap_store_begin(struct store *s, struct error *err)
{
    perhaps_die(0);
    const enum rc rc = __real_store_begin(s, err);
    perhaps_die(1);
    return rc;
}

enum rc __wrap_store_commit(struct store *s, struct error *err)
{
    perhaps_die(0);
    const enum rc rc = __real_store_commit(s, err);
    perhaps_die(1);
    return rc;
}

enum rc __wrap_statement_step(struct statement *st, bool *row, struct error *err)
{
    perhaps_die(0);
    const enum rc rc = __real_statement_step(st, row, err);
    perhaps_die(1);
    return rc;
}

enum rc __wrap_statement_run(struct statement *st, struct error *err)
{
    perhaps_die(0);
    const enum rc rc = __real_statement_run(st, err);
    perhaps_die(1);
    return rc;
}

void mortal_restart(void)
{
    calls = 0;
}
