/*
 * The site's machine of masked sums: every state with every event, against the table of docs/PROTOCOL.md
 * ("The site: agent/masking") written out a second time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/masking/masking_internal.h"
#include "tests/support/masked.h"

enum { N = 4, ROUND = 3 };
enum event { NEWER, AGAIN, MEMBERS, PARCELS, MASK, SURVIVORS, VOTES, CLOSED, EVENTS };

/* Of site 0: what each message of round ROUND would be. */
struct script {
    struct masked_sites s;
    struct mask_announcement a[N];
    struct mask_parcel parcel[N];
    struct mask_vote vote[N];
    struct mask_set everybody;
};
static struct script script;

static unsigned happen(enum event event, struct error *err)
{
    struct masked_sites *s = &script.s;
    uint32_t numbers[MASKED_WORDS] = {0};
    const struct masking_input closed = {.event = MASKING_CLOSED, .round = ROUND};
    switch (event) {
    case NEWER:
        return masked_open(s, 0, masking_round(s->site[0].m) < ROUND ? ROUND : ROUND + 1, err);
    case AGAIN:
        return masked_open(s, 0, ROUND, err);
    case MEMBERS:
        return masked_members(s, 0, ROUND, script.a, N, err);
    case PARCELS:
        return masked_parcels(s, 0, ROUND, script.parcel, N, err);
    case MASK:
        return masking_mask(s->site[0].m, ROUND, numbers, MASKED_WORDS, err) == RC_OK
                   ? MASKING_NOTHING
                   : MASKING_PROTOCOL_ERROR;
    case SURVIVORS:
        return masked_survivors(s, 0, ROUND, &script.everybody, err);
    case VOTES:
        return masked_votes(s, 0, ROUND, script.vote, N, err);
    case CLOSED:
        return masking_step(s->site[0].m, &closed, err);
    case EVENTS:
        break;
    }
    return MASKING_PROTOCOL_ERROR;
}

static void deal_to_site_0(void)
{
    static struct mask_portion portion[N];
    static struct mask_tree tree;
    for (size_t i = 0; i < N; i++) {
        script.parcel[i].held = true;
        script.parcel[i].deal = masked_deal(&script.s, i, portion);
        script.parcel[i].box = portion[0].box;
        mask_tree_build(portion, N, &tree);
        mask_tree_path(&tree, 0, &script.parcel[i].path);
    }
}

/* The others are always as far as site 0 needs them; it is brought to `state`. */
static void bring_to(enum masking_state state)
{
    struct error err;
    memset(&script, 0, sizeof script);
    masked_init(&script.s, (struct mask_terms){N, 3, 0, 0, 0, 0}, 5);
    for (size_t i = 0; i < N; i++) {
        mask_set_add(&script.everybody, i);
    }
    if (state == MASKING_IDLE) {
        return;
    }
    for (size_t i = 0; i < N; i++) {
        (void)masked_open(&script.s, i, ROUND, &err);
        script.a[i] = masked_announcement(&script.s, i);
    }
    for (size_t i = 1; i < N; i++) {
        (void)masked_members(&script.s, i, ROUND, script.a, N, &err);
    }
    if (state == MASKING_OUT) {
        (void)happen(CLOSED, &err);
    } else if (state >= MASKING_DEALT) {
        (void)happen(MEMBERS, &err);
        deal_to_site_0();
        static const enum event path[] = {PARCELS, MASK, SURVIVORS, VOTES};
        for (size_t k = 0; k < (size_t)state - MASKING_DEALT; k++) {
            if (path[k] == VOTES) {
                for (size_t i = 0; i < N; i++) { /* as if the others had come to the same clique */
                    script.vote[i].site = i;
                    mask_vote_sign(script.s.site[i].keys, masking_clique(script.s.site[0].m),
                                   &script.everybody, &script.vote[i]);
                }
            }
            (void)happen(path[k], &err);
        }
        if (state == MASKING_VOTED) {
            for (size_t i = 0; i < N; i++) {
                script.vote[i].site = i;
                mask_vote_sign(script.s.site[i].keys, masking_clique(script.s.site[0].m),
                               &script.everybody, &script.vote[i]);
            }
        }
    }
    assert_int_equal(masking_state(script.s.site[0].m), state);
}

struct expected {
    enum masking_state next;
    unsigned actions;
};

enum { SAY_KEY = MASKING_KEEP_ROUND | MASKING_SAY_ANNOUNCEMENT, REFUSED = MASKING_PROTOCOL_ERROR };

/* clang-format off */
static const struct expected table[MASKING_STATES][EVENTS] = {
    [MASKING_IDLE] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_ANNOUNCED, SAY_KEY}, /* nothing came before it */
        [MEMBERS]   = {MASKING_IDLE,      MASKING_NOTHING},
        [PARCELS]   = {MASKING_IDLE,      MASKING_NOTHING},
        [MASK]      = {MASKING_IDLE,      REFUSED},
        [SURVIVORS] = {MASKING_IDLE,      MASKING_NOTHING},
        [VOTES]     = {MASKING_IDLE,      MASKING_NOTHING},
        [CLOSED]    = {MASKING_IDLE,      MASKING_NOTHING},
    },
    [MASKING_ANNOUNCED] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_ANNOUNCED, MASKING_SAY_ANNOUNCEMENT},
        [MEMBERS]   = {MASKING_DEALT,     MASKING_SAY_DEAL},
        [PARCELS]   = {MASKING_ANNOUNCED, REFUSED},
        [MASK]      = {MASKING_ANNOUNCED, REFUSED},
        [SURVIVORS] = {MASKING_ANNOUNCED, REFUSED},
        [VOTES]     = {MASKING_ANNOUNCED, REFUSED},
        [CLOSED]    = {MASKING_OUT,       MASKING_NOTHING},
    },
    [MASKING_DEALT] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_DEALT,     MASKING_NOTHING},
        [MEMBERS]   = {MASKING_DEALT,     MASKING_SAY_DEAL},
        [PARCELS]   = {MASKING_READY,     MASKING_CAN_MASK},
        [MASK]      = {MASKING_DEALT,     REFUSED},
        [SURVIVORS] = {MASKING_DEALT,     REFUSED},
        [VOTES]     = {MASKING_DEALT,     REFUSED},
        [CLOSED]    = {MASKING_OUT,       MASKING_NOTHING},
    },
    [MASKING_READY] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_READY,     MASKING_NOTHING},
        [MEMBERS]   = {MASKING_READY,     MASKING_NOTHING},
        [PARCELS]   = {MASKING_READY,     MASKING_NOTHING},
        [MASK]      = {MASKING_MASKED,    MASKING_NOTHING},
        [SURVIVORS] = {MASKING_READY,     REFUSED},
        [VOTES]     = {MASKING_READY,     REFUSED},
        [CLOSED]    = {MASKING_OUT,       MASKING_NOTHING},
    },
    [MASKING_MASKED] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_MASKED,    MASKING_NOTHING},
        [MEMBERS]   = {MASKING_MASKED,    MASKING_NOTHING},
        [PARCELS]   = {MASKING_MASKED,    MASKING_NOTHING},
        [MASK]      = {MASKING_MASKED,    REFUSED},
        [SURVIVORS] = {MASKING_VOTED,     MASKING_SAY_VOTE},
        [VOTES]     = {MASKING_MASKED,    REFUSED},
        [CLOSED]    = {MASKING_OUT,       MASKING_NOTHING},
    },
    [MASKING_VOTED] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_VOTED,     MASKING_NOTHING},
        [MEMBERS]   = {MASKING_VOTED,     MASKING_NOTHING},
        [PARCELS]   = {MASKING_VOTED,     MASKING_NOTHING},
        [MASK]      = {MASKING_VOTED,     REFUSED},
        [SURVIVORS] = {MASKING_VOTED,     MASKING_SAY_VOTE},
        [VOTES]     = {MASKING_REVEALED,  MASKING_SAY_REVEAL},
        [CLOSED]    = {MASKING_OUT,       MASKING_NOTHING},
    },
    [MASKING_REVEALED] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_REVEALED,  MASKING_NOTHING},
        [MEMBERS]   = {MASKING_REVEALED,  MASKING_NOTHING},
        [PARCELS]   = {MASKING_REVEALED,  MASKING_NOTHING},
        [MASK]      = {MASKING_REVEALED,  REFUSED},
        [SURVIVORS] = {MASKING_REVEALED,  MASKING_SAY_VOTE},
        [VOTES]     = {MASKING_REVEALED,  MASKING_SAY_REVEAL},
        [CLOSED]    = {MASKING_OUT,       MASKING_NOTHING},
    },
    [MASKING_OUT] = {
        [NEWER]     = {MASKING_ANNOUNCED, SAY_KEY},
        [AGAIN]     = {MASKING_OUT,       MASKING_GIVE_UP},
        [MEMBERS]   = {MASKING_OUT,       MASKING_NOTHING},
        [PARCELS]   = {MASKING_OUT,       MASKING_NOTHING},
        [MASK]      = {MASKING_OUT,       REFUSED},
        [SURVIVORS] = {MASKING_OUT,       MASKING_NOTHING},
        [VOTES]     = {MASKING_OUT,       MASKING_NOTHING},
        [CLOSED]    = {MASKING_OUT,       MASKING_NOTHING},
    },
};
/* clang-format on */

static void every_event_in_every_state_does_what_the_protocol_says(void **state)
{
    (void)state;
    for (size_t from = 0; from < MASKING_STATES; from++) {
        for (size_t event = 0; event < EVENTS; event++) {
            struct error err = {RC_OK, ""};
            bring_to((enum masking_state)from);
            const struct masking before = *script.s.site[0].m;
            const unsigned actions = happen((enum event)event, &err);
            const struct expected *want = &table[from][event];
            if (actions != want->actions || masking_state(script.s.site[0].m) != want->next) {
                print_error("%s, event %zu: actions %#x, state %s\n",
                            masking_state_name((enum masking_state)from), event, actions,
                            masking_state_name(masking_state(script.s.site[0].m)));
            }
            assert_int_equal(actions, want->actions);
            assert_int_equal(masking_state(script.s.site[0].m), want->next);
            const bool says_why = (actions & (MASKING_PROTOCOL_ERROR | MASKING_GIVE_UP)) != 0;
            assert_true(says_why == (err.text[0] != '\0'));
            if (actions & MASKING_PROTOCOL_ERROR) {
                assert_memory_equal(&before, script.s.site[0].m, sizeof before);
            }
            masked_release(&script.s);
        }
    }
}

static void messages_of_another_round_are_ignored(void **state)
{
    (void)state;
    for (size_t from = 0; from < MASKING_STATES; from++) {
        struct error err = {RC_OK, ""};
        bring_to((enum masking_state)from);
        struct masked_sites *s = &script.s;
        const struct masking before = *s->site[0].m;
        for (uint64_t round = ROUND - 1; round <= ROUND + 1; round += 2) {
            const struct masking_input closed = {.event = MASKING_CLOSED, .round = round};
            assert_int_equal(masked_members(s, 0, round, script.a, N, &err), 0);
            assert_int_equal(masked_parcels(s, 0, round, script.parcel, N, &err), 0);
            assert_int_equal(masked_survivors(s, 0, round, &script.everybody, &err), 0);
            assert_int_equal(masked_votes(s, 0, round, script.vote, N, &err), 0);
            assert_int_equal(masking_step(s->site[0].m, &closed, &err), 0);
        }
        assert_memory_equal(&before, s->site[0].m, sizeof before);
        masked_release(s);
    }
}

static void terms_that_hide_nothing_open_no_machine(void **state)
{
    (void)state;
    struct masking *m = NULL;
    struct error err;
    static const struct masking_peer peer[N];
    struct masking_setup setup = {.terms = {N, 3, 0, 0, 0, 0}, .site = N, .peer = peer};
    assert_int_equal(masking_open(&setup, &m, &err), RC_INVALID);
    setup.site = 0;
    setup.terms.n_sites = 2;
    assert_int_equal(masking_open(&setup, &m, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "noise: site"));
    assert_null(m);
    masking_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_state_does_what_the_protocol_says),
        cmocka_unit_test(messages_of_another_round_are_ignored),
        cmocka_unit_test(terms_that_hide_nothing_open_no_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
