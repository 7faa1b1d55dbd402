/**
 * @file agreement.h
 * What a hospital is asked to agree to, as bytes that the coordinator signed: the study document
 * as its author wrote it, the features and label that its model reads, and what was solved: sigma,
 * and if the document leaves them to a plan (`passes`), sampling rate and rounds. Who verifies it
 * needs the coordinator's card and nothing else; the trainer does so itself.
 *
 *   raw bytes (at most WIRE_RAW_MAX):
 *     "wardround agreement 1\n" | signature [64] | body
 *     body: u32 LE length of document | document (YAML) | u32 LE length of schema | schema (YAML) |
 *           f64 LE sigma; with a plan then f64 LE sampling rate | u64 LE rounds
 *   signature: Ed25519, domain "wardround study v1", over the body
 */
#ifndef COMMON_AGREEMENT_AGREEMENT_H
#define COMMON_AGREEMENT_AGREEMENT_H

#include <stddef.h>

#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/config/config.h"
#include "common/schema/schema.h"
#include "common/seal/seal.h"
#include "common/study/study.h"

enum { AGREEMENT_BYTES_MAX = 1 << 20 };

/** Owned; released by agreement_release. Zeroed is empty. */
struct agreement {
    struct study study;     /**< with sigma and plan as signed; `cohort` is empty at a site */
    struct schema schema;   /**< features and label alone: no files */
    struct hash study_hash; /**< of study and schema's hash: names the study everywhere */
    char *document;         /**< as written, NUL-terminated */
    char *schema_text;      /**< canonical, NUL-terminated */
};

/**
 * The coordinator's side: reads the study document `path`, whose optional key `cohort:` names a
 * cohort.yaml (from the document's folder) that says what the model reads; renders, does not sign.
 * @param cohort NULL: the document's own key, which is then required
 * @retval RC_INVALID a problem in either file, all of them in `issues`
 * @retval RC_IO, RC_FORMAT, RC_LIMIT as config_open; RC_NOMEM
 */
RC agreement_open(const char *path, const char *cohort, struct agreement *out,
                  struct config_issues *issues, struct error *err);
/** Signed bytes. *bytes is malloc'ed for the caller. @retval RC_LIMIT too large */
RC agreement_sign(const struct agreement *a, const struct seal_keys *keys, unsigned char **bytes,
                  size_t *n, struct error *err);
/**
 * The site's side. Nothing of the document is parsed before the signature is verified.
 * @retval RC_AUTH    not signed by this coordinator
 * @retval RC_FORMAT  not an agreement, or a document that is not YAML; RC_LIMIT, RC_NOMEM
 * @retval RC_INVALID a document or schema with a problem
 * @retval RC_INVALID the signed sigma costs more than the epsilon the document states, or the signed
 *                    plan is none that its document allows (study_parse_chosen)
 */
RC agreement_verify(const void *bytes, size_t n, const struct seal_public *coordinator,
                    struct agreement *out, struct error *err);
/**
 * The same parts without a signature, as a model file holds them. @param schema_text canonical
 * @retval RC_INVALID a document or schema with a problem; RC_LIMIT, RC_NOMEM
 */
RC agreement_from_text(const char *document, const char *schema_text,
                       const struct study_choice *choice, struct agreement *out, struct error *err);
/** Idempotent. */
void agreement_release(struct agreement *a);

/**
 * Does this site's cohort.yaml give what the study reads? The sentence names the first feature that
 * is missing, extra, or different, says in what, and what to change. @retval RC_INVALID it does not
 */
RC agreement_fits(const struct agreement *a, const struct schema *own, struct error *err);
/**
 * The same for a site of that name: also whether the roster has it, and whether it has files of a
 * modality that the study says it lacks, which would train an encoder in vain. @retval RC_INVALID
 */
RC agreement_fits_site(const struct agreement *a, const struct schema *own, const char *site,
                       struct error *err);
/** The first modality of which the site has no files though the study does not say so, or NULL: its
 *  steps there are noise, and they count. For a site that agreement_fits_site. */
const char *agreement_not_said(const struct agreement *a, const struct schema *own,
                               const char *site);

/**
 * Before a study document is read, where the cohort is known: is each word of its sites' `lacks` a
 * modality? What is no list is left to study_read.
 * @param study the document's map  @retval RC_INVALID no; each with its place and the cohort's own ones
 */
RC agreement_lacks_known(const struct config_node *study, const struct schema *schema,
                         struct config_issues *issues, struct error *err);
/** The same of a file. @retval RC_IO, RC_FORMAT, RC_LIMIT as config_open */
RC agreement_lacks_known_in(const char *path, const struct schema *schema,
                            struct config_issues *issues, struct error *err);

#endif
