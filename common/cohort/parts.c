/* The modalities of a dataset: from the store, from another dataset, and into batches. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

/* ---- what each kind holds ------------------------------------------------------------------- */

size_t piece_items(const struct schema_modality *m, const struct piece *p)
{
    switch (m->kind) {
    case SCHEMA_SERIES:
        return p->n / EVENT_BYTES;
    case SCHEMA_IMAGE:
        return p->n;
    case SCHEMA_NOTES:
        break;
    }
    return notes_unpack(m, p, NULL);
}

void piece_unpack(const struct schema_modality *m, const struct piece *p, struct dataset_part *to,
                  size_t at)
{
    switch (m->kind) {
    case SCHEMA_SERIES:
        series_unpack(m, p, to, at);
        break;
    case SCHEMA_IMAGE:
        memcpy(to->pixel + at, p->data, p->n);
        break;
    case SCHEMA_NOTES:
        (void)notes_unpack(m, p, to->token + at);
        break;
    }
}

static size_t part_cost(const struct schema_part *shape, size_t n_rows, size_t n)
{
    const size_t rows = arena_cost(n_rows + 1, sizeof(size_t));
    switch (shape->kind) {
    case SCHEMA_SERIES:
        return rows + 2 * arena_cost(n, sizeof(float)) + arena_cost(n, sizeof(uint16_t));
    case SCHEMA_IMAGE:
        return rows + arena_cost(n, 1);
    case SCHEMA_NOTES:
        break;
    }
    return rows + arena_cost(n, sizeof(int32_t));
}

static void part_take(struct dataset_part *p, size_t n_rows, size_t n, struct arena *memory)
{
    p->first = arena_take(memory, n_rows + 1, sizeof *p->first);
    switch (p->shape.kind) {
    case SCHEMA_SERIES:
        p->time = arena_take(memory, n, sizeof *p->time);
        p->value = arena_take(memory, n, sizeof *p->value);
        p->variable = arena_take(memory, n, sizeof *p->variable);
        break;
    case SCHEMA_IMAGE:
        p->pixel = arena_take(memory, n, 1);
        break;
    case SCHEMA_NOTES:
        p->token = arena_take(memory, n, sizeof *p->token);
        break;
    }
}

enum rc parts_reserve(struct dataset *d, struct arena *memory, const struct schema_part *shape,
                      size_t n_parts, const size_t *n_items, struct error *err)
{
    size_t cost = 0;
    for (size_t i = 0; i < n_parts; i++) {
        if (n_items[i] > (size_t)1 << 36) {
            return error_set(err, RC_LIMIT, "dataset: a modality is too large for memory");
        }
        cost += part_cost(&shape[i], d->n_rows, n_items[i]);
    }
    const enum rc rc = arena_init(memory, cost, err);
    if (rc != RC_OK) {
        return error_context(err, "dataset");
    }
    d->n_parts = n_parts;
    for (size_t i = 0; i < n_parts; i++) {
        d->part[i] = (struct dataset_part){.shape = shape[i]};
        part_take(&d->part[i], d->n_rows, n_items[i], memory);
    }
    return RC_OK;
}

/* ---- from the store ------------------------------------------------------------------------- */

/* All pieces once: counted into n_items, or unpacked where `fill`. */
static RC pass(struct dataset *d, const struct schema *s, struct store *store,
               const int64_t *record, bool fill, size_t *n_items, struct error *err)
{
    struct piece_reader *reader = NULL;
    struct piece p;
    size_t row = 0;
    bool more = true;
    enum rc rc = piece_reader_open(s, store, &reader, err);
    while (rc == RC_OK) {
        rc = piece_next(reader, &p, &more, err);
        if (rc != RC_OK || !more) {
            break;
        }
        while (row < d->n_rows && record[row] != p.record) {
            row++;
        }
        if (row == d->n_rows) {
            rc = error_set(err, RC_FORMAT, "the imported cohort is damaged: import it again");
            break;
        }
        const struct schema_modality *m = &s->modality[p.modality];
        const size_t n = piece_items(m, &p);
        if (fill) {
            struct dataset_part *part = &d->part[p.modality];
            piece_unpack(m, &p, part, n_items[p.modality]);
            part->first[row + 1] = n; /* summed up below */
        }
        n_items[p.modality] += n;
    }
    piece_reader_close(&reader);
    return rc;
}

enum rc parts_read(struct dataset *d, struct arena *memory, const struct schema *s,
                   struct store *store, const int64_t *record, struct error *err)
{
    const struct schema_layout layout = schema_layout(s);
    size_t n_items[SCHEMA_MODALITIES_MAX] = {0};
    enum rc rc = pass(d, s, store, record, false, n_items, err);
    if (rc == RC_OK) {
        rc = parts_reserve(d, memory, layout.part, layout.n_parts, n_items, err);
    }
    memset(n_items, 0, sizeof n_items);
    if (rc == RC_OK) {
        rc = pass(d, s, store, record, true, n_items, err);
    }
    for (size_t i = 0; rc == RC_OK && i < d->n_parts; i++) {
        for (size_t row = 0; row < d->n_rows; row++) {
            d->part[i].first[row + 1] += d->part[i].first[row];
        }
    }
    return rc;
}

/* ---- from another dataset ------------------------------------------------------------------- */

void parts_copy_rows(struct dataset *to, size_t at, const struct dataset *from, size_t row,
                     size_t n)
{
    for (size_t i = 0; i < from->n_parts; i++) {
        const struct dataset_part *f = &from->part[i];
        struct dataset_part *t = &to->part[i];
        const size_t start = f->first[row];
        const size_t items = f->first[row + n] - start;
        const size_t place = t->first[at];
        for (size_t r = 1; r <= n; r++) {
            t->first[at + r] = place + f->first[row + r] - start;
        }
        switch (f->shape.kind) {
        case SCHEMA_SERIES:
            memcpy(t->time + place, f->time + start, items * sizeof *f->time);
            memcpy(t->value + place, f->value + start, items * sizeof *f->value);
            memcpy(t->variable + place, f->variable + start, items * sizeof *f->variable);
            break;
        case SCHEMA_IMAGE:
            memcpy(t->pixel + place, f->pixel + start, items);
            break;
        case SCHEMA_NOTES:
            memcpy(t->token + place, f->token + start, items * sizeof *f->token);
            break;
        }
    }
}

/* ---- into batches --------------------------------------------------------------------------- */

size_t batch_room_cost(const struct schema_layout *layout, size_t B)
{
    size_t cost = arena_cost(B * layout->n_values, sizeof(float)) +
                  arena_cost(B * layout->n_codes, sizeof(int32_t)) + arena_cost(B, sizeof(float)) +
                  arena_cost(B, sizeof(int32_t)) + arena_cost(B * (1 + layout->n_parts), 1);
    for (size_t i = 0; i < layout->n_parts; i++) {
        const struct schema_part *p = &layout->part[i];
        cost += arena_cost(B * p->n_values, sizeof(float)) +
                arena_cost(B * p->n_mask, sizeof(float)) +
                arena_cost(B * p->n_delta, sizeof(float)) +
                arena_cost(B * p->n_codes, sizeof(int32_t)) +
                arena_cost(p->has_length ? B : 0, sizeof(int32_t));
    }
    return cost;
}

static void take_part(struct batch_room_part *to, const struct schema_part *p, size_t B,
                      struct arena *memory)
{
    *to = (struct batch_room_part){0};
    if (p->n_values > 0) {
        to->values = arena_take(memory, B * p->n_values, sizeof(float));
    }
    if (p->n_mask > 0) {
        to->mask = arena_take(memory, B * p->n_mask, sizeof(float));
    }
    if (p->n_delta > 0) {
        to->delta = arena_take(memory, B * p->n_delta, sizeof(float));
    }
    if (p->n_codes > 0) {
        to->codes = arena_take(memory, B * p->n_codes, sizeof(int32_t));
    }
    if (p->has_length) {
        to->length = arena_take(memory, B, sizeof(int32_t));
    }
}

void batch_room_take(struct batch_room *room, const struct schema_layout *layout, size_t B,
                     struct arena *memory)
{
    *room = (struct batch_room){.B = B};
    room->values = arena_take(memory, B * layout->n_values, sizeof(float));
    room->codes = arena_take(memory, B * layout->n_codes, sizeof(int32_t));
    room->label = arena_take(memory, B, sizeof(float));
    room->class_of = arena_take(memory, B, sizeof(int32_t));
    room->present = arena_take(memory, B * (1 + layout->n_parts), 1);
    for (size_t i = 0; i < layout->n_parts; i++) {
        take_part(&room->part[i], &layout->part[i], B, memory);
        room->view[i] = (struct batch_part){.values = room->part[i].values,
                                            .mask = room->part[i].mask,
                                            .delta = room->part[i].delta,
                                            .codes = room->part[i].codes,
                                            .length = room->part[i].length};
    }
}

static void zero(void *at, size_t count, size_t size)
{
    if (at != NULL) {
        memset(at, 0, count * size);
    }
}

static void gather_part(const struct dataset_part *d, const size_t *row, size_t B,
                        const struct batch_room_part *to)
{
    const struct schema_part *p = &d->shape;
    zero(to->mask, B * p->n_mask, sizeof(float));
    zero(to->values, B * p->n_values, sizeof(float));
    zero(to->delta, B * p->n_delta, sizeof(float));
    zero(to->codes, B * p->n_codes, sizeof(int32_t));
    zero(to->length, p->has_length ? B : 0, sizeof(int32_t));
    for (size_t b = 0; b < B; b++) {
        switch (p->kind) {
        case SCHEMA_SERIES:
            series_expand(d, row[b], to, b);
            break;
        case SCHEMA_IMAGE:
            image_expand(d, row[b], to, b);
            break;
        case SCHEMA_NOTES:
            notes_expand(d, row[b], to, b);
            break;
        }
    }
}

void dataset_gather(const struct dataset *d, const size_t *row, const size_t *patient, size_t B,
                    struct batch_room *room)
{
    const size_t M = 1 + d->n_parts;
    assert(B <= room->B);
    for (size_t i = 0; i < B; i++) {
        assert(patient[i] < d->n_patients);
        assert(row[i] >= d->first_row[patient[i]]);
        assert(row[i] < d->first_row[patient[i] + 1]);
        memcpy(room->values + i * d->n_values, d->values + row[i] * d->n_values,
               d->n_values * sizeof *room->values);
        memcpy(room->codes + i * d->n_codes, d->codes + row[i] * d->n_codes,
               d->n_codes * sizeof *room->codes);
        room->label[i] = d->label[patient[i]];
        room->class_of[i] = (int32_t)d->label[patient[i]];
        room->present[i * M] = d->n_values + d->n_codes > 0;
        for (size_t k = 0; k < d->n_parts; k++) {
            room->present[i * M + 1 + k] = d->part[k].first[row[i]] < d->part[k].first[row[i] + 1];
        }
    }
    for (size_t k = 0; k < d->n_parts; k++) {
        gather_part(&d->part[k], row, B, &room->part[k]);
    }
    room->batch = (struct batch){.B = B,
                                 .values = room->values,
                                 .codes = room->codes,
                                 .label = room->label,
                                 .class_of = room->class_of,
                                 .present = room->present,
                                 .part = d->n_parts > 0 ? room->view : NULL};
}
