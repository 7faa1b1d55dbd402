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

#include "common/mask/mask.h"
#include "common/seal/seal.h"
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

/* Schedules compute the same question once; this process has run one by now. */
static void what_was_verified_once_is_not_believed_of_anything_else(void **state)
{
    (void)state;
    struct error err = {0};
    struct seal_keys *keys[2] = {NULL, NULL};
    struct seal_public sign[2];
    struct seal_curve curve;
    struct seal_signature signature;
    unsigned char bytes[3] = {1, 2, 3};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(seal_keys_random(&keys[i], &err), RC_OK);
        seal_keys_public(keys[i], &sign[i], &curve);
    }
    seal_sign(keys[0], "here", bytes, sizeof bytes, &signature);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(seal_verify(&sign[0], "here", bytes, 3, &signature, &err), RC_OK);
        assert_int_equal(seal_verify(&sign[1], "here", bytes, 3, &signature, &err), RC_AUTH);
        assert_int_equal(seal_verify(&sign[0], "there", bytes, 3, &signature, &err), RC_AUTH);
        assert_int_equal(seal_verify(&sign[0], "here", bytes, 2, &signature, &err), RC_AUTH);
        signature.b[0] ^= 1;
        assert_int_equal(seal_verify(&sign[0], "here", bytes, 3, &signature, &err), RC_AUTH);
        signature.b[0] ^= 1;
        bytes[2] ^= 1;
        assert_int_equal(seal_verify(&sign[0], "here", bytes, 3, &signature, &err), RC_AUTH);
        bytes[2] ^= 1;
    }
    seal_keys_close(&keys[0]);
    seal_keys_close(&keys[1]);
}

/* Has to come before anything that runs a schedule in this process: until then the real function answers. */
static void a_secret_is_what_it_was_before_schedules_remember_it(void **state)
{
    (void)state;
    struct error err = {0};
    struct mask_secrets s[3];
    struct mask_point key[3], box[3], before[3][3], after;
    const struct hash attempt = hash_of("attempt", 7);
    for (size_t run = 0; run < 3; run++) {
        for (size_t i = 0; i < 3; i++) {
            const struct mask_seed seed = {{(unsigned char)(i + 1)}};
            mask_secrets_from(&seed, &attempt, &s[i], &key[i], &box[i]);
        }
        for (size_t a = 0; a < 3; a++) {
            for (size_t b = 0; b < 3; b++) {
                assert_int_equal(mask_agree(&s[a].key, &box[b], &after, &err), RC_OK);
                before[a][b] = run == 0 ? after : before[a][b];
                assert_memory_equal(after.b, before[a][b].b, sizeof after.b);
                assert_int_equal(mask_agree(&s[b].box, &key[a], &after, &err), RC_OK);
                assert_memory_equal(after.b, before[a][b].b, sizeof after.b);
            }
        }
        free(run == 0 ? history_of(4) : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promise_is_kept_in_these_bad_days),
        cmocka_unit_test(a_secret_is_what_it_was_before_schedules_remember_it),
        cmocka_unit_test(the_same_seed_is_the_same_day),
        cmocka_unit_test(as_many_sites_as_asked_for_and_no_other_number),
        cmocka_unit_test(what_was_verified_once_is_not_believed_of_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
