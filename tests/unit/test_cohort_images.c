#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <png.h>

#include "tests/support/imported.h"

#define TABLE                                                             \
    "cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\n" \
    "label: {column: y, positive: [1], negative: [0]}\n"                  \
    "missing: [\"\"]\nfeatures: [{name: b, column: b, type: binary}]\n"
#define IMAGE(how) TABLE "modalities: [{name: x, type: image, size: [2, 3], " how "}]\n"

static const char table[] = "id,y,b\n0,0,\n1,1,\n2,1,\n";

static void assert_reals(const float *x, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)x[i] - want[i]) < 1e-6)) {
            fail_msg("number %zu is %g, not %g", i, (double)x[i], want[i]);
        }
    }
}

/* ---- raw ------------------------------------------------------------------------------------ */

static void open_raw(struct imported *i, const char *yaml, const void *raw, size_t n)
{
    const struct cohort_bytes file[] = {{.data = table, .n = strlen(table)}, {.data = raw, .n = n}};
    imported_open_bytes(i, yaml, NULL, file);
}

static void raw_bytes_are_images_counted_from_zero(void **state)
{
    (void)state;
    static const unsigned char raw[] = {0, 51, 102, 153, 204, 255, 7, 7, 7, 7, 7, 7};
    static const double plain[] = {0, .2, .4, .6, .8, 1};
    static const double by_itself[] = {-1.46385011, -.87831007, -.29277002,
                                       .29277002,   .87831007,  1.46385011};
    static const double grey[6] = {0};
    static const uint8_t present[] = {1, 1, 1, 1, 1, 0};
    struct imported i;
    open_raw(&i, IMAGE("standardise: false, format: raw, files: [{path: x.u8}]"), raw, sizeof raw);
    const struct batch *b = imported_batch(&i);
    assert_reals(b->part[0].values, plain, 6);
    assert_memory_equal(b->present, present, sizeof present);
    assert_reals(b->part[0].values + 12, grey, 6); /* absent */
    imported_close(&i);
    open_raw(&i, IMAGE("format: raw, files: [{path: x.u8}]"), raw, sizeof raw);
    b = imported_batch(&i);
    assert_reals(b->part[0].values, by_itself, 6); /* mean 0, mean square 1 */
    assert_reals(b->part[0].values + 6, grey, 6);  /* one grey: no contrast to scale */
    assert_int_equal(b->present[3], 1);
    imported_close(&i);
}

static void raw_bytes_that_are_no_whole_images_are_refused(void **state)
{
    (void)state;
    static const unsigned char raw[24] = {0};
    struct imported i;
    open_raw(&i, IMAGE("format: raw, files: [{path: x.u8}]"), raw, 10);
    imported_refused(
        &i, (const char *const[]){"x.u8: error: 4 bytes behind image 1: its length is no multiple"},
        1);
    imported_close(&i);
    open_raw(&i, IMAGE("format: raw, files: [{path: x.u8}]"), raw, 0);
    imported_refused(&i, (const char *const[]){"x.u8: error: no image"}, 1);
    imported_close(&i);
    open_raw(&i, IMAGE("format: raw, files: [{path: x.u8}]"), raw, 24); /* id 3 is nobody's */
    (void)imported_batch(&i);
    assert_int_equal(i.sum.modality[0].n_unknown, 1);
    assert_int_equal(i.sum.modality[0].n_records, 3);
    imported_close(&i);
}

/* ---- folders -------------------------------------------------------------------------------- */

static char folder[64];

#define Z9      "000000000"
#define LONGEST Z9 Z9 Z9 Z9 Z9 Z9 Z9 Z9 ".png" /* no id is that long */

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/wardround-image-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"0.png", "1.PNG", "2.png", "9.png", "x.jpg",
                                        "ids",   "x.u8",  "0.PNG", LONGEST};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder);
}

static void put(const char *name, const void *data, size_t n)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

struct file {
    unsigned char b[4096];
    size_t n;
};

static void write_bytes(png_structp png, png_bytep from, size_t n)
{
    struct file *f = png_get_io_ptr(png);
    assert_true(n <= sizeof f->b - f->n);
    memcpy(f->b + f->n, from, n);
    f->n += n;
}

/* Samples are `depth` bits, big-endian and packed as PNG has them. */
static struct file png_of(size_t h, size_t w, int depth, int colour, bool interlaced,
                          const unsigned char *rows)
{
    struct file f = {.n = 0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    png_set_write_fn(png, &f, write_bytes, NULL);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, colour,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    const size_t row_bytes = png_get_rowbytes(png, info);
    png_bytep row[64];
    assert_true(h <= 64);
    unsigned char copy[4096];
    memcpy(copy, rows, h * row_bytes);
    for (size_t y = 0; y < h; y++) {
        row[y] = copy + y * row_bytes;
    }
    png_write_image(png, row);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return f;
}

static void bytes_are(const struct file *f, const struct schema_image *image,
                      const unsigned char *want)
{
    struct error err = {0};
    unsigned char pixel[64];
    if (png_read(image, f->b, f->n, pixel, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < image->height * image->width; i++) {
        if (pixel[i] != want[i]) {
            fail_msg("pixel %zu is %d, not %d", i, pixel[i], want[i]);
        }
    }
}

static void refused(const struct file *f, const struct schema_image *image, const char *says)
{
    struct error err = {0};
    unsigned char pixel[64] = {77};
    assert_int_equal(png_read(image, f->b, f->n, pixel, &err), RC_INVALID);
    if (strstr(err.text, says) == NULL) {
        fail_msg("'%s', not '%s'", err.text, says);
    }
    assert_int_equal(pixel[0], 77);
}

static const struct schema_image two_by_three = {.height = 2, .width = 3};

static void eight_bits_stay_as_they_are(void **state)
{
    (void)state;
    static const unsigned char grey[] = {0, 1, 127, 128, 254, 255};
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        const struct file f = png_of(2, 3, 8, PNG_COLOR_TYPE_GRAY, interlaced != 0, grey);
        bytes_are(&f, &two_by_three, grey);
    }
}

static void fewer_bits_are_spread_and_sixteen_by_their_own_range(void **state)
{
    (void)state;
    static const unsigned char two_bits[] = {0x18, 0xd0}; /* 0 1 2, 3 1 0 */
    static const unsigned char spread[] = {0, 85, 170, 255, 85, 0};
    static const unsigned char twelve[] = {0, 100, 1, 100, 2, 100, 4, 100, 3, 100, 0, 100};
    static const unsigned char own[] = {0, 64, 128, 255, 191, 0};
    static const unsigned char flat[12] = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
    static const unsigned char zero[6] = {0};
    struct file f = png_of(2, 3, 2, PNG_COLOR_TYPE_GRAY, false, two_bits);
    bytes_are(&f, &two_by_three, spread);
    f = png_of(2, 3, 16, PNG_COLOR_TYPE_GRAY, false, twelve);
    bytes_are(&f, &two_by_three, own);
    f = png_of(2, 3, 16, PNG_COLOR_TYPE_GRAY, true, flat);
    bytes_are(&f, &two_by_three, zero);
}

static void another_size_is_refused_or_resized_as_said(void **state)
{
    (void)state;
    static const unsigned char grey[] = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110};
    const struct file f = png_of(4, 3, 8, PNG_COLOR_TYPE_GRAY, false, grey);
    struct schema_image image = {.height = 2, .width = 2};
    refused(&f, &image, "4 x 3 pixels, want 2 x 2; cut it to that, or say `resize: area`");
    image.resize = SCHEMA_RESIZE_AREA;
    /* columns: (0 + 10 / 2) / 1.5 and (10 / 2 + 20) / 1.5, then the mean of two rows, 30 apart */
    bytes_are(&f, &image, (const unsigned char[]){18, 32, 78, 92});
    image.resize = SCHEMA_RESIZE_BILINEAR;
    /* centres at columns .25 and 1.75, rows .5 and 2.5 */
    bytes_are(&f, &image, (const unsigned char[]){18, 32, 78, 92});
    image = (struct schema_image){.height = 1, .width = 1, .resize = SCHEMA_RESIZE_AREA};
    bytes_are(&f, &image, (const unsigned char[]){55}); /* all of it */
    image.resize = SCHEMA_RESIZE_BILINEAR;
    bytes_are(&f, &image, (const unsigned char[]){55}); /* between the middle rows */
    image = (struct schema_image){.height = 4, .width = 6, .resize = SCHEMA_RESIZE_AREA};
    bytes_are(&f, &image,
              (const unsigned char[]){0,  0,  10, 10, 20, 20, 30, 30, 40,  40,  50,  50,
                                      60, 60, 70, 70, 80, 80, 90, 90, 100, 100, 110, 110});
    image.resize = SCHEMA_RESIZE_BILINEAR; /* a quarter and three quarters between centres */
    bytes_are(&f, &image,
              (const unsigned char[]){0,  2,  8,  12, 18, 20, 30, 32, 38, 42,  48,  50,
                                      60, 62, 68, 72, 78, 80, 90, 92, 98, 102, 108, 110});
}

static void what_is_no_grey_png_is_refused(void **state)
{
    (void)state;
    static const unsigned char rows[64] = {1, 2, 3, 4, 5, 6, 7};
    struct file f = png_of(2, 3, 8, PNG_COLOR_TYPE_RGB, false, rows);
    refused(&f, &two_by_three, "not a grey PNG");
    f = png_of(2, 3, 8, PNG_COLOR_TYPE_GRAY_ALPHA, false, rows);
    refused(&f, &two_by_three, "not a grey PNG");
    f = png_of(2, 3, 8, PNG_COLOR_TYPE_GRAY, false, rows);
    const size_t whole = f.n;
    for (f.n = 0; f.n < whole; f.n++) {
        refused(&f, &two_by_three, f.n < 8 ? "not a PNG" : "a PNG that ends too early");
    }
    for (size_t at = 8; at < whole; at++) { /* every byte is under a checksum, a length or a name */
        struct error err = {0};
        unsigned char pixel[6];
        f.b[at] ^= 0x10;
        if (png_read(&two_by_three, f.b, f.n, pixel, &err) == RC_OK) {
            fail_msg("byte %zu may be anything", at);
        }
        f.b[at] ^= 0x10;
    }
}

static void a_folder_of_images_is_read_by_its_names(void **state)
{
    (void)state;
    static const unsigned char grey[] = {0, 51, 102, 153, 204, 255};
    static const double plain[] = {0, .2, .4, .6, .8, 1};
    char yaml[800];
    char line[128];
    struct imported i;
    const struct file good = png_of(2, 3, 8, PNG_COLOR_TYPE_GRAY, false, grey);
    const struct file wide = png_of(3, 2, 8, PNG_COLOR_TYPE_GRAY, false, grey);
    const struct cohort_bytes file[] = {{.data = table, .n = strlen(table)}, {.data = NULL}};
    (void)snprintf(yaml, sizeof yaml, IMAGE("standardise: false, files: [{path: %s}]"), folder);
    put("1.PNG", good.b, good.n);
    put("9.png", "nobody's: not looked at", 23);
    put("x.jpg", "", 0);
    imported_open_bytes(&i, yaml, NULL, file);
    const struct batch *b = imported_batch(&i);
    assert_reals(b->part[0].values + 6, plain, 6);
    assert_int_equal(b->present[1], 0);
    assert_int_equal(b->present[3], 1);
    assert_int_equal(i.sum.modality[0].n_unknown, 1);
    assert_int_equal(i.sum.modality[0].n_unlisted, 1);
    imported_close(&i);
    put("0.png", wide.b, wide.n);
    put("2.png", good.b, good.n - 5);
    imported_open_bytes(&i, yaml, NULL, file);
    (void)snprintf(line, sizeof line, "%s: file 1 in order of names: error: 3 x 2 pixels", folder);
    char second[128];
    (void)snprintf(second, sizeof second, "%s: file 3 in order of names: error: a PNG that ends",
                   folder);
    imported_refused(&i, (const char *const[]){line, second}, 2);
    imported_close(&i);
    put(LONGEST, good.b, good.n); /* after 0.PNG and 0.png in order of names */
    put("0.png", good.b, good.n);
    put("0.PNG", good.b, good.n);
    put("2.png", good.b, good.n - 5);
    imported_open_bytes(&i, yaml, NULL, file);
    (void)snprintf(line, sizeof line, "%s: file 2 in order of names: error: a second image",
                   folder);
    (void)snprintf(second, sizeof second, "%s: file 3 in order of names: error: its name is longer",
                   folder);
    char third[128];
    (void)snprintf(third, sizeof third, "%s: file 5 in order of names: error: a PNG that ends",
                   folder);
    imported_refused(&i, (const char *const[]){line, second, third}, 3);
    imported_close(&i);
}

static void ids_of_raw_images_may_stand_in_a_file(void **state)
{
    (void)state;
    static const unsigned char raw[] = {0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255};
    static const double one[] = {1, 1, 1, 1, 1, 1};
    char yaml[800];
    char line[160];
    struct imported i;
    const struct cohort_bytes file[] = {{.data = table, .n = strlen(table)},
                                        {.data = raw, .n = sizeof raw}};
    (void)snprintf(yaml, sizeof yaml,
                   IMAGE("standardise: false, format: raw, files: [{path: x.u8, ids: %s/ids}]"),
                   folder);
    put("ids", "2\n0\n", 4);
    imported_open_bytes(&i, yaml, NULL, file);
    const struct batch *b = imported_batch(&i);
    assert_int_equal(b->present[3], 0);
    assert_reals(b->part[0].values, one, 6);
    imported_close(&i);
    put("ids", "2\n2\n", 4);
    imported_open_bytes(&i, yaml, NULL, file);
    (void)snprintf(line, sizeof line, "%s/ids:2:1: error: a second image of the same id", folder);
    imported_refused(&i, (const char *const[]){line}, 1);
    imported_close(&i);
    put("ids", "2\n", 2);
    imported_open_bytes(&i, yaml, NULL, file);
    (void)snprintf(line, sizeof line, "%s/ids: error: fewer ids than images in x.u8", folder);
    imported_refused(&i, (const char *const[]){line}, 1);
    imported_close(&i);
    put("ids", "2\n1\n0\n", 6);
    imported_open_bytes(&i, yaml, NULL, file);
    (void)snprintf(line, sizeof line, "%s/ids: error: more ids than images in x.u8", folder);
    imported_refused(&i, (const char *const[]){line}, 1);
    imported_close(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_bytes_are_images_counted_from_zero),
        cmocka_unit_test(raw_bytes_that_are_no_whole_images_are_refused),
        cmocka_unit_test(eight_bits_stay_as_they_are),
        cmocka_unit_test(fewer_bits_are_spread_and_sixteen_by_their_own_range),
        cmocka_unit_test(another_size_is_refused_or_resized_as_said),
        cmocka_unit_test(what_is_no_grey_png_is_refused),
        cmocka_unit_test_setup_teardown(a_folder_of_images_is_read_by_its_names, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(ids_of_raw_images_may_stand_in_a_file, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
