#include "common/config/config.h"
#include "common/config/scalar_internal.h"

/* A vertical bar inside a cell would end it. */
static void print_cell(const char *text, FILE *to)
{
    for (; *text != '\0'; text++) {
        if (*text == '|') {
            (void)fputc('\\', to);
        }
        (void)fputc(*text, to);
    }
}

static const char *type_name(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
        return "text";
    case CONFIG_REAL:
        return "number";
    case CONFIG_COUNT:
    case CONFIG_U64:
        return "whole number";
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_CHOICE:
        return "one of";
    case CONFIG_NODE:
        return "list or map";
    }
    return "?";
}

static void print_range(const struct config_key *key, FILE *to)
{
    if (key->type == CONFIG_CHOICE) {
        for (size_t i = 0; key->choices[i] != NULL; i++) {
            (void)fprintf(to, "%s`%s`", i == 0 ? "" : ", ", key->choices[i]);
        }
    } else if (key->type == CONFIG_TEXT) {
        (void)fprintf(to, "up to %zu bytes", key->size - 1);
    } else if (key->type == CONFIG_REAL || key->type == CONFIG_COUNT || key->type == CONFIG_U64) {
        char range[SCALAR_RANGE_BYTES];
        scalar_range(key, range);
        (void)fputs(range, to);
    }
}

void config_print_reference(const struct config_key *keys, size_t n_keys, FILE *to)
{
    (void)fputs("| key | type | range | default | help |\n|---|---|---|---|---|\n", to);
    for (size_t k = 0; k < n_keys; k++) {
        const struct config_key *key = &keys[k];
        (void)fprintf(to, "| `%s` | %s | ", key->name, type_name(key->type));
        print_range(key, to);
        (void)fputs(" | ", to);
        if (key->fallback == NULL) {
            (void)fputs("required", to);
        } else if (key->fallback[0] == '\0') {
            (void)fputs("none", to);
        } else {
            (void)fputc('`', to);
            print_cell(key->fallback, to);
            (void)fputc('`', to);
        }
        (void)fputs(" | ", to);
        print_cell(key->help != NULL ? key->help : "", to);
        (void)fputs(" |\n", to);
    }
}

void config_print_parts(const struct config_part *part, size_t n, FILE *to)
{
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(to, "\n### %s\n\n", part[i].title);
        config_print_reference(part[i].keys, part[i].n_keys, to);
    }
}
