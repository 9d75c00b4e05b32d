/* A batch of windows through the graph: run for any places of the pair of cuts that it was planned
 * for. */
#include "forward.h"

gather_shape forward_gather(const forward *f, int from, int to)
{
    const graph *g = f->change->graph;
    const shape *map = &g->value[from].shape;
    bool cut = f->change->state[from] == CHANGE_WINDOW;
    /* What does not change and is wanted whole may have any number of dimensions. */
    bool flat = !cut && to < 0;
    int32_t height = flat ? 1 : (int32_t)map_height(map);
    int32_t width = (int32_t)(flat ? shape_span(map, 2, map->rank) : map_width(map));

    return (gather_shape){
        .count = (int32_t)f->batch,
        .map_h = height,
        .map_w = width,
        .window_h = cut ? f->cut[0]->size[from] : 0,
        .window_w = cut ? f->cut[1]->size[from] : 0,
        .to_h = to < 0 ? height : f->cut[0]->size[to],
        .to_w = to < 0 ? width : f->cut[1]->size[to],
        .step_h = to >= 0,
        .step_w = to >= 0,
        .window_row = f->change->row[from],
        .to_row = to < 0 ? -1 : f->change->row[to],
        .pitch = (int32_t)f->batch,
        .channels = (int32_t)map->dim[1],
        .taken = (int32_t)map->dim[1],
        .to_channels = (int32_t)map->dim[1],
    };
}

static deconv_status gather(const forward *f, const operand *o)
{
    const graph_value *v = &f->change->graph->value[o->value];

    return gather_run(f->gatherer, v->block, o->to_block, &o->shape, f->base[o->value]->data,
                      f->window[o->value], o->data, f->origins);
}

static deconv_status run_pool(const forward *f, const forward_step *s)
{
    const graph_node *node = &f->change->graph->node[s->node];
    const buffer *window = f->window[node->in[0]];
    int in = node->in[0];
    pool_cut c = {.count = (int32_t)f->batch,
                  .window_h = f->cut[0]->size[in],
                  .window_w = f->cut[1]->size[in],
                  .to_h = f->cut[0]->size[s->out],
                  .to_w = f->cut[1]->size[s->out],
                  .window_row = f->change->row[in],
                  .to_row = f->change->row[s->out],
                  .pitch = (int32_t)f->batch};

    if (s->operands) {
        const gather_shape *g = &s->operand[0].shape;

        window = s->operand[0].data;
        c.window_h = g->to_h;
        c.window_w = g->to_w;
        c.step_h = g->step_h;
        c.step_w = g->step_w;
        c.shift_h = g->shift_h;
        c.shift_w = g->shift_w;
    }
    return pool_run_ahead(node->op, s->pool, &c, f->base[in]->data, window, f->window[s->out],
                          f->origins);
}

static deconv_status run_step(const forward *f, const forward_step *s)
{
    const graph_node *node = &f->change->graph->node[s->node];
    deconv_status status = DECONV_OK;

    for (int i = 0; i < s->operands; i++)
        if (s->operand[i].gathered)
            TRY(gather(f, &s->operand[i]));
    if (s->how == AHEAD_CONV) {
        TRY(conv_run_ahead(node->op, s->conv, s->operand[0].data, f->window[s->out], s->relu));
    } else if (s->how == AHEAD_POOL) {
        TRY(run_pool(f, s));
    } else if (s->how == AHEAD_SAME) {
        tensor *out[1] = {s->result};
        op_pass pass = {.in = s->in, .out = out, .rectify = s->relu};

        TRY(s->like->class->forward(s->like, &pass));
    }
done:
    return status;
}

/* Where the windows of all places begin; the last place again where there are no more. */
static void fill_table(forward *f, const int64_t *places, int64_t count)
{
    int n_value = f->change->graph->n_value;

    for (int v = 0; v < n_value; v++) {
        int32_t *row = f->change->row[v] < 0 ? NULL : f->table + 2 * f->change->row[v] * f->batch;

        for (int64_t i = 0; row && i < f->batch; i++) {
            const int64_t *place = places + 2 * (i < count ? i : count - 1);

            for (int axis = 0; axis < 2; axis++)
                row[2 * i + axis] = f->cut[axis]->origin[place[axis] * n_value + v];
        }
    }
}

deconv_status forward_run(forward *f, const int64_t *places, int64_t count)
{
    int input = f->change->input, block = f->change->graph->value[input].block;
    gather_shape shape = forward_gather(f, input, input);
    deconv_status status = DECONV_OK;

    fill_table(f, places, count);
    TRY(buffer_write(f->ctx, f->origins, 0,
                     (size_t)(2 * f->change->rows * f->batch) * sizeof(int32_t), f->table));
    TRY(gather_run(f->gatherer, block, block, &shape, f->fill, NULL, f->window[input], f->origins));
    for (int i = 0; i < f->steps; i++)
        TRY(run_step(f, &f->step[i]));
done:
    return status;
}

deconv_status forward_assemble(forward *f, int value, const landing *l, int64_t first,
                               int64_t taken, int block, const buffer *to)
{
    const graph_value *v = &f->change->graph->value[value];
    gather_shape shape = forward_gather(f, value, -1);
    deconv_status status = DECONV_OK;

    shape.count = (int32_t)l->count;
    shape.slot = (int32_t)l->slot;
    shape.skip = (int32_t)l->first;
    shape.first = (int32_t)first;
    shape.taken = shape.to_channels = (int32_t)taken;
    TRY(gather_prepare(f->gatherer, v->block, block));
    TRY(gather_run(f->gatherer, v->block, block, &shape, f->base[value]->data, f->window[value], to,
                   f->origins));
done:
    return status;
}
