#include <assert.h>
#include <stdlib.h>

#include "sim/fleet/fleet_internal.h"

static bool before(const struct fleet_event *a, const struct fleet_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void swap(struct fleet_event *a, struct fleet_event *b)
{
    const struct fleet_event held = *a;
    *a = *b;
    *b = held;
}

static void sift_up(struct fleet_queue *q, size_t i)
{
    while (i > 0 && before(&q->event[i], &q->event[(i - 1) / 2])) {
        swap(&q->event[i], &q->event[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct fleet_queue *q, size_t i)
{
    for (;;) {
        size_t first = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < q->n; child++) {
            if (before(&q->event[child], &q->event[first])) {
                first = child;
            }
        }
        if (first == i) {
            return;
        }
        swap(&q->event[i], &q->event[first]);
        i = first;
    }
}

enum rc queue_push(struct fleet_queue *q, struct fleet_event e, struct error *err)
{
    if (q->n == q->room) {
        const size_t room = q->room == 0 ? 64 : 2 * q->room;
        struct fleet_event *more = realloc(q->event, room * sizeof *more);
        if (more == NULL) {
            free(e.bytes);
            return error_set(err, RC_NOMEM, "no memory for %zu events", room);
        }
        q->event = more;
        q->room = room;
    }
    e.number = q->numbered++;
    q->event[q->n] = e;
    sift_up(q, q->n++);
    return RC_OK;
}

const struct fleet_event *queue_peek(const struct fleet_queue *q)
{
    return q->n == 0 ? NULL : &q->event[0];
}

struct fleet_event queue_pop(struct fleet_queue *q)
{
    assert(q->n > 0);
    const struct fleet_event first = q->event[0];
    q->event[0] = q->event[--q->n];
    sift_down(q, 0);
    return first;
}

void queue_forget(struct fleet_queue *q, size_t party)
{
    size_t kept = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (q->event[i].to == party || q->event[i].from == party) {
            free(q->event[i].bytes);
        } else {
            q->event[kept++] = q->event[i];
        }
    }
    q->n = kept;
    for (size_t i = kept / 2; i > 0; i--) {
        sift_down(q, i - 1);
    }
}

void queue_release(struct fleet_queue *q)
{
    for (size_t i = 0; i < q->n; i++) {
        free(q->event[i].bytes);
    }
    free(q->event);
    *q = (struct fleet_queue){0};
}
