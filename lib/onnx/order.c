/* Order of the nodes: producers before consumers. Exporters nearly always write them so; then the
 * order of the file stays. */
#include "reader.h"

#include <stdio.h>
#include <string.h>

/* Depth-first search with a stack of its own, as a chain can be as long as the file. */
typedef struct search {
    onnx_model *model;
    int *order; /* nodes, finished ones in the order they can run */
    int finished;
    unsigned char *state; /* UNSEEN, OPEN on the stack, DONE */
    int *stack;
    int *next_input; /* of each node: the first input not looked at yet */
    int depth;
} search;

enum { UNSEEN, OPEN, DONE };

#define CYCLE_NAMES 8 /* nodes of a cycle that a message lists */

static deconv_status report_cycle(const search *s, int node)
{
    const onnx_model *model = s->model;
    char text[512] = "";
    size_t used = 0;
    int first = s->depth - 1;
    int listed;

    while (s->stack[first] != node)
        first--;
    listed = s->depth - first < CYCLE_NAMES ? s->depth - first : CYCLE_NAMES;
    for (int i = 1; i < listed && used < sizeof text - 1; i++) {
        const onnx_node *n = &model->node[s->stack[first + i]];
        int wrote = snprintf(text + used, sizeof text - used, "%s%.60s (%.20s)",
                             i == 1 ? " through " : ", ", n->name, n->type);

        used += wrote > 0 ? (size_t)wrote : 0;
    }
    return node_error(model->ctx, &model->node[node], DECONV_ERROR_FORMAT,
                      "its output is its own input%s%s; a network must not have cycles", text,
                      listed < s->depth - first ? ", ..." : "");
}

static void enter(search *s, int node)
{
    s->state[node] = OPEN;
    s->stack[s->depth++] = node;
}

static deconv_status visit(search *s, int root)
{
    const onnx_model *model = s->model;

    enter(s, root);
    while (s->depth > 0) {
        int node = s->stack[s->depth - 1];
        const onnx_node *n = &model->node[node];

        if (s->next_input[node] == n->n_in) {
            s->state[node] = DONE;
            s->order[s->finished++] = node;
            s->depth--;
            continue;
        }
        int value = n->in[s->next_input[node]++];
        int producer = value < 0 ? -1 : model->value[value].producer;

        if (producer < 0 || s->state[producer] == DONE)
            continue;
        if (s->state[producer] == OPEN)
            return report_cycle(s, producer);
        enter(s, producer);
    }
    return DECONV_OK;
}

/* Moves the nodes into the order found and renumbers the producers. */
static deconv_status apply_order(search *s)
{
    onnx_model *model = s->model;
    onnx_node *sorted = NULL;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(sorted, model->ctx, (size_t)model->n_node + 1);
    for (int i = 0; i < model->n_node; i++) {
        sorted[i] = model->node[s->order[i]];
        for (int o = 0; o < sorted[i].n_out; o++) {
            if (sorted[i].out[o] >= 0)
                model->value[sorted[i].out[o]].producer = i;
        }
    }
    mem_free(model->ctx, model->node);
    model->node = sorted;
done:
    return status;
}

deconv_status order_nodes(onnx_model *model)
{
    size_t count = (size_t)model->n_node + 1;
    search s = {.model = model};
    deconv_status status = DECONV_OK;

    TRY_ALLOC(s.order, model->ctx, count);
    TRY_ALLOC(s.state, model->ctx, count);
    TRY_ALLOC(s.stack, model->ctx, count);
    TRY_ALLOC(s.next_input, model->ctx, count);
    for (int i = 0; i < model->n_node; i++) {
        if (s.state[i] == UNSEEN)
            TRY(visit(&s, i));
    }
    TRY(apply_order(&s));
done:
    mem_free(model->ctx, s.order);
    mem_free(model->ctx, s.state);
    mem_free(model->ctx, s.stack);
    mem_free(model->ctx, s.next_input);
    return status;
}
