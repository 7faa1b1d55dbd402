/*
 * What masked sums cost, for one site and for the coordinator: bench_mask [NUMBERS [SITES [DROPPED]]]
 * Only the calculations, no network and no disk. Times of this thread's own clock (CPU).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/mask/mask.h"

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void say(const char *what, double since)
{
    (void)printf("%-58s %9.3f ms\n", what, now_ms() - since);
}

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
    return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

static void stop(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        (void)fprintf(stderr, "bench_mask: %s\n", err->text);
        exit(1);
    }
}

/* Key pairs of all sites, and site 0's shares and pair secrets. */
static void of_a_site(size_t sites, const struct hash *name, struct mask_stream *stream)
{
    static struct mask_secrets secrets[MASK_SITES_MAX];
    static struct mask_point key[MASK_SITES_MAX];
    static struct mask_polynomials p;
    static struct mask_portion portion[MASK_SITES_MAX];
    static struct mask_tree tree;
    static struct mask_pair pair[MASK_SITES_MAX];
    const struct mask_terms terms = {sites, 3, 0, 0};
    struct error err;

    for (size_t i = 0; i < sites; i++) {
        struct mask_seed seed = {{(unsigned char)i, 1}};
        mask_secrets_from(&seed, name, &secrets[i], &key[i]);
    }
    double t = now_ms();
    for (size_t i = 1; i < sites; i++) {
        pair[i] = (struct mask_pair){0, i, key[0], key[i], {{0}}};
        stop(mask_agree(&secrets[0].key, &key[i], &pair[i].secret, &err), &err);
    }
    say("site: Diffie-Hellman with all others", t);
    t = now_ms();
    mask_polynomials_make(&secrets[0], name, mask_threshold(&terms, sites), &p);
    for (size_t i = 0; i < sites; i++) {
        struct mask_openings o;
        mask_deal_share(&p, name, i, &o);
        portion[i].commitments.of[MASK_KEY] = mask_commit(name, 0, i, MASK_KEY, &o.of[MASK_KEY]);
        portion[i].commitments.of[MASK_SELF] = mask_commit(name, 0, i, MASK_SELF, &o.of[MASK_SELF]);
        if (i > 0) {
            mask_box_seal(&pair[i], name, 0, &o, &portion[i].box);
        }
    }
    mask_tree_build(portion, sites, &tree);
    say("site: share both secrets, commit, box", t);
    for (size_t i = 1; i < sites; i++) {
        mask_stream_pair(&pair[i], name, 0, &stream[i]);
    }
    mask_stream_self(&secrets[0].self, name, 0, &stream[0]);
}

/* The coordinator opens what t sites have shown: one secret for each site. */
static void of_shares(size_t sites, const struct hash *name)
{
    static struct mask_polynomials p;
    static struct mask_lagrange l;
    const struct mask_terms terms = {sites, 3, 0, 0};
    const size_t t = mask_threshold(&terms, sites);
    struct mask_scalar share[MASK_SITES_MAX], secret;
    size_t who[MASK_SITES_MAX];
    struct mask_secrets s;
    struct mask_point key;
    struct mask_seed seed = {{1}};
    struct error err;

    mask_secrets_from(&seed, name, &s, &key);
    mask_polynomials_make(&s, name, t, &p);
    for (size_t i = 0; i < t; i++) {
        struct mask_openings o;
        mask_deal_share(&p, name, i, &o);
        who[i] = i;
        share[i] = o.of[MASK_KEY].share;
    }
    const double since = now_ms();
    stop(mask_lagrange_at(who, t, &l, &err), &err);
    for (size_t i = 0; i < sites; i++) {
        stop(mask_combine(&l, t, who, share, t, &secret, &err), &err);
    }
    say("coordinator: one secret of each site from t shares", since);
}

int main(int argc, char **argv)
{
    static struct mask_stream stream[MASK_SITES_MAX];
    static const char title[] = "bench_mask";
    const size_t n = number(argc, argv, 1, 1000000);
    const size_t sites = number(argc, argv, 2, 100);
    const size_t dropped = number(argc, argv, 3, 10);
    struct error err;

    if (n < 1 || sites < 3 || sites > MASK_SITES_MAX || dropped >= sites) {
        (void)fprintf(stderr, "usage: bench_mask [NUMBERS [SITES (3..128) [DROPPED]]]\n");
        return 2;
    }
    stop(mask_start(&err), &err);
    uint32_t *x = calloc(n, sizeof *x);
    if (x == NULL) {
        return 1;
    }
    const struct hash name = hash_of(title, sizeof title);
    (void)printf("%zu numbers, %zu sites, %zu dropped\n", n, sites, dropped);
    of_a_site(sites, &name, stream);
    of_shares(sites, &name);
    mask_apply(x, n, 0, stream, 1); /* pages of x are there */
    double t = now_ms();
    mask_apply(x, n, 0, stream, sites);
    say("site: mask an update", t);
    t = now_ms();
    const size_t streams = (sites - dropped) * (dropped + 1);
    for (size_t done = 0; done < streams; done += sites) {
        mask_apply(x, n, 0, stream, streams - done < sites ? streams - done : sites);
    }
    say("coordinator: unmask the sum", t);
    free(x);
    return 0;
}
