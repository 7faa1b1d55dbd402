#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/entropy.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/base/hash_lanes_internal.h"
#include "common/base/log.h"
#include "common/base/log_internal.h"
#include "common/base/replay.h"
#include "common/base/rng.h"
#include "common/base/stopped.h"
#include "common/base/text.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifdef UNDER_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* error */

static void context_reads_outside_in(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, RC_FORMAT, "row %d: %d columns, want %d", 3, 11, 12),
                     RC_FORMAT);
    assert_int_equal(error_context(&err, "cohort '%s'", "site-a"), RC_FORMAT);
    assert_string_equal(err.text, "cohort 'site-a': row 3: 11 columns, want 12");
    assert_int_equal(err.rc, RC_FORMAT);
}

static void a_long_context_is_cut_and_terminated(void **state)
{
    (void)state;
    struct error err = {0};
    error_ignore(error_set(&err, RC_IO, "%0300d", 7));
    error_ignore(error_context(&err, "%0300d", 8));
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void every_kind_of_failure_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < RC_COUNT; i++) {
        assert_string_not_equal(rc_name((enum rc)i), "?");
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(rc_name((enum rc)i), rc_name((enum rc)j));
        }
    }
    assert_string_equal(rc_name(RC_COUNT), "?");
}

/* arena */

static void a_large_arena_is_whole_to_its_last_byte_and_too_large_a_one_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct arena a = {0};
    const size_t n = (5 << 20) + 4097; /* no multiple of any page */
    assert_int_equal(arena_init(&a, arena_cost(n, 1), &err), RC_OK);
    unsigned char *x = arena_take(&a, n, 1);
    memset(x, 0x5A, n);
    assert_int_equal(x[n - 1], 0x5A);
    arena_release(&a);
    for (size_t less = 0; less < (2 << 20); less += 65521) { /* rounded up it would be small */
        assert_int_equal(arena_init(&a, SIZE_MAX - less, &err), RC_NOMEM);
    }
}

static void an_arena_of_the_summed_cost_is_exactly_enough(void **state)
{
    (void)state;
    struct error err = {0};
    struct arena a = {0};
    assert_int_equal(arena_init(&a, arena_cost(3, 4) + arena_cost(65, 1), &err), RC_OK);
    float *x = arena_take(&a, 3, sizeof *x);
    unsigned char *y = arena_take(&a, 65, 1);
    assert_true(x[2] == 0.0f && y[64] == 0);
    assert_int_equal(a.used, a.size);
    assert_int_equal((uintptr_t)x % ARENA_ALIGN, 0);
    assert_int_equal((uintptr_t)y % ARENA_ALIGN, 0);
    arena_release(&a);
    arena_release(&a); /* idempotent */
    assert_null(a.base);
}

static void memory_taken_again_after_a_rewind_is_zero(void **state)
{
    (void)state;
    struct error err = {0};
    struct arena a = {0};
    assert_int_equal(arena_init(&a, arena_cost(8, 1) + arena_cost(8, 1), &err), RC_OK);
    (void)arena_take(&a, 8, 1);
    const size_t mark = arena_mark(&a);
    unsigned char *first = arena_take(&a, 8, 1);
    memset(first, 0xA5, 8);
    arena_rewind(&a, mark);
    assert_int_equal(a.used, mark);
    const unsigned char *again = arena_take(&a, 8, 1);
    assert_ptr_equal(again, first);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(again[i], 0);
    }
    arena_release(&a);
}

static void what_was_rewound_is_poisoned_under_the_address_sanitizer(void **state)
{
    (void)state;
#ifdef UNDER_ASAN
    struct error err = {0};
    struct arena a = {0};
    assert_int_equal(arena_init(&a, arena_cost(5, 1), &err), RC_OK);
    assert_true(__asan_address_is_poisoned(a.base));
    unsigned char *x = arena_take(&a, 5, 1);
    assert_false(__asan_address_is_poisoned(x));
    arena_rewind(&a, 0);
    assert_true(__asan_address_is_poisoned(x));
    arena_release(&a);
#else
    skip();
#endif
}

/* Reads memory that the arena has poisoned: the point of a wipe is what lies there afterwards. */
__attribute__((no_sanitize("address"))) static size_t
bytes_not_zero(const volatile unsigned char *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += p[i] != 0;
    }
    return count;
}

static void a_wiped_arena_holds_nothing_of_what_it_held(void **state)
{
    (void)state;
    struct error err = {0};
    struct arena a = {0};
    assert_int_equal(arena_init(&a, arena_cost(100, 1) + arena_cost(100, 1), &err), RC_OK);
    memset(arena_take(&a, 100, 1), 0xA5, 100);
    const size_t mark = arena_mark(&a);
    memset(arena_take(&a, 100, 1), 0xA5, 100);
    arena_rewind(&a, mark); /* what was given back is still there, and must go too */
    assert_int_equal(bytes_not_zero(a.base, a.size), 200);
    arena_wipe(&a);
    assert_int_equal(bytes_not_zero(a.base, a.size), 0);
    memset(arena_take(&a, 100, 1), 0xA5, 100); /* and a second time */
    arena_rewind(&a, 0);
    arena_wipe(&a);
    assert_int_equal(bytes_not_zero(a.base, a.size), 0);
    arena_release(&a);
}

static void an_arena_that_was_never_reserved_may_be_wiped_and_released(void **state)
{
    (void)state;
    struct arena a = {0};
    arena_wipe(&a);
    arena_release(&a);
    assert_null(a.base);
}

/* Runs `f` in a child. @return the signal that ended it, or 0 */
static int signal_of(void (*f)(void))
{
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL); /* cmocka would catch it */
        (void)fclose(stderr);
        f();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void take_one_too_many(void)
{
    struct error err = {0};
    struct arena a = {0};
    error_ignore(arena_init(&a, arena_cost(4, 8), &err));
    (void)arena_take(&a, 4, 8);
    (void)arena_take(&a, 1, 1);
}

static void take_exactly_enough(void)
{
    struct error err = {0};
    struct arena a = {0};
    error_ignore(arena_init(&a, arena_cost(4, 8), &err));
    (void)arena_take(&a, 4, 8);
    arena_release(&a);
}

static void sum_a_cost_that_wraps(void)
{
    (void)arena_cost(SIZE_MAX / 2, 4);
}

static void a_full_arena_aborts_because_its_sum_was_wrong(void **state)
{
    (void)state;
    assert_int_equal(signal_of(take_exactly_enough), 0);
    assert_int_equal(signal_of(take_one_too_many), SIGABRT);
    assert_int_equal(signal_of(sum_a_cost_that_wraps), SIGABRT);
}

static void a_reservation_that_does_not_fit_is_an_error(void **state)
{
    (void)state;
#ifdef UNDER_ASAN
    skip(); /* the sanitizer's allocator aborts instead of returning NULL */
#else
    struct error err = {0};
    struct arena a = {0};
    assert_int_equal(arena_init(&a, SIZE_MAX / 4, &err), RC_NOMEM);
    assert_int_equal(err.rc, RC_NOMEM);
    assert_null(a.base);
    assert_int_equal(a.size, 0);
#endif
}

/* rng: the expected numbers were computed by another program, from RFC 7693 and ChaCha20's paper */

static void the_first_numbers_of_a_stream_are_these_on_every_machine(void **state)
{
    (void)state;
    static const uint64_t weights[] = {0x7e61f7995d5d51a6u, 0x7aac66f503807f35u,
                                       0x642fbad8bab190efu};
    static const uint64_t folds[] = {0x8a8c160da9dd8edau, 0xc7f66a5ad7e01495u, 0x1f9c749c724ac8cfu};
    struct rng r;
    rng_init(&r, 2026, "weights");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rng_u64(&r), weights[i]);
    }
    rng_init(&r, 2026, "folds");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rng_u64(&r), folds[i]);
    }
}

static void a_stream_does_not_depend_on_who_else_draws(void **state)
{
    (void)state;
    struct rng alone, beside, other;
    rng_init(&alone, 5, "a");
    rng_init(&beside, 5, "a");
    rng_init(&other, 5, "b");
    for (size_t i = 0; i < 100; i++) {
        (void)rng_u64(&other);
        (void)rng_normal(&other);
        assert_int_equal(rng_u64(&alone), rng_u64(&beside));
    }
}

/* n * covariance / sd^2 of two streams is normal with sd sqrt(n) if they are independent. */
static void two_names_and_two_seeds_give_uncorrelated_streams(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        const char *name;
    } other[] = {{11, "y"}, {12, "x"}, {11, "x "}, {11 + (1ull << 32), "x"}};
    enum { N = 20000 };
    for (size_t k = 0; k < sizeof other / sizeof other[0]; k++) {
        struct rng a, b;
        rng_init(&a, 11, "x");
        rng_init(&b, other[k].seed, other[k].name);
        double sum = 0.0;
        for (size_t i = 0; i < N; i++) {
            sum += (rng_uniform(&a) - 0.5) * (rng_uniform(&b) - 0.5) * 12.0;
        }
        assert_true(fabs(sum) < 5.0 * sqrt((double)N));
    }
}

static double chi_square(const size_t *seen, size_t n, double expected)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double off = (double)seen[i] - expected;
        sum += off * off / expected;
    }
    return sum;
}

static void rng_below_favours_nobody(void **state)
{
    (void)state;
    enum { N = 70000 };
    struct rng r;
    rng_init(&r, 3, "below");
    size_t seen[7] = {0};
    for (size_t i = 0; i < N; i++) {
        const uint64_t x = rng_below(&r, 7);
        assert_true(x < 7);
        seen[x]++;
    }
    assert_true(chi_square(seen, 7, N / 7.0) < 38.3); /* 6 degrees of freedom: p = 1e-6 */

    /* n = 3 * 2^62: plain modulo would draw the first third twice as often as the others */
    size_t third[3] = {0};
    for (size_t i = 0; i < N; i++) {
        const uint64_t x = rng_below(&r, 3ull << 62);
        assert_true(x < 3ull << 62);
        third[x >> 62]++;
    }
    assert_true(chi_square(third, 3, N / 3.0) < 27.7); /* 2 degrees of freedom: p = 1e-6 */
    assert_int_equal(rng_below(&r, 1), 0);
}

static void uniforms_stay_in_the_unit_interval_and_fill_it(void **state)
{
    (void)state;
    enum { N = 40000, BINS = 20 };
    struct rng r;
    rng_init(&r, 4, "uniform");
    size_t seen[BINS] = {0};
    for (size_t i = 0; i < N; i++) {
        const double u = rng_uniform(&r);
        assert_true(u >= 0.0 && u < 1.0);
        seen[(size_t)(u * BINS)]++;
    }
    assert_true(chi_square(seen, BINS, (double)N / BINS) < 64.0); /* 19 degrees: p = 1e-6 */
}

static void normals_have_the_moments_and_the_tails_of_a_normal(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct rng r;
    rng_init(&r, 6, "normal");
    double sum = 0.0, square = 0.0, fourth = 0.0;
    size_t beyond_2 = 0;
    for (size_t i = 0; i < N; i++) {
        const double x = rng_normal(&r);
        assert_true(isfinite(x));
        sum += x;
        square += x * x;
        fourth += x * x * x * x;
        beyond_2 += fabs(x) > 2.0;
    }
    const double n = N;
    assert_true(fabs(sum / n) < 5.0 / sqrt(n));
    assert_true(fabs(square / n - 1.0) < 5.0 * sqrt(2.0 / n));
    assert_true(fabs(fourth / n - 3.0) < 5.0 * sqrt(96.0 / n));
    const double p = 0.0455003;
    assert_true(fabs((double)beyond_2 / n - p) < 5.0 * sqrt(p * (1.0 - p) / n));
}

static void a_shuffle_is_a_permutation_and_each_is_as_likely(void **state)
{
    (void)state;
    enum { N = 60000 };
    struct rng r;
    rng_init(&r, 8, "shuffle");
    size_t seen[6] = {0};
    for (size_t i = 0; i < N; i++) {
        size_t x[3] = {0, 1, 2};
        rng_shuffle(&r, x, 3);
        assert_true(x[0] < 3 && x[1] < 3 && x[2] < 3);
        assert_true(x[0] != x[1] && x[1] != x[2] && x[2] != x[0]);
        seen[2 * x[0] + (x[1] > x[2])]++;
    }
    assert_true(chi_square(seen, 6, N / 6.0) < 35.9); /* 5 degrees of freedom: p = 1e-6 */
    rng_shuffle(&r, NULL, 0);
}

static void bytes_are_the_blocks_of_the_numbers(void **state)
{
    (void)state;
    struct rng a, b;
    unsigned char bytes[130];
    rng_init(&a, 4, "bytes");
    b = a;
    rng_bytes(&a, bytes, sizeof bytes);
    for (size_t block = 0; block < 2; block++) {
        uint64_t want = 0;
        for (size_t i = 0; i < 8; i++) {
            want |= (uint64_t)bytes[64 * block + i] << (8 * i);
        }
        assert_true(rng_u64(&b) == want);
    }
    assert_int_equal((unsigned char)rng_u64(&b), bytes[128]); /* the third block's first */
    assert_true(rng_u64(&a) == rng_u64(&b));
}

static void every_choice_of_two_out_of_four_is_as_likely(void **state)
{
    (void)state;
    enum { N = 60000 };
    struct rng r;
    size_t seen[16] = {0};
    bool chosen[4];
    rng_init(&r, 11, "choices");
    for (size_t i = 0; i < N; i++) {
        rng_choose(&r, 4, 2, chosen);
        seen[chosen[0] + 2 * chosen[1] + 4 * chosen[2] + 8 * chosen[3]]++;
    }
    const size_t pair[6] = {seen[3], seen[5], seen[6], seen[9], seen[10], seen[12]};
    assert_int_equal(pair[0] + pair[1] + pair[2] + pair[3] + pair[4] + pair[5], N);
    assert_true(chi_square(pair, 6, N / 6.0) < 35.9); /* 5 degrees of freedom: p = 1e-6 */
    rng_choose(&r, 4, 0, chosen);
    assert_false(chosen[0] || chosen[1] || chosen[2] || chosen[3]);
    rng_choose(&r, 4, 4, chosen);
    assert_true(chosen[0] && chosen[1] && chosen[2] && chosen[3]);
}

/* entropy and replay */

static void two_sources_of_entropy_never_say_the_same(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy a, b;
    unsigned char x[64], y[64];
    assert_int_equal(entropy_init(&a, &err), RC_OK);
    assert_int_equal(entropy_init(&b, &err), RC_OK);
    entropy_bytes(&a, x, sizeof x);
    entropy_bytes(&b, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
    entropy_bytes(&a, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
    entropy_release(&a);
    entropy_release(&b);
}

static void release_wipes_every_byte_and_may_be_repeated(void **state)
{
    (void)state;
    struct error err = {0};
    static const struct entropy empty = {0};
    struct entropy e;
    assert_int_equal(entropy_init(&e, &err), RC_OK);
    (void)entropy_u64(&e);
    entropy_release(&e);
    assert_memory_equal(e.key, empty.key, sizeof e.key);
    assert_memory_equal(e.buffer, empty.buffer, sizeof e.buffer);
    assert_int_equal(e.block, 0);
    assert_int_equal(e.drawn, 0);
    assert_int_equal(e.ready, 0);
    entropy_release(&e);
}

static void bytes_handed_out_are_counted_and_gone_from_the_buffer(void **state)
{
    (void)state;
    struct entropy e;
    unsigned char x[100];
    static const unsigned char zero[sizeof x] = {0};
    replay_init(&e, 1, "count");
    assert_int_equal(e.drawn, 0);
    entropy_bytes(&e, x, sizeof x);
    assert_int_equal(e.drawn, 100);
    assert_memory_equal(e.buffer, zero, sizeof x);
    assert_memory_not_equal(x, zero, sizeof x);
    (void)entropy_u64(&e);
    assert_int_equal(e.drawn, 108);
    entropy_bytes(&e, x, 0);
    assert_int_equal(e.drawn, 108);
    entropy_release(&e);
}

static void replay_gives_the_same_bytes_whatever_the_pieces(void **state)
{
    (void)state;
    static unsigned char whole[5000], pieces[5000];
    static const size_t piece[] = {1, 7, 0, 1016, 1024, 1025, 3, 1924};
    struct entropy a, b;
    replay_init(&a, 7, "site 3 round 7");
    replay_init(&b, 7, "site 3 round 7");
    entropy_bytes(&a, whole, sizeof whole);
    size_t at = 0;
    for (size_t i = 0; i < sizeof piece / sizeof piece[0]; i++) {
        entropy_bytes(&b, pieces + at, piece[i]);
        at += piece[i];
    }
    assert_int_equal(at, sizeof pieces);
    assert_memory_equal(whole, pieces, sizeof whole);
    assert_int_equal(a.drawn, b.drawn);

    /* ChaCha20 blocks 0 and 16: the second lies behind the first refill */
    static const unsigned char block_0[] = {0x47, 0x0d, 0xe1, 0xab, 0x60, 0xd0, 0x94, 0x90,
                                            0x7d, 0xae, 0x5a, 0x19, 0x7a, 0x94, 0x9a, 0x05};
    static const unsigned char block_16[] = {0x37, 0x58, 0x42, 0xcf, 0x57, 0xdc, 0x3d, 0xdb,
                                             0x56, 0xd9, 0x4b, 0x1f, 0x55, 0xae, 0x2f, 0x87};
    assert_memory_equal(whole, block_0, sizeof block_0);
    assert_memory_equal(whole + 1024, block_16, sizeof block_16);
}

static void replay_differs_by_seed_and_by_stream(void **state)
{
    (void)state;
    struct entropy a, b, c;
    replay_init(&a, 7, "site 3 round 7");
    replay_init(&b, 8, "site 3 round 7");
    replay_init(&c, 7, "site 3 round 8");
    const uint64_t x = entropy_u64(&a), y = entropy_u64(&b), z = entropy_u64(&c);
    assert_true(x != y && y != z && z != x);
}

/* hash */

static void assert_hex(const struct hash *h, const char *want)
{
    char hex[HASH_HEX];
    hash_hex(h, hex);
    assert_string_equal(hex, want);
}

static void blake2b_gives_the_published_values(void **state)
{
    (void)state;
    struct hash h = hash_of("abc", 3);
    assert_hex(&h, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    h = hash_of("", 0);
    assert_hex(&h, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");

    unsigned char key[HASH_BYTES];
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (unsigned char)i;
    }
    struct hasher hasher;
    hasher_init_keyed(&hasher, key);
    hasher_bytes(&hasher, "abc", 3);
    h = hasher_final(&hasher);
    assert_hex(&h, "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f");
}

static unsigned char many[400000];

static void fill_many(void)
{
    for (size_t i = 0; i < sizeof many; i++) {
        many[i] = (unsigned char)((uint64_t)i * 2654435761u >> 11);
    }
}

/* Expected: hashlib.blake2b(…, digest_size=32, person=…) of Python. */
static void many_bytes_are_hashed_as_a_tree_of_pieces(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        const char *want;
    } row[] = {{32768, "f7915dc65e03f224847284adfc8ee31399041458353a3893e6fa948494237f8d"},
               {32769, "ce7f0df00511d654a1596507f2b36dd75d5d000d850456bcdb342dd7c742470f"},
               {69633, "2f1aff4e5e8d1fc771687f8f854ac9e7d12517fc6c4794b5a0ca1c4e1e540e73"},
               {131072, "68d1d426b8d3346ac832e43426a78cb275637b43443addcb61f0c2c45f20992e"},
               {400000, "0240a812ab4f8803e031fbb393024472a8d742f2c7b14d2ef2c939cb4e12e6c8"}};
    fill_many();
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct hash whole = hash_of(many, row[i].n);
        struct hash_run run;
        assert_hex(&whole, row[i].want);
        hash_begin(&run, row[i].n); /* the same in parts */
        for (size_t at = 0; at < row[i].n; at += 3 * HASH_PIECE) {
            const size_t left = row[i].n - at;
            hash_bytes(&run, many + at, left < 3 * HASH_PIECE ? left : 3 * HASH_PIECE);
        }
        const struct hash parts = hash_end(&run);
        assert_true(hash_equal(&parts, &whole));
    }
}

static void leaves_of_parts_are_those_of_the_whole(void **state)
{
    (void)state;
    enum { PART = 16 * HASH_PIECE, N = 2 * PART + HASH_TREE_FROM + 5 };
    static unsigned char whole[N];
    static struct hash_leaves leaves;
    struct hash_run run;
    for (size_t i = 0; i < N; i++) {
        whole[i] = (unsigned char)(i * 7 + (i >> 9));
    }
    const struct hash want = hash_of(whole, N);
    hash_begin(&run, N);
    struct hash of = hash_of(whole, PART);
    struct hash got = hash_and_leaves(whole, PART, &leaves);
    assert_true(hash_equal(&got, &of));
    assert_true(hash_add_leaves(&run, &leaves));
    hash_bytes(&run, whole + PART, PART);                           /* one may follow the other */
    got = hash_and_leaves(whole + 2 * PART, N - 2 * PART, &leaves); /* the last piece is short */
    assert_true(hash_add_leaves(&run, &leaves));
    got = hash_end(&run);
    assert_true(hash_equal(&got, &want));

    got = hash_and_leaves(whole, HASH_TREE_FROM, &leaves); /* no tree */
    of = hash_of(whole, HASH_TREE_FROM);
    assert_true(hash_equal(&got, &of));
    hash_begin(&run, N);
    assert_false(hash_add_leaves(&run, &leaves));
    (void)hash_and_leaves(whole, PART, &leaves);
    hash_begin(&run, HASH_TREE_FROM); /* nor this */
    assert_false(hash_add_leaves(&run, &leaves));
}

static void pieces_hash_the_same_however_many_a_processor_takes_at_a_time(void **state)
{
    (void)state;
    struct hash narrow[HASH_LANES_MAX], wide[HASH_LANES_MAX];
    fill_many();
    for (size_t i = 0; i < HASH_LANES_MAX; i += 2) {
        assert_int_equal(hash_lanes(2, many + i * HASH_PIECE, narrow + i), 2);
    }
    for (size_t variant = 0; variant < 2; variant++) {
        const size_t n = hash_lanes(variant, many, wide);
        assert_in_range(n, 2, HASH_LANES_MAX);
        assert_memory_equal(wide, narrow, n * sizeof wide[0]);
    }
}

static void what_older_programs_hashed_is_known_again(void **state)
{
    (void)state;
    fill_many();
    for (size_t n = HASH_TREE_FROM; n < HASH_TREE_FROM + 2; n++) {
        const struct hash now = hash_of(many, n), before = hash_before_trees(many, n);
        assert_true(hash_equal(&now, &before) == (n == HASH_TREE_FROM));
        assert_true(hash_is(&now, many, n));
        assert_true(hash_is(&before, many, n));
        assert_false(hash_is(&now, many + 1, n));
        assert_false(hash_is(&before, many + 1, n));
    }
}

static void numbers_and_texts_enter_the_hash_little_endian_and_framed(void **state)
{
    (void)state;
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_u64(&hasher, 0x0102030405060708u);
    hasher_text(&hasher, "heart");
    hasher_f64(&hasher, 1.5);
    const struct hash h = hasher_final(&hasher);
    assert_hex(&h, "aa2fde292f5c1f928fb438517557eb675afbf4dd18dc9e34224660ad5e4950be");
}

static struct hash of_two_texts(const char *a, const char *b)
{
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_text(&hasher, a);
    hasher_text(&hasher, b);
    return hasher_final(&hasher);
}

static void a_moved_boundary_between_two_texts_changes_the_hash(void **state)
{
    (void)state;
    const struct hash a = of_two_texts("ab", "c");
    const struct hash b = of_two_texts("a", "bc");
    const struct hash c = of_two_texts("abc", "");
    const struct hash again = of_two_texts("ab", "c");
    assert_false(hash_equal(&a, &b));
    assert_false(hash_equal(&b, &c));
    assert_true(hash_equal(&a, &again));
}

static struct hash of_real(double x)
{
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_f64(&hasher, x);
    return hasher_final(&hasher);
}

static void both_zeros_are_one_number(void **state)
{
    (void)state;
    const struct hash plus = of_real(0.0), minus = of_real(-0.0), tiny = of_real(5e-324);
    assert_true(hash_equal(&plus, &minus));
    assert_false(hash_equal(&plus, &tiny));
}

static void hashes_that_differ_in_any_bit_are_unequal(void **state)
{
    (void)state;
    const struct hash h = hash_of("x", 1);
    for (size_t bit = 0; bit < 8u * HASH_BYTES; bit++) {
        struct hash other = h;
        other.b[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_false(hash_equal(&h, &other));
    }
}

/* clock */

static void the_monotonic_clock_never_goes_back(void **state)
{
    (void)state;
    int64_t last = clock_monotonic_ms();
    for (size_t i = 0; i < 1000; i++) {
        const int64_t now = clock_monotonic_ms();
        assert_true(now >= last);
        last = now;
    }
}

/* text and log */

static void text_from_outside_cannot_move_a_cursor(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } pair[] = {
        {"", ""},
        {"plain ~ text", "plain ~ text"},
        {"a\nb\r\tc\x1b[2J\x7f", "a?b??c?[2J?"},
        {"gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "2J \xc2\x85",
         "?"
         "?2J ?"
         "?"},           /* C1 controls in UTF-8 */
        {"\xc3(", "?("}, /* broken, cut and overlong sequences */
        {"x\xe6\xbc", "x?"
                      "?"},
        {"\xff\x80\xc0\x8a", "?"
                             "?"
                             "?"
                             "?"},
    };
    for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s", pair[i].in);
        text_make_printable(text);
        assert_string_equal(text, pair[i].out);
    }
}

static const char *logged(int64_t wall_ms, const char *identity, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static const char *logged(int64_t wall_ms, const char *identity, const char *fmt, ...)
{
    static char line[LOG_LINE_MAX + 1];
    va_list fields;
    va_start(fields, fmt);
    const size_t n =
        log_line(line, wall_ms, LOG_LEVEL_WARN, identity, "something_happened", fmt, fields);
    va_end(fields);
    assert_true(n > 0 && n <= LOG_LINE_MAX);
    line[n] = '\0';
    assert_true(strchr(line, '\n') == line + n - 1); /* one line, whatever the values */
    return line;
}

static void a_log_line_has_time_level_event_and_fields(void **state)
{
    (void)state;
    const int64_t at = 1795511553123; /* date -u -d @1795511553 */
    assert_string_equal(logged(at, NULL, "study=%s round=%d", "heart", 3),
                        "2026-11-24T09:12:33.123Z warn something_happened study=heart round=3\n");
    assert_string_equal(logged(at + 878, "site=va proc=trainer", "%s", ""),
                        "2026-11-24T09:12:34.001Z warn site=va proc=trainer something_happened\n");
    assert_string_equal(logged(0, NULL, "why=\"%s\"", "it ended"),
                        "1970-01-01T00:00:00.000Z warn something_happened why=\"it ended\"\n");
}

static void a_logged_value_forges_neither_a_line_nor_a_field(void **state)
{
    (void)state;
    const char *line =
        logged(0, NULL, "why=\"%s\" n=%d", "x\" round=9 y=\"\n1970 info fake\x1b[0m", 2);
    assert_string_equal(line + strlen("1970-01-01T00:00:00.000Z warn something_happened "),
                        "why=\"x' round=9 y='?1970 info fake?[0m\" n=2\n");
    line = logged(0, NULL, "why=\"%s\"", "a\x01 round=9"); /* the mark that stands for our quotes */
    assert_null(strchr(line, '"'));
    assert_non_null(strstr(line, "why=?a? round=9?\n"));
}

static void a_log_line_too_long_is_cut_and_says_so(void **state)
{
    (void)state;
    char text[2 * LOG_LINE_MAX];
    memset(text, 'x', sizeof text - 1);
    for (size_t n = LOG_LINE_MAX - 70; n < sizeof text; n++) {
        text[n] = '\0';
        const char *line = logged(0, "site=a", "why=%s", text);
        const size_t length = strlen(line);
        const bool whole = strcmp(line + length - 4, "...\n") != 0;
        assert_true(length <= LOG_LINE_MAX);
        const size_t uncut =
            strlen("1970-01-01T00:00:00.000Z warn site=a something_happened why=") + n;
        assert_int_equal(whole, uncut + strlen("...\n") <= LOG_LINE_MAX);
        assert_int_equal(length, whole ? uncut + 1 : LOG_LINE_MAX);
        text[n] = 'x';
    }
}

static void an_event_goes_to_stderr_in_one_piece(void **state)
{
    (void)state;
    int end[2];
    char got[256] = "";
    assert_int_equal(pipe(end), 0);
    const int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_true(dup2(end[1], STDERR_FILENO) >= 0);
    log_identity("proc=test");
    log_event(LOG_LEVEL_INFO, "test_event", "n=%zu", (size_t)7);
    log_identity(NULL);
    log_event(LOG_LEVEL_ERROR, "other_event", "%s", "");
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_int_equal(close(saved), 0);
    assert_int_equal(close(end[1]), 0);
    const ssize_t n = read(end[0], got, sizeof got - 1);
    assert_true(n > 0);
    assert_int_equal(close(end[0]), 0);
    const size_t stamp = strlen("2026-11-24T09:12:33.123Z");
    const char *first = " info proc=test test_event n=7\n", *second = " error other_event\n";
    assert_int_equal(n, 2 * stamp + strlen(first) + strlen(second));
    assert_memory_equal(got + stamp, first, strlen(first));
    assert_string_equal(got + 2 * stamp + strlen(first), second);
    assert_true(got[10] == 'T' && got[19] == '.' && got[stamp - 1] == 'Z');
}

/* stopped */

static void a_stopped_program_dies_by_the_signal_that_it_had_caught(void **state)
{
    (void)state;
    int fd[2];
    char said[8] = "";
    int status = 0;
    assert_int_equal(pipe(fd), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        FILE *f = fdopen(fd[1], "w");
        sigset_t set;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        (void)signal(SIGTERM, SIG_IGN);
        (void)fputs("words", f); /* still in stdio's buffer */
        stopped_by(SIGTERM);
    }
    (void)close(fd[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_int_equal(read(fd[0], said, sizeof said), 5);
    assert_string_equal(said, "words");
    (void)close(fd[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_reads_outside_in),
        cmocka_unit_test(a_long_context_is_cut_and_terminated),
        cmocka_unit_test(every_kind_of_failure_has_a_name_of_its_own),
        cmocka_unit_test(an_arena_of_the_summed_cost_is_exactly_enough),
        cmocka_unit_test(a_large_arena_is_whole_to_its_last_byte_and_too_large_a_one_is_refused),
        cmocka_unit_test(memory_taken_again_after_a_rewind_is_zero),
        cmocka_unit_test(what_was_rewound_is_poisoned_under_the_address_sanitizer),
        cmocka_unit_test(a_wiped_arena_holds_nothing_of_what_it_held),
        cmocka_unit_test(an_arena_that_was_never_reserved_may_be_wiped_and_released),
        cmocka_unit_test(a_full_arena_aborts_because_its_sum_was_wrong),
        cmocka_unit_test(a_reservation_that_does_not_fit_is_an_error),
        cmocka_unit_test(the_first_numbers_of_a_stream_are_these_on_every_machine),
        cmocka_unit_test(a_stream_does_not_depend_on_who_else_draws),
        cmocka_unit_test(two_names_and_two_seeds_give_uncorrelated_streams),
        cmocka_unit_test(rng_below_favours_nobody),
        cmocka_unit_test(uniforms_stay_in_the_unit_interval_and_fill_it),
        cmocka_unit_test(normals_have_the_moments_and_the_tails_of_a_normal),
        cmocka_unit_test(a_shuffle_is_a_permutation_and_each_is_as_likely),
        cmocka_unit_test(bytes_are_the_blocks_of_the_numbers),
        cmocka_unit_test(every_choice_of_two_out_of_four_is_as_likely),
        cmocka_unit_test(two_sources_of_entropy_never_say_the_same),
        cmocka_unit_test(release_wipes_every_byte_and_may_be_repeated),
        cmocka_unit_test(bytes_handed_out_are_counted_and_gone_from_the_buffer),
        cmocka_unit_test(replay_gives_the_same_bytes_whatever_the_pieces),
        cmocka_unit_test(replay_differs_by_seed_and_by_stream),
        cmocka_unit_test(blake2b_gives_the_published_values),
        cmocka_unit_test(many_bytes_are_hashed_as_a_tree_of_pieces),
        cmocka_unit_test(leaves_of_parts_are_those_of_the_whole),
        cmocka_unit_test(pieces_hash_the_same_however_many_a_processor_takes_at_a_time),
        cmocka_unit_test(what_older_programs_hashed_is_known_again),
        cmocka_unit_test(numbers_and_texts_enter_the_hash_little_endian_and_framed),
        cmocka_unit_test(a_moved_boundary_between_two_texts_changes_the_hash),
        cmocka_unit_test(both_zeros_are_one_number),
        cmocka_unit_test(hashes_that_differ_in_any_bit_are_unequal),
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
        cmocka_unit_test(text_from_outside_cannot_move_a_cursor),
        cmocka_unit_test(a_log_line_has_time_level_event_and_fields),
        cmocka_unit_test(a_logged_value_forges_neither_a_line_nor_a_field),
        cmocka_unit_test(a_log_line_too_long_is_cut_and_says_so),
        cmocka_unit_test(an_event_goes_to_stderr_in_one_piece),
        cmocka_unit_test(a_stopped_program_dies_by_the_signal_that_it_had_caught),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
