/*
 * Any byte string is a life of a session: three bytes an event (which, round, time passed), and an
 * event beyond the last one is a crash with restart. The promises of docs/PROTOCOL.md that one site
 * can keep alone hold after each.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "agent/session/session.h"

enum { ROUNDS = 256, EVENT_BYTES = 3, TRAINER_BYTE = 0xff };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session s;
    memset(&s, 0, sizeof s);
    bool committed[ROUNDS] = {false};
    int64_t now_ms = 0;

    for (size_t i = 0; i + EVENT_BYTES <= size; i += EVENT_BYTES) {
        const unsigned which = data[i] % (SESSION_EVENTS + 1u);
        if (which == SESSION_EVENTS) {
            memset(&s, 0, sizeof s);
            continue;
        }
        struct session_input in = {.event = (enum session_event)which, .round = data[i + 1]};
        now_ms += 1000 * (int64_t)data[i + 2];
        in.now_ms = now_ms;
        in.round_deadline_ms = now_ms + 60000;
        /* Often enough the trainer's answer must be about the very round that was asked for. */
        if (data[i + 1] == TRAINER_BYTE && s.round < TRAINER_BYTE) {
            in.round = s.round;
        }
        struct session before;
        memcpy(&before, &s, sizeof s);
        const unsigned actions = session_step(&s, &in);

        assert((unsigned)s.state < SESSION_STATES);
        assert(s.round >= before.round);
        assert(s.settled >= before.settled);
        assert(s.settled <= s.round || s.state == SESSION_SPEND || s.state == SESSION_DONE);
        if (actions & SESSION_PROTOCOL_ERROR) {
            assert(actions == SESSION_PROTOCOL_ERROR);
            assert(memcmp(&s, &before, sizeof s) == 0);
            continue;
        }
        if (before.state == SESSION_DONE) {
            assert(s.state == SESSION_DONE);
        }
        if (in.event == SESSION_WITHDRAWN) {
            assert(s.state == SESSION_DECLINED || s.state == SESSION_OFFLINE ||
                   s.state == SESSION_DONE);
        }
        if (before.state == SESSION_DECLINED) { /* no means no, to the end */
            assert(s.state == SESSION_DECLINED || s.state == SESSION_DONE);
        }
        /* The ledger of this life and the ones before. */
        if (in.event == SESSION_COMMITTED && before.state == SESSION_SPEND &&
            in.round == before.round) {
            committed[before.round % ROUNDS] = true;
        }
        if (in.event == SESSION_FOUND_STORED && before.state == SESSION_TRAINING &&
            in.round == before.round) {
            committed[before.round % ROUNDS] = true;
        }
        if (actions & SESSION_SEND_UPDATE) {
            assert(s.state == SESSION_SPENT);
            assert(committed[s.round % ROUNDS]);
            assert(s.round > s.settled);
        }
        if (actions & SESSION_START_TRAINING) {
            assert(s.state == SESSION_TRAINING);
            assert(s.round > s.settled);
            assert(s.round != s.forfeited);
        }
        if (before.state == SESSION_SPEND && s.state != SESSION_SPEND) {
            assert(in.event == SESSION_COMMITTED || in.event == SESSION_NOT_COMMITTED ||
                   in.event == SESSION_GOT_DONE);
        }
        if (before.state == SESSION_TRAINING && s.state != SESSION_TRAINING) {
            assert(actions & SESSION_CANCEL_TRAINING || in.event == SESSION_TRAINED ||
                   in.event == SESSION_FOUND_STORED || in.event == SESSION_CANNOT_TRAIN);
        }
        /* Whoever waits for the coordinator has a timer. */
        if (s.state == SESSION_READY || s.state == SESSION_TRAINING || s.state == SESSION_SPENT ||
            s.state == SESSION_SEND || s.state == SESSION_DECLINED || s.state == SESSION_CHECKING ||
            s.state == SESSION_OFFLINE) {
            assert(s.deadline_ms < SESSION_NEVER);
        }
    }
    return 0;
}
