/* What else the additive model gives points for: shapes of courses, contrasts of images, words. In double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/model/model.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

/* The first has everything, the second no film, the third no words and one reading, the fourth two notes' worth. */
enum { B = 4, STEPS = 6, V = 2, H = 5, W = 7, SIZES = 4, WORDS = 6, VOCABULARY = 5, PARTS = 3 };
enum { LEVELS = 4 * V, SHAPE = 2 * V, CONTRASTS = 3 * SIZES };
enum { ALL = STUDY_POINTS_SHAPE | STUDY_POINTS_CONTRASTS | STUDY_POINTS_WORDS };
enum { P = 1 + LEVELS + SHAPE + CONTRASTS + VOCABULARY + 1 };

static const char features[] =
    "label: {name: dead}\nfeatures:\n- {name: sex, type: binary, required: true}\nmodalities:\n"
    "- {name: vitals, type: series, window: [0, 48], grid: {steps: 6, fill: last}, variables:"
    " [{name: hr, range: [20, 220]}, {name: k, range: [2, 8]}]}\n"
    "- {name: film, type: image, size: [5, 7]}\n"
    "- {name: letter, type: notes, tokens: 6, vocabulary: 5}\n";
static const char table_alone[] =
    "label: {name: dead}\nfeatures:\n- {name: sex, type: binary, required: true}\n";

static const char film_alone[] = "label: {name: dead}\nmodalities:\n"
                                 "- {name: film, type: image, size: [5, 7]}\n";

static const float sex[B] = {1, 0, 1, 0};
static const float label[B] = {0, 1, 1, 0};
static const uint8_t present[B * (1 + PARTS)] = {1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1};
static const int32_t words[B * WORDS] = {0, 3, 3, 1, 9, 9, 4, 0, 0, 0, 0, 0,
                                         1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0};
static const int32_t length[B] = {4, 1, 0, 6}; /* what is beyond it is not looked at: the nines */

struct net {
    struct schema schema;
    struct model model;
    float grid[B * STEPS * V], seen[B * STEPS * V], film[B * H * W];
};

static enum rc try_net(struct net *n, const char *text, size_t points, struct error *err)
{
    struct config_issues issues = {0};
    const struct study_model spec = {.name = "additive", .points = points};
    *n = (struct net){0};
    if (schema_parse_features("study", text, strlen(text), &n->schema, &issues, err) != RC_OK) {
        fail_msg("%s", err->text);
    }
    return model_open(&spec, &n->schema, &n->model, err);
}

static void open_net(struct net *n, size_t points)
{
    struct error err = {0};
    struct rng r;
    if (try_net(n, features, points, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    rng_init(&r, 5, "points");
    for (size_t i = 0; i < (size_t)B * STEPS * V; i++) {
        n->grid[i] = (float)(2.0 * rng_uniform(&r) - 1.0);
        n->seen[i] = rng_uniform(&r) < 0.8 ? 1.0f : 0.0f;
    }
    memset(n->seen + (size_t)2 * STEPS * V, 0, STEPS * V * sizeof *n->seen);
    n->seen[(size_t)2 * STEPS * V + V] = 1.0f;
    for (size_t i = 0; i < (size_t)B * H * W; i++) {
        n->film[i] = (float)rng_normal(&r);
    }
}

static void close_net(struct net *n)
{
    model_release(&n->model);
    schema_release(&n->schema);
}

static struct node *recorded(struct tape *t, const struct net *n, size_t first, bool loss)
{
    const struct batch_part part[PARTS] = {
        {.values = n->grid + first * STEPS * V, .mask = n->seen + first * STEPS * V},
        {.values = n->film + first * H * W},
        {.codes = words + first * WORDS, .length = length + first}};
    const struct batch batch = {.B = t->B,
                                .values = sex + first,
                                .label = label + first,
                                .present = present + first * (1 + PARTS),
                                .part = part};
    const struct batch nobody = {.B = t->B};
    const struct batch *x = t->arena == NULL ? &nobody : &batch;
    return loss ? model_loss(&n->model, t, x) : model_logit(&n->model, t, x);
}

static struct node *record(struct tape *t, void *ctx, size_t first)
{
    return recorded(t, ctx, first, true);
}

static void logits(const struct net *n, const real *params, real out[B])
{
    static struct tape t;
    struct error err = {0};
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, (size_t)1 << 16, &err), RC_OK);
    tape_start(&t, &arena, &n->model.table, params, B);
    const struct node *z = recorded(&t, n, 0, false);
    assert_int_equal(tape_verdict(&t, &err), RC_OK);
    memcpy(out, z->v, B * sizeof *out);
    arena_release(&arena);
}

/* What the model's numbers make of patient b, one weight 1 at a time. */
static void inputs(const struct net *n, size_t b, double out[P])
{
    real z[B];
    const size_t first = param_at(&n->model.table, n->model.head.w)->offset;
    for (size_t i = 0; i + 1 < n->model.table.P; i++) {
        real params[P] = {0};
        params[first + i] = 1;
        logits(n, params, z);
        out[i] = (double)z[b];
    }
}

/* ---- the same again, straight from the formulas ----------------------------------------------- */

static void shape_by_hand(const struct net *n, size_t b, size_t v, double out[2])
{
    double tau[STEPS], x[STEPS], mean_t = 0, mean_x = 0, t_t = 0, t_x = 0, rest = 0;
    size_t k = 0;
    for (size_t t = 0; t < STEPS; t++) {
        const size_t at = (b * STEPS + t) * V + v;
        if (n->seen[at] > 0.0f) {
            tau[k] = ((double)t + 0.5) / STEPS * 2.0 - 1.0;
            x[k++] = (double)n->grid[at];
        }
    }
    out[0] = out[1] = 0.0;
    if (k < 3) {
        return;
    }
    for (size_t i = 0; i < k; i++) {
        mean_t += tau[i] / (double)k;
        mean_x += x[i] / (double)k;
    }
    for (size_t i = 0; i < k; i++) {
        t_t += (tau[i] - mean_t) * (tau[i] - mean_t);
        t_x += (tau[i] - mean_t) * (x[i] - mean_x);
    }
    out[0] = t_x / (1.0 + t_t);
    for (size_t i = 0; i < k; i++) {
        rest += pow(x[i] - mean_x - out[0] * (tau[i] - mean_t), 2.0) / (double)k;
    }
    out[1] = 1.0 + log(0.01 + sqrt(rest)) / 2.0;
}

static size_t clamped(long i, size_t n)
{
    return i < 0 ? 0 : i >= (long)n ? n - 1 : (size_t)i;
}

static void contrasts_by_hand(const float *film, double out[CONTRASTS])
{
    static const double filter[3] = {0.25, 0.5, 0.25};
    double a[H * W], next[H * W];
    for (size_t i = 0; i < (size_t)H * W; i++) {
        a[i] = (double)film[i];
    }
    for (size_t k = 0; k < SIZES; k++) {
        double squares = 0, most = 0, least = 0;
        for (size_t i = 0; i < (size_t)H * W; i++) {
            next[i] = 0;
            for (int y = -1; y <= 1; y++) {
                for (int x = -1; x <= 1; x++) {
                    const size_t row = clamped((long)(i / W) + y * (1L << k), H);
                    const size_t column = clamped((long)(i % W) + x * (1L << k), W);
                    next[i] += filter[y + 1] * filter[x + 1] * a[row * W + column];
                }
            }
            const double d = a[i] - next[i];
            squares += d * d;
            most = fmax(most, d);
            least = fmin(least, d);
        }
        memcpy(a, next, sizeof a);
        out[3 * k] = 1.0 + log(0.001 + squares / (H * W)) / 2.0;
        out[3 * k + 1] = log(0.01 + most) / 2.0;
        out[3 * k + 2] = log(0.01 - least) / 2.0;
    }
}

static void words_by_hand(size_t b, double out[VOCABULARY])
{
    memset(out, 0, VOCABULARY * sizeof *out);
    for (size_t i = 0; i < (size_t)length[b]; i++) {
        out[words[b * WORDS + i]] += 1.0 / sqrt((double)length[b]);
    }
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void shapes_contrasts_and_words_are_what_their_formulas_say(void **state)
{
    (void)state;
    struct net n;
    open_net(&n, ALL);
    assert_int_equal(n.model.table.P, P);
    for (size_t b = 0; b < B; b++) {
        double got[P], want[P] = {0};
        inputs(&n, b, got);
        size_t at = 1 + LEVELS; /* those before are test_additive's */
        for (size_t v = 0; v < V; v++, at += 2) {
            shape_by_hand(&n, b, v, want + at);
        }
        if (present[b * (1 + PARTS) + 2]) {
            contrasts_by_hand(n.film + b * H * W, want + at);
        }
        words_by_hand(b, want + at + CONTRASTS);
        for (size_t i = 1 + LEVELS; i + 1 < P; i++) {
            if (fabs(got[i] - want[i]) >
                1e-5) { /* they are floats, and contrasts are counted in floats */
                fail_msg("number %zu of patient %zu is %.9f, want %.9f", i, b, got[i], want[i]);
            }
        }
    }
    close_net(&n);
}

static void they_hold_what_a_tape_promises(void **state)
{
    (void)state;
    struct net n;
    open_net(&n, ALL);
    tapecheck(&n.model.table, record, &n, B);
    close_net(&n);
}

static void each_is_there_where_it_was_asked_for(void **state)
{
    (void)state;
    static const size_t points[] = {0, STUDY_POINTS_SHAPE, STUDY_POINTS_CONTRASTS,
                                    STUDY_POINTS_WORDS, ALL};
    static const size_t more[] = {0, SHAPE, CONTRASTS, VOCABULARY, SHAPE + CONTRASTS + VOCABULARY};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct net n;
        open_net(&n, points[i]);
        assert_int_equal(n.model.table.P, 1 + LEVELS + more[i] + 1);
        close_net(&n);
    }
}

/* However long a note or bright a film is, what it is read as stays in bounds: no patient is all clip. */
static void what_is_read_of_a_patient_is_bounded(void **state)
{
    (void)state;
    static const float grey[] = {0.0f, 1.0f, -40.0f, 1e6f};
    struct net n;
    open_net(&n, ALL);
    for (size_t k = 0; k < sizeof grey / sizeof grey[0]; k++) {
        double got[P], squares = 0;
        for (size_t i = 0; i < (size_t)H * W; i++) {
            n.film[i] = grey[k];
        }
        inputs(&n, 0, got);
        for (size_t i = 1 + LEVELS + SHAPE; i < 1 + LEVELS + SHAPE + CONTRASTS; i++) {
            assert_true(isfinite(got[i]));
            assert_true(fabs(got[i]) < 2.5); /* no contrast at all: 1 + ln(.001) / 2 = -2.45 */
        }
        for (size_t i = P - 1 - VOCABULARY; i + 1 < P; i++) {
            squares += got[i] * got[i];
        }
        assert_true(squares <= length[0]);
    }
    close_net(&n);
}

static void points_for_what_the_cohort_does_not_have_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t points;
        const char *says;
    } bad[] = {{STUDY_POINTS_SHAPE, "points: the cohort has no series on a grid for 'shape'"},
               {STUDY_POINTS_CONTRASTS, "points: the cohort has no image for 'contrasts'"},
               {STUDY_POINTS_WORDS, "points: the cohort has no notes for 'words'"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct net n;
        struct error err = {0};
        assert_int_equal(try_net(&n, table_alone, bad[i].points, &err), RC_INVALID);
        assert_non_null(strstr(err.text, bad[i].says));
        close_net(&n);
    }
}

static void a_cohort_without_features_is_read_where_something_else_has_points(void **state)
{
    (void)state;
    struct net n;
    struct error err = {0};
    assert_int_equal(try_net(&n, film_alone, STUDY_POINTS_CONTRASTS, &err), RC_OK);
    assert_int_equal(n.model.table.P, CONTRASTS + 1);
    close_net(&n);
    assert_int_equal(try_net(&n, film_alone, 0, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "the cohort has nothing for model 'additive'"));
    close_net(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_contrasts_and_words_are_what_their_formulas_say),
        cmocka_unit_test(they_hold_what_a_tape_promises),
        cmocka_unit_test(each_is_there_where_it_was_asked_for),
        cmocka_unit_test(what_is_read_of_a_patient_is_bounded),
        cmocka_unit_test(a_cohort_without_features_is_read_where_something_else_has_points),
        cmocka_unit_test(points_for_what_the_cohort_does_not_have_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
