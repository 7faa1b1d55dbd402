/* The samples of series, images and notes on the data that they are for, where those are. What is
 * expected was counted by a few lines of Python over the same files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cohort/cohort.h"

static struct config_issues issues;
static struct cohort_summary sum;

static bool is_here(const char *name)
{
    const char *data = getenv("WARDROUND_DATA");
    char path[SCHEMA_FULL_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s",
                   data != NULL && data[0] != '\0' ? data : "../shared/data", name);
    if (access(path, R_OK) == 0) {
        return true;
    }
    print_message("skipped: no %s; set WARDROUND_DATA\n", path);
    return false;
}

static struct dataset *imported(const char *path, struct schema *s)
{
    struct error err = {0};
    struct store *store = NULL;
    struct dataset *d = NULL;
    issues = (struct config_issues){0};
    sum = (struct cohort_summary){0};
    if (schema_open(path, s, &issues, &err) != RC_OK ||
        store_open(":memory:", &cohort_store_kind, &store, &err) != RC_OK ||
        cohort_import(s, NULL, store, &issues, &sum, &err) != RC_OK ||
        dataset_open(s, store, &d, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    store_close(&store);
    return d;
}

/* One patient's batch, to be looked at. */
static void gather(const struct dataset *d, const struct schema *s, const char *id,
                   struct arena *memory, struct batch_room *room)
{
    struct error err = {0};
    const struct schema_layout layout = schema_layout(s);
    size_t p = 0;
    while (p < d->n_patients && strcmp(d->patient_id[p], id) != 0) {
        p++;
    }
    assert_true(p < d->n_patients);
    assert_int_equal(arena_init(memory, batch_room_cost(&layout, 1), &err), RC_OK);
    batch_room_take(room, &layout, 1, memory);
    dataset_gather(d, &d->first_row[p], &p, 1, room);
}

static void assert_real(float x, double want)
{
    if (!(fabs((double)x - want) < 1e-5)) {
        fail_msg("%g, not %g", (double)x, want);
    }
}

static void physionet_2012_is_read_as_it_is(void **state)
{
    (void)state;
    enum { CREATININE = 7, GCS = 10, HR = 14, V = 37 };
    struct schema s;
    struct arena memory = {0};
    struct batch_room room;
    if (!is_here("physionet2012/series-a.csv.gz")) {
        skip();
    }
    struct dataset *d = imported("configs/sites/physionet/cohort.yaml", &s);
    assert_int_equal(sum.n_patients, 4000);
    assert_int_equal(sum.n_positive, 554);
    assert_int_equal(sum.n_sites, 4);
    assert_int_equal(sum.modality[0].n_records, 3997);
    assert_int_equal(sum.modality[0].n_items, 1731589);
    gather(d, &s, "132539", &memory, &room);
    const struct batch_part *p = room.batch.part;
    assert_real(p->values[0 * V + HR], (2 * 60.0 - 190) / 110); /* of 73, 77, 60 in two hours */
    assert_real(p->values[1 * V + HR], (2 * 80.0 - 190) / 110);
    assert_real(p->mask[1 * V + GCS], 1);
    assert_real(p->mask[2 * V + GCS], 0);
    assert_real(p->values[2 * V + GCS], 1); /* none in hours 4 and 5: that of hour 3 */
    assert_real(p->mask[3 * V + GCS], 1);
    assert_real(p->delta[1 * V + GCS], 1.0 / 24);
    assert_real(p->delta[3 * V + GCS], 2.0 / 24);
    assert_real(p->values[4 * V + CREATININE], 0); /* never yet */
    assert_real(p->values[5 * V + CREATININE], 2 * log(0.8 / 0.3) / log(10 / 0.3) - 1);
    arena_release(&memory);
    dataset_close(&d);
    schema_release(&s);
}

static void pneumoniamnist_is_read_as_it_is(void **state)
{
    (void)state;
    struct schema s;
    struct arena memory = {0};
    struct batch_room room;
    if (!is_here("pneumoniamnist/train.u8")) {
        skip();
    }
    struct dataset *d = imported("configs/sites/pneumonia/cohort.yaml", &s);
    assert_int_equal(sum.n_patients, 5856);
    assert_int_equal(sum.n_positive, 4273);
    assert_int_equal(sum.modality[0].n_records, 5856);
    gather(d, &s, "train-0", &memory, &room);
    assert_real(room.batch.part->values[0], -0.70765026);
    assert_real(room.batch.part->values[783], 0.70561250);
    assert_int_equal(room.batch.present[0], 0);
    assert_int_equal(room.batch.present[1], 1);
    arena_release(&memory);
    dataset_close(&d);
    schema_release(&s);
    d = imported("configs/sites/pneumonia/split.yaml", &s);
    assert_int_equal(sum.n_patients, 4708 + 624);
    assert_int_equal(sum.n_positive, 624);
    dataset_close(&d);
    schema_release(&s);
}

static void the_eicu_demo_is_read_as_it_is(void **state)
{
    (void)state;
    struct schema s;
    if (!is_here("eicu_demo/series.csv")) {
        skip();
    }
    struct dataset *d = imported("configs/sites/eicu/cohort.yaml", &s);
    assert_int_equal(sum.n_patients, 1772);
    assert_int_equal(sum.n_rows, 1772);
    assert_int_equal(sum.n_positive, 163);
    assert_int_equal(sum.n_sites, 5);
    assert_int_equal(sum.modality[0].n_records, 1754);
    assert_int_equal(sum.modality[0].n_items, 251365);
    assert_int_equal(sum.modality[1].n_records, 1697);
    assert_int_equal(sum.modality[1].n_items, 21398);
    assert_non_null(
        strstr(sum.warning[0], "314 rows are later ones of patients seen before, 6 of"));
    dataset_close(&d);
    schema_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(physionet_2012_is_read_as_it_is),
        cmocka_unit_test(pneumoniamnist_is_read_as_it_is),
        cmocka_unit_test(the_eicu_demo_is_read_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
