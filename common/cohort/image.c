/*
 * Images: folders of ID.png, or raw files of N x H x W bytes with ids beside them -> pixels in the
 * store -> reals in a batch. One image a record.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

enum { IMAGE_FILE_BYTES_MAX = 1 << 26 };

/* The record that an image is of. *record is 0: none, which was said or counted. `line`: of the file
 * of ids; 0 where the issues' path is the place. */
static RC whose(struct intake *in, const char *key, size_t line, unsigned char *seen,
                int64_t *record, struct error *err)
{
    const enum rc rc = pieces_find(in->pieces, key, record, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (*record == 0) {
        in->found->n_unknown++;
    } else if ((seen[*record / 8] >> (*record % 8) & 1) != 0) {
        const char *what = "a second image of the same id: one is read of each";
        if (line > 0) {
            ISSUE_AT(in->issues, line, 1, "%s", what);
        } else {
            config_issue(in->issues, NULL, "%s", what);
        }
        *record = 0;
    } else {
        seen[*record / 8] = (unsigned char)(seen[*record / 8] | 1U << (*record % 8));
    }
    return RC_OK;
}

struct image_reading {
    struct intake *in;
    struct arena memory;
    unsigned char *pixels; /* [H * W] */
    unsigned char *seen;   /* a bit for each record of the store */
    const struct schema_source *file;
};

static RC keep(struct image_reading *r, int64_t record, struct error *err)
{
    const struct schema_image *image = &r->in->m->image;
    r->in->found->n_items++;
    return r->in->issues->n > 0 ? RC_OK
                                : pieces_add(r->in->pieces, record, r->in->index, r->pixels,
                                             image->height * image->width, err);
}

/* ---- raw files ------------------------------------------------------------------------------ */

/* Where the bytes of a raw file come from. */
struct raw {
    gzFile gz; /* NULL: from memory */
    struct cohort_bytes bytes;
};

/* @param got less than n at the end, or where the file is damaged, which is said */
static RC raw_read(struct raw *raw, unsigned char *to, size_t n, size_t *got,
                   struct config_issues *issues, struct error *err)
{
    if (raw->gz == NULL) {
        *got = raw->bytes.n < n ? raw->bytes.n : n;
        if (*got > 0) {
            memcpy(to, raw->bytes.data, *got);
            raw->bytes.data = (const unsigned char *)raw->bytes.data + *got;
        }
        raw->bytes.n -= *got;
        return RC_OK;
    }
    const int read = gzread(raw->gz, to, (unsigned)n);
    int why = Z_OK;
    (void)gzerror(raw->gz, &why);
    *got = read > 0 ? (size_t)read : 0;
    if (why == Z_ERRNO) {
        return error_set(err, RC_IO, "cannot read: %s", strerror(errno));
    }
    if (why == Z_MEM_ERROR) {
        return error_set(err, RC_NOMEM, "no memory to unpack a file");
    }
    if (why != Z_OK && why != Z_STREAM_END) {
        config_issue(issues, NULL, "the packed file is cut short or damaged: copy it again");
        *got = 0;
    }
    return RC_OK;
}

/* The id of the next image: from the file of ids, or its number. @return through *there */
static RC next_id(struct image_reading *r, struct scan *ids, size_t number,
                  char key[SCHEMA_NAME_MAX], size_t *line, bool *there, struct error *err)
{
    static const struct marks none = {0};
    char word[SCHEMA_NAME_MAX];
    struct scan_row row = {.line = number + 1};
    *there = true;
    if (ids == NULL) {
        (void)snprintf(word, sizeof word, "%zu", number);
        *line = number + 1;
    } else {
        const enum rc rc = scan_next(ids, &row, there, r->in->issues, err);
        if (rc != RC_OK || !*there) {
            return rc;
        }
        *line = row.line;
        if (row.n_cells != 1) {
            ISSUE_AT(r->in->issues, row.line, row.n_cells, "%zu fields, want 1: an id",
                     row.n_cells);
            key[0] = '\0';
            return RC_OK;
        }
        if (!row_name(&none, &row, 0, "id", word, r->in->issues)) {
            key[0] = '\0';
            return RC_OK;
        }
    }
    if (!source_name(r->file->prefix, word, strlen(word), key)) {
        ISSUE_AT(r->in->issues, *line, 1, "with its prefix the id is longer than %d bytes",
                 SCHEMA_NAME_MAX - 1);
        key[0] = '\0';
    }
    return RC_OK;
}

static RC walk_raw(struct image_reading *r, struct raw *raw, struct scan *ids, struct error *err)
{
    struct intake *in = r->in;
    const size_t n = in->m->image.height * in->m->image.width;
    const size_t n_before = in->issues->n;
    size_t number = 0;
    for (;; number++) {
        char key[SCHEMA_NAME_MAX];
        size_t line;
        size_t got;
        bool there;
        int64_t record = 0;
        in->issues->path = r->file->path;
        enum rc rc = raw_read(raw, r->pixels, n, &got, in->issues, err);
        if (rc != RC_OK || in->issues->n > n_before) {
            return rc;
        }
        if (got > 0 && got < n) {
            config_issue(in->issues, NULL,
                         "%zu bytes behind image %zu: its length is no multiple of %zu x %zu", got,
                         number, in->m->image.height, in->m->image.width);
            return RC_OK;
        }
        if (got > 0 && in->n_seen++ == in->limits->items) {
            config_issue(in->issues, NULL, "more than %zu images", in->limits->items);
            return RC_OK;
        }
        if (got == 0 && ids == NULL) {
            break;
        }
        if (ids != NULL) {
            in->issues->path = r->file->ids;
        }
        rc = next_id(r, ids, number, key, &line, &there, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (there != (got > 0)) {
            config_issue(in->issues, NULL, "%s ids than images in %s", there ? "more" : "fewer",
                         r->file->path);
            return RC_OK;
        }
        if (!there) {
            break;
        }
        if (key[0] != '\0') {
            rc = whose(in, key, line, r->seen, &record, err);
        }
        if (rc == RC_OK && record != 0) {
            rc = keep(r, record, err);
        }
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (number == 0 && in->issues->n == n_before) {
        config_issue(in->issues, NULL, "no image");
    }
    return RC_OK;
}

static RC take_raw(struct image_reading *r, const struct cohort_bytes *bytes, struct error *err)
{
    struct intake *in = r->in;
    char path[SCHEMA_FULL_PATH_MAX];
    struct raw raw = {.bytes = bytes != NULL ? *bytes : (struct cohort_bytes){0}};
    struct scan *ids = NULL;
    const size_t n_before = in->issues->n;
    enum rc rc = RC_OK;
    if (bytes == NULL) {
        rc = schema_path(in->s, r->file->path, path, err);
        if (rc == RC_OK) {
            rc = source_open(path, &raw.gz, err);
        }
        if (rc != RC_OK && rc != RC_NOMEM) {
            source_absent(r->file->path, path, err, in->issues);
            rc = RC_OK;
        }
    }
    if (rc == RC_OK && r->file->ids[0] != '\0') {
        in->issues->path = r->file->ids;
        rc = source_scan(in->s, r->file->ids, raw.bytes.ids, '\t', in->limits, &ids, in->issues,
                         err);
    }
    if (rc == RC_OK && in->issues->n == n_before) {
        rc = walk_raw(r, &raw, ids, err);
    }
    scan_close(&ids);
    if (raw.gz != NULL) {
        (void)gzclose(raw.gz); /* read only */
    }
    return rc;
}

/* ---- folders -------------------------------------------------------------------------------- */

/* Problems are said at the issues' path, which is the caller's word for this file. */
static RC take_png(struct image_reading *r, const char *folder, const char *name, struct error *err)
{
    struct intake *in = r->in;
    char path[SCHEMA_FULL_PATH_MAX + 256];
    char key[SCHEMA_NAME_MAX];
    unsigned char *data = NULL;
    size_t n = 0;
    int64_t record;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!source_name(r->file->prefix, name, strlen(name) - strlen(".png"), key)) {
        config_issue(in->issues, NULL, "its name is longer than an id of %d bytes",
                     SCHEMA_NAME_MAX - 1);
        return RC_OK;
    }
    enum rc rc = whose(in, key, 0, r->seen, &record, err);
    if (rc != RC_OK || record == 0) {
        return rc;
    }
    rc = folder_read(path, IMAGE_FILE_BYTES_MAX, &data, &n, err);
    if (rc == RC_OK) {
        rc = png_read(&in->m->image, data, n, r->pixels, err);
    }
    if (data != NULL) {
        hash_wipe(data, n);
        free(data);
    }
    if (rc == RC_OK) {
        return keep(r, record, err);
    }
    if (rc == RC_NOMEM) {
        return rc;
    }
    config_issue(in->issues, NULL, "%s", err->text);
    return RC_OK;
}

static RC take_folder(struct image_reading *r, struct error *err)
{
    struct intake *in = r->in;
    char path[SCHEMA_FULL_PATH_MAX];
    char place[SCHEMA_PATH_MAX + 64];
    struct folder f = {0};
    enum rc rc = schema_path(in->s, r->file->path, path, err);
    if (rc == RC_OK) {
        rc = folder_open(path, ".png", in->limits->items, &f, err);
    }
    if (rc != RC_OK && rc != RC_NOMEM) {
        source_absent(r->file->path, path, err, in->issues);
        return RC_OK;
    }
    in->found->n_unlisted += f.n_others;
    if (rc == RC_OK && f.n == 0) {
        config_issue(in->issues, NULL, "no file in it ends in .png");
    }
    for (size_t i = 0; rc == RC_OK && i < f.n; i++) {
        in->n_seen++;
        /* not the name: it is a patient's id */
        (void)snprintf(place, sizeof place, "%s: file %zu in order of names", r->file->path, i + 1);
        in->issues->path = place;
        rc = take_png(r, path, f.name[i], err);
        in->issues->path = r->file->path;
    }
    folder_close(&f);
    return rc;
}

enum rc image_import(struct intake *in, struct error *err)
{
    const struct schema_image *image = &in->m->image;
    struct image_reading r = {.in = in};
    size_t n_records = 0;
    enum rc rc = pieces_last_record(in->pieces, &n_records, err);
    if (rc == RC_OK) {
        rc = arena_init(
            &r.memory,
            arena_cost(image->height * image->width, 1) + arena_cost(n_records / 8 + 1, 1), err);
    }
    if (rc == RC_OK) {
        r.pixels = arena_take(&r.memory, image->height * image->width, 1);
        r.seen = arena_take(&r.memory, n_records / 8 + 1, 1);
    }
    for (size_t i = 0; rc == RC_OK && i < in->m->n_files; i++) {
        r.file = &in->m->file[i];
        if (in->only_site != NULL && r.file->site[0] != '\0' &&
            strcmp(r.file->site, in->only_site) != 0) {
            continue;
        }
        in->issues->path = r.file->path;
        rc = image->format == SCHEMA_RAW
                 ? take_raw(&r, in->bytes != NULL ? &in->bytes[i] : NULL, err)
                 : take_folder(&r, err);
        if (rc != RC_OK) {
            rc = error_context(err, "%s", r.file->path);
        }
    }
    arena_wipe(&r.memory);
    arena_release(&r.memory);
    return rc;
}

/* ---- dataset -> batch ----------------------------------------------------------------------- */

void image_expand(const struct dataset_part *d, size_t row, const struct batch_room_part *to,
                  size_t b)
{
    const size_t n = d->shape.n_values;
    const unsigned char *pixel = d->pixel + d->first[row];
    float *out = to->values + b * n;
    if (d->first[row] == d->first[row + 1]) {
        return; /* absent: zeros, and `present` says so */
    }
    if (!d->shape.standardise) {
        for (size_t i = 0; i < n; i++) {
            out[i] = (float)pixel[i] / 255.0F;
        }
        return;
    }
    uint64_t sum = 0; /* of at most 2^20 bytes: exact */
    uint64_t squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += pixel[i];
        squares += (uint64_t)pixel[i] * pixel[i];
    }
    const double mean = (double)sum / (double)n;
    const double variance = (double)(squares * n - sum * sum) / ((double)n * (double)n);
    const double scale = variance > 0 ? 1.0 / sqrt(variance) : 0.0; /* one grey: all zero */
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(((double)pixel[i] - mean) * scale);
    }
}
