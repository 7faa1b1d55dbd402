#include <string.h>

#include "common/study/study.h"

/* Only of a model that has them: others hash as before there were any. */
static void add_modalities(struct hasher *h, const struct study_model *m)
{
    if (m->width == 0) {
        return;
    }
    hasher_text(h, m->fusion);
    hasher_text(h, m->missing);
    hasher_text(h, m->table);
    hasher_text(h, m->series);
    hasher_text(h, m->image);
    hasher_text(h, m->notes);
    hasher_u64(h, m->width);
    hasher_u64(h, m->heads);
    hasher_u64(h, m->layers);
    hasher_f64(h, m->dropout);
    hasher_f64(h, m->modality_dropout);
    if (strcmp(m->fusion, "asymmetric") == 0) { /* the fusion, above, says whether this follows */
        hasher_text(h, m->primary);
    }
    if (strcmp(m->fusion, "tri_branch") == 0) {
        hasher_text(h, m->branch_weights);
    }
}

static void add_model(struct hasher *h, const struct study_model *m)
{
    hasher_text(h, m->name);
    hasher_u64(h, m->n_hidden);
    for (size_t i = 0; i < m->n_hidden; i++) {
        hasher_u64(h, m->hidden[i]);
    }
    hasher_u64(h, m->embedding);
    hasher_text(h, m->activation);
    hasher_u64(h, m->layer_norm);
    hasher_u64(h, m->adapter);
    add_modalities(h, m);
}

static void add_local(struct hasher *h, const struct study_local *l)
{
    hasher_u64(h, l->optimiser);
    hasher_f64(h, l->rate);
    hasher_f64(h, l->momentum);
    hasher_f64(h, l->beta1);
    hasher_f64(h, l->beta2);
    hasher_f64(h, l->epsilon);
    hasher_u64(h, l->steps);
    hasher_u64(h, l->physical_batch);
}

static void add_server(struct hasher *h, const struct study_server_rule *r)
{
    hasher_u64(h, r->rule);
    hasher_f64(h, r->rate);
    hasher_f64(h, r->beta1);
    hasher_f64(h, r->beta2);
    hasher_f64(h, r->epsilon);
    hasher_u64(h, r->average_iterates);
}

static void add_privacy(struct hasher *h, const struct study_privacy *p)
{
    hasher_u64(h, p->noise);
    hasher_f64(h, p->epsilon);
    hasher_f64(h, p->delta);
    hasher_f64(h, p->clip);
    hasher_f64(h, p->sample_rate);
    hasher_f64(h, p->noise_multiplier);
}

/* ---- what version 1 did not know ------------------------------------------------------------- */

static bool has_course(const struct study_local *l)
{
    return l->schedule != STUDY_CONSTANT || l->weight_decay > 0.0 || l->rate_floor > 0.0 ||
           l->proximal > 0.0 || l->warmup_steps > 0;
}

static void add_course(struct hasher *h, const struct study_local *l)
{
    hasher_u64(h, l->schedule);
    hasher_f64(h, l->weight_decay);
    hasher_f64(h, l->rate_floor);
    hasher_f64(h, l->proximal);
    hasher_u64(h, l->warmup_steps);
}

static void add_lacking(struct hasher *h, const struct study *s)
{
    hasher_u64(h, s->model.n_lacked);
    for (size_t i = 0; i < s->model.n_lacked; i++) {
        hasher_text(h, s->model.lacked[i]);
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        hasher_u64(h, s->site[i].lacks);
    }
}

static bool is_masked(const struct study *s)
{
    return s->masked || s->threshold > 0 || s->spare_rounds > 0 || s->neighbours > 0 ||
           s->neighbour_threshold > 0 || s->privacy.noise == STUDY_NOISE_SHARED;
}

/* From round 1 on is what an average was before there was a choice. */
static bool averages_late(const struct study_server_rule *r)
{
    return r->average_from > 1;
}

/* A study that uses nothing of it is the study that it was: its hash stays, and with it the ledgers
 * and registries that know it by that name. */
static bool is_version_2(const struct study *s)
{
    return has_course(&s->local) || s->sites_per_round > 0 || s->server.combine != STUDY_MEAN ||
           s->server.trim > 0 || s->server.momentum > 0.0 || s->model.site_norm ||
           s->model.n_lacked > 0 || s->model.n_frozen > 0 || s->start.there || s->model.shift > 0 ||
           is_masked(s) || averages_late(&s->server) || s->held_out > 0.0 || s->model.points != 0 ||
           s->broadcast != STUDY_FLOAT32;
}

static void add_version_2(struct hasher *h, const struct study *s)
{
    add_course(h, &s->local);
    hasher_u64(h, s->server.combine);
    hasher_f64(h, s->server.momentum);
    hasher_u64(h, s->server.trim);
    hasher_u64(h, s->model.site_norm);
    add_lacking(h, s);
    hasher_u64(h, s->model.n_frozen);
    for (size_t i = 0; i < s->model.n_frozen; i++) {
        hasher_text(h, s->model.frozen[i]);
    }
    hasher_u64(h, s->start.there);
    hasher_bytes(h, s->start.numbers.b, sizeof s->start.numbers.b);
    hasher_u64(h, s->start.n_fresh);
    for (size_t i = 0; i < s->start.n_fresh; i++) {
        hasher_text(h, s->start.fresh[i]);
    }
    hasher_u64(h, s->model.shift);
    if (s->model.points != 0) { /* likewise, what follows */
        hasher_text(h, "points");
        hasher_u64(h, s->model.points);
    }
    if (is_masked(s)) { /* others were out before there were any: they keep their hash */
        hasher_text(h, "masked");
        hasher_u64(h, s->masked);
        hasher_u64(h, s->threshold);
        hasher_u64(h, s->spare_rounds);
        for (size_t i = 0; i < s->n_sites; i++) {
            hasher_bytes(h, s->site[i].key, s->site[i].keyed ? sizeof s->site[i].key : 0);
        }
    }
    if (s->neighbours > 0 || s->neighbour_threshold > 0) { /* as above */
        hasher_text(h, "neighbours");
        hasher_u64(h, s->neighbours);
        hasher_u64(h, s->neighbour_threshold);
    }
    if (averages_late(&s->server)) { /* as above */
        hasher_text(h, "average_from");
        hasher_u64(h, s->server.average_from);
    }
    if (s->sites_per_round > 0) { /* as above */
        hasher_text(h, "sites_per_round");
        hasher_u64(h, s->sites_per_round);
    }
    if (s->held_out > 0.0) { /* as above */
        hasher_text(h, "held_out");
        hasher_f64(h, s->held_out);
    }
    if (s->broadcast != STUDY_FLOAT32) { /* as above */
        hasher_text(h, "broadcast");
        hasher_u64(h, s->broadcast);
    }
}

/* The order is the format. A new field goes to the end of the newest version's, or, once studies of
 * that version are out there, into a next version that only studies which use it have. */
struct hash study_hash(const struct study *s, const struct hash *schema)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, is_version_2(s) ? "wardround study 2" : "wardround study 1");
    hasher_text(&h, s->name);
    add_model(&h, &s->model);
    add_local(&h, &s->local);
    add_server(&h, &s->server);
    add_privacy(&h, &s->privacy);
    hasher_u64(&h, s->seed);
    hasher_u64(&h, s->rounds);
    hasher_u64(&h, s->quorum);
    hasher_u64(&h, s->min_sites);
    hasher_u64(&h, s->max_colluding);
    hasher_u64(&h, s->fraction_bits);
    hasher_u64(&h, (uint64_t)s->join_deadline_ms);
    hasher_u64(&h, (uint64_t)s->round_deadline_ms);
    hasher_u64(&h, s->n_sites);
    for (size_t i = 0; i < s->n_sites; i++) {
        hasher_text(&h, s->site[i].name);
        hasher_u64(&h, s->site[i].nominal);
    }
    if (is_version_2(s)) {
        add_version_2(&h, s);
    }
    hasher_bytes(&h, schema->b, sizeof schema->b);
    return hasher_final(&h);
}
