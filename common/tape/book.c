#include "common/tape/book.h"

#include <assert.h>
#include <string.h>

#include "common/tape/tape_internal.h"

static double sum_sq(const real *v, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    return sum;
}

static bool used_again(const struct tape *t, size_t entry)
{
    for (size_t i = 0; i < t->n_entries; i++) {
        if (i != entry && t->entry[i].param.i == t->entry[entry].param.i) {
            return true;
        }
    }
    return false;
}

static bool first_use(const struct tape *t, size_t entry)
{
    for (size_t i = 0; i < entry; i++) {
        if (t->entry[i].param.i == t->entry[entry].param.i) {
            return false;
        }
    }
    return true;
}

size_t book_scratch_cost(const struct tape *t)
{
    size_t largest = 0;
    for (size_t i = 0; i < t->table->n; i++) {
        largest = t->table->param[i].size > largest ? t->table->param[i].size : largest;
    }
    for (size_t i = 0; i < t->n_entries; i++) {
        const struct book_entry *e = &t->entry[i];
        const size_t n = e->rule->norms_scratch == NULL ? 0 : e->rule->norms_scratch(e);
        largest = n > largest ? n : largest;
    }
    return arena_cost(largest, sizeof(real));
}

/* Form and drop: the slice's gradient of each sample, all its uses together. */
static void norms_by_forming(const struct tape *t, size_t entry, real *scratch, double *norm_sq)
{
    const struct param_id id = t->entry[entry].param;
    const size_t size = param_at(t->table, id)->size;
    for (size_t b = 0; b < t->B; b++) {
        memset(scratch, 0, size * sizeof *scratch);
        for (size_t i = entry; i < t->n_entries; i++) {
            if (t->entry[i].param.i == id.i) {
                t->entry[i].rule->form(&t->entry[i], b, scratch);
            }
        }
        norm_sq[b] += sum_sq(scratch, size);
    }
}

void book_norms_sq(const struct tape *t, struct arena *scratch, double *norm_sq)
{
    const size_t mark = arena_mark(scratch);
    real *slice = arena_take(scratch, book_scratch_cost(t) / sizeof(real), sizeof(real));
    for (size_t b = 0; b < t->B; b++) {
        norm_sq[b] = 0.0;
    }
    for (size_t i = 0; i < t->n_entries; i++) {
        const struct book_entry *e = &t->entry[i];
        if (used_again(t, i)) {
            if (first_use(t, i)) {
                norms_by_forming(t, i, slice, norm_sq);
            }
        } else if (e->rule->norms_sq != NULL &&
                   (e->rule->norms_pay == NULL || e->rule->norms_pay(e))) {
            e->rule->norms_sq(e, t->B, slice, norm_sq);
        } else {
            norms_by_forming(t, i, slice, norm_sq);
        }
    }
    arena_rewind(scratch, mark);
}

static void scale_rows(const struct tape *t, const struct book_entry *e, const double *c)
{
    for (size_t b = 0; b < t->B; b++) {
        real *G_b = e->G + b * e->T * e->O; /* [T, O] */
        for (size_t i = 0; i < e->T * e->O; i++) {
            G_b[i] = (real)(c[b] * (double)G_b[i]);
        }
    }
}

/* Several entries may read one G (gain and shift): it is scaled once. */
static bool scaled_before(const struct tape *t, size_t entry)
{
    for (size_t i = 0; i < entry; i++) {
        if (t->entry[i].G == t->entry[entry].G) {
            return true;
        }
    }
    return false;
}

void book_weighted_sum(struct tape *t, const double *c, real *grad)
{
    for (size_t i = 0; i < t->n_entries; i++) {
        const struct book_entry *e = &t->entry[i];
        real *dst = grad + param_at(t->table, e->param)->offset;
        if (!scaled_before(t, i)) {
            scale_rows(t, e, c);
        }
        if (e->rule->sum != NULL) {
            e->rule->sum(e, t->B, dst);
            continue;
        }
        for (size_t b = 0; b < t->B; b++) {
            e->rule->form(e, b, dst);
        }
    }
}

void book_form(const struct tape *t, size_t b, real *grad)
{
    assert(b < t->B);
    for (size_t i = 0; i < t->n_entries; i++) {
        const struct book_entry *e = &t->entry[i];
        e->rule->form(e, b, grad + param_at(t->table, e->param)->offset);
    }
}

void book_drop_sample(struct tape *t, size_t b)
{
    for (size_t i = 0; i < t->n_entries; i++) {
        const struct book_entry *e = &t->entry[i];
        memset(e->G + b * e->T * e->O, 0, e->T * e->O * sizeof *e->G);
        if (e->A != NULL) {
            memset(e->A + b * e->T * e->D, 0, e->T * e->D * sizeof *e->A);
        }
    }
}
