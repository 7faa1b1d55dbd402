#include "sim/app/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/words.h"

int words_command(const struct words_command *c, int argc, char **argv, void *words)
{
    static char name[48];
    static struct config_issues issues; /* large */
    struct error err = {0};

    (void)snprintf(name, sizeof name, "wardround-sim %s", c->name);
    argv[0] = name;
    argp_err_exit_status = EXIT_WRONG_USE;
    words_parse(c->argp, argc, argv, words);
    enum rc rc = c->carry_out(words, &issues, &err);
    if (rc == RC_OK) {
        rc = words_printed(&err);
    }
    if (rc == RC_OK) {
        return EXIT_SUCCESS;
    }
    words_complain(&issues, &err);
    return EXIT_FAILURE;
}

uint64_t words_whole(struct argp_state *state, const char *name, const char *text, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long x = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || x > max) {
        argp_error(state, "--%s wants a whole number up to %llu", name, (unsigned long long)max);
    }
    return x;
}

size_t words_count(struct argp_state *state, const char *name, const char *text, size_t max)
{
    const uint64_t n = words_whole(state, name, text, max);
    if (n == 0) {
        argp_error(state, "--%s wants at least 1", name);
    }
    return (size_t)n;
}

void words_config(struct argp_state *state, const char *arg, const char **config)
{
    if (*config != NULL) {
        argp_error(state, "'%.40s' is one word too many", arg);
    }
    *config = arg;
}

void words_complain(const struct config_issues *issues, const struct error *err)
{
    if (issues->n > 0) {
        config_print_issues(issues, stderr);
        (void)fprintf(stderr, "wardround-sim: %zu %s to mend first; nothing was done\n", issues->n,
                      issues->n == 1 ? "problem" : "problems");
    } else {
        (void)fprintf(stderr, "wardround-sim: %s\n", err->text);
    }
}

enum rc words_place(const char *path, struct error *err)
{
    struct stat st = {0};
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return error_set(err, RC_IO,
                         "'%s' is a folder, and results would be written there; move it, or "
                         "name another --out",
                         path);
    }
    return RC_OK;
}

enum rc words_folder(const char *path, struct error *err)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return error_set(err, RC_IO, "cannot make the folder '%s': %s; make the one above it first",
                         path, strerror(errno));
    }
    struct stat s = {0};
    if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode)) {
        return error_set(err, RC_IO, "'%s' is no folder; name another", path);
    }
    if (access(path, W_OK | X_OK) != 0) {
        return error_set(err, RC_IO, "cannot write into '%s': %s; name another folder", path,
                         strerror(errno));
    }
    return RC_OK;
}

enum rc words_json(json_t *object, struct error *err)
{
    if (object == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the JSON object");
    }
    const int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    json_decref(object);
    if (failed != 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0) {
        return error_set(err, RC_IO, "cannot write to stdout: %s", strerror(errno));
    }
    return RC_OK;
}

enum rc words_printed(struct error *err)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0
               ? RC_OK
               : error_set(err, RC_IO,
                           "cannot write to stdout: %s; make room or choose another place",
                           strerror(errno));
}
