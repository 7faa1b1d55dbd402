/* Text, numbers and pictures as HTML holds them. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "sim/report/page_internal.h"

void html_text(FILE *f, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        switch (c) {
        case '<':
            (void)fputs("&lt;", f);
            break;
        case '>':
            (void)fputs("&gt;", f);
            break;
        case '&':
            (void)fputs("&amp;", f);
            break;
        case '"':
            (void)fputs("&quot;", f);
            break;
        default:
            (void)fputc(c < 0x20 && c != '\n' && c != '\t' ? ' ' : c, f);
        }
    }
}

/* As papers write shares: ".812", "−.013", "1.000". */
static void put_short(FILE *f, double x, int decimals)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.*f", decimals, fabs(x));
    const bool zero = strspn(text, "0.") == strlen(text);
    (void)fprintf(f, "%s%s", x < 0.0 && !zero ? "−" : "",
                  decimals > 2 && text[0] == '0' ? text + 1 : text);
}

void html_number(FILE *f, double x, int decimals)
{
    if (isfinite(x)) {
        put_short(f, x, decimals);
    } else {
        (void)fputs(isinf(x) ? "∞" : "–", f);
    }
}

static void put_epsilon(FILE *f, double epsilon)
{
    char number[REPORT_NUMBER_MAX];
    report_number(number, epsilon);
    (void)fputs(isinf(epsilon) ? "∞" : number, f);
}

void html_interval(FILE *f, const struct interval *i, int decimals)
{
    (void)fputs("<td class=n>", f);
    html_number(f, i->value, decimals);
    if (isfinite(i->value)) {
        (void)fputs(" [", f);
        html_number(f, i->low, decimals);
        (void)fputs(", ", f);
        html_number(f, i->high, decimals);
        (void)fputc(']', f);
    }
    (void)fputs("</td>", f);
}

enum rc html_picture(FILE *f, const char *path, const char *says, struct error *err)
{
    FILE *in = fopen(path, "rbe");
    if (in == NULL) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    (void)fputs("<img alt=\"", f);
    html_text(f, says);
    (void)fputs("\" src=\"data:image/svg+xml;charset=utf-8,", f);
    for (int c = fgetc(in); c != EOF; c = fgetc(in)) {
        if (c > 0x20 && c < 0x7F && strchr("\"#%&<>'`{}|\\^", c) == NULL) {
            (void)fputc(c, f);
        } else {
            (void)fprintf(f, "%%%02X", (unsigned)c);
        }
    }
    (void)fputs("\">", f);
    const bool failed = ferror(in) != 0;
    (void)fclose(in);
    return failed ? error_set(err, RC_IO, "cannot read '%s'", path) : RC_OK;
}

void html_table_open(FILE *f, const struct page_view *v, const char *caption)
{
    (void)fprintf(f, "<div class=wide><table><caption><b>Table %zu.</b>%s</caption>\n<thead><tr>",
                  ++*v->tables, caption);
}

void html_table_close(FILE *f)
{
    (void)fputs("</tbody></table></div>\n", f);
}

void html_cell_number(FILE *f, double x, int decimals)
{
    (void)fputs("<td class=n>", f);
    html_number(f, x, decimals);
    (void)fputs("</td>", f);
}

void html_cell_text(FILE *f, const char *text)
{
    (void)fputs("<td>", f);
    html_text(f, text);
    (void)fputs("</td>", f);
}

void html_cell_epsilon(FILE *f, double epsilon)
{
    (void)fputs("<td class=n>", f);
    put_epsilon(f, epsilon);
    (void)fputs("</td>", f);
}

void html_cells_budget(FILE *f, const struct report_summary *s)
{
    html_cell_epsilon(f, s->epsilon);
    (void)fputs("<td class=\"n k\">", f);
    if (isfinite(s->epsilon)) {
        put_epsilon(f, s->delta);
    }
    (void)fputs("</td>", f);
}

void html_row_open(FILE *f, const struct report_summary *s)
{
    char label[PAGE_LABEL_MAX];
    page_label(s, label);
    (void)fputs("<tr>", f);
    html_cell_text(f, label);
}
