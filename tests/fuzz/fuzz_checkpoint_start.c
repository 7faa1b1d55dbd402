/*
 * Any bytes are a checkpoint to start from. Either they are refused with a sentence, or every number that
 * is taken is finite. The hash is not known, so that all that is right so far is refused last, by it.
 */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/checkpoint/checkpoint_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char features[] = "label: {name: y}\nfeatures:\n"
                               "- {name: age, type: continuous, range: [0, 90], required: true}\n"
                               "- {name: lab, type: continuous, range: [0, 9], required: true}\n";

/* head.weight [1, 2] and head.bias [1]. */
static const struct model *the_model(void)
{
    static struct model model;
    static struct config_issues issues;
    struct schema schema;
    struct error err = {0};
    if (model.table.n == 0) {
        const struct study_model spec = {.name = "logistic"};
        enum rc rc =
            schema_parse_features("features", features, strlen(features), &schema, &issues, &err);
        assert(rc == RC_OK);
        rc = model_open(&spec, &schema, &model, &err);
        assert(rc == RC_OK);
        schema_release(&schema);
    }
    return &model;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct model *model = the_model();
    const struct study_start start = {.there = true, .n_fresh = 1, .fresh = {"head.bias"}};
    struct error err = {0};
    if (size == 0) {
        return 0;
    }
    real *params = calloc(model->table.P, sizeof *params);
    void *copy = malloc(size); /* fmemopen takes no const */
    assert(params != NULL);
    assert(copy != NULL);
    memcpy(copy, data, size);
    FILE *f = fmemopen(copy, size, "rb");
    assert(f != NULL);
    const enum rc rc = checkpoint_start_stream(f, size, &start, model, params, &err);
    (void)fclose(f);
    assert(rc != RC_OK); /* nobody finds the hash */
    assert(err.text[0] != '\0');
    if (strstr(err.text, "its numbers have the hash") != NULL) {
        for (size_t i = 0; i < model->table.S; i++) {
            assert(isfinite(params[i]));
        }
    }
    free(copy);
    free(params);
    return 0;
}
