/* One record's gradient by the code that training clips with: a batch of one, its book, its norm. */
#include <stdlib.h>

#include "common/dp/slices.h"
#include "sim/attack/attack_internal.h"

struct attack_gradient {
    const struct model *model;
    struct arena memory;
    struct batch_room room;
    struct slices *slices;
    const struct dataset *data; /* of the record in hand */
    size_t row, who;
};

static struct node *record(void *ctx, size_t thread, struct tape *t, size_t at)
{
    struct attack_gradient *g = ctx;
    struct batch batch = {.B = t->B};
    (void)thread;
    (void)at;
    if (t->arena != NULL) {
        dataset_gather(g->data, &g->row, &g->who, 1, &g->room);
        batch = g->room.batch;
    }
    return model_loss(g->model, t, &batch);
}

enum rc attack_gradient_open(const struct model *model, struct attack_gradient **out,
                             struct error *err)
{
    enum rc rc;
    struct attack_gradient *g = calloc(1, sizeof *g);
    if (g == NULL) {
        return error_set(err, RC_NOMEM, "no memory for gradients");
    }
    g->model = model;
    rc = arena_init(&g->memory, batch_room_cost(&model->layout, 1), err);
    if (rc != RC_OK) {
        goto out;
    }
    batch_room_take(&g->room, &model->layout, 1, &g->memory);
    const struct slices_plan plan = {
        .table = &model->table, .physical = 1, .threads = 1, .record = record, .ctx = g};
    rc = slices_open(&plan, &g->slices, err);
    if (rc != RC_OK) {
        goto out;
    }
    *out = g;
    g = NULL; /* ownership moved */
out:
    attack_gradient_close(&g);
    return rc;
}

void attack_gradient_close(struct attack_gradient **gp)
{
    struct attack_gradient *g = *gp;
    if (g == NULL) {
        return;
    }
    slices_close(&g->slices);
    arena_wipe(&g->memory);
    arena_release(&g->memory);
    free(g);
    *gp = NULL;
}

enum rc attack_gradient_add(struct attack_gradient *g, const struct dataset *data, size_t row,
                            size_t who, const real *params, double clip, double *sum,
                            struct error *err)
{
    struct clip_counts counts = {0};
    double loss = 0.0;
    g->data = data;
    g->row = row;
    g->who = who;
    return slices_accumulate(g->slices, params, 1, clip, sum, &counts, &loss, err);
}
