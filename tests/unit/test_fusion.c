/* Fusions of modalities. In double; tapecheck.h says what is asserted of each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/fusion/fusion.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

/* All sizes differ, so that a swapped index cannot pass unnoticed. */
enum { B = 5, M_MAX = 3, F = 2, N_MAX = 5, WIDTH = 6, P_MAX = 8192 };
static const size_t WIDTH_IN[M_MAX] = {3, 5, 4};
static const size_t POSITIONS[M_MAX] = {3, N_MAX, 4};
static const enum fusion_missing MISSING[3] = {FUSION_SKIP, FUSION_TOKEN, FUSION_ZERO};

/* Modalities behind an encoder each, a fusion, a head where it is wanted. */
struct net {
    struct param_table table;
    struct param_id encoder[M_MAX], head;
    struct fusion f;
    bool complete; /* no modality is missing */
    const char *name;
    const struct tape_dropout *drop;
    float x[M_MAX][B * N_MAX * F], label[B];
    uint8_t present[B * M_MAX], key[M_MAX][B * N_MAX];
    uint64_t sample[B];
};

/* What is there: bit m of each sample's, cut to M; the fourth sample has nothing. */
static const unsigned THERE[B] = {7, 1, 6, 0, 5};

static bool is_there(const struct net *n, size_t b, size_t m)
{
    return n->complete || (THERE[b] >> m & 1u) != 0;
}

static enum rc make(struct net *n, const char *name, size_t M, enum fusion_missing missing,
                    struct error *err)
{
    *n = (struct net){.f = {.M = M,
                            .width = WIDTH,
                            .heads = 2,
                            .layers = 2,
                            .hidden = 7,
                            .primary = M - 1,
                            .learned = true,
                            .missing = missing},
                      .name = name,
                      .label = {1, 0, 1, 1, 0},
                      .sample = {17, 4, 99, 5, 1}};
    for (size_t m = 0; m < M; m++) {
        real x[B * N_MAX * F];
        char encoder[16];
        gradcheck_fill(x, B * N_MAX * F, 8 + (unsigned)m);
        for (size_t i = 0; i < B * N_MAX * F; i++) {
            n->x[m][i] = (float)x[i];
            n->key[m][i / F] = i / F % POSITIONS[m] != 1;
        }
        for (size_t b = 0; b < B; b++) {
            n->present[b * M + m] = is_there(n, b, m);
        }
        n->f.width_in[m] = WIDTH_IN[m];
        n->f.token_in[m] = WIDTH_IN[m];
        (void)snprintf(encoder, sizeof encoder, "encoder%zu", m);
        n->encoder[m] = tapecheck_param(&n->table, encoder, WIDTH_IN[m], F);
    }
    return fusion_declare(&n->table, "fusion", name, &n->f, err);
}

static void finish_making(struct net *n)
{
    if (!fusion_ends_in_logit(&n->f)) {
        n->head = tapecheck_param(&n->table, "head", 1, fusion_width(&n->f));
    }
}

/* What is fused, or, with labels, the loss of what ends in a logit. */
static struct node *fused(struct tape *t, const struct net *n, size_t first, const float *label)
{
    struct node *h[M_MAX];
    struct node *tokens[M_MAX];
    const uint8_t *key[M_MAX];
    const bool positions =
        strcmp(n->name, "cross_attention") == 0 || strcmp(n->name, "asymmetric") == 0;
    for (size_t m = 0; m < n->f.M; m++) {
        const size_t N = POSITIONS[m];
        struct node *x = tape_input_shaped(t, n->x[m] + first * N * F, 2, (size_t[]){N, F});
        x = tape_tanh(t, tape_linear(t, x, n->encoder[m]));
        tokens[m] = positions ? x : NULL;
        h[m] = tape_select(t, x, N - 1);
        key[m] = n->key[m] + first * N;
    }
    const struct fusion_input in = {.M = n->f.M,
                                    .h = h,
                                    .tokens = positions ? tokens : NULL,
                                    .key = key,
                                    .present = n->complete || t->arena == NULL
                                                   ? NULL
                                                   : n->present + first * n->f.M};
    struct tape_dropout coins = {0};
    if (n->drop != NULL) {
        coins = *n->drop;
        coins.sample = n->sample + first;
    }
    const struct tape_dropout *drop = n->drop == NULL ? NULL : &coins;
    return label != NULL ? fusion_loss(&n->f, t, &in, label, drop)
                         : fusion_record(&n->f, t, &in, drop);
}

static struct node *record(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    if (fusion_ends_in_logit(&n->f)) {
        return fused(t, n, first, n->label + first);
    }
    return tape_bce(t, tape_linear(t, fused(t, n, first, NULL), n->head), n->label + first);
}

/* Every fusion with every number of modalities and every way to do without one that it takes. */
typedef void visit(struct net *n);

static void visit_all(visit *each)
{
    static struct net n;
    size_t visited = 0;
    for (size_t k = 0; k < fusion_count(); k++) {
        for (size_t M = 1; M <= M_MAX; M++) {
            for (size_t i = 0; i < 3; i++) {
                struct error err = {0};
                if (make(&n, fusion_name(k), M, MISSING[i], &err) == RC_OK) {
                    finish_making(&n);
                    each(&n);
                    visited++;
                }
                param_table_release(&n.table);
            }
        }
    }
    assert_int_equal(fusion_count(), 12);
    /* 7 take one modality, 12 two and three; 9 take skip as well, of them 5 one modality */
    assert_int_equal(visited, 2 * (7 + 12 + 12) + (5 + 9 + 9));
}

static void check(struct net *n)
{
    static const struct tape_dropout coins = {.rate = 0.2, .seed = 3};
    print_message("%s, %zu modalities, missing %d\n", n->name, n->f.M, (int)n->f.missing);
    n->drop = n->f.M == 3 ? &coins : NULL;
    tapecheck(&n->table, record, n, B);
}

static void every_fusion_holds_what_every_recording_must(void **state)
{
    (void)state;
    visit_all(check);
}
struct bench {
    struct tape tape;
    struct arena arena;
    real params[P_MAX];
};

static struct bench *bench(const struct net *n)
{
    static struct bench k;
    struct error err = {0};
    assert_true(n->table.P <= P_MAX);
    gradcheck_fill(k.params, n->table.P, 5);
    arena_release(&k.arena);
    assert_int_equal(arena_init(&k.arena, (size_t)1 << 22, &err), RC_OK);
    return &k;
}

static struct node *start(struct bench *k, struct net *n, size_t first, size_t count, bool loss)
{
    struct error err = {0};
    arena_rewind(&k->arena, 0);
    tape_start(&k->tape, &k->arena, &n->table, k->params, count);
    struct node *z = loss ? record(&k->tape, n, first) : fused(&k->tape, n, first, NULL);
    if (tape_verdict(&k->tape, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return z;
}

/* ---- what is absent -------------------------------------------------------------------------- */

static void hide(struct net *n)
{
    real before[B * M_MAX * WIDTH * 2];
    param_table_seal(&n->table);
    struct bench *k = bench(n);
    const size_t size = fusion_width(&n->f);
    memcpy(before, start(k, n, 0, B, false)->v, B * size * sizeof *before);
    tape_backward(&k->tape, start(k, n, 0, B, true));
    for (size_t i = 0; i < B * n->f.M; i++) {
        static real grad[P_MAX];
        const size_t m = i % n->f.M;
        const struct param *p = param_at(&n->table, n->encoder[m]);
        double sum = 0.0;
        memset(grad, 0, sizeof grad);
        book_form(&k->tape, i / n->f.M, grad);
        for (size_t j = 0; j < p->size; j++) {
            sum += fabs((double)grad[p->offset + j]);
        }
        /* cross-attention finds nothing where there is nobody else to look at */
        const bool alone = strcmp(n->name, "cross_attention") == 0;
        if (is_there(n, i / n->f.M, m) ? !(sum > 0) && !alone : !(sum <= 0)) {
            fail_msg("sample %zu, modality %zu: a gradient of %g", i / n->f.M, m, sum);
        }
    }
    for (size_t i = 0; i < B * n->f.M; i++) {
        const size_t m = i % n->f.M;
        const size_t each = POSITIONS[m] * F;
        for (size_t j = 0; !is_there(n, i / n->f.M, m) && j < each; j++) {
            n->x[m][i / n->f.M * each + j] = (float)NAN;
        }
    }
    assert_memory_equal(before, start(k, n, 0, B, false)->v, B * size * sizeof *before);
}

static void an_absent_modality_changes_nothing_and_its_encoder_has_no_gradient(void **state)
{
    (void)state;
    visit_all(hide);
}

/* ---- by hand --------------------------------------------------------------------------------- */

/* The first number that is fused from scalars, or its loss at a label, all parameters given in their order. */
static double number(const char *name, size_t M, const real *params, size_t P, const float *x,
                     const uint8_t *present, const float *label)
{
    static struct bench k;
    struct error err = {0};
    struct param_table table = {0};
    struct fusion f = {
        .M = M, .width_in = {1, 1, 1}, .width = 1, .heads = 1, .hidden = 1, .learned = P == 12};
    struct node *h[M_MAX];
    assert_int_equal(fusion_declare(&table, "f", name, &f, &err), RC_OK);
    param_table_seal(&table);
    assert_int_equal(table.P, P);
    arena_release(&k.arena);
    assert_int_equal(arena_init(&k.arena, (size_t)1 << 16, &err), RC_OK);
    tape_start(&k.tape, &k.arena, &table, params, 1);
    for (size_t m = 0; m < M; m++) {
        h[m] = tape_input(&k.tape, x + m, 1);
    }
    const struct fusion_input in = {.M = M, .h = h, .present = present};
    const struct node *z = label == NULL ? fusion_record(&f, &k.tape, &in, NULL)
                                         : fusion_loss(&f, &k.tape, &in, label, NULL);
    assert_int_equal(tape_verdict(&k.tape, &err), RC_OK);
    const double v = (double)z->v[0];
    param_table_release(&table);
    return v;
}

static double scalar(const char *name, size_t M, const real *params, size_t P, const float *x,
                     const uint8_t *present)
{
    return number(name, M, params, P, x, present, NULL);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static void small_cases_are_those_worked_out_by_hand(void **state)
{
    (void)state;
    const float x[2] = {1.0f, 3.0f};
    const uint8_t second[2] = {0, 1};
    /* p = (2, 3), score = 2/2 - 3 = -2 */
    const real gate[6] = {2, 0, 1, 0, 0.5, -1};
    const double g = sigmoid(-2.0);
    assert_true(fabs(scalar("gate", 2, gate, 6, x, NULL) - (2 * g + 3 * (1 - g))) < 1e-14);
    assert_true(fabs(scalar("gate", 2, gate, 6, x, second) - 3.0) < 1e-14);
    /* v = (tanh 1, tanh 1.5), score = 1 * 0.25 - 3 * 0.5 = -1.25 */
    const real gmu[4] = {1, 0.5, 0.25, -0.5};
    const double z = sigmoid(-1.25);
    const double want = z * tanh(1.0) + (1 - z) * tanh(1.5);
    assert_true(fabs(scalar("gmu", 2, gmu, 4, x, NULL) - want) < 1e-14);
    assert_true(fabs(scalar("gmu", 2, gmu, 4, x, second) - tanh(1.5)) < 1e-14);
    /* logits 2 and -1 */
    const real late[4] = {1, 1, -1, 2};
    const double p = (sigmoid(2.0) + sigmoid(-1.0)) / 2;
    assert_true(fabs(scalar("late", 2, late, 4, x, NULL) - log(p / (1 - p))) < 1e-14);
    assert_true(fabs(scalar("late", 2, late, 4, x, second) + 1.0) < 1e-14);
}

static void each_branch_that_a_sample_has_is_trained_by_its_own_loss(void **state)
{
    (void)state;
    const float x[2] = {1.0f, 3.0f};
    const float dead = 1.0f;
    const uint8_t first[2] = {1, 0};
    const uint8_t none[2] = {0, 0};
    /* logits 2 and -1, of the joint branch 0.75; then the logarithms of shares 2 : 1 : 3 */
    const real w[12] = {
        1, 1, -1, 2, 0.5, 0.5, 0.0, 0.5, -0.25, (real)log(2.0), 0.0, (real)log(3.0)};
    const double own = -(log(sigmoid(2.0)) + log(sigmoid(-1.0)) + log(sigmoid(0.75))) / 3.0;
    assert_true(fabs(number("tri_branch", 2, w, 9, x, NULL, &dead) - own) < 1e-14);
    assert_true(fabs(number("tri_branch", 2, w, 9, x, first, &dead) + log(sigmoid(2.0))) < 1e-14);
    assert_true(fabs(number("tri_branch", 2, w, 9, x, none, &dead)) <= 0.0);
    const double p = (2 * sigmoid(2.0) + sigmoid(-1.0) + 3 * sigmoid(0.75)) / 6.0;
    assert_true(fabs(number("tri_branch", 2, w, 12, x, NULL, &dead) - (own - log(p))) < 1e-14);
    /* of one that has no losses of its own, the cross-entropy of its logit */
    const double mean = (sigmoid(2.0) + sigmoid(-1.0)) / 2.0;
    assert_true(fabs(number("late", 2, w, 4, x, NULL, &dead) + log(mean)) < 1e-14);
}

/* ---- modality dropout ------------------------------------------------------------------------ */

static void modalities_are_dropped_at_the_rate_but_never_all(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    static struct tape t;
    static uint64_t sample[MANY];
    static uint8_t present[3 * MANY];
    struct arena arena = {0};
    struct param_table table = {0};
    struct error err = {0};
    assert_int_equal(arena_init(&arena, (size_t)1 << 18, &err), RC_OK);
    for (size_t b = 0; b < MANY; b++) {
        sample[b] = b;
        present[3 * b] = present[3 * b + 2] = 1; /* the second is absent */
    }
    struct tape_dropout coins = {.rate = 0.4, .seed = 11, .sample = sample};
    tape_start(&t, &arena, &table, NULL, MANY);
    const uint8_t *thin = fusion_thin(&t, present, 3, &coins);
    double dropped = 0.0;
    for (size_t b = 0; b < MANY; b++) {
        assert_int_equal(thin[3 * b + 1], 0);
        assert_true(thin[3 * b] || thin[3 * b + 2]);
        dropped += 1.0 - thin[3 * b];
    }
    const double p = 0.4 - 0.4 * 0.4 / 2.0;
    assert_true(fabs(dropped / MANY - p) < 5.0 * sqrt(p * (1 - p) / MANY));
    coins.sample = sample + 77; /* alone, the same coins */
    t.B = 1;
    assert_memory_equal(fusion_thin(&t, present, 3, &coins), thin + 3 * 77, 3);
    arena_release(&arena);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    static struct net n;
    struct error err = {0};
    assert_int_equal(make(&n, "glue", 2, FUSION_SKIP, &err), RC_INVALID);
    assert_string_equal(err.text,
                        "fusion 'fusion': no fusion is named 'glue'; there are: concat, projected, "
                        "gate, gmu, gmu_heads, cross_attention, asymmetric, attention, medfuse, "
                        "hierarchical, late, tri_branch");
    param_table_release(&n.table);
    assert_int_equal(make(&n, "concat", 2, FUSION_SKIP, &err), RC_INVALID);
    assert_string_equal(err.text, "fusion 'fusion': concat needs every modality; 'missing' must be "
                                  "token or zero, not skip");
    param_table_release(&n.table);
    struct fusion f = {.M = 2, .width_in = {3, 5}, .width = 5, .heads = 2, .primary = 2};
    assert_int_equal(fusion_declare(&n.table, "f", "gmu_heads", &f, &err), RC_INVALID);
    assert_string_equal(err.text, "fusion 'f': width 5 is no multiple of 2 heads");
    f.width = 0;
    assert_int_equal(fusion_declare(&n.table, "f", "gate", &f, &err), RC_INVALID);
    assert_string_equal(err.text, "fusion 'f': width must be at least 1");
    static struct tape t;
    const float x[5] = {0};
    assert_int_equal(fusion_declare(&n.table, "f", "late", &f, &err), RC_OK);
    param_table_seal(&n.table);
    tape_start(&t, NULL, &n.table, NULL, 1);
    struct node *const h[2] = {tape_input(&t, x, 3), tape_input(&t, x, 4)};
    const struct fusion_input in = {.M = 2, .h = h};
    assert_null(fusion_record(&f, &t, &in, NULL));
    assert_int_equal(tape_verdict(&t, &err), RC_INVALID);
    assert_string_equal(err.text, "fusion: modality 1 is not a vector of 5 numbers");
    param_table_release(&n.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fusion_holds_what_every_recording_must),
        cmocka_unit_test(an_absent_modality_changes_nothing_and_its_encoder_has_no_gradient),
        cmocka_unit_test(small_cases_are_those_worked_out_by_hand),
        cmocka_unit_test(each_branch_that_a_sample_has_is_trained_by_its_own_loss),
        cmocka_unit_test(modalities_are_dropped_at_the_rate_but_never_all),
        cmocka_unit_test(what_does_not_fit_is_named),
    };
    return cmocka_run_group_tests_name("common/model fusion", tests, NULL, NULL);
}
