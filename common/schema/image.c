/*
 * Images, grey, of one public size.
 *
 *   size: [64, 64]          height, width that the model sees
 *   standardise: true       each image less its own mean, over its own deviation
 *   format: png             a folder of ID.png; or raw: N x H x W bytes
 *   resize: area            of images of another size; or bilinear, or refuse
 */
#include <string.h>

#include "common/schema/schema_internal.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static const char *const image_words[] = {"image", NULL};
static const char *const format_words[] = {"png", "raw", NULL};
static const char *const resize_words[] = {"refuse", "area", "bilinear", NULL};

struct image_map {
    char name[SCHEMA_NAME_MAX];
    int type, format, resize;
    bool standardise;
    const struct config_node *size, *files;
};

/* clang-format off */
enum { IMAGE_PUBLIC = 4 };
#define AT(field) offsetof(struct image_map, field)
static const struct config_key image_keys[] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = AT(name), .size = SCHEMA_NAME_MAX, .help = "what both ends call it"},
    {.name = "type", .type = CONFIG_CHOICE, .offset = AT(type), .choices = image_words, .help = "image"},
    {.name = "size", .type = CONFIG_NODE, .offset = AT(size), .help = "[height, width] that the model sees"},
    {.name = "standardise", .type = CONFIG_BOOL, .offset = AT(standardise), .fallback = "true",
     .help = "each image by its own mean and deviation; false: pixels in [0, 1]"},
    /* what only the site knows */
    {.name = "files", .type = CONFIG_NODE, .offset = AT(files), .fallback = "", .help = "list of {path, site, prefix, ids}"},
    {.name = "format", .type = CONFIG_CHOICE, .offset = AT(format), .choices = format_words, .fallback = "png",
     .help = "png: folders of ID.png; raw: files of N x H x W bytes"},
    {.name = "resize", .type = CONFIG_CHOICE, .offset = AT(resize), .choices = resize_words, .fallback = "refuse",
     .help = "what becomes of a PNG of another size"},
};
#undef AT
/* clang-format on */

void image_print_keys(FILE *to)
{
    static const struct config_part part[] = {
        {"`modalities`: an item of type image", image_keys, N_OF(image_keys)},
    };
    config_print_parts(part, N_OF(part), to);
}

static void bind_size(const struct config_node *node, struct schema_image *image,
                      struct config_issues *issues)
{
    size_t side[2];
    if (!words_are_list(node, "size", 2, 2, issues)) {
        return; /* absent: named as missing */
    }
    for (size_t i = 0; i < 2; i++) {
        if (!config_as_count(&node->at[i], &side[i], issues)) {
            return;
        }
        if (side[i] < 1 || side[i] > SCHEMA_SIDE_MAX) {
            config_issue(issues, &node->at[i], "size: a side must be 1 to %d", SCHEMA_SIDE_MAX);
            return;
        }
    }
    image->height = side[0];
    image->width = side[1];
}

enum rc image_bind(const struct config_node *node, bool bare, const struct schema *s,
                   struct schema_modality *m, struct config_issues *issues, struct error *err)
{
    struct image_map map = {0};
    (void)s;
    config_bind(node, image_keys, bare ? IMAGE_PUBLIC : N_OF(image_keys), &map, issues);
    memcpy(m->name, map.name, sizeof m->name);
    m->image.standardise = map.standardise;
    bind_size(map.size, &m->image, issues);
    if (bare) {
        return RC_OK;
    }
    m->image.format = (enum schema_image_format)map.format;
    m->image.resize = (enum schema_resize)map.resize;
    if (m->image.format == SCHEMA_RAW && m->image.resize != SCHEMA_RESIZE_REFUSE) {
        config_issue(issues, config_get(node, "resize"),
                     "resize: raw bytes do not say their size; they must have that of `size`");
    }
    return sources_bind(map.files, node, m->image.format == SCHEMA_RAW, m, issues, err);
}

void image_hash(struct hasher *h, const struct schema_modality *m)
{
    hasher_u64(h, 1); /* channels */
    hasher_u64(h, m->image.height);
    hasher_u64(h, m->image.width);
    hasher_u64(h, m->image.standardise);
}

void image_print(const struct schema_modality *m, FILE *to)
{
    (void)fprintf(to, ", size: [%zu, %zu], standardise: %s", m->image.height, m->image.width,
                  m->image.standardise ? "true" : "false");
}

struct schema_part image_part(const struct schema_modality *m)
{
    return (struct schema_part){.kind = SCHEMA_IMAGE,
                                .channels = 1,
                                .height = m->image.height,
                                .width = m->image.width,
                                .standardise = m->image.standardise,
                                .n_values = m->image.height * m->image.width};
}
