/* What a sweep reads of the net, and the values of its maps. */
#include "occlusion.h"

#include <math.h>
#include <string.h>

/* ---- Where to read ---- */

static bool needs_class(const sweep *s)
{
    for (uint32_t m = 0; m < s->result->info.map_count; m++)
        if (s->result->map[m].kind != DECONV_OCCLUSION_ACTIVITY)
            return true;
    return false;
}

/* The value behind reshapes and the like: the same numbers in the same order. */
static int behind_views(const graph *g, int v)
{
    while (g->value[v].producer >= 0) {
        const graph_node *node = &g->node[g->value[v].producer];

        if (!node->op->class->is_view || !node->op->class->is_view(node->op) || node->in[0] < 0 ||
            !g->value[node->in[0]].from_input)
            break;
        v = node->in[0];
    }
    return v;
}

static deconv_status check_classes(const sweep *s, int64_t batch)
{
    const classifier *c = &s->classes;
    const graph_value *v = &s->net->graph->value[c->scores];
    char text[SHAPE_TEXT];
    deconv_status status = DECONV_OK;

    if (v->shape.rank < 2 || v->shape.dim[0] != batch || c->count != v->shape.dim[1] ||
        c->count < 2)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: probabilities and labels need a classifier; the network's output %s is "
             "%s, no vector of classes a picture: a map of a layer's activity can be made",
             v->name, shape_text(&v->shape, text, sizeof text));
done:
    return status;
}

static deconv_status find_classifier(sweep *s)
{
    const graph *g = s->net->graph;
    classifier *c = &s->classes;
    deconv_status status = DECONV_OK;
    const shape *logits;
    uint32_t output;
    int last;

    TRY(deconv_net_output(s->net, 0, &output));
    c->scores = c->logits = g->layer[output];
    c->squash = SQUASH_SOFTMAX;
    last = behind_views(g, c->scores);
    if (g->value[last].producer >= 0) {
        const graph_node *node = &g->node[g->value[last].producer];
        const char *type = node->op->class->type;
        bool squashed = strcmp(type, "Softmax") == 0 || strcmp(type, "Sigmoid") == 0;

        if (squashed || strcmp(type, "LogSoftmax") == 0) {
            c->squash = squashed ? SQUASH_NONE : SQUASH_EXP;
            c->logits = node->in[0];
        }
    }
    c->count = shape_count(&g->value[c->scores].shape) / g->batch;
    TRY(check_classes(s, g->batch));
    logits = &g->value[c->logits].shape;
    if (shape_count(logits) != c->count * g->batch || logits->rank < 2 ||
        logits->dim[0] != g->batch || g->value[c->logits].layer < 0)
        c->logits = c->scores; /* a shape that cannot be read class by class */
    TRY_ALLOC(s->chances, s->ctx, (size_t)c->count);
done:
    return status;
}

/* Before anything runs: a class that does not exist. */
static deconv_status find_class(sweep *s)
{
    deconv_occlusion_options *o = &s->options;
    long long count = s->classes.count;
    deconv_status status = DECONV_OK;

    if (o->label)
        TRY(deconv_card_class(o->card, o->label, &o->class_index));
    if (o->class_index < DECONV_STRONGEST || o->class_index >= count)
        FAIL(s->ctx, DECONV_ERROR_NOT_FOUND,
             "class %lld does not exist; the network has %lld (0-%lld)", (long long)o->class_index,
             count, count - 1);
done:
    return status;
}

static deconv_status find_maps(const sweep *s, const deconv_occlusion_map *map, probe *p)
{
    const graph *g = s->net->graph;
    char text[SHAPE_TEXT];
    deconv_status status = DECONV_OK;
    const shape *is;
    int value;

    TRY(graph_layer(g, map->layer, &value));
    is = &g->value[value].shape;
    if (is->rank < 2 || is->dim[0] != g->batch || !g->value[value].from_input)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "%s is %s; a layer with feature maps for each picture is wanted", g->value[value].name,
             shape_text(is, text, sizeof text));
    if (map->unit < DECONV_STRONGEST || map->unit >= is->dim[1])
        FAIL(s->ctx, DECONV_ERROR_NOT_FOUND,
             "%s: feature map %lld does not exist; the layer has %lld (0-%lld)",
             g->value[value].name, (long long)map->unit, (long long)is->dim[1],
             (long long)is->dim[1] - 1);
    *p = (probe){value, map->unit, 1, shape_span(is, 2, is->rank)};
done:
    return status;
}

static void keep_layer(sweep *s, int value)
{
    s->keep[s->n_keep++] = (uint32_t)s->net->graph->value[value].layer;
}

deconv_status sweep_find_probes(sweep *s)
{
    const deconv_occlusion *r = s->result;
    deconv_status status = DECONV_OK;

    s->classes.scores = -1;
    TRY_ALLOC(s->probe, s->ctx, (size_t)r->info.map_count + PROBE_MAPS);
    TRY_ALLOC(s->keep, s->ctx, (size_t)r->info.map_count + PROBE_MAPS);
    s->n_probe = (int)r->info.map_count + PROBE_MAPS;
    if (needs_class(s)) {
        TRY(find_classifier(s));
        TRY(find_class(s));
        s->probe[PROBE_SCORES] = (probe){s->classes.scores, 0, s->classes.count, 1};
        keep_layer(s, s->classes.scores);
        if (s->classes.logits != s->classes.scores) {
            const shape *is = &s->net->graph->value[s->classes.logits].shape;

            /* Maps that are flattened into classes behind have several in a channel. */
            s->probe[PROBE_LOGITS] =
                (probe){s->classes.logits, 0, is->dim[1], shape_span(is, 2, is->rank)};
            keep_layer(s, s->classes.logits);
        }
    }
    for (uint32_t m = 0; m < r->info.map_count; m++) {
        if (r->map[m].kind != DECONV_OCCLUSION_ACTIVITY)
            continue;
        TRY(find_maps(s, &r->map[m], &s->probe[PROBE_MAPS + m]));
        keep_layer(s, s->probe[PROBE_MAPS + m].value);
    }
done:
    return status;
}

/* ---- Scores ---- */

/* Probabilities of one picture into s->chances. */
static deconv_status find_chances(const sweep *s, const float *scores)
{
    const classifier *c = &s->classes;
    deconv_status status = DECONV_OK;
    double largest = (double)scores[0], sum = 0;

    for (int64_t k = 0; k < c->count; k++) {
        double x = (double)scores[k];

        if (!isfinite(x) && !(c->squash == SQUASH_EXP && x < 0))
            FAIL(s->ctx, DECONV_ERROR_INVALID,
                 "the output for class %lld is not finite; the network or its input overflows",
                 (long long)k);
        largest = fmax(largest, x);
    }
    for (int64_t k = 0; k < c->count; k++) {
        double x = (double)scores[k];

        s->chances[k] = c->squash == SQUASH_NONE  ? x
                        : c->squash == SQUASH_EXP ? exp(x)
                                                  : exp(x - largest);
        sum += s->chances[k];
    }
    for (int64_t k = 0; c->squash == SQUASH_SOFTMAX && k < c->count; k++)
        s->chances[k] /= sum;
done:
    return status;
}

static int64_t most_probable(const float *scores, int64_t count)
{
    int64_t best = 0;

    for (int64_t k = 1; k < count; k++)
        if (scores[k] > scores[best])
            best = k;
    return best;
}

/* ---- The clean picture ---- */

static deconv_status resolve_class(sweep *s, const deconv_trace *clean)
{
    const classifier *c = &s->classes;
    deconv_occlusion_info *info = &s->result->info;
    deconv_status status = DECONV_OK;
    float *scores = NULL;

    info->class_index = info->clean_label = -1;
    if (c->scores < 0)
        goto done;
    TRY_ALLOC(scores, s->ctx, (size_t)c->count);
    TRY(trace_read_item(clean, c->scores, 0, scores));
    TRY(find_chances(s, scores));
    info->clean_label = most_probable(scores, c->count);
    info->class_index = s->options.class_index;
    if (info->class_index < 0)
        info->class_index = info->clean_label;
    info->clean_prob = (float)s->chances[info->class_index];
    if (c->logits != c->scores)
        TRY(trace_read_item(clean, c->logits, 0, scores));
    info->clean_logit = scores[info->class_index];
done:
    mem_free(s->ctx, scores);
    return status;
}

/* The map with the largest activation. */
static deconv_status resolve_unit(const sweep *s, const deconv_trace *clean, probe *p)
{
    const shape *is = &clean->graph->value[p->value].shape;
    int64_t count = shape_span(is, 1, is->rank), best = 0;
    deconv_status status = DECONV_OK;
    float *values = NULL;

    TRY_ALLOC(values, s->ctx, (size_t)count);
    TRY(trace_read_item(clean, p->value, 0, values));
    for (int64_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    p->from = best / p->size;
done:
    mem_free(s->ctx, values);
    return status;
}

deconv_status sweep_resolve(sweep *s, const deconv_trace *clean)
{
    deconv_status status = DECONV_OK;

    TRY(resolve_class(s, clean));
    for (uint32_t m = 0; m < s->result->info.map_count; m++) {
        if (s->result->map[m].kind != DECONV_OCCLUSION_ACTIVITY)
            continue;
        if (s->result->map[m].unit == DECONV_STRONGEST)
            TRY(resolve_unit(s, clean, &s->probe[PROBE_MAPS + m]));
        s->result->map[m].unit = s->probe[PROBE_MAPS + m].from;
    }
done:
    return status;
}

/* ---- Values ---- */

static float sum_of(const float *values, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i];
    return (float)sum;
}

/* What map `m` has for picture `i` of those that the probes have read. */
static float value_of(const sweep *s, uint32_t m, int64_t i, float *const *values)
{
    const deconv_occlusion_info *info = &s->result->info;
    const classifier *c = &s->classes;
    const float *scores = values[PROBE_SCORES] + i * c->count;
    const float *logits = c->logits == c->scores ? scores : values[PROBE_LOGITS] + i * c->count;
    int64_t size = s->probe[PROBE_MAPS + m].size;

    switch (s->result->map[m].kind) {
    case DECONV_OCCLUSION_PROB:
        return (float)s->chances[info->class_index];
    case DECONV_OCCLUSION_DROP:
        return info->clean_prob - (float)s->chances[info->class_index];
    case DECONV_OCCLUSION_LOGIT:
        return logits[info->class_index];
    case DECONV_OCCLUSION_LABEL:
        return (float)most_probable(scores, c->count);
    default:
        return sum_of(values[PROBE_MAPS + m] + i * size, size);
    }
}

deconv_status sweep_take(sweep *s, const int64_t *places, int64_t count, float *const *values)
{
    deconv_status status = DECONV_OK;

    for (int64_t i = 0; i < count; i++) {
        int64_t at = places[i];

        if (s->classes.scores >= 0)
            TRY(find_chances(s, values[PROBE_SCORES] + i * s->classes.count));
        for (uint32_t m = 0; m < s->result->info.map_count; m++) {
            float value = value_of(s, m, i, values);

            if (at == 0)
                s->result->clean[m] = value;
            else
                s->result->values[m][at - 1] = value;
        }
    }
done:
    return status;
}

deconv_status sweep_alloc_values(const sweep *s, int64_t count, float ***values)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(*values, s->ctx, (size_t)s->n_probe);
    for (int p = 0; p < s->n_probe; p++)
        TRY_ALLOC((*values)[p], s->ctx, (size_t)(count * s->probe[p].count * s->probe[p].size));
done:
    return status;
}

void sweep_free_values(const sweep *s, float **values)
{
    for (int p = 0; values && p < s->n_probe; p++)
        mem_free(s->ctx, values[p]);
    mem_free(s->ctx, values);
}

/* ---- From the device ---- */

deconv_status sweep_alloc_taken(const sweep *s, int64_t batch, buffer ***taken)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(*taken, s->ctx, (size_t)s->n_probe);
    for (int p = 0; p < s->n_probe; p++) {
        size_t floats = (size_t)(batch * s->probe[p].count * s->probe[p].size);

        if (floats)
            TRY(buffer_create(s->ctx, floats * sizeof(float), "what a map reads", &(*taken)[p]));
    }
done:
    return status;
}

void sweep_free_taken(const sweep *s, buffer **taken)
{
    for (int p = 0; taken && p < s->n_probe; p++)
        buffer_free(taken[p]);
    mem_free(s->ctx, taken);
}

deconv_status sweep_read(const sweep *s, buffer *const *taken, int64_t count, float *const *values)
{
    deconv_status status = DECONV_OK;

    for (int p = 0; p < s->n_probe; p++)
        if (taken[p])
            TRY(buffer_read(s->ctx, taken[p], 0,
                            (size_t)(count * s->probe[p].count * s->probe[p].size) * sizeof(float),
                            values[p]));
done:
    return status;
}

deconv_status sweep_probe(const sweep *s, int p, const tensor *from, int64_t count, kernel *take,
                          const buffer *to)
{
    const probe *is = &s->probe[p];

    kernel_begin(take);
    arg_buffer(take, from->data);
    arg_buffer(take, to);
    arg_int(take, count);
    arg_int(take, from->shape.dim[1]);
    arg_int(take, from->block);
    arg_int(take, is->size);
    arg_int(take, is->from);
    arg_int(take, is->count);
    return kernel_launch(take, is->size, is->count, count);
}
