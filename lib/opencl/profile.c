/* Time per kernel name, for contexts made with DECONV_CTX_PROFILE. */
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* Events hold driver memory; this many are at most outstanding. */
#define PENDING 1024
#define NAME    96

typedef struct total {
    char name[NAME];
    uint64_t launches;
    uint64_t nanoseconds;
} total;

typedef struct profile {
    pthread_mutex_t lock;
    total *totals;
    size_t count, room;
    uint64_t lost; /* launches without a time: no memory for their total, or no figures */
    size_t pending;
    cl_event event[PENDING];
    size_t owner[PENDING]; /* index into totals */
} profile;

deconv_status profile_create(deconv_ctx *ctx, profile **out)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(*out, ctx, 1);
    pthread_mutex_init(&(*out)->lock, NULL);
done:
    return status;
}

/* The total of `name`, made when it is new; p->count when there is no memory for it. Lock held. */
static size_t total_of(deconv_ctx *ctx, profile *p, const char *name)
{
    size_t i;

    for (i = 0; i < p->count; i++) {
        if (strncmp(p->totals[i].name, name, NAME - 1) == 0)
            return i;
    }
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 32;
        total *longer = mem_try(ctx, room * sizeof *longer);

        if (!longer)
            return p->count;
        if (p->count > 0)
            memcpy(longer, p->totals, p->count * sizeof *longer);
        mem_free(ctx, p->totals);
        p->totals = longer;
        p->room = room;
    }
    strncpy(p->totals[i].name, name, NAME - 1);
    p->count++;
    return i;
}

static void collect_locked(device *d)
{
    profile *p = d->profile;

    for (size_t i = 0; i < p->pending; i++) {
        cl_ulong start = 0, end = 0;
        cl_int code = d->api.GetEventProfilingInfo(p->event[i], CL_PROFILING_COMMAND_START,
                                                   sizeof start, &start, NULL);

        if (code == CL_SUCCESS)
            code = d->api.GetEventProfilingInfo(p->event[i], CL_PROFILING_COMMAND_END, sizeof end,
                                                &end, NULL);
        if (code == CL_SUCCESS && end >= start) {
            p->totals[p->owner[i]].launches++;
            p->totals[p->owner[i]].nanoseconds += end - start;
        } else {
            p->lost++;
        }
        d->api.ReleaseEvent(p->event[i]);
    }
    p->pending = 0;
}

void profile_collect(device *d)
{
    pthread_mutex_lock(&d->profile->lock);
    collect_locked(d);
    pthread_mutex_unlock(&d->profile->lock);
}

void profile_add(device *d, const char *name, cl_event event)
{
    profile *p = d->profile;
    size_t owner;

    pthread_mutex_lock(&p->lock);
    owner = total_of(d->ctx, p, name);
    if (owner == p->count) {
        d->api.ReleaseEvent(event);
        p->lost++;
    } else {
        if (p->pending == PENDING) {
            d->api.Finish(d->queue);
            collect_locked(d);
        }
        p->event[p->pending] = event;
        p->owner[p->pending++] = owner;
    }
    pthread_mutex_unlock(&p->lock);
}

static int slower_first(const void *a, const void *b)
{
    uint64_t ta = ((const total *)a)->nanoseconds, tb = ((const total *)b)->nanoseconds;

    return (ta < tb) - (ta > tb);
}

void profile_report(device *d)
{
    profile *p = d->profile;
    uint64_t sum = 0;

    for (size_t i = 0; i < p->count; i++)
        sum += p->totals[i].nanoseconds;
    if (p->count > 0)
        qsort(p->totals, p->count, sizeof *p->totals, slower_first);
    for (size_t i = 0; i < p->count; i++) {
        const total *t = &p->totals[i];

        log_line(d->ctx, DECONV_LOG_INFO, "profile: %-40s %8llu launches %12.3f ms %5.1f %%",
                 t->name, (unsigned long long)t->launches, (double)t->nanoseconds / 1e6,
                 sum > 0 ? 100.0 * (double)t->nanoseconds / (double)sum : 0.0);
    }
    if (p->lost > 0)
        log_line(d->ctx, DECONV_LOG_WARNING, "profile: %llu launches could not be timed",
                 (unsigned long long)p->lost);
}

void profile_free(device *d)
{
    profile *p = d->profile;

    pthread_mutex_destroy(&p->lock);
    mem_free(d->ctx, p->totals);
    mem_free(d->ctx, p);
    d->profile = NULL;
}
