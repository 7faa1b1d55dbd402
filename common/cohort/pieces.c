/*
 * What modalities' files say, into the store and out of it. Rows of a long file come in any order; they
 * wait in a block of bytes, and what waits for one record goes into the store as one piece. Out comes,
 * for each record and modality, all of it, in order of time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

/* What may wait grows from the first to the last of these; an item has this many bytes on average, or
 * its place in the list is full before its bytes are. */
enum { WAITING_FIRST = 1 << 12, WAITING_LAST = 1 << 23, BYTES_PER_ENTRY = 32 };
static_assert((int)PIECES_ITEM_MAX <= (int)WAITING_LAST, "one item fits");

struct piece_entry {
    int64_t record;
    size_t at;
    uint32_t modality, n;
};

void u32_put(unsigned char *to, uint32_t x)
{
    for (size_t i = 0; i < 4; i++) {
        to[i] = (unsigned char)(x >> (8 * i));
    }
}

uint32_t u32_get(const unsigned char *from)
{
    uint32_t x = 0;
    for (size_t i = 0; i < 4; i++) {
        x |= (uint32_t)from[i] << (8 * i);
    }
    return x;
}

/* ---- in ------------------------------------------------------------------------------------- */

/* Room for `room` bytes of items. What waits already comes along; the old room is wiped. */
static RC make_room(struct pieces *p, size_t room, struct error *err)
{
    struct arena memory = {0};
    const size_t entries = room / BYTES_PER_ENTRY;
    const struct pieces old = *p;
    const enum rc rc =
        arena_init(&memory, 2 * arena_cost(room, 1) + arena_cost(entries, sizeof *p->entry), err);
    if (rc != RC_OK) {
        return rc;
    }
    p->bytes = arena_take(&memory, room, 1);
    p->sorted = arena_take(&memory, room, 1);
    p->entry = arena_take(&memory, entries, sizeof *p->entry);
    p->room = room;
    if (old.n_entries > 0) {
        memcpy(p->bytes, old.bytes, old.n_bytes);
        memcpy(p->entry, old.entry, old.n_entries * sizeof *old.entry);
    }
    arena_wipe(&p->memory);
    arena_release(&p->memory);
    p->memory = memory;
    return RC_OK;
}

enum rc pieces_init(struct pieces *p, struct store *store, struct error *err)
{
    *p = (struct pieces){.store = store};
    enum rc rc = make_room(p, WAITING_FIRST, err);
    if (rc == RC_OK) {
        rc = store_prepare(store, "SELECT id FROM record WHERE key = ?", &p->find, err);
    }
    if (rc == RC_OK) {
        rc = store_prepare(store, "INSERT INTO piece (record, modality, data) VALUES (?, ?, ?)",
                           &p->add, err);
    }
    return rc;
}

void pieces_release(struct pieces *p)
{
    statement_close(&p->find);
    statement_close(&p->add);
    arena_wipe(&p->memory);
    arena_release(&p->memory);
    *p = (struct pieces){0};
}

enum rc pieces_find(struct pieces *p, const char *key, int64_t *record, struct error *err)
{
    bool known = false;
    if (p->any_key && strcmp(key, p->last_key) == 0) {
        *record = p->last_record;
        return RC_OK;
    }
    statement_bind_text(p->find, key);
    const enum rc rc = statement_step(p->find, &known, err);
    if (rc != RC_OK) {
        return rc;
    }
    p->last_record = known ? statement_i64(p->find, 0) : 0;
    if (known) {
        statement_reset(p->find);
    }
    memcpy(p->last_key, key, strlen(key) + 1);
    p->any_key = true;
    *record = p->last_record;
    return RC_OK;
}

enum rc pieces_last_record(struct pieces *p, size_t *out, struct error *err)
{
    struct statement *st = NULL;
    bool row = false;
    enum rc rc = store_prepare(p->store, "SELECT max(id) FROM record", &st, err);
    if (rc == RC_OK) {
        rc = statement_step(st, &row, err);
    }
    if (rc == RC_OK) {
        *out = row ? (size_t)statement_i64(st, 0) : 0;
    }
    statement_close(&st);
    return rc;
}

/* What came later stands later in `bytes`. */
static int by_record(const void *a, const void *b)
{
    const struct piece_entry *x = a;
    const struct piece_entry *y = b;
    if (x->record != y->record) {
        return x->record < y->record ? -1 : 1;
    }
    if (x->modality != y->modality) {
        return x->modality < y->modality ? -1 : 1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

enum rc pieces_flush(struct pieces *p, struct error *err)
{
    enum rc rc = RC_OK;
    qsort(p->entry, p->n_entries, sizeof *p->entry, by_record);
    for (size_t i = 0; rc == RC_OK && i < p->n_entries;) {
        const struct piece_entry first = p->entry[i];
        size_t n = 0;
        for (; i < p->n_entries && p->entry[i].record == first.record &&
               p->entry[i].modality == first.modality;
             i++) {
            memcpy(p->sorted + n, p->bytes + p->entry[i].at, p->entry[i].n);
            n += p->entry[i].n;
        }
        statement_bind_i64(p->add, first.record);
        statement_bind_i64(p->add, first.modality);
        statement_bind_blob(p->add, p->sorted, n);
        rc = statement_run(p->add, err);
    }
    p->n_entries = 0;
    p->n_bytes = 0;
    return rc;
}

enum rc pieces_add(struct pieces *p, int64_t record, size_t modality, const void *data, size_t n,
                   struct error *err)
{
    assert(n <= PIECES_ITEM_MAX);
    while (p->n_entries == p->room / BYTES_PER_ENTRY || n > p->room - p->n_bytes) {
        const enum rc rc =
            p->room < WAITING_LAST ? make_room(p, 2 * p->room, err) : pieces_flush(p, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    p->entry[p->n_entries++] = (struct piece_entry){
        .record = record, .at = p->n_bytes, .modality = (uint32_t)modality, .n = (uint32_t)n};
    memcpy(p->bytes + p->n_bytes, data, n);
    p->n_bytes += n;
    return RC_OK;
}

/* ---- out ------------------------------------------------------------------------------------ */

struct piece_reader {
    const struct schema *s;
    struct statement *st;
    bool row; /* the statement stands on one that was not taken yet */
    struct arena memory;
    unsigned char *data, *spare; /* [room] each */
    size_t room;
    char key[SCHEMA_NAME_MAX];
};

static RC damaged(struct error *err)
{
    return error_set(err, RC_FORMAT, "the imported cohort is damaged: import it again");
}

enum rc piece_reader_open(const struct schema *s, struct store *store, struct piece_reader **out,
                          struct error *err)
{
    struct piece_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return error_set(err, RC_NOMEM, "no memory to read the cohort");
    }
    r->s = s;
    enum rc rc = store_prepare(store,
                               "SELECT r.id, r.key, x.modality, x.data FROM patient AS p"
                               " JOIN record AS r ON r.patient = p.id"
                               " JOIN piece AS x ON x.record = r.id"
                               " ORDER BY p.name, r.id, x.modality, x.id",
                               &r->st, err);
    if (rc == RC_OK) {
        rc = statement_step(r->st, &r->row, err);
    }
    if (rc == RC_OK) {
        *out = r;
        r = NULL;
    }
    piece_reader_close(&r);
    return rc;
}

void piece_reader_close(struct piece_reader **r)
{
    if (*r == NULL) {
        return;
    }
    statement_close(&(*r)->st);
    arena_wipe(&(*r)->memory);
    arena_release(&(*r)->memory);
    free(*r);
    *r = NULL;
}

/* Copied and wiped, not realloc'ed. */
static RC grow(struct piece_reader *r, size_t n, size_t keep, struct error *err)
{
    struct arena memory = {0};
    if (n <= r->room) {
        return RC_OK;
    }
    if (n > PIECES_OF_ONE_MAX) {
        return error_set(err, RC_LIMIT, "one patient has more than %d bytes of a modality",
                         (int)PIECES_OF_ONE_MAX);
    }
    const size_t room = 2 * n;
    const enum rc rc = arena_init(&memory, 2 * arena_cost(room, 1), err);
    if (rc != RC_OK) {
        return rc;
    }
    unsigned char *data = arena_take(&memory, room, 1);
    r->spare = arena_take(&memory, room, 1);
    if (keep > 0) {
        memcpy(data, r->data, keep);
    }
    r->data = data;
    r->room = room;
    arena_wipe(&r->memory);
    arena_release(&r->memory);
    r->memory = memory;
    return RC_OK;
}

static RC put_in_order(struct piece_reader *r, const struct piece *p, struct error *err)
{
    const struct schema_modality *m = &r->s->modality[p->modality];
    switch (m->kind) {
    case SCHEMA_SERIES:
        return series_order(m, p->data, p->n) ? RC_OK : damaged(err);
    case SCHEMA_IMAGE:
        return p->n == m->image.height * m->image.width ? RC_OK : damaged(err);
    case SCHEMA_NOTES:
        break;
    }
    return notes_order(p->data, p->n, r->spare, err);
}

enum rc piece_next(struct piece_reader *r, struct piece *out, bool *more, struct error *err)
{
    enum rc rc = RC_OK;
    *more = r->row;
    if (!r->row) {
        return RC_OK;
    }
    const int64_t record = statement_i64(r->st, 0);
    const int64_t modality = statement_i64(r->st, 2);
    const char *key = statement_text(r->st, 1);
    if (key == NULL || strlen(key) >= SCHEMA_NAME_MAX || modality < 0 ||
        (size_t)modality >= r->s->n_modalities) {
        return damaged(err);
    }
    memcpy(r->key, key, strlen(key) + 1);
    size_t n = 0;
    while (rc == RC_OK && r->row && statement_i64(r->st, 0) == record &&
           statement_i64(r->st, 2) == modality) {
        size_t n_more;
        const void *data = statement_blob(r->st, 3, &n_more);
        if (data == NULL) {
            return damaged(err);
        }
        rc = grow(r, n + n_more, n, err);
        if (rc == RC_OK) {
            memcpy(r->data + n, data, n_more);
            n += n_more;
            rc = statement_step(r->st, &r->row, err);
        }
    }
    if (rc != RC_OK) {
        return rc;
    }
    *out = (struct piece){
        .record = record, .key = r->key, .modality = (size_t)modality, .data = r->data, .n = n};
    return put_in_order(r, out, err);
}
