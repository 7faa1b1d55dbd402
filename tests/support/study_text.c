#include "tests/support/study_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Line numbers below count from here. */
const char study_text_good[] =
    "study: trial-1\n"                                             /* 1 */
    "rounds: 5\n"                                                  /* 2 */
    "quorum: 2\n"                                                  /* 3 */
    "min_sites: 2\n"                                               /* 4 */
    "max_colluding: 1\n"                                           /* 5 */
    "model: {name: logistic}\n"                                    /* 6 */
    "local: {rate: 0.5, steps: 2}\n"                               /* 7 */
    "server: {rule: fedavg}\n"                                     /* 8 */
    "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5}\n" /* 9 */
    "update: {fraction_bits: 20}\n"                                /* 10 */
    "sites:\n"                                                     /* 11 */
    "  - {name: a, nominal: 100}\n"                                /* 12 */
    "  - {name: b, nominal: 50}\n"                                 /* 13 */
    "  - {name: c.d_E-9, nominal: 7}\n";                           /* 14 */

/* Read from memory, without the file. */
enum rc study_text_try(const char *text, struct study *out, struct config_issues *issues,
                       struct error *err)
{
    struct config_doc *doc = NULL;
    memset(issues, 0, sizeof *issues);
    issues->path = "s.yaml";
    enum rc rc = config_parse("s.yaml", text, strlen(text), &doc, err);
    if (rc == RC_OK) {
        rc = study_read(config_root(doc), out, issues, err);
    }
    config_close(&doc);
    return rc;
}

struct study study_text_read(const char *text)
{
    struct study s;
    struct config_issues issues;
    struct error err = {0};
    if (study_text_try(text, &s, &issues, &err) != RC_OK) {
        print_error("%s\n", err.text);
        fail();
    }
    assert_int_equal(issues.n, 0);
    return s;
}

/* `study_text_good` with its line number `line` replaced; "" removes it. */
const char *study_text_with(size_t line, const char *text)
{
    static char out[2048];
    size_t n = 0, now = 1;
    for (const char *c = study_text_good; *c != '\0'; now++) {
        const size_t length = strcspn(c, "\n") + 1;
        if (now != line) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%.*s", (int)length, c);
        } else if (text[0] != '\0') {
            n += (size_t)snprintf(out + n, sizeof out - n, "%s\n", text);
        }
        c += length;
    }
    return out;
}

void study_text_one_issue(size_t line, const char *text, const char *want)
{
    struct study s;
    memset(&s, 0xa5, sizeof s);
    struct study before = s;
    struct config_issues issues;
    struct error err = {0};
    const enum rc rc = study_text_try(study_text_with(line, text), &s, &issues, &err);
    if (rc != RC_INVALID || issues.n != 1 || strcmp(issues.line[0], want) != 0) {
        print_error("of:   %s\nwant: %s\n", text, want);
        config_print_issues(&issues, stderr);
        fail();
    }
    assert_memory_equal(&s, &before, sizeof s); /* written only on success */
}
