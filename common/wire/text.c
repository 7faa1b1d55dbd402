#include <string.h>

#include "common/wire/wire_internal.h"

/* Bytes of the UTF-8 character that begins with `first` (RFC 3629); 0: none does. */
static size_t length_of(unsigned char first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) { /* continuation bytes, overlong forms, beyond U+10FFFF */
        return 0;
    }
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Controls (C0, DEL, C1), surrogates, line and paragraph separators, marks of direction (they show a
 * log's line in another order), the byte order mark and noncharacters. */
static bool is_shown(uint32_t c)
{
    static const uint32_t not_shown[][2] = {
        {0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200e, 0x200f}, {0x2028, 0x202e},
        {0x2066, 0x2069}, {0xd800, 0xdfff}, {0xfdd0, 0xfdef}, {0xfeff, 0xfeff},
    };
    for (size_t i = 0; i < sizeof not_shown / sizeof not_shown[0]; i++) {
        if (c >= not_shown[i][0] && c <= not_shown[i][1]) {
            return false;
        }
    }
    return (c & 0xfffe) != 0xfffe && c <= 0x10ffff;
}

size_t wire_printable(const char *s, size_t n)
{
    static const uint32_t least[] = {[1] = 0, [2] = 0x80, [3] = 0x800, [4] = 0x10000};
    static const unsigned char mask[] = {[1] = 0x7f, [2] = 0x1f, [3] = 0x0f, [4] = 0x07};
    if (n == 0) {
        return 0;
    }
    const size_t length = length_of((unsigned char)s[0]);
    if (length == 0 || length > n) {
        return 0;
    }
    uint32_t c = (unsigned char)s[0] & mask[length];
    for (size_t i = 1; i < length; i++) {
        const unsigned char b = (unsigned char)s[i];
        if ((b & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (b & 0x3fU);
    }
    return c >= least[length] && is_shown(c) ? length : 0;
}

void wire_set_text(struct wire_message *m, const char *text)
{
    const size_t n = strlen(text);
    size_t to = 0;
    memset(m->text, 0, sizeof m->text);
    for (size_t at = 0; at < n;) {
        const size_t length = wire_printable(text + at, n - at);
        const size_t step = length == 0 ? 1 : length;
        if (to + step >= sizeof m->text) {
            break;
        }
        if (length == 0) {
            m->text[to] = '?';
        } else {
            memcpy(m->text + to, text + at, length);
        }
        to += step;
        at += step;
    }
}
