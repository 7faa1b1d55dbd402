#include "common/accountant/mechanism.h"

/* By sampling rate, then by noise, then by pure epsilon. */
static bool before(const struct mechanism *a, const struct mechanism *b)
{
    if (a->q != b->q) {
        return a->q < b->q;
    }
    return a->sigma != b->sigma ? a->sigma < b->sigma : a->pure < b->pure;
}

bool mechanism_next(const struct mechanism *m, size_t n, const struct mechanism *last,
                    struct mechanism *next)
{
    const struct mechanism *least = NULL;
    uint64_t steps = 0;

    for (size_t i = 0; i < n; i++) {
        if ((last == NULL || before(last, &m[i])) && (least == NULL || before(&m[i], least))) {
            least = &m[i];
        }
    }
    if (least == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!before(&m[i], least) && !before(least, &m[i])) {
            steps = m[i].steps > UINT64_MAX - steps ? UINT64_MAX : steps + m[i].steps;
        }
    }
    *next = (struct mechanism){
        .q = least->q, .sigma = least->sigma, .steps = steps, .pure = least->pure};
    return true;
}
