/*
 * Reading the books. A parameter's part of the norm is had in one of three ways, the cheapest:
 *
 *   ghost   by the rule's own formula, without forming (Gram products)
 *   keep    form each sample's gradient, square it, keep it: the weighted sum is then sum_b c_b g_b
 *           over what was kept, and takes no further product
 *   drop    form, square, drop: where there is no room to keep
 *
 * Parameters used more than once are formed, all uses together, for their cross terms.
 */
#include "common/tape/book.h"

#include <assert.h>
#include <string.h>

#include "common/kernel/rows.h"
#include "common/tape/tape_internal.h"

/* Multiply-adds for which a number of a kept gradient is squared, and read again for the sum. */
static const size_t KEPT_COST = 20;
/* Reals of gradients that are kept of one sample: 84 MB of a physical batch of 64, in float. Not of a
 * batch, or a smaller one could keep more of each sample and need more memory than was foretold. */
static const size_t KEPT_MOST = 5u << 16;

static size_t slice_size(const struct tape *t, const struct book_entry *e)
{
    return param_at(t->table, e->param)->size;
}

/* Whether a ghost norm is cheaper than forming this entry's gradient. */
static bool ghost_pays(const struct tape *t, const struct book_entry *e, bool room)
{
    if (e->rule->norms_sq == NULL || e->again) {
        return false;
    }
    const size_t size = slice_size(t, e);
    const size_t once_more = room ? 0 : e->T * size; /* the product is done again for the sum */
    return e->rule->norms_cost == NULL || e->rule->norms_cost(e) < KEPT_COST * size + once_more;
}

/* Finds room in memory of the sweep that nobody reads any more. */
static bool lend(struct tape *t, struct book_entry *e, size_t n)
{
    for (size_t i = 0; i < t->n_free; i++) {
        struct gradient_memory *m = &t->memory[t->free[i]];
        if (m->n >= m->lent + n) {
            e->kept_in = t->free[i];
            e->kept_at = m->lent;
            m->lent += n;
            return true;
        }
    }
    return false;
}

/* Decides, from shapes alone: a measuring tape decides the same. @return bytes to be taken to keep */
static size_t plan(struct tape *t)
{
    size_t kept = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < t->n_free; i++) {
        t->memory[t->free[i]].lent = 0;
    }
    for (size_t i = 0; i < t->n_entries; i++) {
        struct book_entry *e = &t->entry[i];
        const size_t reals = t->B * slice_size(t, e);
        const bool room = kept + slice_size(t, e) <= KEPT_MOST;
        e->kept = NULL;
        e->kept_in = 0;
        if (&t->entry[e->first_use] != e) {
            e->how = BOOK_WITH_ANOTHER;
        } else if (ghost_pays(t, e, room)) {
            e->how = BOOK_GHOST;
        } else if (!room) {
            e->how = BOOK_DROP;
        } else {
            e->how = BOOK_KEEP;
            kept += slice_size(t, e);
            bytes += lend(t, e, reals) ? 0 : arena_cost(reals, sizeof(real));
        }
    }
    return bytes;
}

/* Room for one slice, or for what a rule wants. */
static size_t working_size(const struct tape *t)
{
    size_t largest = 0;
    for (size_t i = 0; i < t->n_entries; i++) {
        const struct book_entry *e = &t->entry[i];
        const size_t slice = e->how == BOOK_DROP ? slice_size(t, e) : 0;
        const size_t n = e->rule->norms_scratch == NULL ? 0 : e->rule->norms_scratch(e);
        largest = slice > largest ? slice : largest;
        largest = n > largest ? n : largest;
    }
    return largest;
}

size_t book_scratch_cost(struct tape *t)
{
    const size_t kept = plan(t);
    return kept + arena_cost(working_size(t), sizeof(real));
}

/* One sample's gradient of one parameter, all its uses together. */
static void form_slice(const struct tape *t, const struct book_entry *e, size_t b, real *dst)
{
    if (!e->again && e->rule->form_set != NULL) {
        e->rule->form_set(e, b, dst);
        return;
    }
    memset(dst, 0, slice_size(t, e) * sizeof *dst);
    e->rule->form(e, b, dst);
    for (size_t i = e->next; i != 0; i = t->entry[i - 1].next) {
        t->entry[i - 1].rule->form(&t->entry[i - 1], b, dst);
    }
}

/* Form each sample's gradient into dst, `step` reals further each time, and square it. */
static void norms_by_forming(const struct tape *t, const struct book_entry *e, real *dst,
                             size_t step, double *norm_sq)
{
    for (size_t b = 0; b < t->B; b++) {
        real *g_b = dst + b * step; /* [size] */
        form_slice(t, e, b, g_b);
        norm_sq[b] += sum_of_squares(g_b, slice_size(t, e));
    }
}

static real *keep(const struct tape *t, struct arena *scratch, const struct book_entry *e, size_t n)
{
    return e->kept_in == 0 ? arena_take_unset(scratch, n, sizeof(real))
                           : t->memory[e->kept_in].g + e->kept_at;
}

void book_norms_sq(struct tape *t, struct arena *scratch, double *norm_sq)
{
    (void)plan(t);
    real *working = arena_take_unset(scratch, working_size(t), sizeof *working);
    for (size_t b = 0; b < t->B; b++) {
        norm_sq[b] = 0.0;
    }
    for (size_t i = 0; i < t->n_entries; i++) {
        struct book_entry *e = &t->entry[i];
        const size_t size = slice_size(t, e);
        switch (e->how) {
        case BOOK_GHOST:
            e->rule->norms_sq(e, t->B, working, norm_sq);
            break;
        case BOOK_KEEP:
            e->kept = keep(t, scratch, e, t->B * size);
            norms_by_forming(t, e, e->kept, size, norm_sq);
            break;
        case BOOK_DROP:
            norms_by_forming(t, e, working, 0, norm_sq);
            break;
        case BOOK_WITH_ANOTHER:
            break;
        }
    }
}

static void scale_rows(const struct tape *t, const struct book_entry *e, const double *c)
{
    for (size_t b = 0; b < t->B; b++) {
        if (c[b] != 1.0) {
            rows_scale(e->G + b * e->T * e->O, c[b], e->T * e->O);
        }
    }
}

/* An entry whose gradient was kept together with that of its parameter's first use. */
static bool kept_by(const struct tape *t, const struct book_entry *e)
{
    return t->entry[e->first_use].kept != NULL;
}

/* Several entries may read one G (a product and its bias, a gain and a shift): it is scaled once. */
static bool scaled_before(struct tape *t, const struct book_entry *e)
{
    if (e->of != NULL) {
        struct gradient_memory *m = &t->memory[e->of->memory];
        const bool before = m->scaled;
        m->scaled = true;
        return before;
    }
    for (const struct book_entry *other = e - 1; other >= t->entry && other->node == e->node;
         other--) {
        if (other->G == e->G && !kept_by(t, other)) {
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
        if (e->kept != NULL && c == NULL) {
            rows_sum(dst, e->kept, t->B, slice_size(t, e));
            continue;
        }
        if (e->kept != NULL) {
            rows_weighted_sum(dst, e->kept, c, t->B, slice_size(t, e));
            continue;
        }
        if (kept_by(t, e)) {
            continue;
        }
        if (c != NULL && !scaled_before(t, e)) {
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
        const size_t size = slice_size(t, e);
        memset(e->G + b * e->T * e->O, 0, e->T * e->O * sizeof *e->G);
        if (e->A != NULL) {
            memset(e->A + b * e->T * e->D, 0, e->T * e->D * sizeof *e->A);
        }
        if (e->kept != NULL) {
            memset(e->kept + b * size, 0, size * sizeof *e->kept);
        }
    }
}
