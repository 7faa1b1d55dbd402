/* What a site keeps between rounds, as bytes: of this form, and of the one before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/train/state_internal.h"

enum { P = 3, S = 2, OLD_BYTES = 88, ROOM = 256 };

/* Written by the program that knew the first form alone: 7 steps, one number of the site's own. */
static const char old_bytes[] = "5752535441544531" /* "WRSTATE1" */
                                "0300000000000000" /* P */
                                "0200000000000000" /* S */
                                "0700000000000000"
                                "000000000000f8bf"                 /* own */
                                "000000000000d03f00000000000000c0" /* m */
                                "0000000000000840"
                                "000000000000e03f0000000000001040" /* v */
                                "fca9f1d24d62503f";
static const double old_own = -1.5;
static const double old_m[P] = {0.25, -2.0, 3.0};
static const double old_v[P] = {0.5, 4.0, 1e-3};

static const struct study_local plain = {.optimiser = STUDY_SGD};
static const struct study_local momentum = {.optimiser = STUDY_SGD, .momentum = 0.5};
static const struct study_local adam = {.optimiser = STUDY_ADAM};
static const struct study_local adamw = {.optimiser = STUDY_ADAMW};

static struct model small_model(void)
{
    return (struct model){.table = {.P = P, .S = S}};
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void old_state(unsigned char out[OLD_BYTES])
{
    assert_int_equal(strlen(old_bytes), 2 * OLD_BYTES);
    for (size_t i = 0; i < OLD_BYTES; i++) {
        out[i] = (unsigned char)(nibble(old_bytes[2 * i]) << 4 | nibble(old_bytes[2 * i + 1]));
    }
}

/* Where a state is read to. */
struct place {
    double w[P], m[P], v[P];
    struct optimiser o;
};

static void empty(struct place *at)
{
    *at = (struct place){.w = {0.0}};
    at->o = (struct optimiser){.m = at->m, .v = at->v};
}

static void bytes_of_the_first_form_are_still_read(void **state)
{
    (void)state;
    const struct model model = small_model();
    const struct study_local *rule[] = {&plain, &momentum, &adam, &adamw};
    unsigned char bytes[OLD_BYTES];
    old_state(bytes);
    for (size_t k = 0; k < sizeof rule / sizeof rule[0]; k++) {
        struct error err = {0};
        struct place at;
        empty(&at);
        assert_int_equal(state_read(&model, rule[k], bytes, sizeof bytes, at.w, &at.o, &err),
                         RC_OK);
        assert_int_equal(at.o.t, 7);
        assert_true(at.w[0] == 0.0 && at.w[1] == 0.0 && at.w[S] == old_own);
        assert_memory_equal(at.m, old_m, sizeof old_m);
        assert_memory_equal(at.v, old_v, sizeof old_v);
    }
}

static void a_state_holds_the_moments_that_its_rule_reads_and_no_others(void **state)
{
    (void)state;
    const struct model model = small_model();
    const struct {
        const struct study_local *rule;
        size_t moments;
    } of[] = {{&plain, 0}, {&momentum, 1}, {&adam, 2}, {&adamw, 2}};
    for (size_t k = 0; k < sizeof of / sizeof of[0]; k++) {
        struct error err = {0};
        struct place from = {.w = {1.0, 2.0, 3.0}, .m = {4.0, 5.0, 6.0}, .v = {7.0, 8.0, 9.0}};
        struct place at;
        unsigned char bytes[ROOM];
        from.o = (struct optimiser){.t = 11, .m = from.m, .v = from.v};
        empty(&at);
        const size_t n = state_bytes(&model, of[k].rule);
        assert_int_equal(n, 40 + 8 * (P - S) + of[k].moments * 8 * P);
        state_write(&model, of[k].rule, from.w, &from.o, bytes);
        assert_int_equal(state_read(&model, of[k].rule, bytes, n, at.w, &at.o, &err), RC_OK);
        assert_int_equal(at.o.t, 11);
        assert_true(at.w[0] == 0.0 && at.w[1] == 0.0 && at.w[S] == 3.0);
        for (size_t i = 0; i < P; i++) {
            assert_true(at.m[i] == (of[k].moments > 0 ? from.m[i] : 0.0));
            assert_true(at.v[i] == (of[k].moments > 1 ? from.v[i] : 0.0));
        }
    }
}

/* A plain step computes m anew from its gradient: what was not kept would have changed nothing. */
static void a_plain_step_does_not_read_what_is_not_kept(void **state)
{
    (void)state;
    const struct param_table table = {.P = P, .S = S};
    const double gradient[P] = {0.5, -1.0, 2.0};
    double m[2][P] = {{0.0}, {3.0, -7.0, 11.0}};
    double v[P] = {0.0};
    double w[2][P] = {{0.0}};
    for (size_t k = 0; k < 2; k++) {
        struct optimiser o = {.m = m[k], .v = v};
        optimiser_step(&o, &plain, 0.1, &table, gradient, w[k]);
    }
    assert_memory_equal(w[0], w[1], sizeof w[0]);
}

static void refused(const struct study_local *rule, const unsigned char *bytes, size_t n)
{
    const struct model model = small_model();
    struct error err = {0};
    struct place at, before;
    empty(&at);
    memcpy(&before, &at, sizeof at);
    assert_int_equal(state_read(&model, rule, bytes, n, at.w, &at.o, &err), RC_FORMAT);
    assert_memory_equal(&at, &before, sizeof at);
}

static void a_state_of_another_form_model_or_optimiser_is_refused(void **state)
{
    (void)state;
    const struct model model = small_model();
    struct place from = {.w = {1.0, 2.0, 3.0}};
    unsigned char bytes[ROOM] = {0};
    unsigned char old[OLD_BYTES];
    from.o = (struct optimiser){.m = from.m, .v = from.v};
    state_write(&model, &momentum, from.w, &from.o, bytes);
    const size_t n = state_bytes(&model, &momentum);
    refused(&adam, bytes, n);
    refused(&plain, bytes, n);
    for (size_t cut = 0; cut < n; cut++) {
        refused(&momentum, bytes, cut);
    }
    refused(&momentum, bytes, n + 1);
    old_state(old);
    for (size_t cut = 0; cut < OLD_BYTES; cut++) {
        refused(&adam, old, cut);
    }
    for (size_t word = 0; word < 3; word++) { /* form, P, S */
        bytes[8 * word] ^= 1;
        refused(&momentum, bytes, n);
        bytes[8 * word] ^= 1;
        old[8 * word] ^= 1;
        refused(&adam, old, OLD_BYTES);
        old[8 * word] ^= 1;
    }
    bytes[8 * 4] ^= 1; /* moments */
    refused(&momentum, bytes, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_the_first_form_are_still_read),
        cmocka_unit_test(a_state_holds_the_moments_that_its_rule_reads_and_no_others),
        cmocka_unit_test(a_plain_step_does_not_read_what_is_not_kept),
        cmocka_unit_test(a_state_of_another_form_model_or_optimiser_is_refused),
    };
    return cmocka_run_group_tests_name("agent/train/state", tests, NULL, NULL);
}
