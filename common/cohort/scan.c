/*
 * Bytes -> rows of cells. libcsv (RFC 4180, strict about quotes) is fed up to one line end at a
 * time: a piece then completes at most one row, the line on which a row starts is known, and after
 * a broken quote the next line is a fresh start.
 *
 *   line ends   \n, \r\n and \r, also mixed; inside quotes they belong to the cell
 *   blank lines are skipped (a line of spaces and tabs, too)
 *   spaces      around a cell are dropped, inside quotes they stay (libcsv)
 *   BOM         of UTF-8 is dropped; UTF-16 is named and refused
 *   gzip        found by its first bytes, several members one after the other; what follows the
 *               last one is ignored (zlib)
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <csv.h>

#include "common/cohort/cohort_internal.h"

enum { CHUNK_BYTES = 1 << 16 };

struct scan {
    const struct cohort_limits *limits;
    struct arena memory;
    /* source */
    gzFile gz;                 /* NULL: from memory */
    struct cohort_bytes bytes; /* what is left of it */
    unsigned char *chunk;      /* [CHUNK_BYTES] */
    size_t chunk_n, chunk_at;
    size_t n_read;
    size_t n_issues; /* before this file's */
    bool at_end;
    /* place */
    size_t line;   /* of the next byte */
    bool after_cr; /* the last byte was \r: a \n now is the same line's end */
    bool skipping; /* to the line's end, after a problem */
    /* the row being read */
    struct csv_parser parser;
    bool parser_ready;
    bool in_row; /* something of it has been seen */
    bool row_done;
    size_t row_line, row_bytes;
    char *text; /* its cells, one after the other; each with a NUL */
    size_t text_n;
    size_t n_cells;         /* also counts those beyond SCHEMA_COLUMNS_MAX, which are not kept */
    struct scan_cell *cell; /* [SCHEMA_COLUMNS_MAX] */
};

/* ---- source --------------------------------------------------------------------------------- */

/* The rest cannot be read, and what was read of the last row is not the whole of it. */
static void give_up(struct scan *s)
{
    s->chunk_n = 0;
    s->chunk_at = 0;
    s->at_end = true;
    s->in_row = false;
}

/* Fills the chunk; none at the end. A file cut short or damaged is a problem, not our failure. */
static RC read_chunk(struct scan *s, struct config_issues *issues, struct error *err)
{
    s->chunk_at = 0;
    s->chunk_n = 0;
    if (s->n_read == 0) {
        s->n_issues = issues->n;
    }
    if (s->gz == NULL) {
        s->chunk_n = s->bytes.n < CHUNK_BYTES ? s->bytes.n : CHUNK_BYTES;
        if (s->chunk_n > 0) {
            memcpy(s->chunk, s->bytes.data, s->chunk_n);
            s->bytes.data = (const unsigned char *)s->bytes.data + s->chunk_n;
        }
        s->bytes.n -= s->chunk_n;
        return RC_OK;
    }
    const int n = gzread(s->gz, s->chunk, CHUNK_BYTES);
    int why = Z_OK;
    (void)gzerror(s->gz, &why);
    if (n > 0) {
        s->chunk_n = (size_t)n;
    } else if (why == Z_ERRNO) {
        return error_set(err, RC_IO, "cannot read: %s", strerror(errno));
    } else if (why == Z_MEM_ERROR) {
        return error_set(err, RC_NOMEM, "no memory to unpack a file");
    } else if (why == Z_BUF_ERROR) {
        ISSUE_AT(issues, s->line, 1, "the packed file ends too early: copy it again");
        give_up(s);
    } else if (why != Z_OK) {
        issues->n = s->n_issues; /* what was wrong with its rows may be the damage's, not theirs */
        ISSUE_AT(issues, s->line, 1,
                 "the packed file is damaged, before its byte %lld: copy it again",
                 (long long)gzoffset(s->gz));
        give_up(s);
    }
    return RC_OK;
}

/* The first bytes of a file say how its text is written. */
static void look_at_start(struct scan *s, struct config_issues *issues)
{
    const unsigned char *b = s->chunk;
    if (s->chunk_n >= 3 && memcmp(b, "\xef\xbb\xbf", 3) == 0) {
        s->chunk_at = 3;
    } else if (s->chunk_n >= 2 &&
               (memcmp(b, "\xff\xfe", 2) == 0 || memcmp(b, "\xfe\xff", 2) == 0)) {
        ISSUE_AT(issues, 1, 1, "UTF-16: save it as UTF-8");
        give_up(s);
    }
}

static RC refill(struct scan *s, struct config_issues *issues, struct error *err)
{
    const bool first = s->n_read == 0;
    const enum rc rc = read_chunk(s, issues, err);
    if (rc != RC_OK) {
        return rc;
    }
    s->n_read += s->chunk_n;
    s->at_end = s->chunk_n == 0;
    if (s->n_read > s->limits->file_bytes) {
        ISSUE_AT(issues, s->line, 1, "the file is longer than %zu bytes", s->limits->file_bytes);
        give_up(s);
    } else if (first) {
        look_at_start(s, issues);
    }
    return RC_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void on_cell(void *text, size_t n, void *scan)
{
    struct scan *s = scan;
    if (s->n_cells < SCHEMA_COLUMNS_MAX) {
        struct scan_cell *cell = &s->cell[s->n_cells];
        *cell = (struct scan_cell){.text = s->text + s->text_n, .n = n};
        if (n > 0) { /* an empty cell may come as NULL */
            memcpy(s->text + s->text_n, text, n);
        }
        s->text[s->text_n + n] = '\0';
        s->text_n += n + 1;
    }
    s->n_cells++;
}

static void on_row(int end, void *scan)
{
    (void)end;
    struct scan *s = scan;
    s->row_done = true;
}

static RC restart_parser(struct scan *s, struct error *err)
{
    const unsigned char separator = s->parser.delim_char;
    if (s->parser_ready) {
        csv_free(&s->parser);
        s->parser_ready = false;
    }
    if (csv_init(&s->parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        return error_set(err, RC_NOMEM, "no memory to read a file");
    }
    s->parser_ready = true;
    csv_set_delim(&s->parser, separator);
    s->in_row = false;
    s->row_done = false;
    return RC_OK;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t utf8_length(const unsigned char *b, size_t n)
{
    if (b[0] < 0x80) {
        return 1;
    }
    if (b[0] < 0xc2 || b[0] > 0xf4) {
        return 0;
    }
    const size_t length = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    const unsigned low = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned high = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    if (n < length || b[1] < low || b[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* Each cell is text of a bounded length, whether a feature or not. */
static void check_cells(struct scan *s, struct config_issues *issues)
{
    for (size_t i = 0; i < s->n_cells; i++) {
        struct scan_cell *cell = &s->cell[i];
        const unsigned char *b = (const unsigned char *)cell->text;
        size_t at = 0;
        size_t step = 1;
        while (at < cell->n && step > 0 && b[at] != 0) {
            step = utf8_length(b + at, cell->n - at);
            at += step;
        }
        if (cell->n > s->limits->cell_bytes) {
            ISSUE_AT(issues, s->row_line, i + 1, "longer than %zu bytes", s->limits->cell_bytes);
        } else if (at < cell->n && step == 0) {
            ISSUE_AT(issues, s->row_line, i + 1, "not UTF-8");
        } else if (at < cell->n) {
            ISSUE_AT(issues, s->row_line, i + 1, "a NUL byte");
        } else {
            continue;
        }
        cell->bad = true;
    }
}

/* The bytes up to a line's end, or what the chunk still holds of the line. */
struct stretch {
    const unsigned char *at;
    size_t n;
    bool ends; /* with \n or \r */
};

static struct stretch next_stretch(struct scan *s)
{
    struct stretch p = {.at = s->chunk + s->chunk_at};
    while (s->chunk_at < s->chunk_n && !p.ends) {
        const unsigned char c = s->chunk[s->chunk_at++];
        p.ends = c == '\n' || c == '\r';
        p.n++;
    }
    return p;
}

static void count_line(struct scan *s, const struct stretch *p)
{
    const unsigned char last = p->at[p->n - 1];
    const bool second_half = s->after_cr && p->n == 1 && last == '\n';
    if (p->ends && !second_half) {
        s->line++;
    }
    s->after_cr = last == '\r';
}

static bool is_blank(const struct stretch *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strchr(" \t\r\n", p->at[i]) == NULL || p->at[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* Feeds one piece; afterwards row_done, in_row or skipping says what became of it. */
static RC feed(struct scan *s, const struct stretch *p, struct config_issues *issues,
               struct error *err)
{
    if (s->skipping) {
        s->skipping = !p->ends;
        return RC_OK;
    }
    if (!s->in_row) {
        s->row_line = s->line;
        s->row_bytes = 0;
        s->n_cells = 0;
        s->text_n = 0;
    }
    s->row_bytes += p->n;
    if (s->row_bytes > s->limits->row_bytes) {
        ISSUE_AT(issues, s->row_line, s->n_cells + 1,
                 "a row of more than %zu bytes: is a quote never closed?", s->limits->row_bytes);
        s->skipping = !p->ends;
        return restart_parser(s, err);
    }
    if (csv_parse(&s->parser, p->at, p->n, on_cell, on_row, s) != p->n) {
        if (csv_error(&s->parser) != CSV_EPARSE) {
            return error_set(err, RC_NOMEM, "no memory to read a file");
        }
        ISSUE_AT(issues, s->row_line, s->n_cells + 1,
                 "a quote inside a cell: put the cell in quotes and double those inside");
        s->skipping = !p->ends;
        return restart_parser(s, err);
    }
    s->in_row = !s->row_done && (s->in_row || s->n_cells > 0 || !is_blank(p));
    return RC_OK;
}

/* The last row may lack its line end. */
static RC finish(struct scan *s, struct config_issues *issues, struct error *err)
{
    const int failed = csv_fini(&s->parser, on_cell, on_row, s);
    if (failed != 0 && csv_error(&s->parser) != CSV_EPARSE) {
        return error_set(err, RC_NOMEM, "no memory to read a file");
    }
    if (failed != 0) {
        ISSUE_AT(issues, s->row_line, s->n_cells + 1, "a quote that is never closed");
    }
    return RC_OK;
}

enum rc scan_next(struct scan *s, struct scan_row *row, bool *more, struct config_issues *issues,
                  struct error *err)
{
    enum rc rc = RC_OK;
    s->row_done = false;
    while (rc == RC_OK && !s->row_done && !s->at_end) {
        if (s->chunk_at == s->chunk_n) {
            rc = refill(s, issues, err);
            if (rc == RC_OK && s->at_end && s->in_row) {
                rc = finish(s, issues, err);
            }
            continue;
        }
        const struct stretch p = next_stretch(s);
        rc = feed(s, &p, issues, err);
        count_line(s, &p);
    }
    if (rc != RC_OK) {
        return rc;
    }
    *more = s->row_done;
    if (!s->row_done) {
        return RC_OK;
    }
    s->in_row = false;
    if (s->n_cells > SCHEMA_COLUMNS_MAX) {
        ISSUE_AT(issues, s->row_line, (size_t)SCHEMA_COLUMNS_MAX + 1, "more than %d fields",
                 SCHEMA_COLUMNS_MAX);
        s->n_cells = SCHEMA_COLUMNS_MAX;
    }
    check_cells(s, issues);
    *row = (struct scan_row){.line = s->row_line, .n_cells = s->n_cells, .cell = s->cell};
    return RC_OK;
}

enum rc scan_open(const char *path, const struct cohort_bytes *bytes, char separator,
                  const struct cohort_limits *limits, struct scan **out, struct error *err)
{
    /* Cells are pieces of a row, and each has a NUL. */
    const size_t text_bytes = limits->row_bytes + SCHEMA_COLUMNS_MAX;
    enum rc rc = RC_OK;
    struct scan *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return error_set(err, RC_NOMEM, "no memory to read a file");
    }
    s->limits = limits;
    s->line = 1;
    s->parser.delim_char = (unsigned char)separator;
    if (bytes != NULL) {
        s->bytes = *bytes;
    } else {
        rc = source_open(path, &s->gz, err);
    }
    if (rc == RC_OK) {
        rc = arena_init(&s->memory,
                        arena_cost(CHUNK_BYTES, 1) + arena_cost(text_bytes, 1) +
                            arena_cost(SCHEMA_COLUMNS_MAX, sizeof *s->cell),
                        err);
    }
    if (rc == RC_OK) {
        s->chunk = arena_take(&s->memory, CHUNK_BYTES, 1);
        s->text = arena_take(&s->memory, text_bytes, 1);
        s->cell = arena_take(&s->memory, SCHEMA_COLUMNS_MAX, sizeof *s->cell);
        rc = restart_parser(s, err);
    }
    if (rc == RC_OK) {
        *out = s;
        s = NULL;
    }
    scan_close(&s);
    return rc;
}

void scan_close(struct scan **s)
{
    struct scan *gone = *s;
    if (gone == NULL) {
        return;
    }
    if (gone->parser_ready) {
        csv_free(&gone->parser);
    }
    if (gone->gz != NULL) {
        (void)gzclose(gone->gz); /* read only: what could fail was said by gzread */
    }
    arena_wipe(&gone->memory);
    arena_release(&gone->memory);
    free(gone);
    *s = NULL;
}
