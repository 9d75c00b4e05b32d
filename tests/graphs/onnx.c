/* Writes a random network as an ONNX file, of opset 13 unless an operator asks for another. */
#include "onnx_build.h"

#include "graphs.h"

#include <math.h>

/* What opset 13 takes as an input where a problem's line has an attribute. */
typedef struct moved {
    const char *type, *attr;
    int input;
} moved;

static const moved moved_attrs[] = {
    {"Slice", "starts", 1},   {"Slice", "ends", 2},      {"Slice", "axes", 3},
    {"Slice", "steps", 4},    {"Pad", "pads", 1},        {"Pad", "constant_value", 2},
    {"Split", "split", 1},    {"Resize", "scales", 2},   {"Clip", "min", 1},
    {"Clip", "max", 2},       {"Resize", "sizes", 3},    {"Tile", "repeats", 1},
    {"Gather", "indices", 1}, {"Upsample", "scales", 1}, {"Expand", "shape", 1},
    {"Reshape", "shape", 1},  {"Squeeze", "axes", 1},    {"Unsqueeze", "axes", 1},
};

static int moved_input(const ref_problem *p, const ref_attr *a)
{
    for (size_t i = 0; i < sizeof moved_attrs / sizeof *moved_attrs; i++)
        if (strcmp(moved_attrs[i].type, p->type) == 0 && strcmp(moved_attrs[i].attr, a->name) == 0)
            return moved_attrs[i].input;
    return -1;
}

static bool is_list(const char *name)
{
    static const char *const lists[] = {"kernel_shape", "strides", "pads",
                                        "dilations",    "perm",    "axes"};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (strcmp(lists[i], name) == 0)
            return true;
    return false;
}

static void write_attr(build *b, Onnx__NodeProto *node, const ref_attr *a)
{
    Onnx__AttributeProto *attr;

    if (a->type == REF_INTS && is_list(a->name)) {
        build_ints(b, node, a->name, (size_t)a->count, a->ints);
        return;
    }
    attr = build_attr(b, node, a->name,
                      a->type == REF_INTS     ? ATTR_OF(INT)
                      : a->type == REF_FLOATS ? ATTR_OF(FLOAT)
                                              : ATTR_OF(STRING));
    attr->has_i = a->type == REF_INTS;
    attr->i = a->ints[0];
    attr->has_f = a->type == REF_FLOATS;
    attr->f = a->floats[0];
    attr->has_s = a->type == REF_STRING;
    if (attr->has_s)
        attr->s = build_bytes(b, a->string, strlen(a->string));
}

/* A list of the problem's line as a constant; the name it gets. */
static void write_moved(build *b, const char *name, const ref_attr *a, bool scalar)
{
    int64_t dim = a->count;
    size_t rank = scalar ? 0 : 1;

    if (a->type == REF_INTS)
        build_raw(b, build_initializer(b, name, TYPE_OF(INT64), rank, &dim), a->ints,
                  (size_t)a->count * sizeof *a->ints);
    else
        build_raw(b, build_initializer(b, name, TYPE_OF(FLOAT), rank, &dim), a->floats,
                  (size_t)a->count * sizeof *a->floats);
}

static void write_weight(build *b, const char *name, const ref_tensor *t)
{
    float *values = malloc((size_t)t->count * sizeof *values);

    assert_non_null(values);
    for (int64_t i = 0; i < t->count; i++)
        values[i] = (float)t->at[i];
    build_raw(b, build_initializer(b, name, TYPE_OF(FLOAT), (size_t)t->rank, t->dim), values,
              (size_t)t->count * sizeof *values);
    free(values);
}

enum { MOST_INPUTS = 6, NAME = 24 };

static void add_name(char *list, size_t room, const char *name)
{
    size_t used = strlen(list);

    assert_true(used + strlen(name) + 2 <= room);
    if (used)
        list[used++] = ' ';
    strcpy(list + used, name);
}

static void write_node(build *b, const random_net *g, int index)
{
    const net_node *n = &g->node[index];
    char input[MOST_INPUTS][NAME] = {""}, in[MOST_INPUTS * NAME] = "", out[REF_MAX_OUT * NAME] = "";
    Onnx__NodeProto *node;
    int count = n->c.n_in;

    for (int i = 0; i < n->c.n_in; i++) {
        snprintf(input[i], NAME, "%s", n->from[i] >= 0 ? g->value[n->from[i]].name : "");
        if (n->from[i] >= 0 || !n->c.in[i].given)
            continue;
        snprintf(input[i], NAME, "n%d.%s", index, n->c.op->inputs[i]);
        write_weight(b, input[i], &n->c.in[i]);
    }
    for (int i = 0; i < n->problem.n_attrs; i++) {
        const ref_attr *a = &n->problem.attrs[i];
        int to = moved_input(&n->problem, a);

        if (to < 0)
            continue;
        snprintf(input[to], NAME, "n%d.%s", index, a->name);
        write_moved(b, input[to], a, a->type == REF_FLOATS && a->count == 1);
        count = to + 1 > count ? to + 1 : count;
    }
    for (int i = 0; i < count; i++)
        add_name(in, sizeof in, *input[i] ? input[i] : "-");
    for (int o = 0; o < n->c.n_out; o++)
        add_name(out, sizeof out, g->value[n->value[o]].name);
    node = build_node(b, n->problem.type, "", in, out);
    for (int i = 0; i < n->problem.n_attrs; i++) {
        const ref_attr *a = &n->problem.attrs[i];
        bool is_input = moved_input(&n->problem, a) >= 0;

        for (int k = 0; k < REF_MAX_IN && n->c.op->inputs[k]; k++)
            is_input = is_input || strcmp(n->c.op->inputs[k], a->name) == 0;
        if (!is_input)
            write_attr(b, node, a);
    }
}

/* 13, or that of the first operator whose line has another. */
static int opset_of(const random_net *g)
{
    for (int i = 0; i < g->n_node; i++)
        if (g->node[i].problem.opset != 13)
            return g->node[i].problem.opset;
    return 13;
}

void net_write(const random_net *g, const char *path)
{
    build *b = malloc(sizeof *b);
    int64_t dim[REF_MAX_RANK]; /* half of the files leave the batch open */
    uint8_t *bytes;
    size_t size;
    FILE *file;

    assert_non_null(b);
    build_start(b);
    b->opset.version = opset_of(g);
    memcpy(dim, g->value[0].dim, sizeof dim);
    if (g->seed % 2)
        dim[0] = 0;
    build_input(b, g->value[0].name, TYPE_OF(FLOAT), (size_t)g->value[0].rank, dim);
    for (int i = 0; i < g->n_node; i++)
        write_node(b, g, i);
    for (int v = 1; v < g->n_value; v++)
        if (g->value[v].consumers == 0)
            build_output(b, g->value[v].name);
    bytes = build_pack(b, &size);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(bytes);
    build_free(b);
    free(b);
}
