/* The sweep that computes what each place of the patch changes: windows of the maps (windows.h),
 * read against the clean picture's; whole maps only behind operators that need them. */
#include "occlusion.h"
#include "windows.h"

#include <string.h>

/* Places at a time through windows, and through what needs whole maps. */
enum { MOST_WINDOWS = 32, MOST_WHOLE = 64 };

/* Windows of the places that go at a time take no more than this: large ones are enough work in
 * small numbers, and memory that is touched for the first time costs more than it gives. */
#define MOST_WINDOW_BYTES ((uint64_t)64 << 20)

/* Cuts of an axis: sizes of windows that are told apart, as long as this many places share them. */
enum { MOST_CUTS = 8, PLACES_A_PAIR = 16 };

/* Windows of all places must take less than this share of the plain sweep's multiply-adds: copies
 * and smaller maps make each of them cost up to half as much again. */
#define WORTH_WINDOWS 0.7

typedef struct incremental {
    sweep *s;
    const graph *graph; /* for one picture */
    int *wanted;        /* [n_wanted] values that probes read */
    int n_wanted;
    change *change;
    cuts cut[2];
    deconv_trace *clean;
    const tensor **base;
    gatherer gatherer;
    storage slots;
    span *spans;
    buffer *origins;
    int64_t windows; /* places at a time */
    int64_t whole;
    tail *tail;
    kernel *take;
    buffer **taken;
    float **values;
    int64_t *index; /* [whole] which places are in the tail */
    int64_t filled;
    int64_t *pair;  /* [2 * windows] rows and columns of the windows at hand, in their cuts */
    int64_t *place; /* [windows] and which places these are */
    int64_t done;
} incremental;

/* ---- Whether it pays ---- */

static int most_cuts(const sweep *s)
{
    int most = 1;

    while (most < MOST_CUTS && (most + 1) * (most + 1) * PLACES_A_PAIR <= s->count - 1)
        most++;
    return most;
}

/* The first operator that needs whole maps; NULL: none does. */
static const char *first_whole(const change *c)
{
    for (int n = 0; n < c->graph->n_node; n++)
        if (c->tail[n])
            return c->graph->node[n].op->name;
    return NULL;
}

static deconv_status decide(incremental *k, bool *pays)
{
    sweep *s = k->s;
    deconv_status status = DECONV_OK;
    double windows, whole;

    *pays = false;
    if (s->net->fixed_batch > 1)
        goto done;
    TRY_ALLOC(k->wanted, s->ctx, (size_t)s->n_probe);
    for (int p = 0; p < s->n_probe; p++)
        if (s->probe[p].count)
            k->wanted[k->n_wanted++] = s->probe[p].value;
    TRY(change_create(k->graph, k->graph->model->input[s->options.input].value, k->wanted,
                      k->n_wanted, &k->change));
    if (!k->change->possible)
        goto done;
    TRY(cuts_create(k->change, 0, s->result->tops, s->result->info.rows, s->options.patch_height,
                    most_cuts(s), &k->cut[0]));
    TRY(cuts_create(k->change, 1, s->result->lefts, s->result->info.columns, s->options.patch_width,
                    most_cuts(s), &k->cut[1]));
    cuts_work(k->change, &k->cut[0], &k->cut[1], &windows, &whole);
    *pays = s->always || whole == 0 || windows < WORTH_WINDOWS * whole;
    log_line(
        s->ctx, DECONV_LOG_INFO,
        "occlusion: %d x %d kinds of windows take %.3f of the plain sweep's multiply-adds, whole "
        "maps from %s on%s",
        k->cut[0].count, k->cut[1].count, whole > 0 ? windows / whole : 1.0,
        first_whole(k->change) ? first_whole(k->change) : "nowhere",
        *pays ? "" : "; that does not pay");
done:
    return status;
}

/* ---- Planning ---- */

/* The clean picture's pass, which keeps what windows are read against. */
static deconv_status run_clean(incremental *k)
{
    sweep *s = k->s;
    const graph *g = k->graph;
    deconv_trace_options keep = DECONV_TRACE_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    uint32_t *layers = NULL;
    uint32_t count = 0;

    TRY_ALLOC(layers, s->ctx, (size_t)g->n_value + 1);
    for (int v = 0; v < g->n_value; v++)
        if (k->change->clean[v] && g->value[v].layer >= 0)
            layers[count++] = (uint32_t)g->value[v].layer;
    keep.flags = DECONV_TRACE_NO_INVERSE;
    keep.keep = layers;
    keep.keep_count = count;
    keep.last = s->keep;
    keep.last_count = s->n_keep;
    TRY(deconv_trace_create(s->net, g->batch, &keep, &k->clean));
    k->clean->part = &s->part;
    TRY(deconv_trace_run(k->clean, s->inputs, (uint32_t)g->model->n_input));
    TRY_ALLOC(k->base, s->ctx, (size_t)g->n_value);
    for (int v = 0; v < g->n_value; v++)
        k->base[v] = k->clean->value[v];
    for (int i = 0; i < g->model->n_input; i++)
        k->base[g->model->input[i].value] = s->inputs[i];
done:
    mem_free(s->ctx, layers);
    return status;
}

/* How many places at a time: half of the budget at most for windows, half for whole maps. */
static deconv_status choose_batches(incremental *k)
{
    sweep *s = k->s;
    uint64_t half = ctx_memory_budget(s->ctx) / 2, one, whole;
    uint64_t most = half < MOST_WINDOW_BYTES ? half : MOST_WINDOW_BYTES;
    int64_t places = s->count - 1;
    deconv_status status = DECONV_OK;

    TRY(forward_storage(k->change, &k->cut[0], &k->cut[1], 1, &k->slots, &k->spans, &one));
    storage_free(&k->slots);
    mem_free(s->ctx, k->spans);
    k->spans = NULL;
    TRY(tail_bytes(k->change, k->wanted, k->n_wanted, &whole));
    k->whole = places < MOST_WHOLE ? places : MOST_WHOLE;
    if (whole && half / whole < (uint64_t)k->whole)
        k->whole = half < whole ? 1 : (int64_t)(half / whole);
    if (s->net->fixed_batch)
        k->whole = 1;
    k->windows = k->whole < MOST_WINDOWS ? k->whole : MOST_WINDOWS;
    if (one && most / one < (uint64_t)k->windows)
        k->windows = most < one ? 1 : (int64_t)(most / one);
    TRY(forward_storage(k->change, &k->cut[0], &k->cut[1], k->windows, &k->slots, &k->spans, &one));
done:
    return status;
}

static deconv_status plan(incremental *k)
{
    sweep *s = k->s;
    deconv_status status = DECONV_OK;

    k->gatherer.ctx = s->ctx;
    TRY(choose_batches(k));
    TRY(storage_allocate(&k->slots, "windows"));
    /* Lanes past the last channel hold something finite from the start. */
    for (int i = 0; i < k->slots.count; i++)
        TRY(buffer_fill(s->ctx, k->slots.slot[i], 0, k->slots.bytes[i], 0.0f));
    TRY(buffer_create(s->ctx, (size_t)(2 * k->change->rows * k->windows) * sizeof(int32_t),
                      "windows' origins", &k->origins));
    TRY(tail_create(s->net, k->change, k->base, k->whole, k->wanted, k->n_wanted, &k->tail));
    TRY(kernel_create(s->ctx, "occlude.cl", "", "take_channels", &k->take));
    TRY(sweep_alloc_taken(s, k->whole, &k->taken));
    TRY(sweep_alloc_values(s, k->whole, &k->values));
    TRY_ALLOC(k->index, s->ctx, (size_t)k->whole);
    TRY_ALLOC(k->pair, s->ctx, 2 * (size_t)k->windows);
    TRY_ALLOC(k->place, s->ctx, (size_t)k->windows);
done:
    return status;
}

static void release(incremental *k)
{
    sweep *s = k->s;

    tail_free(k->tail);
    sweep_free_taken(s, k->taken);
    sweep_free_values(s, k->values);
    kernel_free(k->take);
    buffer_free(k->origins);
    storage_free(&k->slots);
    gatherer_free(&k->gatherer);
    deconv_trace_destroy(k->clean);
    if (k->change) {
        cuts_free(k->change, &k->cut[0]);
        cuts_free(k->change, &k->cut[1]);
    }
    change_free(k->change);
    mem_free(s->ctx, k->wanted);
    mem_free(s->ctx, (void *)k->base);
    mem_free(s->ctx, k->spans);
    mem_free(s->ctx, k->index);
    mem_free(s->ctx, k->pair);
    mem_free(s->ctx, k->place);
}

/* ---- Running ---- */

/* The clean picture is the first place of the sweep. */
static deconv_status take_clean(incremental *k)
{
    const int64_t first = 0;
    sweep *s = k->s;
    deconv_status status = DECONV_OK;

    for (int p = 0; p < s->n_probe; p++)
        if (k->taken[p])
            TRY(sweep_probe(s, p, k->base[s->probe[p].value], 1, k->take, k->taken[p]));
    TRY(sweep_read(s, k->taken, 1, k->values));
    TRY(sweep_take(s, &first, 1, k->values));
done:
    return status;
}

/* Runs what has gathered, and takes the maps' values. */
static deconv_status flush(incremental *k)
{
    sweep *s = k->s;
    deconv_status status = DECONV_OK;

    if (k->filled == 0)
        goto done;
    TRY(tail_run(k->tail));
    for (int p = 0; p < s->n_probe; p++)
        if (k->taken[p] && k->change->state[s->probe[p].value] == CHANGE_WHOLE)
            TRY(sweep_probe(s, p, k->tail->value[s->probe[p].value], k->filled, k->take,
                            k->taken[p]));
    TRY(sweep_read(s, k->taken, k->filled, k->values));
    TRY(sweep_take(s, k->index, k->filled, k->values));
    k->filled = 0;
done:
    return status;
}

/* `count` places of a pair of cuts, in k->pair and k->place. What needs whole maps runs whenever as
 * many are together as go at a time. */
static deconv_status run_windows(incremental *k, forward *f, int64_t count)
{
    sweep *s = k->s;
    deconv_status status = DECONV_OK;

    TRY(sweep_progress(s, 1 + k->done));
    TRY(forward_run(f, k->pair, count));
    for (landing l = {0}; l.first < count; l.first += l.count) {
        l.slot = k->filled;
        l.count = count - l.first < k->whole - k->filled ? count - l.first : k->whole - k->filled;
        TRY(tail_take(k->tail, f, &l));
        for (int p = 0; p < s->n_probe; p++)
            if (k->taken[p] && k->change->state[s->probe[p].value] != CHANGE_WHOLE)
                TRY(forward_assemble(f, s->probe[p].value, &l, s->probe[p].from, s->probe[p].count,
                                     1, k->taken[p]));
        memcpy(k->index + k->filled, k->place + l.first, (size_t)l.count * sizeof *k->index);
        k->filled += l.count;
        if (k->filled == k->whole)
            TRY(flush(k));
    }
    k->done += count;
done:
    return status;
}

/* All places of a row's and a column's cut, in parts of about the same size. */
static deconv_status run_pair(incremental *k, const cut *rows, const cut *columns)
{
    sweep *s = k->s;
    int64_t places = rows->count * columns->count, parts, part;
    deconv_status status = DECONV_OK;
    forward *f = NULL;

    parts = (places + k->windows - 1) / k->windows;
    part = (places + parts - 1) / parts;
    TRY(forward_create(k->change, k->base, s->fill->data, &k->gatherer, rows, columns, part,
                       &k->slots, k->spans, k->origins, &f));
    for (int64_t first = 0; first < places; first += part) {
        int64_t count = places - first < part ? places - first : part;

        for (int64_t i = 0; i < count; i++) {
            int64_t row = (first + i) / columns->count, column = (first + i) % columns->count;

            k->pair[2 * i] = row;
            k->pair[2 * i + 1] = column;
            k->place[i] = 1 + rows->index[row] * s->result->info.columns + columns->index[column];
        }
        TRY(run_windows(k, f, count));
    }
    TRY(device_wait(s->ctx));
done:
    forward_free(f);
    return status;
}

deconv_status sweep_incremental(sweep *s, bool *done)
{
    incremental k = {.s = s, .graph = s->net->graph};
    deconv_status status = DECONV_OK;

    TRY(decide(&k, done));
    if (!*done)
        goto done;
    TRY(sweep_progress(s, 0));
    TRY(run_clean(&k));
    TRY(sweep_resolve(s, k.clean));
    TRY(plan(&k));
    TRY(take_clean(&k));
    for (int r = 0; r < k.cut[0].count; r++)
        for (int c = 0; c < k.cut[1].count; c++)
            TRY(run_pair(&k, &k.cut[0].cut[r], &k.cut[1].cut[c]));
    TRY(flush(&k));
done:
    release(&k);
    return status;
}
