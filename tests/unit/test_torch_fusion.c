/* Fusions beside PyTorch's modules: tests/support/torch_values.h says what is compared. Of three samples one has
 * every modality, one lacks the second and one has nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/fusion/fusion.h"
#include "tests/support/torch_values.h"

enum { B = 3, M_MAX = 3, N_MAX = 4, SIZE_MAX_IN = 5, WIDTH = 4, HIDDEN = 5, PRIMARY = 1 };

static const size_t SIZE[M_MAX] = {3, 5, 4}, POSITIONS[M_MAX] = {3, 2, 4};
static const uint8_t PRESENT[B][M_MAX] = {{1, 1, 1}, {1, 0, 1}, {0, 1, 0}};
static const uint8_t KEY[M_MAX][B * N_MAX] = {{1, 0, 1, 1, 1, 1, 1, 1, 0},
                                              {1, 1, 0, 1, 1, 0},
                                              {1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1}};

static const float LABEL[B] = {1, 0, 1};

/* Which modalities come in positions. */
enum form { VECTORS, ALL_IN_POSITIONS, ALL_BUT_THE_LAST };

/* A case. */
struct fused {
    const char *name;
    size_t M;
    enum form form;
    bool loss; /* in the place of what is fused */
    struct fusion f;
    struct param_id input[M_MAX]; /* is added to every sample's, and has its gradient */
    uint8_t present[B * M_MAX];
};

static bool in_positions(const struct fused *k, size_t m)
{
    return k->form != VECTORS && !(k->form == ALL_BUT_THE_LAST && m == k->M - 1);
}

/* "h0" or "x0" */
static const char *input_name(const struct fused *k, size_t m, char name[16])
{
    (void)snprintf(name, 16, "%c%zu", in_positions(k, m) ? 'x' : 'h', m);
    return name;
}

static struct node *input(struct tape *t, const struct fused *k, size_t m)
{
    float values[B * N_MAX * SIZE_MAX_IN];
    char name[16];
    char part[32];
    const size_t n = SIZE[m] * (in_positions(k, m) ? POSITIONS[m] : 1);
    (void)snprintf(part, sizeof part, "%s.data", input_name(k, m, name));
    torch_fill(values, t->B * n, k->name, part);
    return tape_bias(t, tape_input(t, values, n), k->input[m]);
}

static struct node *record(struct tape *t, void *ctx)
{
    const struct fused *k = ctx;
    struct node *h[M_MAX] = {NULL};
    struct node *tokens[M_MAX] = {NULL};
    const uint8_t *key[M_MAX];
    for (size_t m = 0; m < k->M; m++) {
        struct node *x = input(t, k, m);
        if (in_positions(k, m)) {
            tokens[m] = tape_reshape(t, x, 2, (size_t[]){POSITIONS[m], SIZE[m]});
        } else {
            h[m] = x;
        }
        key[m] = KEY[m];
    }
    const struct fusion_input in = {
        .M = k->M, .h = h, .tokens = tokens, .key = key, .present = k->present};
    return k->loss ? fusion_loss(&k->f, t, &in, LABEL, NULL) : fusion_record(&k->f, t, &in, NULL);
}

static void agree(const char *name, const char *fusion, size_t M, enum fusion_missing missing,
                  enum form form)
{
    struct error err = {0};
    struct param_table table = {0};
    struct fused k = {.name = name, .M = M, .form = form, .loss = strstr(name, "_loss") != NULL};
    k.f = (struct fusion){.M = k.M,
                          .width = WIDTH,
                          .heads = 2,
                          .layers = 2,
                          .hidden = HIDDEN,
                          .primary = PRIMARY,
                          .learned = M == 3,
                          .missing = missing};
    for (size_t m = 0; m < k.M; m++) {
        char own[16];
        const size_t n = SIZE[m] * (in_positions(&k, m) ? POSITIONS[m] : 1);
        k.f.width_in[m] = SIZE[m];
        k.f.token_in[m] = in_positions(&k, m) ? SIZE[m] : 0;
        assert_int_equal(param_add(&table, input_name(&k, m, own), PARAM_SHARED, PARAM_ZERO, 1, &n,
                                   &k.input[m], &err),
                         RC_OK);
        for (size_t b = 0; b < B; b++) {
            k.present[b * k.M + m] = PRESENT[b][m];
        }
    }
    if (fusion_declare(&table, "e", fusion, &k.f, &err) != RC_OK) {
        fail_msg("%s: %s", k.name, err.text);
    }
    torch_agrees(k.name, &table, record, &k, B);
}

/* ---- vectors --------------------------------------------------------------------------------- */

static void concatenation_agrees(void **state)
{
    (void)state;
    agree("fusion_concat", "concat", 3, FUSION_TOKEN, VECTORS);
}

static void projected_concatenation_agrees(void **state)
{
    (void)state;
    agree("fusion_projected", "projected", 3, FUSION_TOKEN, VECTORS);
}

static void the_gate_agrees(void **state)
{
    (void)state;
    agree("fusion_gate2", "gate", 2, FUSION_SKIP, VECTORS);
    agree("fusion_gate3", "gate", 3, FUSION_SKIP, VECTORS);
}

static void the_gated_multimodal_unit_agrees(void **state)
{
    (void)state;
    agree("fusion_gmu2", "gmu", 2, FUSION_SKIP, VECTORS);
    agree("fusion_gmu3", "gmu", 3, FUSION_SKIP, VECTORS);
}

static void gated_multimodal_units_in_subspaces_agree(void **state)
{
    (void)state;
    agree("fusion_gmu_heads2", "gmu_heads", 2, FUSION_SKIP, VECTORS);
    agree("fusion_gmu_heads3", "gmu_heads", 3, FUSION_SKIP, VECTORS);
}

static void attention_over_modalities_agrees(void **state)
{
    (void)state;
    agree("fusion_attention_skip", "attention", 3, FUSION_SKIP, VECTORS);
    agree("fusion_attention_token", "attention", 3, FUSION_TOKEN, VECTORS);
}

static void medfuse_agrees(void **state)
{
    (void)state;
    agree("fusion_medfuse", "medfuse", 3, FUSION_SKIP, VECTORS);
}

static void the_hierarchy_of_pairs_agrees(void **state)
{
    (void)state;
    agree("fusion_hierarchical", "hierarchical", 3, FUSION_TOKEN, VECTORS);
}

static void the_late_average_agrees(void **state)
{
    (void)state;
    agree("fusion_late", "late", 3, FUSION_SKIP, VECTORS);
}

static void branches_and_their_losses_agree(void **state)
{
    (void)state;
    agree("fusion_branches2", "tri_branch", 2, FUSION_SKIP, VECTORS); /* in equal shares */
    agree("fusion_branches2_loss", "tri_branch", 2, FUSION_SKIP, VECTORS);
    agree("fusion_branches3", "tri_branch", 3, FUSION_SKIP, VECTORS); /* in learned ones */
    agree("fusion_branches3_loss", "tri_branch", 3, FUSION_SKIP, VECTORS);
}

/* ---- positions ------------------------------------------------------------------------------- */

static void cross_attention_agrees(void **state)
{
    (void)state;
    agree("fusion_cross2", "cross_attention", 2, FUSION_SKIP, ALL_IN_POSITIONS);
    agree("fusion_cross3", "cross_attention", 3, FUSION_SKIP, ALL_BUT_THE_LAST);
    agree("fusion_cross_token", "cross_attention", 3, FUSION_TOKEN, ALL_IN_POSITIONS);
}

static void cross_attention_with_a_primary_modality_agrees(void **state)
{
    (void)state;
    agree("fusion_asymmetric3", "asymmetric", 3, FUSION_SKIP, ALL_BUT_THE_LAST);
    agree("fusion_asymmetric_token", "asymmetric", 3, FUSION_TOKEN, ALL_IN_POSITIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(concatenation_agrees),
        cmocka_unit_test(projected_concatenation_agrees),
        cmocka_unit_test(the_gate_agrees),
        cmocka_unit_test(the_gated_multimodal_unit_agrees),
        cmocka_unit_test(gated_multimodal_units_in_subspaces_agree),
        cmocka_unit_test(attention_over_modalities_agrees),
        cmocka_unit_test(medfuse_agrees),
        cmocka_unit_test(the_hierarchy_of_pairs_agrees),
        cmocka_unit_test(the_late_average_agrees),
        cmocka_unit_test(branches_and_their_losses_agree),
        cmocka_unit_test(cross_attention_agrees),
        cmocka_unit_test(cross_attention_with_a_primary_modality_agrees),
    };
    return cmocka_run_group_tests_name("fusions beside PyTorch", tests, NULL, NULL);
}
