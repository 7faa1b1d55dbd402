/*
 * A note, by a small grammar. Each channel in its own deviations falls into one of seven grades; a
 * grade has two wordings, of which a hospital prefers one (`style` says how much). Negations, past
 * history and remarks that mean nothing stand among them, so that a word alone says little: "not
 * confused", "fever resolved", "history of shock".
 *
 *     note    := opening { sentence } closing
 *     sentence:= finding by grade | remark
 */
#include <stdio.h>
#include <string.h>

#include "sim/hospital/icu_internal.h"

enum { GRADES = 7, WORDINGS = 2, FINDINGS = 5, REMARKS = 10, OPENINGS = 3, FRAMES = 3 };

static const double grade_from[GRADES - 1] = {-1.5, -0.9, -0.3, 0.3, 0.9, 1.5};

/* clang-format off */
static const char *const finding[FINDINGS][GRADES][WORDINGS] = {
    { /* ICU_SAYS_BRAIN */
        {"fully alert, not confused", "awake and oriented, no deficit"},
        {"alert, a little tired", "awake, slightly slowed"},
        {"oriented but forgetful", "mild inattention only"},
        {"intermittently confused", "fluctuating attention"},
        {"drowsy, opens eyes to voice", "sleepy but rousable"},
        {"obeys no commands, localises pain", "stuporous, withdraws from pain"},
        {"unresponsive, no eye opening", "deep coma, extensor posture"},
    },
    { /* ICU_SAYS_CIRCULATION */
        {"warm and well perfused, no support", "good perfusion without vasopressor"},
        {"pressure stable off support", "stable pressure, support stopped"},
        {"pressure adequate after fluids", "fluid responsive"},
        {"low dose norepinephrine", "minimal vasopressor need"},
        {"moderate norepinephrine, cool hands", "rising vasopressor need"},
        {"high dose norepinephrine, mottled knees", "two vasopressors running"},
        {"refractory shock", "pressure falling despite maximal support"},
    },
    { /* ICU_SAYS_LUNG */
        {"breathing room air easily", "no oxygen needed"},
        {"two litres by cannula", "little oxygen by cannula"},
        {"oxygen by face mask", "mask oxygen, comfortable"},
        {"high flow oxygen, tolerating well", "needs high flow"},
        {"high flow oxygen, tiring", "non invasive ventilation started"},
        {"intubated, moderate settings", "ventilated, half inspired oxygen"},
        {"intubated, proned, pure oxygen", "ventilated with severe hypoxaemia"},
    },
    { /* ICU_SAYS_INFECTION */
        {"no fever, no sign of infection", "afebrile, cultures negative"},
        {"fever resolved, antibiotics stopped", "infection resolved"},
        {"low grade fever, source unclear", "subfebrile, cultures pending"},
        {"treated for local infection", "antibiotics for a local source"},
        {"fever with positive cultures", "bacteraemia under treatment"},
        {"sepsis, broad antibiotics", "septic, source being sought"},
        {"septic with several foci", "overwhelming sepsis"},
    },
    { /* ICU_SAYS_COURSE */
        {"ready for the ward", "discharge to the ward planned"},
        {"improving steadily", "clearly better than yesterday"},
        {"slowly improving", "a little better"},
        {"unchanged since yesterday", "no change overnight"},
        {"not improving", "somewhat worse"},
        {"deteriorating", "clearly worse overnight"},
        {"deteriorating rapidly, family called", "prognosis discussed with the family"},
    },
};
static const char *const remark[REMARKS] = {
    "History of confusion after surgery.", "Past history of shock.",
    "Lines clean.",                        "Diet tolerated.",
    "Skin intact.",                        "Brother had sepsis.",
    "No rash.",                            "Physiotherapy seen.",
    "Home oxygen refused in the past.",    "Former smoker, not drowsy with opioids.",
};
static const char *const opening[OPENINGS] = {"Seen on round.", "Daily note.", "Intensive care review:"};
static const char *const frame[FINDINGS][FRAMES] = {
    {"Neuro: ", "Brain: ", "Mental state: "},
    {"Circulation: ", "CVS: ", "Haemodynamics: "},
    {"Lungs: ", "Resp: ", "Breathing: "},
    {"Infection: ", "Micro: ", "ID: "},
    {"Overall: ", "Impression: ", "Course: "},
};
/* clang-format on */

static size_t grade_of(double v)
{
    size_t g = 0;
    while (g < GRADES - 1 && v >= grade_from[g]) {
        g++;
    }
    return g;
}

/* One of `n`: with probability `style` the site's own, else any. Always two numbers. */
static size_t choose(struct rng *r, const struct icu_site *s, double style, size_t what, size_t n)
{
    const bool own = rng_uniform(r) < style;
    const size_t any = (size_t)rng_below(r, n);
    return own ? (size_t)((s->style >> (2 * (what % 32))) & 3U) % n : any;
}

static void say(char note[ICU_NOTE_MAX], const char *words)
{
    const size_t at = strlen(note);
    (void)snprintf(note + at, ICU_NOTE_MAX - at, "%s%s", at == 0 ? "" : " ", words);
}

void icu_note_write(struct rng *r, const struct icu_site *s, double style,
                    const struct icu_patient *p, char note[ICU_NOTE_MAX])
{
    size_t order[FINDINGS];
    note[0] = '\0';
    say(note, opening[choose(r, s, style, 0, OPENINGS)]);
    for (size_t k = 0; k < FINDINGS; k++) {
        order[k] = k;
    }
    if (rng_uniform(r) >= style) {
        rng_shuffle(r, order, FINDINGS);
    }
    for (size_t i = 0; i < FINDINGS; i++) {
        const size_t k = order[i];
        const enum icu_channel channel = (enum icu_channel)(ICU_SAYS_BRAIN + k);
        const size_t g = grade_of(icu_standard(channel, p->u[channel], 0.0));
        char sentence[128];
        (void)snprintf(sentence, sizeof sentence, "%s%s.",
                       frame[k][choose(r, s, style, 1 + k, FRAMES)],
                       finding[k][g][choose(r, s, style, 6 + 2 * k + g % 2, WORDINGS)]);
        say(note, sentence);
        const bool also = rng_uniform(r) < 0.4;
        const size_t which = (size_t)rng_below(r, REMARKS);
        if (also) {
            say(note, remark[which]);
        }
    }
}
