#include "common/base/text.h"

#include <stddef.h>

/* Length of the well-formed printable UTF-8 character at s, or 0. */
static size_t printable(const unsigned char *s)
{
    if (s[0] >= 0x20 && s[0] < 0x7f) {
        return 1;
    }
    const size_t n = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 4;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0)) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) { /* also stops at the NUL of a cut text */
            return 0;
        }
    }
    return n;
}

void text_make_printable(char *text)
{
    for (char *c = text; *c != '\0';) {
        const size_t n = printable((const unsigned char *)c);
        if (n == 0) {
            *c = '?';
        }
        c += n == 0 ? 1 : n;
    }
}
