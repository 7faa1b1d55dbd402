/**
 * @file image.h
 * Operations on images [B, H, W, C] and series [B, T, C], channels last. Errors, memory and books as in
 * tape.h; equations in common/kernel/{conv,depthwise,pool,group_norm}.h.
 *
 * A convolution's per-sample weight gradient is small beside its activations. It is *formed and kept*
 * during the sweep, [B, K*O] of step memory: the products are those of the plain gradient, norms and weighted
 * sums are read from it, and privacy costs two passes over it. Where it has more than TAPE_KEPT_MAX numbers a
 * sample it is formed and dropped for the norms, and once more for the sum.
 */
#ifndef COMMON_TAPE_IMAGE_H
#define COMMON_TAPE_IMAGE_H

#include <stddef.h>

#include "common/tape/tape.h"

/** 128 Ki numbers: 32 MiB of step memory at a physical batch of 64. */
enum { TAPE_KEPT_MAX = 131072 };

/** What a convolution or a pool looks at. Of a series, height is the width in time and `width` is 1. */
struct window {
    size_t height, width;
    size_t stride;
    size_t dilation;    /**< along height; 1 where stride > 1 */
    size_t top, bottom; /**< zeros around; a pool has none */
    size_t left, right;
};

/** size x size with `pad` zeros at each edge. */
struct window window_square(size_t size, size_t stride, size_t pad);
/** Over a series, seeing no future: the output has the input's length. */
struct window window_causal(size_t size, size_t dilation);

/** x [B, H, W, C], w [O, height*width*C] -> [B, OH, OW, O]. No bias: add one, or a norm's shift. */
struct node *tape_conv2d(struct tape *t, struct node *x, struct param_id w, struct window window);
/** x [B, T, C], w [O, height*C] -> [B, T', O]; window.width must be 1. */
struct node *tape_conv1d(struct tape *t, struct node *x, struct param_id w, struct window window);
/**
 * The same whose weights are gain_o v_o/|v_o| (weight normalisation, Salimans, Kingma 2016): v [O, height*C],
 * gain [O]. Its gradients are always kept.
 */
struct node *tape_conv1d_weight_norm(struct tape *t, struct node *x, struct param_id v,
                                     struct param_id gain, struct window window);
/** x [B, H, W, C], w [C, height*width] -> [B, OH, OW, C]: a window for each channel. */
struct node *tape_depthwise2d(struct tape *t, struct node *x, struct param_id w,
                              struct window window);

/** x [B, H, W, C] or [B, T, C] -> the largest, or the mean, of each window. */
struct node *tape_max_pool2d(struct tape *t, struct node *x, struct window window);
struct node *tape_average_pool2d(struct tape *t, struct node *x, struct window window);
/** x [B, …, C] -> [B, C]: the mean over all positions. */
struct node *tape_global_average(struct tape *t, struct node *x);

/** Group norm of x [B, …, C] (Wu, He 2018); gain [C], shift [C]; `groups` divides C. */
struct node *tape_group_norm(struct tape *t, struct node *x, struct param_id gain,
                             struct param_id shift, size_t groups);

/**
 * max_pool2d(relu(group_norm(x))) as one operation, for the same numbers in less memory and time: nothing
 * between x and the result is kept. tape_group_norm_relu has no pool, and x [B, …, C].
 */
struct node *tape_group_norm_relu(struct tape *t, struct node *x, struct param_id gain,
                                  struct param_id shift, size_t groups);
struct node *tape_group_norm_relu_pool(struct tape *t, struct node *x, struct param_id gain,
                                       struct param_id shift, size_t groups, struct window window);

#endif
