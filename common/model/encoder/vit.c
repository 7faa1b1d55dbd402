/* An image as a sequence of patches (Dosovitskiy et al. 2021, eq. 1 to 4, with the mean of all patches
 * in place of a class token, as Beyer et al. 2022):
 *
 *   x_n = W patch_n + b + position_n    vector = mean over n of norm(transformer(x)), norms in front
 */
#include "common/model/encoder/encoder_internal.h"

size_t vit_patches(const struct vit *e)
{
    return (e->height / e->patch) * (e->width / e->patch);
}

enum rc vit_declare(struct param_table *table, const char *prefix, struct vit *e, struct error *err)
{
    enum rc rc = encoder_size(prefix, "height", e->height, SIZE_MAX, err);
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "width", e->width, SIZE_MAX, err);
    }
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "channels", e->channels, SIZE_MAX, err);
    }
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "patch", e->patch, e->height, err);
    }
    if (rc == RC_OK && (e->height % e->patch != 0 || e->width % e->patch != 0)) {
        rc = error_set(err, RC_INVALID, "encoder '%s': %zux%zu pixels do not divide into %zux%zu",
                       prefix, e->height, e->width, e->patch, e->patch);
    }
    if (rc == RC_OK) {
        e->body.norm_first = true;
        rc = transformer_declare(table, prefix, &e->body, err);
    }
    if (rc == RC_OK) {
        rc = encoder_linear_declare(table, prefix, "patch", e->body.width,
                                    e->patch * e->patch * e->channels, &e->in, err);
    }
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, "positions", PARAM_ZERO, vit_patches(e) * e->body.width,
                           0, &e->positions, err);
    }
    if (rc == RC_OK) {
        rc = encoder_norm_declare(table, prefix, "last", e->body.width, &e->last, err);
    }
    return rc;
}

struct encoder_positions vit_positions(const struct vit *e, struct tape *t,
                                       const struct encoder_image *x,
                                       const struct tape_dropout *drop)
{
    const size_t N = vit_patches(e);
    const size_t D = e->body.width;
    struct node *h =
        tape_input_shaped(t, x->pixels, 3, (size_t[]){e->height, e->width, e->channels});
    h = encoder_linear_record(&e->in, t, tape_patches(t, h, e->patch));
    h = tape_bias(t, tape_reshape(t, h, 1, (size_t[]){N * D}), e->positions);
    h = tape_reshape(t, h, 2, (size_t[]){N, D});
    h = transformer_record(&e->body, t, h, NULL, drop);
    return (struct encoder_positions){.x = encoder_norm_record(&e->last, t, h)};
}

struct node *vit_record(const struct vit *e, struct tape *t, const struct encoder_image *x,
                        const struct tape_dropout *drop)
{
    return tape_masked_mean(t, vit_positions(e, t, x, drop).x, NULL);
}
