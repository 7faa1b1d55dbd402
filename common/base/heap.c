#include "common/base/heap.h"

#include <malloc.h>

void heap_keep(void)
{
    /* Refused, it is as it was: nothing depends on it but time. */
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_KEEP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
}
