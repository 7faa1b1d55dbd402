/*
 * What makes bench_agent of the agent's own sources, with round_crowd.c: four calls that the linker wraps. train_round has an
 * update here without training, masking_step is listened to, so that a site which drops out does it after it has
 * dealt its shares, and everything that the gateway sends and receives is counted. Two variables of the
 * environment say how (round_bench.h); they are read before there is a sandbox.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <poll.h>

#include "agent/masking/masking.h"
#include "agent/train/state_internal.h"
#include "agent/train/train.h"
#include "common/net/net.h"
#include "tests/bench/round_bench.h"

static struct round_counts *counts;
static size_t first_that_drops = SIZE_MAX;
static _Thread_local uint64_t can_mask; /* the newest round of which this site has all shares */

enum rc __real_net_client_send(struct net_client *c, const void *header, size_t header_n,
                               const void *raw, size_t raw_n, bool *sent, struct error *err);
enum rc __wrap_net_client_send(struct net_client *c, const void *header, size_t header_n,
                               const void *raw, size_t raw_n, bool *sent, struct error *err);
enum rc __real_net_client_receive(struct net_client *c, bool *got, struct net_frames *out,
                                  struct error *err);
enum rc __wrap_net_client_receive(struct net_client *c, bool *got, struct net_frames *out,
                                  struct error *err);
unsigned __real_masking_step(struct masking *m, const struct masking_input *in, struct error *err);
unsigned __wrap_masking_step(struct masking *m, const struct masking_input *in, struct error *err);
enum rc __wrap_train_round(const struct train_job *job, struct entropy *entropy,
                           struct train_result *out, struct error *err);

__attribute__((constructor)) static void read_environment(void)
{
    const char *path = getenv(ROUND_COUNTS_FILE);
    const int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                       : MAP_FAILED;
    if (at == MAP_FAILED) {
        (void)fprintf(stderr, "bench_agent: is started by bench_round alone\n");
        _exit(2);
    }
    (void)close(fd);
    counts = at;
    const char *drops = getenv(ROUND_DROPS);
    first_that_drops = drops != NULL ? (size_t)strtoul(drops, NULL, 10) : SIZE_MAX;
}

enum rc __wrap_net_client_send(struct net_client *c, const void *header, size_t header_n,
                               const void *raw, size_t raw_n, bool *sent, struct error *err)
{
    const enum rc rc = __real_net_client_send(c, header, header_n, raw, raw_n, sent, err);
    if (rc == RC_OK && *sent) {
        (void)atomic_fetch_add(&counts->bytes_up, header_n + raw_n);
    }
    return rc;
}

enum rc __wrap_net_client_receive(struct net_client *c, bool *got, struct net_frames *out,
                                  struct error *err)
{
    const enum rc rc = __real_net_client_receive(c, got, out, err);
    if (rc == RC_OK && *got) {
        (void)atomic_fetch_add(&counts->bytes_down, out->header_n + out->raw_n);
    }
    return rc;
}

unsigned __wrap_masking_step(struct masking *m, const struct masking_input *in, struct error *err)
{
    const unsigned actions = __real_masking_step(m, in, err);
    if (masking_state(m) == MASKING_READY) {
        can_mask = masking_round(m);
    }
    return actions;
}

/* Until this site has dealt its shares: who is lost from here on costs the others most. */
static bool dealt(const struct train_job *job)
{
    bool on = true;
    while (on && job->study->masked && can_mask < job->round) {
        (void)poll(NULL, 0, 1);
        on = job->go_on(job->go_on_ctx, 0, 1);
    }
    return on;
}

/* Small numbers around zero that look like nothing; the site's state has the size it has in training. */
enum rc __wrap_train_round(const struct train_job *job, struct entropy *entropy,
                           struct train_result *out, struct error *err)
{
    const size_t n = job->model->table.S;
    struct train_result r = {.update_bytes = n * sizeof(int32_t),
                             .site_state_bytes = state_bytes(job->model, &job->study->local)};
    (void)entropy;
    atomic_store(&counts->params, n);
    if (!job->go_on(job->go_on_ctx, 0, 1)) {
        return error_set(err, RC_STATE, "cancelled");
    }
    if (job->site >= first_that_drops) {
        return dealt(job) ? error_set(err, RC_NUMERIC, "dropped")
                          : error_set(err, RC_STATE, "cancelled");
    }
    r.update = malloc(r.update_bytes);
    r.site_state = calloc(1, r.site_state_bytes);
    if (r.update == NULL || r.site_state == NULL) {
        train_result_release(&r);
        return error_set(err, RC_NOMEM, "no memory for an update");
    }
    int32_t *number = (int32_t *)(void *)r.update;
    for (size_t i = 0; i < n; i++) {
        number[i] = (int32_t)((uint32_t)(i + job->site + job->round) * 2654435761u >> 24) - 128;
    }
    *out = r;
    return RC_OK;
}
