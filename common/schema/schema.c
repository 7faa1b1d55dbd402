#include "common/schema/schema.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/schema/schema_internal.h"

#define SHARED_PREFIX  "$WARDROUND_DATA/"
#define SHARED_DEFAULT "../shared/data"

void schema_release(struct schema *s)
{
    for (size_t i = 0; s->feature != NULL && i < s->n_features; i++) {
        free(s->feature[i].category);
    }
    free(s->feature);
    modalities_release(s);
    free(s->column);
    free(s->file);
    free(s->class_name);
    *s = (struct schema){0};
}

bool schema_path_is_shared(const char *path)
{
    return strncmp(path, SHARED_PREFIX, strlen(SHARED_PREFIX)) == 0;
}

enum rc schema_path(const struct schema *s, const char *path, char out[SCHEMA_FULL_PATH_MAX],
                    struct error *err)
{
    int n;
    if (schema_path_is_shared(path)) {
        const char *data = getenv("WARDROUND_DATA");
        n = snprintf(out, SCHEMA_FULL_PATH_MAX, "%s/%s",
                     data != NULL && data[0] != '\0' ? data : SHARED_DEFAULT,
                     path + strlen(SHARED_PREFIX));
    } else if (path[0] == '/' || s->folder[0] == '\0') {
        n = snprintf(out, SCHEMA_FULL_PATH_MAX, "%s", path);
    } else {
        n = snprintf(out, SCHEMA_FULL_PATH_MAX, "%s/%s", s->folder, path);
    }
    if (n < 0 || n >= SCHEMA_FULL_PATH_MAX) {
        return error_set(err, RC_INVALID, "the value of WARDROUND_DATA is too long");
    }
    return RC_OK;
}

const char *schema_label_name(const struct schema *s)
{
    return s->label_name[0] != '\0' ? s->label_name : s->label_column;
}

/* 3, 3.0 and "3" enter the hash as one number; other texts as they are. */
static void hash_category(struct hasher *h, const char *category)
{
    double x;
    if (schema_number(category, &x)) {
        hasher_u64(h, 1);
        hasher_f64(h, x);
    } else {
        hasher_u64(h, 0);
        hasher_text(h, category);
    }
}

struct hash schema_hash(const struct schema *s)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround schema 1");
    hasher_text(&h, schema_label_name(s));
    hasher_u64(&h, s->n_features);
    for (size_t i = 0; i < s->n_features; i++) {
        const struct schema_feature *f = &s->feature[i];
        hasher_text(&h, f->name);
        hasher_u64(&h, (uint64_t)f->type);
        hasher_text(&h, f->unit);
        hasher_u64(&h, f->may_miss);
        if (f->type == SCHEMA_CONTINUOUS) {
            hasher_f64(&h, f->low);
            hasher_f64(&h, f->high);
        }
        hasher_u64(&h, f->n_categories);
        for (size_t c = 0; c < f->n_categories; c++) {
            hash_category(&h, f->category[c]);
        }
    }
    if (s->n_classes > 0) { /* a label of yes or no hashes as before there were others */
        hasher_text(&h, "classes");
        hasher_u64(&h, s->n_classes);
        for (size_t c = 0; c < s->n_classes; c++) {
            hash_category(&h, s->class_name[c]);
        }
    }
    modalities_hash(&h, s);
    return hasher_final(&h);
}

struct schema_layout schema_layout(const struct schema *s)
{
    struct schema_layout layout = {.n_outputs = s->n_classes > 0 ? s->n_classes : 1};
    for (size_t i = 0; i < s->n_features; i++) {
        if (s->feature[i].type == SCHEMA_CATEGORICAL) {
            layout.n_codes++;
        } else {
            layout.n_values += s->feature[i].may_miss ? 2 : 1;
        }
    }
    layout.n_parts = s->n_modalities;
    for (size_t i = 0; i < s->n_modalities; i++) {
        layout.part[i] = schema_part(&s->modality[i]);
    }
    return layout;
}

size_t schema_code_count(const struct schema *s, size_t k)
{
    size_t i = 0;
    for (;; i++) {
        assert(i < s->n_features);
        if (s->feature[i].type != SCHEMA_CATEGORICAL) {
            continue;
        }
        if (k == 0) {
            break;
        }
        k--;
    }
    return s->feature[i].n_categories + (s->feature[i].may_miss ? 1 : 0);
}

float schema_scale_range(double low, double high, double x)
{
    assert(low < high);
    if (x <= low) {
        return -1.0F;
    }
    if (x >= high) {
        return 1.0F;
    }
    return (float)((2.0 * x - high - low) / (high - low));
}

float schema_scale_variable(const struct schema_variable *v, double x)
{
    if (v->scale == SCHEMA_LINEAR) {
        return schema_scale_range(v->low, v->high, x);
    }
    /* 0 and less, in files of whatever kind, are at the low end */
    return x <= v->low ? -1.0F : schema_scale_range(log(v->low), log(v->high), log(x));
}

float schema_scale(const struct schema_feature *f, double x)
{
    assert(f->type == SCHEMA_CONTINUOUS);
    return schema_scale_range(f->low, f->high, x);
}
