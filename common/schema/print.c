/*
 * Features and label as canonical YAML:
 *
 *   label: {name: "num"}                        or {name: "rhythm", classes: ["sinus", "flutter", "none"]}
 *   features:
 *   - {name: "age", type: continuous, unit: "years", range: [20, 80], required: false}
 *   - {name: "cp", type: categorical, unit: "", categories: ["1", "2"], required: false}
 *   modalities:
 *   - {name: "vitals", type: series, window: [0, 48], grid: {steps: 48, fill: last}, variables: [...]}
 *   - {name: "xray", type: image, size: [64, 64], standardise: true}
 *   - {name: "notes", type: notes, tokens: 256, unit: words, vocabulary: 4096, ngrams: 2, seed: 0}
 */
#include <stdio.h>

#include "common/schema/schema_internal.h"

/* The code point of the UTF-8 sequence at s, and its length. The text went through libyaml, which
 * lets no broken sequence pass; a cut one still stops at its NUL. */
static unsigned long code_point(const unsigned char *s, size_t *n)
{
    const size_t more = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : s[0] >= 0xc0 ? 1 : 0;
    unsigned long c = more == 3   ? s[0] & 0x07U
                      : more == 2 ? s[0] & 0x0fU
                      : more      ? s[0] & 0x1fU
                                  : s[0];
    *n = 1;
    while (*n <= more && (s[*n] & 0xc0U) == 0x80U) {
        c = c << 6 | (s[*n] & 0x3fU);
        (*n)++;
    }
    return c;
}

/* What YAML would not take as it stands, or would take for an end of line. */
static int is_escaped(unsigned long c)
{
    return c < 0x20 || c == '"' || c == '\\' || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
           c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff;
}

void print_quoted(const char *text, FILE *to)
{
    const unsigned char *s = (const unsigned char *)text;
    (void)fputc('"', to);
    while (*s != '\0') {
        size_t n;
        const unsigned long c = code_point(s, &n);
        if (!is_escaped(c)) {
            (void)fwrite(s, 1, n, to);
        } else if (c == '"' || c == '\\') {
            (void)fprintf(to, "\\%c", (int)c);
        } else {
            (void)fprintf(to, c < 0x100 ? "\\x%02lx" : "\\u%04lx", c);
        }
        s += n;
    }
    (void)fputc('"', to);
}

static void print_feature(const struct schema_feature *f, FILE *to)
{
    (void)fputs("- {name: ", to);
    print_quoted(f->name, to);
    (void)fprintf(to, ", type: %s, unit: ", schema_type_name(f->type));
    print_quoted(f->unit, to);
    if (f->type == SCHEMA_CONTINUOUS) {
        (void)fprintf(to, ", range: [%.17g, %.17g]", f->low, f->high);
    } else {
        for (size_t i = 0; i < f->n_categories; i++) {
            (void)fputs(i == 0 ? ", categories: [" : ", ", to);
            print_quoted(f->category[i], to);
        }
        (void)fputs("]", to);
    }
    (void)fprintf(to, ", required: %s}\n", f->may_miss ? "false" : "true");
}

void schema_print_features(const struct schema *s, FILE *to)
{
    (void)fputs("label: {name: ", to);
    print_quoted(schema_label_name(s), to);
    for (size_t i = 0; i < s->n_classes; i++) {
        (void)fputs(i == 0 ? ", classes: [" : ", ", to);
        print_quoted(s->class_name[i], to);
    }
    (void)fputs(s->n_classes > 0 ? "]" : "", to);
    (void)fputs(s->n_features > 0 ? "}\nfeatures:\n" : "}\n", to);
    for (size_t i = 0; i < s->n_features; i++) {
        print_feature(&s->feature[i], to);
    }
    modalities_print(s, to);
}
