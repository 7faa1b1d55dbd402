/**
 * @file tcn.h
 * A temporal convolutional network for series (Bai, Kolter, Koltun 2018, sect. 3, fig. 1): residual blocks of two
 * dilated causal convolutions with weight normalisation, which is over weights and so mixes no samples.
 *
 *   for each block i:
 *       f = relu(conv(relu(conv(h, 2^i)), 2^i))     causal, dilation 2^i, with a bias, weight-normalised
 *       h = relu(f + shortcut(h))                   shortcut: h, or h W + b where the width changes
 *   h at the last time step of each sample          it has seen 1 + 2(size - 1)(2^blocks - 1) steps
 *
 * Values, presence masks and time since last seen are channels of x, side by side.
 */
#ifndef COMMON_MODEL_ENCODER_TCN_H
#define COMMON_MODEL_ENCODER_TCN_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/tape/params.h"
#include "common/tape/tape.h"

enum { TCN_BLOCKS_MAX = 8 };

struct tcn_spec {
    size_t channels; /**< of the series */
    size_t width;    /**< of every block */
    size_t blocks;   /**< 1 to TCN_BLOCKS_MAX */
    size_t size;     /**< of the windows, 2 or more */
};

struct tcn_layer {
    struct param_id direction, gain, bias;
};

struct tcn_block {
    struct tcn_layer a, b;
};

/** Plain after tcn_declare: places of parameters, not their values. */
struct tcn {
    struct tcn_spec spec;
    struct tcn_block block[TCN_BLOCKS_MAX];
    struct param_id shortcut, shortcut_bias; /**< of the first block, where channels != width */
};

/** Time steps that the last one has seen. */
size_t tcn_reach(const struct tcn_spec *spec);

/**
 * Adds the parameters "<prefix>.block1.a.direction", …
 * @retval RC_INVALID sizes that do not fit each other, or a name that is taken; RC_LIMIT a longer name
 */
RC tcn_declare(struct tcn *m, struct param_table *table, const char *prefix,
               const struct tcn_spec *spec, struct error *err);

/** x [B, T, channels] -> every step [B, T, width]. */
struct node *tcn_record_steps(const struct tcn *m, struct tape *t, struct node *x);

/**
 * x [B, T, channels] -> [B, width]: step length[b] - 1, zeros where length is 0; NULL: the last.
 * What stands in x after a sample's length is not seen.
 */
struct node *tcn_record(const struct tcn *m, struct tape *t, struct node *x, const int32_t *length);

#endif
