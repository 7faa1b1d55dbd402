/**
 * @file cnn.h
 * A small residual network for images (He et al. 2016, fig. 2 and 3 left; group norm, Wu, He 2018, in the place of
 * batch norm, which mixes samples).
 *
 *   h = relu(GN(conv3x3(x)))                                                 [B, H, W, first]
 *   for each stage s, width first*2^s, stride 2 but in the first:
 *       h = relu(GN(conv3x3(relu(GN(conv3x3(h, stride))))) + shortcut(h))    shortcut: h, or GN(conv1x1(h, stride))
 *   mean over all pixels                                                     [B, first*2^(stages - 1)]
 */
#ifndef COMMON_MODEL_ENCODER_CNN_H
#define COMMON_MODEL_ENCODER_CNN_H

#include <stddef.h>

#include "common/base/error.h"
#include "common/tape/params.h"
#include "common/tape/tape.h"

enum { CNN_STAGES_MAX = 6 };

struct cnn_spec {
    size_t channels; /**< of the image */
    size_t first;    /**< width of the first stage */
    size_t stages;   /**< 1 to CNN_STAGES_MAX */
    size_t groups;   /**< of every norm; divides `first` */
};

/** One convolution and its norm. */
struct cnn_layer {
    struct param_id weight, gain, shift;
};

struct cnn_stage {
    struct cnn_layer a, b, shortcut; /**< shortcut: not in the first */
};

/** Plain after cnn_declare: places of parameters, not their values. */
struct cnn {
    struct cnn_spec spec;
    struct cnn_layer stem;
    struct cnn_stage stage[CNN_STAGES_MAX];
};

/** Width of what cnn_record returns. */
size_t cnn_width(const struct cnn_spec *spec);

/**
 * Adds the parameters "<prefix>.stem.weight", "<prefix>.stage1.a.gain", …
 * @retval RC_INVALID sizes that do not fit each other, or a name that is taken; RC_LIMIT a longer name
 */
RC cnn_declare(struct cnn *m, struct param_table *table, const char *prefix,
               const struct cnn_spec *spec, struct error *err);

/** x [B, H, W, channels] -> [B, cnn_width]. NULL as every tape operation. */
struct node *cnn_record(const struct cnn *m, struct tape *t, struct node *x);
/** What cnn_record is the mean of: the cells of the last map, in reading order [B, N, cnn_width]. */
struct node *cnn_record_cells(const struct cnn *m, struct tape *t, struct node *x);
/** Cells of the last map of an image of height x width. */
size_t cnn_cells(const struct cnn_spec *spec, size_t height, size_t width);

#endif
