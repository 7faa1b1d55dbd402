/* A few bad days at every run; `wardround-sim faults` has as many as one likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/faults/faults.h"

enum { SEEDS = 24, FIRST = 1 };

static void every_promise_is_kept_in_these_bad_days(void **state)
{
    (void)state;
    struct error err = {0};
    struct faults_totals t = {0};
    char folder[FAULTS_FOLDER_MAX];
    assert_int_equal(faults_folder(folder, &err), RC_OK);
    const struct faults_many many = {.first = FIRST, .n = SEEDS, .jobs = 2};
    const enum rc rc = faults_many(&many, folder, &t, &err);
    assert_int_equal(rmdir(folder), 0);
    if (rc != RC_OK) {
        fail_msg("%s", err.text);
    }
    if (t.broken != 0) {
        fail_msg("seed %llu breaks promise %u: %s", (unsigned long long)t.broken_seed, t.broken,
                 t.why);
    }
    assert_int_equal(t.schedules, SEEDS);
    /* Days on which nothing happens would keep every promise. */
    assert_true(t.done > SEEDS / 5 && t.done < SEEDS);
    assert_true(t.opened > SEEDS / 3);
    assert_true(t.lying_coordinators > 0 && t.lying_sites > 0);
    assert_true(t.kills > 0 && t.lost_messages > 0 && t.lost_rounds > 0 && t.refused > 0);
}

static char *history_of(uint64_t seed)
{
    struct error err = {0};
    struct faults_result r = {0};
    char folder[FAULTS_FOLDER_MAX], *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    assert_int_equal(faults_folder(folder, &err), RC_OK);
    const struct faults_params p = {.seed = seed, .folder = folder, .history = f};
    assert_int_equal(faults_run(&p, &r, &err), RC_OK);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing is left behind */
    assert_true(r.steps > 20);
    return text;
}

static void the_same_seed_is_the_same_day(void **state)
{
    (void)state;
    char *once = history_of(5), *again = history_of(5), *other = history_of(6);
    assert_string_equal(once, again);
    assert_true(strcmp(once, other) != 0);
    free(once);
    free(again);
    free(other);
}

static void as_many_sites_as_asked_for_and_no_other_number(void **state)
{
    (void)state;
    struct error err = {0};
    struct faults_result r = {0};
    char folder[FAULTS_FOLDER_MAX];
    assert_int_equal(faults_folder(folder, &err), RC_OK);
    struct faults_params p = {.seed = 2, .n_sites = 4, .folder = folder};
    assert_int_equal(faults_run(&p, &r, &err), RC_OK);
    assert_int_equal(r.sites, 4);
    p.n_sites = 2;
    assert_int_equal(faults_run(&p, &r, &err), RC_INVALID);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promise_is_kept_in_these_bad_days),
        cmocka_unit_test(the_same_seed_is_the_same_day),
        cmocka_unit_test(as_many_sites_as_asked_for_and_no_other_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
