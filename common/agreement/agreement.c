#include "common/agreement/agreement.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/agreement/agreement_internal.h"

enum { JOINED_PATH_MAX = 4096 + STUDY_PATH_MAX };
static_assert(sizeof(struct seal_signature) == AGREEMENT_HEAD - (sizeof AGREEMENT_MAGIC - 1),
              "what stands in front of the body");

void agreement_release(struct agreement *a)
{
    study_release(&a->study);
    schema_release(&a->schema);
    free(a->document);
    free(a->schema_text);
    memset(a, 0, sizeof *a);
}

/* ---- the coordinator ------------------------------------------------------------------------- */

/* The whole file with a NUL behind it. A file too long is cut one byte past the limit: its parser
 * says so. */
static RC read_text(const char *path, char **out, size_t *n, struct error *err)
{
    enum rc rc = RC_OK;
    char *text = NULL;

    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        rc = error_set(err, RC_IO, "%.120s: cannot open: %s", path, strerror(errno));
        goto out;
    }
    text = malloc(CONFIG_FILE_BYTES_MAX + 2);
    if (text == NULL) {
        rc = error_set(err, RC_NOMEM, "%.120s: no memory to read it", path);
        goto out;
    }
    *n = fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, f);
    if (ferror(f)) {
        rc = error_set(err, RC_IO, "%.120s: cannot read: %s", path, strerror(errno));
        goto out;
    }
    text[*n] = '\0';
    *out = text;
    text = NULL;
out:
    free(text);
    if (f != NULL) {
        (void)fclose(f);
    }
    return rc;
}

/* Where the document's own `cohort` is: from the document's folder. */
static RC beside(const char *document, const char *path, char out[JOINED_PATH_MAX],
                 struct error *err)
{
    const char *slash = strrchr(document, '/');
    const size_t folder = path[0] == '/' || slash == NULL ? 0 : (size_t)(slash - document) + 1;
    const int n = snprintf(out, JOINED_PATH_MAX, "%.*s%s", (int)folder, document, path);
    if (n < 0 || n >= JOINED_PATH_MAX) {
        return error_set(err, RC_INVALID, "%.120s: too long a path", document);
    }
    return RC_OK;
}

static RC render(const struct schema *s, char **out, struct error *err)
{
    size_t n = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &n);
    if (f == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the features");
    }
    schema_print_features(s, f);
    const int failed = ferror(f);
    if (fclose(f) != 0 || failed) {
        free(text);
        return error_set(err, RC_NOMEM, "no memory for the features");
    }
    *out = text;
    return RC_OK;
}

/* The features as a site will read them, so that what is signed is what was tried. */
static RC take_features(const char *path, struct agreement *a, struct config_issues *issues,
                        struct error *err)
{
    struct schema whole;
    memset(&whole, 0, sizeof whole);
    enum rc rc = schema_open(path, &whole, issues, err);
    if (rc == RC_OK) {
        rc = render(&whole, &a->schema_text, err);
    }
    if (rc == RC_OK) {
        rc = schema_parse_features("features", a->schema_text, strlen(a->schema_text), &a->schema,
                                   issues, err);
    }
    if (rc == RC_OK) {
        const struct hash had = schema_hash(&whole), has = schema_hash(&a->schema);
        assert(hash_equal(&had, &has)); /* or print and parse do not agree */
        a->study_hash = study_hash(&a->study, &has);
    }
    schema_release(&whole);
    return rc;
}

/* Its cohort.yaml is read for good when the study was: here only its modalities are wanted, and what is
 * wrong with it is said then. */
static RC check_lacks(const char *path, const char *text, size_t n, const char *cohort,
                      struct config_issues *issues, struct error *err)
{
    struct config_doc *doc = NULL;
    struct config_issues unsaid = {0};
    struct error ignored = {0};
    struct schema schema = {0};
    char joined[JOINED_PATH_MAX];
    enum rc rc = RC_OK;
    if (config_parse(path, text, n, &doc, &ignored) != RC_OK) {
        return RC_OK;
    }
    const struct config_node *root = config_root(doc);
    const struct config_node *own =
        root->kind == CONFIG_MAP && cohort == NULL ? config_get(root, "cohort") : NULL;
    if (own != NULL && own->kind == CONFIG_SCALAR &&
        beside(path, own->text, joined, &ignored) == RC_OK) {
        cohort = joined;
    }
    if (cohort != NULL && schema_open(cohort, &schema, &unsaid, &ignored) == RC_OK) {
        issues->path = path;
        rc = agreement_lacks_known(root, &schema, issues, err);
        schema_release(&schema);
    }
    config_close(&doc);
    return rc;
}

const char *agreement_simulated_only(const struct study *s)
{
    return s->sites_per_round > 0 ? "sites_per_round: is only simulated so far (wardround-sim); "
                                    "leave it out of a study "
                                    "that hospitals sign up to"
                                  : NULL;
}

enum rc agreement_open(const char *path, const char *cohort, struct agreement *out,
                       struct config_issues *issues, struct error *err)
{
    struct agreement a;
    char joined[JOINED_PATH_MAX];
    size_t n = 0;

    memset(&a, 0, sizeof a);
    enum rc rc = read_text(path, &a.document, &n, err);
    if (rc == RC_OK) {
        rc = check_lacks(path, a.document, n, cohort, issues, err);
    }
    if (rc == RC_OK) {
        rc = study_parse(path, a.document, n, &a.study, issues, err);
    }
    if (rc == RC_OK && agreement_simulated_only(&a.study) != NULL) {
        config_issue(issues, NULL, "%s", agreement_simulated_only(&a.study));
        rc = config_verdict(issues, err);
    }
    if (rc == RC_OK && cohort == NULL && a.study.cohort[0] == '\0') {
        config_issue(issues, NULL,
                     "missing key 'cohort': the path of a cohort.yaml that says which features the "
                     "model reads");
        rc = config_verdict(issues, err);
    }
    if (rc == RC_OK && cohort == NULL) {
        rc = beside(path, a.study.cohort, joined, err);
        cohort = joined;
    }
    if (rc == RC_OK) {
        rc = take_features(cohort, &a, issues, err);
    }
    if (rc == RC_OK) {
        *out = a;
    } else {
        agreement_release(&a);
    }
    return rc;
}

enum rc agreement_sign(const struct agreement *a, const struct seal_keys *keys,
                       unsigned char **bytes, size_t *n, struct error *err)
{
    struct seal_signature signature;
    const size_t n_body = agreement_body_bytes(a);
    if (n_body > AGREEMENT_BYTES_MAX - AGREEMENT_HEAD) {
        return error_set(err, RC_LIMIT,
                         "the study document and its features are %zu bytes, and at most %d travel "
                         "to the sites; shorten comments or features",
                         n_body, (int)(AGREEMENT_BYTES_MAX - AGREEMENT_HEAD));
    }
    unsigned char *out = malloc(AGREEMENT_HEAD + n_body);
    if (out == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu bytes of agreement", n_body);
    }
    agreement_put_body(a, out + AGREEMENT_HEAD);
    seal_sign(keys, AGREEMENT_DOMAIN, out + AGREEMENT_HEAD, n_body, &signature);
    memcpy(out, AGREEMENT_MAGIC, sizeof AGREEMENT_MAGIC - 1);
    memcpy(out + sizeof AGREEMENT_MAGIC - 1, signature.b, sizeof signature.b);
    *bytes = out;
    *n = AGREEMENT_HEAD + n_body;
    return RC_OK;
}

/* ---- the site -------------------------------------------------------------------------------- */

enum rc agreement_verify(const void *bytes, size_t n, const struct seal_public *coordinator,
                         struct agreement *out, struct error *err)
{
    const unsigned char *at = bytes;
    struct seal_signature signature;

    if (n > AGREEMENT_BYTES_MAX) {
        return error_set(err, RC_LIMIT, "an agreement of %zu bytes; at most %d are read", n,
                         (int)AGREEMENT_BYTES_MAX);
    }
    if (n < AGREEMENT_HEAD || memcmp(at, AGREEMENT_MAGIC, sizeof AGREEMENT_MAGIC - 1) != 0) {
        return error_set(err, RC_FORMAT, "not an agreement, or one of another version");
    }
    memcpy(signature.b, at + sizeof AGREEMENT_MAGIC - 1, sizeof signature.b);
    if (seal_verify(coordinator, AGREEMENT_DOMAIN, at + AGREEMENT_HEAD, n - AGREEMENT_HEAD,
                    &signature, err) != RC_OK) {
        return error_set(err, RC_AUTH,
                         "the study is not signed by the coordinator whose card this site trusts; "
                         "ask the coordinator, and if its keys are new, compare its new card and "
                         "trust that");
    }
    return agreement_parse_body(at + AGREEMENT_HEAD, n - AGREEMENT_HEAD, out, err);
}
