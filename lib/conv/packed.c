/* Packed weights; see packed.h. */
#include "packed.h"

#include <string.h>

static packed *find(const packed_list *list, const int32_t *key, size_t size)
{
    for (packed *p = list ? list->first : NULL; p; p = p->next)
        if (p->key_size == size && memcmp(p->key, key, size) == 0)
            return p;
    return NULL;
}

static void free_packed(packed *p)
{
    buffer_free(p->data);
    mem_free(p->ctx, p->key);
    mem_free(p->ctx, p);
}

void packed_key_phase(int32_t *key, const phase_axis *y, const phase_axis *x, int32_t first)
{
    const int32_t phase[PACKED_PHASE] = {y->taps,         y->weight_first, y->weight_step, x->taps,
                                         x->weight_first, x->weight_step,  first};

    memcpy(key, phase, sizeof phase);
}

deconv_status packed_get(const conv_task *t, const int32_t *key, size_t count, int64_t floats,
                         packed **out)
{
    const size_t size = count * sizeof *key;
    deconv_status status = DECONV_OK;
    packed *p = NULL;

    *out = find(t->packed, key, size);
    if (*out)
        goto done;
    TRY_ALLOC(p, t->ctx, 1);
    p->ctx = t->ctx;
    TRY_ALLOC(p->key, t->ctx, count);
    memcpy(p->key, key, size);
    p->key_size = size;
    TRY(buffer_create(t->ctx, (size_t)(floats ? floats : 1) * sizeof(float), "packed weights",
                      &p->data));
    p->list = t->packed;
    if (p->list) {
        p->next = p->list->first;
        p->list->first = p;
    }
    *out = p;
    p = NULL;
done:
    if (p)
        free_packed(p);
    return status;
}

void packed_leave(packed *p)
{
    if (p && !p->list)
        free_packed(p);
}

void packed_list_free(packed_list *list)
{
    packed *next;

    for (packed *p = list->first; p; p = next) {
        next = p->next;
        free_packed(p);
    }
    list->first = NULL;
}
