/*
 * ZAP (ZeroMQ RFC 27): for each handshake libzmq asks over inproc, and we answer:
 *
 *   request  "1.0" | request id | domain | address | routing id | "CURVE" | key, 32 bytes
 *   reply    "1.0" | request id | "200" or "400" | text | user id | metadata
 *
 * The user id, our key in hexadecimal, then hangs on every message of that connection.
 */
#include <errno.h>
#include <string.h>

#include "common/net/net_internal.h"

enum { FIELDS = 7, FIELD_MAX = 255 };

struct field {
    unsigned char data[FIELD_MAX];
    size_t n;
};

static bool is_text(const struct field *f, const char *text)
{
    return f->n == strlen(text) && memcmp(f->data, text, f->n) == 0;
}

/* @return fields; 0: no request. More than FIELDS are counted and dropped. */
static size_t read_request(void *zap, struct field field[FIELDS])
{
    size_t n = 0;
    int more = 1;

    while (more != 0) {
        struct field scrap;
        struct field *f = n < FIELDS ? &field[n] : &scrap;
        size_t room = sizeof more;
        int got;
        do {
            got = zmq_recv(zap, f->data, sizeof f->data, ZMQ_DONTWAIT);
        } while (got < 0 && errno == EINTR);
        if (got < 0) {
            return 0;
        }
        f->n = (size_t)got; /* of a longer one the whole length: it then fits nothing */
        n++;
        if (zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &room) != 0) {
            return 0;
        }
    }
    return n;
}

static RC reply(void *zap, const struct field *request, bool admitted, const char *user,
                struct error *err)
{
    const struct {
        const void *data;
        size_t n;
    } part[] = {
        {"1.0", 3},
        {request->data, request->n < FIELD_MAX ? request->n : FIELD_MAX},
        {admitted ? "200" : "400", 3},
        {admitted ? "OK" : "unknown key", admitted ? 2 : 11},
        {user, admitted ? strlen(user) : 0},
        {"", 0},
    };
    const size_t n = sizeof part / sizeof part[0];

    for (size_t i = 0; i < n; i++) {
        int answer;
        do {
            answer = zmq_send(zap, part[i].data, part[i].n,
                              (i + 1 < n ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT);
        } while (answer < 0 && errno == EINTR);
        if (answer < 0) {
            return error_set(err, RC_IO, "network library: admission: %s", zmq_strerror(errno));
        }
    }
    return RC_OK;
}

enum rc net_zap_answer(void *zap, net_doorman *knows, void *who, bool *got, struct error *err)
{
    struct field field[FIELDS];
    char user[NET_KEY_ID] = "";

    const size_t n = read_request(zap, field);
    if (n == 0) {
        *got = false;
        return RC_OK;
    }
    *got = true;
    if (n < 2) { /* nothing to refer to; libzmq never does this */
        field[1].n = 0;
    }
    const bool admitted = n == FIELDS && is_text(&field[0], "1.0") &&
                          is_text(&field[2], NET_ZAP_DOMAIN) && is_text(&field[5], "CURVE") &&
                          field[6].n == 32 && knows(who, field[6].data);
    if (admitted) {
        net_key_id(field[6].data, user);
    }
    return reply(zap, &field[1], admitted, user, err);
}
