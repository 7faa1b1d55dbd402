/**
 * @file merge.h
 * From the sites' updates to the next global model: an exact ring sum, the mean over those who
 * contributed with public weights, and the server's rule. Everything after the sum is
 * post-processing.
 *
 *   FedAvg   w += rate mean                                       (McMahan et al. 2017, Alg. 1)
 *   FedAvgM  m = momentum m + mean;  w += rate m                  (Hsu et al. 2019, 4.3)
 *   FedAdam  m = b1 m + (1-b1) mean;  v = b2 v + (1-b2) mean^2;
 *            w += rate m / (sqrt(v) + tau)                        (Reddi et al. 2021, Alg. 2)
 *   FedYogi  the same, but  v = v - (1-b2) mean^2 sign(v - mean^2)
 *
 * Where updates are not masked a robust mean may stand for the mean (Yin et al. 2018): the median, or a
 * trimmed mean, of each number, in which every site counts the same and the weights do not count. The
 * server's rule is then fed with it.
 *
 * In the encoder of a modality that some sites lack, mean and robust mean are over the contributors that
 * have it; without any of them its numbers and their moments stay (struct study_site).
 *
 * With shared noise the sum is of the sites' clipped gradients G_k and their noise, and the step is taken
 * here: mean = -rate (sum_k G_k) / (q sum_k nominal_k), over those who are in the sum. With plain steps
 * that is what the mean of the updates would be.
 *
 * With `average_iterates` the last round's model is the mean of all rounds' models (Polyak, Juditsky
 * 1992), or of those from `average_from` on (Rakhlin et al. 2012, suffix averaging): the way of a network
 * from its first weights to where it stays is long, and a mean over it is no good network.
 */
#ifndef AGGREGATOR_MERGE_MERGE_H
#define AGGREGATOR_MERGE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/kernel/real.h"
#include "common/mask/mask.h"
#include "common/study/study.h"

struct merge; /* opaque: the sum of one round; one at a time per study */

/**
 * @param span [study->model.n_lacked] where the encoders of the modalities are that some site lacks
 *             (struct model has it); copied
 * @param S    shared parameters
 * @retval RC_NOMEM
 */
RC merge_open(const struct study *study, const struct study_span *span, size_t S,
              struct merge **out, struct error *err);
void merge_close(struct merge **m);

/** Forget the present sum. */
void merge_restart(struct merge *m);

/** To call when all have been added. With the mean: false. A robust mean looks at the updates once for
 *  each window of the model: true, all are to be added again. */
bool merge_again(struct merge *m);

/** Adds a site's update; each site once. @retval RC_FORMAT wrong length @retval RC_STATE twice */
RC merge_add(struct merge *m, size_t site, const void *update, size_t bytes, struct error *err);

/** Masked studies, when all survivors have been added: takes their masks off the sum
 *  (unmasking_streams), in place. Not with a robust mean (asserted). */
void merge_unmask(struct merge *m, const struct mask_stream *stream, size_t count);

/** Bytes of the server's own state between rounds, 8 for each number of a part that the study has: two
 *  moments with FedAdam and FedYogi, one with FedAvgM, the sum of iterates where they are averaged. Plain
 *  FedAvg: 0. */
size_t merge_state_bytes(const struct study *study, size_t S);

/**
 * The next model from the present one and the sum. At least one site must have been added, and
 * merge_again must have said false.
 * @param model [S] in: global model of round - 1; out: of `round`. Untouched on failure.
 * @param state in: the bytes of the last call, or all zero before round 1; out: the new ones.
 *              Untouched on failure
 * @retval RC_NUMERIC the new model is not finite, also where only its `real`s cannot hold a number
 * @retval RC_FORMAT the state is not of this model
 */
RC merge_finish(struct merge *m, uint64_t round, real *model, unsigned char *state,
                size_t state_bytes, struct error *err);

#endif
