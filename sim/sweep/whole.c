/* A whole study: everybody trains, nobody is tested, and what comes out is the model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/checkpoint/checkpoint.h"
#include "sim/fleet/fleet.h"
#include "sim/sweep/sweep_internal.h"

/* What one world needs, site by site. */
struct hospitals {
    size_t n;
    struct dataset **data;        /* [n] owned */
    struct ledger_policy *policy; /* [n] */
};

static void hospitals_release(struct hospitals *h)
{
    for (size_t i = 0; h->data != NULL && i < h->n; i++) {
        dataset_close(&h->data[i]);
    }
    free(h->data);
    free(h->policy);
    *h = (struct hospitals){0};
}

/* Every patient goes to the hospital that it is of. */
static enum rc hospitals_open(const struct sweep *s, struct hospitals *h, struct error *err)
{
    const struct dataset *all = s->data;
    size_t *index = calloc(all->n_patients + 1, sizeof *index);
    h->n = s->study.n_sites;
    h->data = calloc(h->n, sizeof(struct dataset *));
    h->policy = calloc(h->n, sizeof *h->policy);
    enum rc rc = RC_OK;
    if (index == NULL || h->data == NULL || h->policy == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu sites", h->n);
    }
    for (size_t i = 0; rc == RC_OK && i < h->n; i++) {
        const size_t site = sweep_data_site(s->data, &s->study, i);
        size_t n = 0;
        for (size_t p = 0; p < all->n_patients; p++) {
            if (all->site[p] == site) {
                index[n++] = p;
            }
        }
        h->policy[i] = sweep_permissive();
        rc = dataset_pick_site(all, site, index, n, &h->data[i], err);
    }
    free(index);
    return rc;
}

static enum rc report(const struct sweep *s, const struct model *model,
                      const struct fleet_result *r, struct sweep_whole *out, struct error *err)
{
    out->rounds = r->rounds;
    out->n_sites = r->n_sites;
    out->model = hash_of(r->model, model->table.S * sizeof *r->model);
    out->site = calloc(r->n_sites, sizeof *out->site);
    if (out->site == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu sites", r->n_sites);
    }
    for (size_t i = 0; i < r->n_sites; i++) {
        struct sweep_whole_site *site = &out->site[i];
        memcpy(site->name, s->study.site[i].name, sizeof site->name);
        memcpy(site->declined, r->site[i].declined, sizeof site->declined);
        site->contributed = r->site[i].contributed;
        site->epsilon_spent = r->site[i].epsilon_spent;
        out->n_contributed += site->contributed;
    }
    return RC_OK;
}

enum rc sweep_whole_run(const struct sweep *s, const char *path, struct sweep_whole *out,
                        struct error *err)
{
    struct model model = {0};
    struct hospitals h = {0};
    struct fleet_result r = {0};
    struct sweep_whole w = {0};
    enum rc rc = model_open(&s->study.model, &s->agreement.schema, &model, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = hospitals_open(s, &h, err);
    if (rc != RC_OK) {
        goto out;
    }
    const struct fleet_params p = {.study = &s->study,
                                   .schema = &s->agreement.schema,
                                   .model = &model,
                                   .data = (const struct dataset *const *)h.data,
                                   .policy = h.policy,
                                   .seed = s->seed[0],
                                   .train_threads = sweep_train_threads(s, 1)};
    rc = fleet_run(&p, &r, err);
    if (rc == RC_OK && !r.done) {
        rc = sweep_failed(&s->study, &r, err);
    }
    if (rc == RC_OK) {
        rc = report(s, &model, &r, &w, err);
    }
    if (rc == RC_OK && path != NULL) {
        rc = checkpoint_write(path, &s->agreement, &model, r.rounds, r.model, err);
    }
    if (rc == RC_OK) {
        *out = w;
        w = (struct sweep_whole){0};
    }
out:
    sweep_whole_release(&w);
    fleet_result_release(&r);
    hospitals_release(&h);
    model_release(&model);
    return rc;
}

void sweep_whole_release(struct sweep_whole *w)
{
    free(w->site);
    *w = (struct sweep_whole){0};
}
