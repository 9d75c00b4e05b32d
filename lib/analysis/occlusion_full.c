/* The plain sweep: the whole net for every place of the patch, as many at a time as the memory
 * budget allows. */
#include "occlusion.h"

/* More places at a time make nothing faster: a layer that is read once for all of them is far from
 * being what takes the time by then. */
enum { MOST_AT_A_TIME = 32 };

typedef struct full {
    sweep *s;
    int64_t batch;
    deconv_trace *trace;
    tensor **input; /* [n_input] (batch, ...) */
    buffer *places;
    buffer **taken; /* [n_probe] what a probe reads of a pass */
    kernel *cover, *take;
    float **values;
    int64_t *index; /* of the places at hand */
} full;

static deconv_status plan_trace(full *f)
{
    sweep *s = f->s;
    deconv_trace_options keep = DECONV_TRACE_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    int64_t parts;

    keep.flags = DECONV_TRACE_NO_INVERSE;
    keep.keep = keep.last = s->keep;
    keep.keep_count = keep.last_count = s->n_keep;
    TRY(deconv_trace_batch(s->net, s->count < MOST_AT_A_TIME ? s->count : MOST_AT_A_TIME, &keep,
                           &f->batch));
    if (!s->net->fixed_batch) { /* parts of about the same size, so that the last one is full */
        parts = (s->count + f->batch - 1) / f->batch;
        f->batch = (s->count + parts - 1) / parts;
    }
    TRY(deconv_trace_create(s->net, f->batch, &keep, &f->trace));
    f->trace->part = &s->part;
done:
    return status;
}

/* The batch's inputs: all but the covered one stay as they are. */
static deconv_status plan_inputs(full *f)
{
    sweep *s = f->s;
    const graph *g = f->trace->graph;
    uint32_t count = (uint32_t)g->model->n_input;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(f->input, s->ctx, count);
    for (uint32_t i = 0; i < count; i++) {
        const shape *is = &g->value[g->model->input[i].value].shape;
        size_t bytes = (size_t)shape_count(&s->inputs[i]->shape) * sizeof(float);

        TRY(tensor_create(s->ctx, is, "covered pictures", &f->input[i]));
        for (int64_t b = 0; i != s->options.input && b < shape_count(is) * 4 / (int64_t)bytes; b++)
            TRY(buffer_copy(s->ctx, s->inputs[i]->data, 0, f->input[i]->data, (size_t)b * bytes,
                            bytes));
    }
done:
    return status;
}

static deconv_status plan(full *f)
{
    sweep *s = f->s;
    deconv_status status = DECONV_OK;

    TRY(plan_trace(f));
    TRY(plan_inputs(f));
    TRY(buffer_create(s->ctx, (size_t)f->batch * sizeof(place), "places", &f->places));
    TRY(kernel_create(s->ctx, "occlude.cl", "", "cover", &f->cover));
    TRY(kernel_create(s->ctx, "occlude.cl", "", "take_channels", &f->take));
    TRY(sweep_alloc_taken(s, f->batch, &f->taken));
    TRY(sweep_alloc_values(s, f->batch, &f->values));
    TRY_ALLOC(f->index, s->ctx, (size_t)f->batch);
done:
    return status;
}

static void release(full *f)
{
    sweep *s = f->s;

    for (int i = 0; f->input && i < f->trace->graph->model->n_input; i++)
        deconv_tensor_destroy(f->input[i]);
    mem_free(s->ctx, f->input);
    mem_free(s->ctx, f->index);
    sweep_free_taken(s, f->taken);
    sweep_free_values(s, f->values);
    buffer_free(f->places);
    kernel_free(f->cover);
    kernel_free(f->take);
    deconv_trace_destroy(f->trace);
}

/* The pictures of places first.., the last one again where there are no more. */
static deconv_status cover(const full *f, int64_t first)
{
    const sweep *s = f->s;
    const tensor *picture = s->inputs[s->options.input];
    int64_t channels = picture->shape.dim[1], height = map_height(&picture->shape);
    int64_t width = map_width(&picture->shape), there = s->count - first;
    deconv_status status = DECONV_OK;

    for (int64_t i = 0, n; i < f->batch; i += n) {
        n = i < there ? (there < f->batch ? there : f->batch) : 1;
        TRY(buffer_write(s->ctx, f->places, (size_t)i * sizeof(place), (size_t)n * sizeof(place),
                         s->place + (i < there ? first + i : s->count - 1)));
    }
    kernel_begin(f->cover);
    arg_buffer(f->cover, picture->data);
    arg_buffer(f->cover, s->fill->data);
    arg_buffer(f->cover, f->places);
    arg_buffer(f->cover, f->input[s->options.input]->data);
    arg_int(f->cover, f->batch);
    arg_int(f->cover, channels);
    arg_int(f->cover, height);
    arg_int(f->cover, width);
    TRY(kernel_launch(f->cover, width, height, channels));
done:
    return status;
}

static deconv_status take(const full *f, int64_t first, int64_t count)
{
    sweep *s = f->s;
    deconv_status status = DECONV_OK;

    for (int p = 0; p < s->n_probe; p++)
        if (f->taken[p])
            TRY(sweep_probe(s, p, f->trace->value[s->probe[p].value], count, f->take, f->taken[p]));
    TRY(sweep_read(s, f->taken, count, f->values));
    for (int64_t i = 0; i < count; i++)
        f->index[i] = first + i;
    TRY(sweep_take(s, f->index, count, f->values));
done:
    return status;
}

deconv_status sweep_full(sweep *s)
{
    full f = {.s = s};
    deconv_status status = DECONV_OK;

    TRY(plan(&f));
    for (int64_t first = 0; first < s->count; first += f.batch) {
        int64_t count = s->count - first < f.batch ? s->count - first : f.batch;

        TRY(sweep_progress(s, first));
        TRY(cover(&f, first));
        TRY(deconv_trace_run(f.trace, (const tensor *const *)f.input,
                             (uint32_t)f.trace->graph->model->n_input));
        if (first == 0)
            TRY(sweep_resolve(s, f.trace));
        TRY(take(&f, first, count));
    }
done:
    release(&f);
    return status;
}
