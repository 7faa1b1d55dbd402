#include <stdlib.h>
#include <string.h>

#include "common/transfer/transfer.h"

static bool is_of(const struct transfer_hashes *h, const struct hash *tensor)
{
    return h->chunks > 0 && hash_equal(&h->tensor, tensor);
}

void transfer_hashes_of(struct transfer_hashes *h, const struct hash *tensor, uint64_t bytes)
{
    const uint64_t chunks = bytes <= TRANSFER_BYTES_MAX ? transfer_chunks(bytes) : 0;
    if (is_of(h, tensor)) {
        return;
    }
    if (chunks != h->chunks) {
        transfer_hashes_release(h);
        h->chunk = chunks > 0 ? calloc((size_t)chunks, sizeof *h->chunk) : NULL;
        h->known = chunks > 0 ? calloc((size_t)chunks, sizeof *h->known) : NULL;
    }
    if (h->chunk == NULL || h->known == NULL) { /* nothing is remembered, all is computed */
        transfer_hashes_release(h);
        return;
    }
    h->tensor = *tensor;
    h->chunks = chunks;
    memset(h->known, 0, (size_t)chunks * sizeof *h->known);
}

void transfer_hashes_release(struct transfer_hashes *h)
{
    free(h->chunk);
    free(h->known);
    *h = (struct transfer_hashes){.chunks = 0};
}

void transfer_hashes_keep(struct transfer_hashes *h, const struct hash *tensor, uint64_t index,
                          size_t n, const struct hash *chunk)
{
    if (is_of(h, tensor) && index < h->chunks) {
        h->chunk[index] = *chunk;
        h->known[index] = n;
    }
}

const struct hash *transfer_hashes_find(const struct transfer_hashes *h, const struct hash *tensor,
                                        uint64_t index, size_t n)
{
    const bool known = is_of(h, tensor) && index < h->chunks && n > 0 && h->known[index] == n;
    return known ? &h->chunk[index] : NULL;
}
