/*
 * Irregular time series: rows of long files -> events in the store -> a grid or events in a batch.
 *
 * The grid is Che et al. 2018 (GRU-D), section 2.1, for bins of equal width s in a window of T bins:
 *   x[t, v]      the last value of v in bin t, scaled to [-1, 1] (by its logarithm, where the schema says)
 *   m[t, v]      1 if there was one, else 0
 *   delta[0, v]  0
 *   delta[t, v]  s + delta[t-1, v] if m[t-1, v] = 0, else s                                  (eq. 2)
 * with s = 1 / T, so that delta is a part of the window.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

/* ---- files -> store ------------------------------------------------------------------------- */

struct series_reading {
    struct intake *in;
    struct arena memory;
    struct marks *own_missing;  /* [n_variables] */
    size_t *by_code;            /* [n_variables] variables in the order of their codes */
    size_t *n_seen, *n_outside; /* [n_variables] */
    size_t last;                /* the variable found last */
};

/* qsort has no argument of its own: codes are sorted with their variable beside them. */
struct code {
    const char *text;
    size_t variable;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct code *)a)->text, ((const struct code *)b)->text);
}

static RC reading_init(struct series_reading *r, struct intake *in, struct error *err)
{
    const struct schema_series *s = &in->m->series;
    const size_t n = s->n_variables;
    struct code *code = calloc(n, sizeof *code);
    size_t cost = arena_cost(n, sizeof *r->own_missing) + 3 * arena_cost(n, sizeof(size_t));
    if (code == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the variables");
    }
    for (size_t i = 0; i < n; i++) {
        cost += marks_cost(s->variable[i].n_missing);
        code[i] = (struct code){s->variable[i].code, i};
    }
    const enum rc rc = arena_init(&r->memory, cost, err);
    if (rc == RC_OK) {
        r->own_missing = arena_take(&r->memory, n, sizeof *r->own_missing);
        r->by_code = arena_take(&r->memory, n, sizeof(size_t));
        r->n_seen = arena_take(&r->memory, n, sizeof(size_t));
        r->n_outside = arena_take(&r->memory, n, sizeof(size_t));
        qsort(code, n, sizeof *code, by_text);
        for (size_t i = 0; i < n; i++) {
            r->by_code[i] = code[i].variable;
            r->own_missing[i] =
                marks_of(&r->memory, (const char(*)[SCHEMA_NAME_MAX])s->variable[i].missing,
                         s->variable[i].n_missing);
        }
    }
    free(code);
    return rc;
}

/* The variable of a code, or n_variables. */
static size_t variable_of(struct series_reading *r, const char *code)
{
    const struct schema_series *s = &r->in->m->series;
    size_t low = 0;
    size_t high = s->n_variables;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(code, s->variable[r->by_code[middle]].code);
        if (order == 0) {
            return r->by_code[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return s->n_variables;
}

static enum rc take_row(void *ctx, const struct long_row *row, struct error *err)
{
    struct series_reading *r = ctx;
    struct intake *in = r->in;
    const struct scan_cell *name = row->cell[LONG_VARIABLE];
    const struct scan_cell *cell = row->cell[LONG_VALUE];
    double x;
    if (name == NULL || cell == NULL) {
        return RC_OK; /* said by the scanner */
    }
    const size_t v = variable_of(r, name->text);
    if (v == in->m->series.n_variables) {
        in->found->n_unlisted++;
        return RC_OK;
    }
    if (marks_hold_cell(row->missing, cell) || marks_hold_cell(&r->own_missing[v], cell)) {
        in->found->n_missing++;
        return RC_OK;
    }
    const struct schema_variable *variable = &in->m->series.variable[v];
    if (!schema_number(cell->text, &x)) {
        ISSUE_AT(in->issues, row->row->line, row->at[LONG_VALUE] + 1, "'%s' of '%s' %s",
                 in->m->columns.value, variable->name, cell_not_a_number(cell->text));
        return RC_OK;
    }
    int64_t record;
    unsigned char event[EVENT_BYTES] = {0};
    const enum rc rc = pieces_find(in->pieces, row->key, &record, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (record == 0) {
        in->found->n_unknown++;
        return RC_OK;
    }
    in->found->n_items++;
    r->n_seen[v]++;
    r->n_outside[v] += x < variable->low || x > variable->high;
    cell_put(event, row->hours);
    cell_put(event + CELL_BYTES, x);
    u32_put(event + 2 * CELL_BYTES, (uint32_t)v);
    return in->issues->n > 0 ? RC_OK
                             : pieces_add(in->pieces, record, in->index, event, EVENT_BYTES, err);
}

static void summarise(const struct series_reading *r)
{
    const struct schema_series *s = &r->in->m->series;
    struct cohort_found *found = r->in->found;
    size_t most = 0;
    for (size_t v = 0; v < s->n_variables; v++) {
        found->n_outside += r->n_outside[v];
        if (r->n_outside[v] > most) {
            most = r->n_outside[v];
            memcpy(found->outside, s->variable[v].name, sizeof found->outside);
        }
        if (r->n_seen[v] == 0 && found->n_never++ == 0) {
            memcpy(found->never, s->variable[v].name, sizeof found->never);
        }
    }
}

enum rc series_import(struct intake *in, struct error *err)
{
    struct series_reading r = {.in = in};
    enum rc rc = reading_init(&r, in, err);
    if (rc == RC_OK) {
        rc = long_walk(in, take_row, &r, err);
    }
    if (rc == RC_OK) {
        summarise(&r);
    }
    arena_release(&r.memory);
    return rc;
}

/* ---- store -> dataset ----------------------------------------------------------------------- */

/* Its last four bytes hold the place where it stood. */
static int by_time(const void *a, const void *b)
{
    const double x = cell_get(a);
    const double y = cell_get(b);
    if (x < y || x > y) {
        return x < y ? -1 : 1;
    }
    const uint32_t i = u32_get((const unsigned char *)a + EVENT_BYTES - 4);
    const uint32_t j = u32_get((const unsigned char *)b + EVENT_BYTES - 4);
    return (i > j) - (i < j);
}

bool series_order(const struct schema_modality *m, unsigned char *data, size_t n)
{
    bool sorted = true;
    double last = -(double)INFINITY;
    if (n % EVENT_BYTES != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i += EVENT_BYTES) {
        const double t = cell_get(data + i);
        if (!(t >= m->window.from_hours && t < m->window.to_hours) ||
            !isfinite(cell_get(data + i + CELL_BYTES)) ||
            u32_get(data + i + 2 * CELL_BYTES) >= m->series.n_variables) {
            return false;
        }
        sorted = sorted && t >= last;
        last = t;
    }
    if (sorted) {
        return true;
    }
    for (size_t i = 0; i < n; i += EVENT_BYTES) {
        u32_put(data + i + EVENT_BYTES - 4, (uint32_t)(i / EVENT_BYTES));
    }
    qsort(data, n / EVENT_BYTES, EVENT_BYTES, by_time);
    for (size_t i = 0; i < n; i += EVENT_BYTES) {
        u32_put(data + i + EVENT_BYTES - 4, 0);
    }
    return true;
}

void series_unpack(const struct schema_modality *m, const struct piece *p, struct dataset_part *to,
                   size_t at)
{
    const double width = m->window.to_hours - m->window.from_hours;
    for (size_t i = 0; i < p->n; i += EVENT_BYTES, at++) {
        const unsigned char *event = p->data + i;
        const size_t v = u32_get(event + 2 * CELL_BYTES);
        const float t = (float)((cell_get(event) - m->window.from_hours) / width);
        to->time[at] = t < 1.0F ? t : nextafterf(1.0F, 0.0F); /* rounding may reach 1 */
        to->value[at] = schema_scale_variable(&m->series.variable[v], cell_get(event + CELL_BYTES));
        to->variable[at] = (uint16_t)v;
    }
}

/* ---- dataset -> batch ----------------------------------------------------------------------- */

/* One step of V variables after another: how long ago each was seen, and what it was. Every patient of every
 * step of training comes through here, so they are loops that a compiler can do several variables at once. */
static void age(float *restrict to, const float *restrict before, const float *restrict seen,
                size_t V, float step)
{
    for (size_t v = 0; v < V; v++) {
        const float old = before[v];
        to[v] = step + (seen[v] > 0.0F ? 0.0F : old);
    }
}

static void carry(float *restrict x, const float *restrict before, const float *restrict seen,
                  size_t V)
{
    for (size_t v = 0; v < V; v++) {
        const float old = before[v];
        const float own = x[v];
        x[v] = seen[v] > 0.0F ? own : old;
    }
}

static void expand_grid(const struct dataset_part *d, size_t row, float *x, float *m, float *delta)
{
    const size_t T = d->shape.steps;
    const size_t V = d->shape.variables;
    const float s = 1.0F / (float)T;
    for (size_t i = d->first[row]; i < d->first[row + 1]; i++) {
        const size_t bin = (size_t)((double)d->time[i] * (double)T);
        const size_t t = bin < T ? bin : T - 1;
        x[t * V + d->variable[i]] = d->value[i]; /* ascending in time: the last stays */
        m[t * V + d->variable[i]] = 1.0F;
    }
    for (size_t t = 1; t < T; t++) {
        const size_t at = (t - 1) * V;
        age(delta + at + V, delta + at, m + at, V, s);
        if (d->shape.fill == SCHEMA_FILL_LAST) {
            carry(x + at + V, x + at, m + at + V, V);
        }
    }
}

static void expand_events(const struct dataset_part *d, size_t row,
                          const struct batch_room_part *to, size_t b)
{
    const size_t E = d->shape.items;
    const size_t n = d->first[row + 1] - d->first[row];
    const size_t first = d->first[row + 1] - (n < E ? n : E); /* the last are nearest to the end */
    for (size_t i = first; i < d->first[row + 1]; i++) {
        to->values[b * E + i - first] = d->value[i];
        to->delta[b * E + i - first] = d->time[i];
        to->codes[b * E + i - first] = d->variable[i];
    }
    to->length[b] = (int32_t)(d->first[row + 1] - first);
}

void series_expand(const struct dataset_part *d, size_t row, const struct batch_room_part *to,
                   size_t b)
{
    const size_t n = d->shape.n_values;
    if (d->shape.form == SCHEMA_EVENTS) {
        expand_events(d, row, to, b);
    } else if (d->first[row] < d->first[row + 1]) { /* absent: all stays 0 */
        expand_grid(d, row, to->values + b * n, to->mask + b * n, to->delta + b * n);
    }
}
