/*
 * The high-water mark: how far the ledger had come, in a file beside it (LEDGER.mark), written after
 * each commit to one of the chains. Two places of 512 bytes, of which the newer one counts and the other one is
 * written next, so that one is always whole:
 *
 *   wardround ledger mark 2
 *   study  NUMBER LINK
 *   spend  NUMBER LINK
 *   evaluation  NUMBER LINK      only of a ledger that has any
 *   check  HASH                  of the lines above; then spaces
 *
 * A ledger that was put back from an older copy, or whose last rows were cut off, is whole in itself; it
 * lacks the row that the mark names. A mark that lags (killed between commit and mark) is no fault: its
 * rows are there. Therefore nobody waits for the disk here: the row is on it, and what a power cut may cost is
 * that the mark lags by what the system had not written yet. Both put back together are not noticed here; anchor.c
 * is for that.
 *
 * Version 1 was one text without places, check and spaces, written anew each time; it is read, and replaced by
 * the next commit.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/ledger/ledger_internal.h"
#include "common/base/file.h"

enum { PLACE_BYTES = 512, PLACES = 2 };

static const char head[] = "wardround ledger mark 2\n";
static const char old_head[] = "wardround ledger mark 1\n";

static RC of_ledger(struct ledger *l, struct ledger_mark *out, struct error *err)
{
    enum rc rc = ledger_chain_end(l, LEDGER_LAST_STUDY, &out->study, err);
    if (rc == RC_OK) {
        rc = ledger_chain_end(l, LEDGER_LAST_SPEND, &out->spend, err);
    }
    if (rc == RC_OK) {
        rc = ledger_chain_end(l, LEDGER_LAST_EVALUATION, &out->evaluation, err);
    }
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void print(const struct ledger_mark *m, char text[PLACE_BYTES])
{
    char hex[HASH_HEX];
    int n = 0;
    const struct {
        const char *key;
        const struct ledger_end *end;
    } line[] = {{"study", &m->study}, {"spend", &m->spend}, {"evaluation", &m->evaluation}};
    memset(text, ' ', PLACE_BYTES);
    n = snprintf(text, PLACE_BYTES, "%s", head);
    for (size_t i = 0; i < sizeof line / sizeof line[0]; i++) {
        if (i < 2 || line[i].end->number > 0) {
            hash_hex(&line[i].end->link, hex);
            n += snprintf(text + n, (size_t)(PLACE_BYTES - n), "%s %" PRId64 " %s\n", line[i].key,
                          line[i].end->number, hex);
        }
    }
    const struct hash check = hash_of(text, (size_t)n);
    hash_hex(&check, hex);
    n += snprintf(text + n, (size_t)(PLACE_BYTES - n), "check %s\n", hex);
    text[n] = ' '; /* over the NUL */
    text[PLACE_BYTES - 1] = '\n';
}

static RC cannot_write(const struct ledger *l, struct error *err)
{
    return error_set(err, RC_IO, "cannot write '%s': %s; make room, or see who may write there",
                     l->mark, strerror(errno));
}

/* Over the older of the two places; where there is no such file, a new one. */
static RC write_mark(const struct ledger *l, const struct ledger_mark *old,
                     const struct ledger_mark *m, struct error *err)
{
    char text[PLACES * PLACE_BYTES];
    print(m, text);
    if (!old->there || old->version == 1) {
        memset(text + PLACE_BYTES, ' ', PLACE_BYTES);
        text[PLACES * PLACE_BYTES - 1] = '\n';
        return file_replace(l->mark, text, sizeof text, err);
    }
    const int fd = open(l->mark, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return cannot_write(l, err);
    }
    enum rc rc = RC_OK;
    errno = EIO;
    if (pwrite(fd, text, PLACE_BYTES, (off_t)((1 - old->place) * PLACE_BYTES)) != PLACE_BYTES) {
        rc = cannot_write(l, err);
    }
    (void)close(fd);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* "KEY NUMBER LINK\n" @return what follows; NULL: it is not that */
static const char *parse_end(const char *at, const char *key, struct ledger_end *out)
{
    char name[12];
    char hex[HASH_HEX];
    int used = 0;
    if (sscanf(at, "%11[a-z] %" SCNd64 " %64[0-9a-f]%n", name, &out->number, hex, &used) != 3 ||
        strcmp(name, key) != 0 || strlen(hex) != 64 || at[used] != '\n' || out->number < 0) {
        return NULL;
    }
    for (size_t i = 0; i < HASH_BYTES; i++) {
        unsigned byte = 0;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return NULL;
        }
        out->link.b[i] = (unsigned char)byte;
    }
    return at + used + 1;
}

/* The lines between head and check, or the end of an old one. @return what follows, or NULL */
static const char *parse_lines(const char *at, struct ledger_mark *out)
{
    at = parse_end(at, "study", &out->study);
    at = at != NULL ? parse_end(at, "spend", &out->spend) : NULL;
    if (at != NULL && strncmp(at, "evaluation ", 11) == 0) { /* only of a ledger that has any */
        at = parse_end(at, "evaluation", &out->evaluation);
    }
    return at;
}

/* One place, with a NUL behind it. @return false: not whole, or nothing was ever written there */
static bool parse_place(const char *text, struct ledger_mark *out)
{
    char hex[HASH_HEX];
    const char *at =
        strncmp(text, head, strlen(head)) == 0 ? parse_lines(text + strlen(head), out) : NULL;
    if (at == NULL) {
        return false;
    }
    const struct hash check = hash_of(text, (size_t)(at - text));
    hash_hex(&check, hex);
    return strncmp(at, "check ", 6) == 0 && strncmp(at + 6, hex, HASH_HEX - 1) == 0 &&
           at[6 + HASH_HEX - 1] == '\n';
}

/* Numbers only grow, and with each mark one of them does. */
static int64_t reach(const struct ledger_mark *m)
{
    return m->study.number + m->spend.number + m->evaluation.number;
}

static bool parse(char *text, size_t n, struct ledger_mark *out)
{
    bool found = false;
    text[n] = '\0';
    if (strncmp(text, old_head, strlen(old_head)) == 0) {
        const char *end = parse_lines(text + strlen(old_head), out);
        out->version = 1;
        return end != NULL && *end == '\0';
    }
    if (n != (size_t)PLACES * PLACE_BYTES) {
        return false;
    }
    for (size_t i = 0; i < PLACES; i++) {
        struct ledger_mark m = {.there = true, .version = 2, .place = i};
        char place[PLACE_BYTES + 1];
        memcpy(place, text + i * PLACE_BYTES, PLACE_BYTES);
        place[PLACE_BYTES] = '\0';
        if (parse_place(place, &m) && (!found || reach(&m) > reach(out))) {
            *out = m;
            found = true;
        }
    }
    return found;
}

static RC read_mark(const struct ledger *l, struct ledger_mark *out, struct error *err)
{
    char text[PLACES * PLACE_BYTES + 2]; /* a byte more than a mark has, and a NUL */
    const int fd = open(l->mark, O_RDONLY | O_CLOEXEC);
    *out = (struct ledger_mark){.there = fd >= 0};
    if (fd < 0 && errno == ENOENT) {
        return RC_OK;
    }
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    const int why = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (n < 0) {
        return error_set(err, RC_IO, "cannot read '%s': %s; see who may read there", l->mark,
                         strerror(why));
    }
    if (!parse(text, (size_t)n, out)) {
        return error_set(err, RC_FORMAT,
                         "'%s' is no mark of this ledger: put back the newest copies of both",
                         l->mark);
    }
    return RC_OK;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static RC has_row(struct ledger *l, enum ledger_sql sql, const struct ledger_end *end,
                  const char *what, struct error *err)
{
    struct statement *st = l->st[sql];
    struct hash link = {{0}};
    bool row = false;
    if (end->number == 0) {
        return RC_OK;
    }
    statement_bind_i64(st, end->number);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        rc = ledger_hash_at(st, 0, &link, err);
        statement_reset(st);
    }
    if (rc == RC_OK && (!row || !hash_equal(&link, &end->link))) {
        rc = error_set(err, RC_STATE,
                       "the ledger is older than its own mark: %s %lld is %s; it was cut or put "
                       "back from an old copy, and what was spent since is not in it: put back "
                       "the newest copy",
                       what, (long long)end->number, row ? "another one" : "missing");
    }
    return rc;
}

/* In a transaction, so that two programs never write the mark at once, nor an older one over a newer. The
 * first open of a ledger writes its mark, so one that is missing beside rows was taken away: it is not
 * made again just by looking, which would hide that, but by what is spent next. */
static RC within(struct ledger *l, bool committed, struct error *err)
{
    if (l->mark[0] == '\0') {
        return RC_OK;
    }
    struct ledger_mark marked = l->marked;
    struct ledger_mark now = {0};
    enum rc rc = l->mark_fault.rc;
    if (!l->view) {
        rc = read_mark(l, &marked, err);
    } else if (rc != RC_OK) {
        *err = l->mark_fault;
    }
    if (rc == RC_OK && marked.there) {
        rc = has_row(l, LEDGER_STUDY_LINK, &marked.study, "study", err);
    }
    if (rc == RC_OK && marked.there) {
        rc = has_row(l, LEDGER_SPEND_LINK, &marked.spend, "spend", err);
    }
    if (rc == RC_OK && marked.there) {
        rc = has_row(l, LEDGER_EVALUATION_LINK, &marked.evaluation, "evaluation", err);
    }
    if (rc != RC_OK || l->view) {
        return rc;
    }
    rc = of_ledger(l, &now, err);
    if (rc == RC_OK && !marked.there && !committed &&
        (now.spend.number > 0 || now.evaluation.number > 0)) {
        return RC_OK;
    }
    const bool lags = !marked.there || now.study.number > marked.study.number ||
                      now.spend.number > marked.spend.number ||
                      now.evaluation.number > marked.evaluation.number;
    return rc == RC_OK && lags ? write_mark(l, &marked, &now, err) : rc;
}

enum rc ledger_mark_within(struct ledger *l, struct error *err)
{
    return within(l, false, err);
}

enum rc ledger_mark_there(struct ledger *l, bool *there, struct error *err)
{
    struct ledger_mark marked = l->marked;
    const enum rc rc = l->view || l->mark[0] == '\0' ? RC_OK : read_mark(l, &marked, err);
    *there = marked.there || l->mark[0] == '\0';
    return rc;
}

void ledger_mark_keep(struct ledger *l)
{
    l->mark_fault = (struct error){.rc = RC_OK};
    error_ignore(read_mark(l, &l->marked, &l->mark_fault)); /* told by ledger_mark_within */
}

enum rc ledger_mark(struct ledger *l, struct error *err)
{
    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = within(l, true, err);
    }
    store_rollback(l->store);
    return rc;
}
