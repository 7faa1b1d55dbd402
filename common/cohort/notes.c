/*
 * Notes: a column of long files, or folders of ID.txt -> text in the store -> ids in a batch.
 *
 * Words are runs of letters, digits and characters beyond ASCII; A … Z become a … z; everything else
 * stands between words. A word w[i] gives the ids of (w[i]), (w[i-1], w[i]), … up to n words, within one
 * note. The id of a k-gram is
 *
 *   fmix(FNV-1a(seed, k, words each behind a zero byte)) mod vocabulary
 *
 * with FNV-1a 64 (Fowler, Noll, Vo; RFC 9923) over the seed's eight bytes, little-endian, one byte k,
 * then each word; and fmix, the finaliser of splitmix64 (Steele, Lea, Flood 2014), since the low bits of
 * FNV alone are weak. With `unit: bytes` an id is the byte, and a line end stands between two notes.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

/* ---- files -> store ------------------------------------------------------------------------- */

struct notes_reading {
    struct intake *in;
    struct arena memory;
    unsigned char *item; /* [NOTE_HEAD + row_bytes] */
};

static RC add_note(struct notes_reading *r, int64_t record, double hours, const void *text,
                   size_t n, struct error *err)
{
    struct intake *in = r->in;
    assert(n <= in->limits->row_bytes);
    in->found->n_items++;
    if (in->issues->n > 0) {
        return RC_OK;
    }
    cell_put(r->item, hours);
    u32_put(r->item + CELL_BYTES, (uint32_t)n);
    u32_put(r->item + CELL_BYTES + 4, 0);
    memcpy(r->item + NOTE_HEAD, text, n);
    return pieces_add(in->pieces, record, in->index, r->item, NOTE_HEAD + n, err);
}

static enum rc take_row(void *ctx, const struct long_row *row, struct error *err)
{
    struct notes_reading *r = ctx;
    const struct scan_cell *cell = row->cell[LONG_TEXT];
    int64_t record;
    if (cell == NULL) {
        return RC_OK; /* said by the scanner */
    }
    if (cell->n == 0 || marks_hold_cell(row->missing, cell)) {
        r->in->found->n_missing++;
        return RC_OK;
    }
    const enum rc rc = pieces_find(r->in->pieces, row->key, &record, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (record == 0) {
        r->in->found->n_unknown++;
        return RC_OK;
    }
    return add_note(r, record, row->hours, cell->text, cell->n, err);
}

/* ID.txt, or one of several: ID.1.txt, where no row is called ID.1. */
static RC whose(struct notes_reading *r, const struct schema_source *file, const char *name,
                int64_t *record, struct error *err)
{
    char key[SCHEMA_NAME_MAX];
    size_t n = strlen(name) - strlen(".txt");
    *record = 0;
    for (int i = 0; i < 2 && *record == 0; i++) {
        if (source_name(file->prefix, name, n, key)) {
            const enum rc rc = pieces_find(r->in->pieces, key, record, err);
            if (rc != RC_OK) {
                return rc;
            }
        }
        while (n > 0 && name[--n] != '.') {
        }
        if (n == 0) {
            break;
        }
    }
    return RC_OK;
}

static const char *text_fault(const unsigned char *b, size_t n)
{
    for (size_t at = 0; at < n;) {
        const size_t step = b[at] == 0 ? 0 : utf8_length(b + at, n - at);
        if (step == 0) {
            return b[at] == 0 ? "a NUL byte: not a text" : "not UTF-8";
        }
        at += step;
    }
    return NULL;
}

static RC take_text(struct notes_reading *r, const struct schema_source *file, const char *folder,
                    const char *name, size_t number, struct error *err)
{
    char path[SCHEMA_FULL_PATH_MAX + 256];
    unsigned char *data = NULL;
    size_t n = 0;
    int64_t record;
    enum rc rc = whose(r, file, name, &record, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (record == 0) {
        r->in->found->n_unknown++;
        return RC_OK;
    }
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    rc = folder_read(path, r->in->limits->row_bytes, &data, &n, err);
    const char *fault = rc == RC_OK ? text_fault(data, n) : err->text;
    if (rc == RC_NOMEM) {
        return rc;
    }
    if (fault != NULL) { /* not its name: that is a patient's id */
        config_issue(r->in->issues, NULL, "file %zu in order of names: %s", number, fault);
        rc = RC_OK;
    } else if (n == 0) {
        r->in->found->n_missing++;
    } else {
        rc = add_note(r, record, 0, data, n, err);
    }
    if (data != NULL) {
        hash_wipe(data, n);
        free(data);
    }
    return rc;
}

static RC take_folder(struct notes_reading *r, const struct schema_source *file, struct error *err)
{
    struct intake *in = r->in;
    char path[SCHEMA_FULL_PATH_MAX];
    struct folder f = {0};
    in->issues->path = file->path;
    enum rc rc = schema_path(in->s, file->path, path, err);
    if (rc == RC_OK) {
        rc = folder_open(path, ".txt", in->limits->items, &f, err);
    }
    if (rc != RC_OK && rc != RC_NOMEM) {
        source_absent(file->path, path, err, in->issues);
        return RC_OK;
    }
    in->found->n_unlisted += f.n_others;
    if (rc == RC_OK && f.n == 0) {
        config_issue(in->issues, NULL, "no file in it ends in .txt");
    }
    for (size_t i = 0; rc == RC_OK && i < f.n; i++) {
        rc = take_text(r, file, path, f.name[i], i + 1, err);
    }
    folder_close(&f);
    return rc;
}

enum rc notes_import(struct intake *in, struct error *err)
{
    struct notes_reading r = {.in = in};
    assert(in->limits->row_bytes <= PIECES_ITEM_MAX - NOTE_HEAD);
    enum rc rc = arena_init(&r.memory, arena_cost(NOTE_HEAD + in->limits->row_bytes, 1), err);
    if (rc != RC_OK) {
        return rc;
    }
    r.item = arena_take(&r.memory, NOTE_HEAD + in->limits->row_bytes, 1);
    if (in->m->notes.format == SCHEMA_CSV) {
        rc = long_walk(in, take_row, &r, err);
    }
    for (size_t i = 0; in->m->notes.format == SCHEMA_TXT && rc == RC_OK && i < in->m->n_files;
         i++) {
        const struct schema_source *file = &in->m->file[i];
        if (in->only_site == NULL || file->site[0] == '\0' ||
            strcmp(file->site, in->only_site) == 0) {
            rc = take_folder(&r, file, err);
        }
    }
    arena_wipe(&r.memory);
    arena_release(&r.memory);
    return rc;
}

/* ---- store -> dataset ----------------------------------------------------------------------- */

struct note {
    double hours;
    const unsigned char *at; /* its head */
    size_t n;                /* with it */
};

/* The note at data + at. @return false: no import wrote it */
static bool note_at(const unsigned char *data, size_t n, size_t at, struct note *out)
{
    if (n - at < NOTE_HEAD) {
        return false;
    }
    *out = (struct note){.hours = cell_get(data + at),
                         .at = data + at,
                         .n = NOTE_HEAD + (size_t)u32_get(data + at + CELL_BYTES)};
    return isfinite(out->hours) && u32_get(data + at + CELL_BYTES + 4) == 0 && out->n <= n - at &&
           text_fault(out->at + NOTE_HEAD, out->n - NOTE_HEAD) == NULL;
}

static int by_time(const void *a, const void *b)
{
    const struct note *x = a;
    const struct note *y = b;
    if (x->hours < y->hours || x->hours > y->hours) {
        return x->hours < y->hours ? -1 : 1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

enum rc notes_order(unsigned char *data, size_t n, unsigned char *spare, struct error *err)
{
    struct note note = {0};
    size_t n_notes = 0;
    bool sorted = true;
    double last = -(double)INFINITY;
    for (size_t at = 0; at < n; at += note.n) {
        if (!note_at(data, n, at, &note)) {
            return error_set(err, RC_FORMAT, "the imported cohort is damaged: import it again");
        }
        sorted = sorted && note.hours >= last;
        last = note.hours;
        n_notes++;
    }
    if (sorted) {
        return RC_OK;
    }
    struct note *all = calloc(n_notes, sizeof *all);
    if (all == NULL) {
        return error_set(err, RC_NOMEM, "no memory to order notes");
    }
    memcpy(spare, data, n);
    for (size_t at = 0, i = 0; at < n && note_at(spare, n, at, &all[i]); i++) {
        at += all[i].n;
    }
    qsort(all, n_notes, sizeof *all, by_time);
    for (size_t i = 0, at = 0; i < n_notes; i++) {
        memcpy(data + at, all[i].at, all[i].n);
        at += all[i].n;
    }
    free(all);
    return RC_OK;
}

/* ---- text -> ids ---------------------------------------------------------------------------- */

static uint64_t fnv(uint64_t h, unsigned char c)
{
    return (h ^ c) * UINT64_C(0x100000001b3);
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
}

static bool in_word(unsigned char c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
}

struct span {
    const unsigned char *at;
    size_t n;
};

static int32_t gram_id(const struct schema_notes *n, const struct span *word, size_t k)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < 8; i++) {
        h = fnv(h, (unsigned char)(n->seed >> (8 * i)));
    }
    h = fnv(h, (unsigned char)k);
    for (size_t w = 0; w < k; w++) {
        h = fnv(h, 0);
        for (size_t i = 0; i < word[w].n; i++) {
            h = fnv(h, lower(word[w].at[i]));
        }
    }
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    h ^= h >> 31;
    return (int32_t)(h % n->vocabulary);
}

static size_t put(const struct schema_notes *n, int32_t id, size_t have, int32_t *out)
{
    if (out != NULL) {
        out[have] = id;
    }
    return have + (have < n->tokens);
}

static size_t bytes_tokens(const struct schema_notes *n, const unsigned char *text, size_t n_bytes,
                           size_t have, int32_t *out)
{
    if (have > 0 && have < n->tokens) {
        have = put(n, '\n', have, out);
    }
    for (size_t i = 0; i < n_bytes && have < n->tokens; i++) {
        have = put(n, text[i], have, out);
    }
    return have;
}

size_t notes_tokens(const struct schema_notes *n, const unsigned char *text, size_t n_bytes,
                    size_t have, int32_t *out)
{
    struct span word[SCHEMA_NGRAMS_MAX] = {0}; /* the last ones, the newest at the end */
    size_t n_words = 0;
    if (n->unit == SCHEMA_BYTES) {
        return bytes_tokens(n, text, n_bytes, have, out);
    }
    for (size_t at = 0; at < n_bytes && have < n->tokens;) {
        if (!in_word(text[at])) {
            at++;
            continue;
        }
        memmove(word, word + 1, (SCHEMA_NGRAMS_MAX - 1) * sizeof *word);
        struct span *new = &word[SCHEMA_NGRAMS_MAX - 1];
        *new = (struct span){.at = text + at};
        while (at < n_bytes && in_word(text[at])) {
            at++;
            new->n++;
        }
        n_words++;
        for (size_t k = 1; k <= n->ngrams && k <= n_words && have < n->tokens; k++) {
            have = put(n, gram_id(n, word + SCHEMA_NGRAMS_MAX - k, k), have, out);
        }
    }
    return have;
}

size_t notes_unpack(const struct schema_modality *m, const struct piece *p, int32_t *out)
{
    struct note note = {0};
    size_t have = 0;
    for (size_t at = 0; at < p->n && have < m->notes.tokens; at += note.n) {
        const bool whole = note_at(p->data, p->n, at, &note);
        assert(whole); /* piece_next looked */
        have = notes_tokens(&m->notes, note.at + NOTE_HEAD, note.n - NOTE_HEAD, have, out);
    }
    return have;
}

void notes_expand(const struct dataset_part *d, size_t row, const struct batch_room_part *to,
                  size_t b)
{
    const size_t n = d->first[row + 1] - d->first[row];
    if (n > 0) {
        memcpy(to->codes + b * d->shape.items, d->token + d->first[row], n * sizeof *d->token);
    }
    to->length[b] = (int32_t)n;
}
