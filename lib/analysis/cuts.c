/* Where the windows of a grid's rows or columns lie, and rows that share a size. */
#include "windows.h"

#include "../ops/conv_tasks.h"

#include <stdlib.h>
#include <string.h>

/* A window of about the whole map is the whole map: nothing is left to gather. */
#define WORTH_CUTTING 0.9

/* More cuts must save at least this share of the work. */
#define WORTH_ANOTHER 0.01

/* Candidates for the borders between cuts: their number squared is looked at. */
enum { MOST_BORDERS = 256 };

/* One axis of every value for one place: what has changed. */
typedef struct extent {
    int32_t from, to;
} extent;

static int64_t axis_size(const shape *s, int axis)
{
    return axis ? map_width(s) : map_height(s);
}

/* The dimension of a map along an axis; -1 for the height of (N, C, W). */
static int axis_dim(const shape *s, int axis)
{
    return axis ? s->rank - 1 : s->rank >= 4 ? s->rank - 2 : -1;
}

/* ---- Reach ---- */

static box box_of(const shape *s, int axis, const extent *e)
{
    box b = box_whole(s);
    int d = axis_dim(s, axis);

    if (d >= 0) {
        b.from[d] = e->from;
        b.to[d] = e->to;
    }
    return b;
}

static extent extent_of(const shape *s, int axis, const box *b)
{
    int d = axis_dim(s, axis);

    if (box_is_empty(b))
        return (extent){0, 0};
    return d < 0 ? (extent){0, 1} : (extent){(int32_t)b->from[d], (int32_t)b->to[d]};
}

static extent join(extent a, extent b)
{
    if (a.from >= a.to)
        return b;
    if (b.from >= b.to)
        return a;
    return (extent){a.from < b.from ? a.from : b.from, a.to > b.to ? a.to : b.to};
}

/* `e` [n_value], that of the input given. */
static void follow(const change *c, int axis, extent *e)
{
    const graph *g = c->graph;

    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        int out = node->out[0];

        if (c->how[n] == AHEAD_WHOLE)
            continue;
        for (int i = 0; i < node->n_in; i++) {
            int v = node->in[i];
            box in, reach;

            if (v < 0 || c->state[v] != CHANGE_WINDOW || e[v].from >= e[v].to)
                continue;
            in = box_of(&g->value[v].shape, axis, &e[v]);
            reach = node->op->class->reach(node->op, i, &in, 0);
            e[out] = join(e[out], extent_of(&g->value[out].shape, axis, &reach));
        }
    }
}

/* ---- Which places share a size ---- */

typedef struct ranked {
    double work; /* of the place alone */
    int64_t place;
} ranked;

typedef struct planner {
    const change *change;
    int axis;
    extent *extent; /* [count][n_value] */
    int64_t count;
    int *node; /* [nodes] convolutions whose work counts */
    int nodes;
    double *weight;  /* [nodes] work of a position along the axis */
    ranked *order;   /* [count] places by their work */
    int64_t *border; /* [borders] in the order, from 0 to count */
    int borders;
} planner;

static int32_t width_of(const planner *p, int64_t place, int value)
{
    const extent *e = &p->extent[place * p->change->graph->n_value + value];

    return e->to - e->from;
}

static deconv_status find_work(planner *p)
{
    const graph *g = p->change->graph;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(p->node, p->change->ctx, (size_t)g->n_node);
    TRY_ALLOC(p->weight, p->change->ctx, (size_t)g->n_node);
    TRY_ALLOC(p->order, p->change->ctx, (size_t)p->count);
    for (int n = 0; n < g->n_node; n++) {
        conv_task task;

        if (p->change->how[n] != AHEAD_CONV || !conv_task_in(g->node[n].op, DECONV_FORWARD, &task))
            continue;
        p->node[p->nodes] = n;
        p->weight[p->nodes++] = conv_problem_work(&task.problem) /
                                (double)axis_size(&g->value[g->node[n].out[0]].shape, p->axis);
    }
    for (int64_t i = 0; i < p->count; i++) {
        p->order[i].place = i;
        for (int k = 0; k < p->nodes; k++)
            p->order[i].work += p->weight[k] * width_of(p, i, g->node[p->node[k]].out[0]);
    }
done:
    return status;
}

static int by_work(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->work != y->work)
        return x->work < y->work ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static deconv_status sort_places(planner *p)
{
    deconv_status status = DECONV_OK;
    int64_t step = (p->count + MOST_BORDERS - 1) / MOST_BORDERS;

    TRY_ALLOC(p->border, p->change->ctx, (size_t)(p->count / step + 2));
    qsort(p->order, (size_t)p->count, sizeof *p->order, by_work);
    for (int64_t at = 0; at < p->count; at += step)
        p->border[p->borders++] = at;
    p->border[p->borders] = p->count;
done:
    return status;
}

/* cost[i * (borders + 1) + j]: places between borders i and j as one cut. */
static void find_costs(const planner *p, int32_t *largest, double *cost)
{
    const graph *g = p->change->graph;
    int wide = p->borders + 1;

    for (int i = 0; i < p->borders; i++) {
        memset(largest, 0, (size_t)p->nodes * sizeof *largest);
        for (int j = i + 1; j <= p->borders; j++) {
            double sum = 0;

            for (int64_t at = p->border[j - 1]; at < p->border[j]; at++)
                for (int k = 0; k < p->nodes; k++) {
                    int32_t w = width_of(p, p->order[at].place, g->node[p->node[k]].out[0]);

                    largest[k] = w > largest[k] ? w : largest[k];
                }
            for (int k = 0; k < p->nodes; k++)
                sum += p->weight[k] * largest[k];
            cost[i * wide + j] = sum * (double)(p->border[j] - p->border[i]);
        }
    }
}

/* best[k][j]: the least cost of the places before border j in k + 1 cuts, whose last one begins at
 * border start[k][j]. Returns the number of cuts that is worth it. */
static int choose_cuts(const planner *p, const double *cost, int most, double *best, int *start)
{
    int wide = p->borders + 1, count = 1;

    for (int j = 1; j <= p->borders; j++)
        best[j] = cost[j];
    for (int k = 1; k < most && k < p->borders; k++) {
        for (int j = 1; j <= p->borders; j++) {
            double *to = &best[k * wide + j];

            *to = best[(k - 1) * wide + j];
            start[k * wide + j] = -1; /* no more cuts than before */
            for (int i = 1; i < j; i++) {
                double with = best[(k - 1) * wide + i] + cost[i * wide + j];

                if (with < *to) {
                    *to = with;
                    start[k * wide + j] = i;
                }
            }
        }
        if (best[k * wide + p->borders] <=
            (1 - WORTH_ANOTHER) * best[(count - 1) * wide + p->borders])
            count = k + 1;
    }
    return count;
}

/* ---- One cut ---- */

static deconv_status make_cut(const planner *p, int64_t first, int64_t last, cut *out)
{
    const graph *g = p->change->graph;
    deconv_status status = DECONV_OK;

    out->count = last - first;
    TRY_ALLOC(out->index, p->change->ctx, (size_t)out->count);
    TRY_ALLOC(out->size, p->change->ctx, (size_t)g->n_value);
    TRY_ALLOC(out->origin, p->change->ctx, (size_t)(out->count * g->n_value));
    for (int64_t i = 0; i < out->count; i++)
        out->index[i] = p->order[first + i].place;
    for (int v = 0; v < g->n_value; v++) {
        int32_t map;

        if (p->change->state[v] != CHANGE_WINDOW)
            continue;
        map = (int32_t)axis_size(&g->value[v].shape, p->axis);
        out->size[v] = 1;
        for (int64_t i = 0; i < out->count; i++) {
            int32_t w = width_of(p, out->index[i], v);

            out->size[v] = w > out->size[v] ? w : out->size[v];
        }
        if (v != p->change->input && out->size[v] > WORTH_CUTTING * map)
            out->size[v] = map;
        for (int64_t i = 0; i < out->count; i++) {
            int32_t from = p->extent[out->index[i] * g->n_value + v].from;

            out->origin[i * g->n_value + v] = from < map - out->size[v] ? from : map - out->size[v];
        }
    }
done:
    return status;
}

static deconv_status make_cuts(const planner *p, int most, cuts *out)
{
    size_t wide = (size_t)p->borders + 1;
    deconv_status status = DECONV_OK;
    double *cost = NULL, *best = NULL;
    int32_t *largest = NULL;
    int *start = NULL, end = p->borders;

    TRY_ALLOC(cost, p->change->ctx, wide * wide);
    TRY_ALLOC(best, p->change->ctx, wide * (size_t)most);
    TRY_ALLOC(start, p->change->ctx, wide * (size_t)most);
    TRY_ALLOC(largest, p->change->ctx, (size_t)p->nodes + 1);
    find_costs(p, largest, cost);
    most = choose_cuts(p, cost, most, best, start);
    TRY_ALLOC(out->cut, p->change->ctx, (size_t)most);
    for (int k = most - 1; k >= 0 && end > 0; k--) {
        int from = k == 0 ? 0 : start[(size_t)k * wide + (size_t)end];

        if (from < 0)
            continue;
        out->count++;
        TRY(make_cut(p, p->border[from], p->border[end], &out->cut[out->count - 1]));
        end = from;
    }
done:
    mem_free(p->change->ctx, cost);
    mem_free(p->change->ctx, best);
    mem_free(p->change->ctx, start);
    mem_free(p->change->ctx, largest);
    return status;
}

deconv_status cuts_create(const change *c, int axis, const int64_t *from, int64_t count,
                          int64_t size, int most, cuts *out)
{
    planner p = {.change = c, .axis = axis, .count = count};
    deconv_status status = DECONV_OK;
    size_t all;

    *out = (cuts){0};
    if (!size_mul((size_t)count, (size_t)c->graph->n_value, &all))
        FAIL(c->ctx, DECONV_ERROR_NO_MEMORY, "no memory: windows of %lld places", (long long)count);
    TRY_ALLOC(p.extent, c->ctx, all);
    for (int64_t i = 0; i < count; i++) {
        extent *e = p.extent + i * c->graph->n_value;

        e[c->input] = (extent){(int32_t)from[i], (int32_t)(from[i] + size)};
        follow(c, axis, e);
    }
    TRY(find_work(&p));
    TRY(sort_places(&p));
    TRY(make_cuts(&p, most, out));
done:
    mem_free(c->ctx, p.extent);
    mem_free(c->ctx, p.node);
    mem_free(c->ctx, p.weight);
    mem_free(c->ctx, p.order);
    mem_free(c->ctx, p.border);
    return status;
}

void cuts_free(const change *c, cuts *k)
{
    for (int i = 0; i < k->count; i++) {
        mem_free(c->ctx, k->cut[i].index);
        mem_free(c->ctx, k->cut[i].size);
        mem_free(c->ctx, k->cut[i].origin);
    }
    mem_free(c->ctx, k->cut);
    *k = (cuts){0};
}

void cuts_work(const change *c, const cuts *rows, const cuts *columns, double *windows,
               double *whole)
{
    const graph *g = c->graph;

    *windows = *whole = 0;
    for (int n = 0; n < g->n_node; n++) {
        conv_task task;
        int out = g->node[n].out[0];
        double work, places = 0, covered = 0;

        if (!c->needed[n] || !conv_task_in(g->node[n].op, DECONV_FORWARD, &task))
            continue;
        work = conv_problem_work(&task.problem);
        for (int r = 0; r < rows->count; r++)
            for (int k = 0; k < columns->count; k++) {
                double count = (double)(rows->cut[r].count * columns->cut[k].count);

                places += count;
                if (c->how[n] == AHEAD_CONV)
                    covered += count * rows->cut[r].size[out] * columns->cut[k].size[out];
            }
        *whole += work * places;
        *windows += c->how[n] == AHEAD_CONV
                        ? work * covered / (double)map_height(&g->value[out].shape) /
                              (double)map_width(&g->value[out].shape)
                    : c->tail[n] ? work * places
                                 : 0;
    }
}
