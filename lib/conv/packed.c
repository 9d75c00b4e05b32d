/* Packed weights; see packed.h. */
#include "packed.h"

#include <string.h>

/* What a phase adds to a key. */
enum { PHASE_NUMBERS = 7 };

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

deconv_status packed_get_phases(const conv_task *t, const int32_t *key, size_t count,
                                const void *plan, int phases, packed_phase_of phase_of,
                                int64_t floats, packed **out)
{
    deconv_status status = DECONV_OK;
    int32_t *whole = NULL;
    packed_phase f;

    TRY_ALLOC(whole, t->ctx, count + PHASE_NUMBERS * (size_t)phases);
    memcpy(whole, key, count * sizeof *key);
    for (int i = 0; i < phases; i++) {
        if (!phase_of(plan, i, &f))
            continue;
        memcpy(whole + count,
               (const int32_t[PHASE_NUMBERS]){f.y->taps, f.y->weight_first, f.y->weight_step,
                                              f.x->taps, f.x->weight_first, f.x->weight_step,
                                              f.first},
               PHASE_NUMBERS * sizeof *whole);
        count += PHASE_NUMBERS;
    }
    TRY(packed_get(t, whole, count, floats, out));
done:
    mem_free(t->ctx, whole);
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
