/* Rows of a table by code, one or a sequence per sample. The gradient is sparse: only the rows of a
 * sample's codes, and a code that occurs twice in a sample adds up before it is squared. */
#include <assert.h>
#include <string.h>

#include "common/kernel/rows.h"
#include "common/tape/tape_internal.h"

static const int32_t *codes_of(const struct book_entry *e, size_t b)
{
    return e->code + b * e->stride; /* [T] */
}

static void embedding_form(const struct book_entry *e, size_t b, real *dst)
{
    const int32_t *code = codes_of(e, b);
    const real *G_b = e->G + b * e->T * e->D; /* [T, D] */
    for (size_t t = 0; t < e->T; t++) {
        for (size_t d = 0; code[t] >= 0 && d < e->D; d++) {
            dst[(size_t)code[t] * e->D + d] += G_b[t * e->D + d];
        }
    }
}

/* The rows of one code in one sample, from its first place on, added up; squared. */
static double row_norm_sq(const int32_t *code, const real *G_b, size_t first, size_t T, size_t D,
                          real *row)
{
    memcpy(row, G_b + first * D, D * sizeof *row);
    for (size_t t = first + 1; t < T; t++) {
        for (size_t d = 0; code[t] == code[first] && d < D; d++) {
            row[d] += G_b[t * D + d];
        }
    }
    return sum_of_squares(row, D);
}

static bool seen_before(const int32_t *code, size_t t)
{
    for (size_t s = 0; s < t; s++) {
        if (code[s] == code[t]) {
            return true;
        }
    }
    return false;
}

static void embedding_norms_sq(const struct book_entry *e, size_t B, real *scratch, double *norm_sq)
{
    for (size_t b = 0; b < B; b++) {
        const int32_t *code = codes_of(e, b);
        for (size_t t = 0; t < e->T; t++) {
            if (code[t] >= 0 && !seen_before(code, t)) {
                norm_sq[b] += row_norm_sq(code, e->G + b * e->T * e->D, t, e->T, e->D, scratch);
            }
        }
    }
}

static size_t one_row(const struct book_entry *e)
{
    return e->D;
}

const struct book_rule BOOK_EMBEDDING = {.name = "embedding",
                                         .form = embedding_form,
                                         .norms_sq = embedding_norms_sq,
                                         .norms_scratch = one_row};

static void gather(real *v, const real *table, const struct book_entry *e, size_t B, size_t V)
{
    for (size_t b = 0; b < B; b++) {
        const int32_t *code = codes_of(e, b);
        for (size_t t = 0; t < e->T; t++) {
            real *v_t = v + (b * e->T + t) * e->D; /* [D] */
            assert(code[t] < 0 || (size_t)code[t] < V);
            if (code[t] < 0) {
                memset(v_t, 0, e->D * sizeof *v_t);
            } else {
                memcpy(v_t, table + (size_t)code[t] * e->D, e->D * sizeof *v_t);
            }
        }
    }
}

static struct node *look_up(struct tape *t, struct param_id table, const int32_t *code, size_t T,
                            size_t stride, struct shape shape)
{
    const struct param *p = param_at(t->table, table);
    if (p->rank != 2) {
        return tape_mismatch(t, "embedding", shape.dim, shape.rank - 1, p->dim, p->rank);
    }
    const size_t D = p->dim[1];
    shape.dim[shape.rank - 1] = D;
    struct node *n = tape_push(t, shape, 0, NULL, NULL);
    if (n == NULL) {
        return NULL;
    }
    const struct book_entry e = {.rule = &BOOK_EMBEDDING,
                                 .param = table,
                                 .T = T,
                                 .D = D,
                                 .O = D,
                                 .of = n,
                                 .code = code,
                                 .stride = stride};
    if (!tape_measuring(t)) {
        gather(n->v, tape_slice(t, p), &e, t->B, p->dim[0]);
    }
    tape_enter(t, n, e);
    return n;
}

struct node *tape_embedding(struct tape *t, struct param_id table, const int32_t *code,
                            size_t stride)
{
    return look_up(t, table, code, 1, stride, shape_matrix(t->B, 0));
}

struct node *tape_embedding_sequence(struct tape *t, struct param_id table, const int32_t *code,
                                     size_t T)
{
    return look_up(t, table, code, T, T, (struct shape){.rank = 3, .dim = {t->B, T}});
}
