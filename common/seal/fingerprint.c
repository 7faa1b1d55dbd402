/*
 * What people read to each other: BLAKE2b-256 of role, name and both keys, each four bytes of it a
 * group of five decimal digits. 10^40 is about 2^132, more than anybody can search for a second
 * card with the same digits.
 */
#include <stdio.h>
#include <string.h>

#include "common/seal/seal.h"

enum { GROUPS = 8, GROUP_DIGITS = 5 };

void seal_fingerprint(const struct seal_card *card, char out[SEAL_FINGERPRINT])
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround fingerprint 1");
    hasher_text(&h, seal_role_name(card->role));
    hasher_text(&h, card->name);
    hasher_bytes(&h, card->sign.b, sizeof card->sign.b);
    hasher_bytes(&h, card->curve.b, sizeof card->curve.b);
    const struct hash hash = hasher_final(&h);

    for (size_t g = 0; g < GROUPS; g++) {
        uint32_t x = 0;
        for (size_t i = 0; i < 4; i++) {
            x = x << 8 | hash.b[4 * g + i];
        }
        const size_t at = g * (GROUP_DIGITS + 1); /* the last group has no room for its "-" */
        (void)snprintf(out + at, SEAL_FINGERPRINT - at, "%05u-", x % 100000U);
    }
}

/* The next digit at *s, past what may separate two; NUL at the end, '!' for anything else. */
static char next_digit(const char **s)
{
    *s += strspn(*s, " \t\r\n-");
    const char c = **s;
    if (c == '\0') {
        return c;
    }
    (*s)++;
    return (char)(c >= '0' && c <= '9' ? c : '!');
}

int seal_fingerprint_matches(const struct seal_card *card, const char *typed)
{
    char own[SEAL_FINGERPRINT];
    seal_fingerprint(card, own);
    for (const char *a = own;;) {
        const char want = next_digit(&a);
        if (next_digit(&typed) != want) {
            return 0;
        }
        if (want == '\0') {
            return 1;
        }
    }
}
