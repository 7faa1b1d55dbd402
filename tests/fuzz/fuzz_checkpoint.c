/*
 * Any bytes are a model file. Either it is refused with a sentence, or what was read can be written
 * again: its parameters are finite, are those of its id, and its header is one that we would write.
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

static void check(const struct checkpoint *c)
{
    const struct param_table *table = &c->model.table;
    struct error err = {0};
    json_t *header = NULL;
    for (size_t i = 0; i < table->S; i++) {
        assert(isfinite(c->params[i]));
    }
    const struct hash id = hash_of(c->params, table->S * sizeof *c->params);
    assert(hash_equal(&id, &c->id));
    assert(c->round <= c->agreement.study.rounds);
    assert(c->agreement.study.privacy.noise_multiplier >= 0.0);
    const enum rc rc = checkpoint_header(&c->agreement, &c->model, c->round, &id, &header, &err);
    assert(rc == RC_OK);
    json_decref(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint c = {0};
    struct error err = {0};
    if (size == 0) {
        return 0;
    }
    void *copy = malloc(size); /* fmemopen takes no const */
    assert(copy != NULL);
    memcpy(copy, data, size);
    FILE *f = fmemopen(copy, size, "rb");
    assert(f != NULL);
    const enum rc rc = checkpoint_read_stream(f, size, &c, &err);
    (void)fclose(f);
    free(copy);
    if (rc == RC_OK) {
        check(&c);
    } else {
        assert(err.text[0] != '\0');
        assert(c.params == NULL);
    }
    checkpoint_release(&c);
    return 0;
}
