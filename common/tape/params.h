/**
 * @file params.h
 * The parameter table: all parameters of a model are slices of one flat `real [P]`, so that clip,
 * noise, average, optimise and store are loops over one array.
 *
 * Shared slices (they travel) come first and fill [0, S); site slices (adapters: they never leave
 * the hospital) fill [S, P). Both are clipped and noised jointly.
 */
#ifndef COMMON_TAPE_PARAMS_H
#define COMMON_TAPE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/kernel/real.h"

enum { PARAM_MAX = 4224, PARAM_RANK_MAX = 4, PARAM_NAME_MAX = 64 };

enum param_scope { PARAM_SHARED, PARAM_SITE };

enum param_init {
    PARAM_ZERO,
    PARAM_ONE,
    PARAM_FAN_IN, /**< uniform in +-sqrt(3 / fan_in), fan_in = last dimension: variance 1/fan_in */
    PARAM_GATES /**< biases [4H] of an LSTM's gates i, f, g, o: f begins at 1, so that it remembers
                       (Gers et al. 2000, Jozefowicz et al. 2015), the others at 0 */
};

struct param {
    char name[PARAM_NAME_MAX]; /**< "head.weight": unique */
    enum param_scope scope;
    enum param_init init;
    size_t rank;
    size_t dim[PARAM_RANK_MAX];
    size_t size;   /**< product of dim */
    size_t offset; /**< into the flat array; set by param_table_seal */
    bool frozen;   /**< not trained: no operation leaves a line in the books for it */
};

/** Plain; zeroed is empty. `param` is owned: released by param_table_release. */
struct param_table {
    size_t n, room;
    struct param *param;
    size_t S, P;            /**< shared and all numbers; set by param_table_seal */
    enum param_scope norms; /**< of gains and shifts: who declares a normalisation asks here */
};

/** A parameter's place in its table: what models keep. */
struct param_id {
    size_t i;
};

/**
 * Adds a slice. @param dims rank sizes, each > 0
 * @retval RC_LIMIT too many, RC_INVALID a name used twice, RC_NOMEM
 */
RC param_add(struct param_table *t, const char *name, enum param_scope scope, enum param_init init,
             size_t rank, const size_t *dims, struct param_id *out, struct error *err);

/** Lays the slices out: shared first. No param_add afterwards. */
void param_table_seal(struct param_table *t);
void param_table_release(struct param_table *t);

/** Is its name this, or does it begin with this and a point? */
bool param_is_in(const struct param *p, const char *block);

/** Is it one that weight decay shrinks: a matrix, a kernel or an embedding? What has one dimension is a
 *  bias, a gain, a shift or a token, and what is named "….bias" is one bias a feature: to shrink them
 *  would change what a layer says when it has nothing to say, or its scale. */
bool param_decays(const struct param *p);

const struct param *param_at(const struct param_table *t, struct param_id id);

/**
 * Initial values of all P numbers. Each slice draws from a stream of its own, named after it, so
 * adding a layer does not move the others'.
 */
void param_init_values(const struct param_table *t, uint64_t seed, real *params);

#endif
