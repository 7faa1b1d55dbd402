#include "common/base/entropy.h"

#include <string.h>

#include <sodium.h>

enum rc entropy_init(struct entropy *e, struct error *err)
{
    if (sodium_init() < 0) {
        return error_set(err, RC_IO, "cannot start libsodium: no source of randomness");
    }
    *e = (struct entropy){0};
    randombytes_buf(e->key, sizeof e->key);
    return RC_OK;
}

void entropy_release(struct entropy *e)
{
    sodium_memzero(e, sizeof *e);
}

static void refill(struct entropy *e)
{
    static const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {0};
    enum { BLOCK = 64 };
    memset(e->buffer, 0, sizeof e->buffer);
    (void)crypto_stream_chacha20_xor_ic(e->buffer, e->buffer, sizeof e->buffer, nonce, e->block,
                                        e->key);
    e->block += sizeof e->buffer / BLOCK;
    e->ready = sizeof e->buffer;
}

void entropy_bytes(struct entropy *e, void *out, size_t n)
{
    unsigned char *to = out;
    e->drawn += n;
    while (n > 0) {
        if (e->ready == 0) {
            refill(e);
        }
        const size_t take = n < e->ready ? n : e->ready;
        unsigned char *from = e->buffer + (sizeof e->buffer - e->ready);
        memcpy(to, from, take);
        sodium_memzero(from, take); /* what was handed out cannot be read back from here */
        e->ready -= take;
        to += take;
        n -= take;
    }
}

uint64_t entropy_u64(struct entropy *e)
{
    uint64_t x;
    entropy_bytes(e, &x, sizeof x);
    return x;
}
