/* Storage by lifetime; see plan.h. */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct open_slot {
    int busy_until; /* last step of the span that holds it */
} open_slot;

/* The free slot that wastes least: the smallest that is large enough, else the largest, which
 * grows. */
static int best_slot(const storage *slots, const open_slot *open, const span *s)
{
    int best = -1;

    for (int i = 0; i < slots->count; i++) {
        size_t have = slots->bytes[i], most;

        if (open[i].busy_until >= s->first)
            continue;
        if (best < 0) {
            best = i;
            continue;
        }
        most = slots->bytes[best];
        if (most < s->bytes ? have > most : have >= s->bytes && have < most)
            best = i;
    }
    return best;
}

static int by_first(const void *a, const void *b)
{
    const span *x = *(span *const *)a, *y = *(span *const *)b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    /* Larger ones first, so that they get the large slots; then a fixed order. */
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x < y ? -1 : x > y;
}

deconv_status storage_plan(storage *slots, span *spans, int count)
{
    deconv_status status = DECONV_OK;
    open_slot *open = NULL;
    span **order = NULL;

    TRY_ALLOC(open, slots->ctx, (size_t)count + 1);
    TRY_ALLOC(order, slots->ctx, (size_t)count + 1);
    TRY_ALLOC(slots->bytes, slots->ctx, (size_t)count + 1);
    TRY_ALLOC(slots->name, slots->ctx, (size_t)count + 1);
    for (int i = 0; i < count; i++)
        order[i] = &spans[i];
    qsort(order, (size_t)count, sizeof *order, by_first);
    for (int i = 0; i < count; i++) {
        span *s = order[i];
        int slot;

        s->slot = -1;
        if (s->bytes == 0)
            continue;
        slot = best_slot(slots, open, s);
        if (slot < 0)
            slot = slots->count++;
        if (slots->bytes[slot] < s->bytes) {
            slots->bytes[slot] = s->bytes;
            slots->name[slot] = s->name;
        }
        open[slot].busy_until = s->last;
        s->slot = slot;
    }
done:
    mem_free(slots->ctx, open);
    mem_free(slots->ctx, order);
    return status;
}

deconv_status storage_allocate(storage *slots, const char *what)
{
    deconv_status status = DECONV_OK;
    char whose[160];

    TRY_ALLOC(slots->slot, slots->ctx, (size_t)slots->count + 1);
    for (int i = 0; i < slots->count; i++) {
        const char *name = slots->name[i];

        snprintf(whose, sizeof whose, "%s%s%.120s", what, name ? " of " : "", name ? name : "");
        TRY(buffer_create(slots->ctx, slots->bytes[i], whose, &slots->slot[i]));
    }
done:
    return status;
}

void storage_free(storage *slots)
{
    for (int i = 0; slots->slot && i < slots->count; i++)
        buffer_free(slots->slot[i]);
    if (slots->ctx) {
        mem_free(slots->ctx, slots->slot);
        mem_free(slots->ctx, slots->bytes);
        mem_free(slots->ctx, (void *)slots->name);
    }
    *slots = (storage){.ctx = slots->ctx};
}
