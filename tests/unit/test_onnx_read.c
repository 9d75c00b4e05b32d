/* Reading ONNX files that are right: graphs, names, attributes, every element type, external data,
 * memory. Files that are not are in test_onnx_hostile.c. */
#define _XOPEN_SOURCE 700
#include "onnx_build.h"

#include <sys/stat.h>

static int value_of(const onnx_model *model, const char *name)
{
    for (int i = 0; i < model->n_value; i++) {
        if (strcmp(model->value[i].name, name) == 0)
            return i;
    }
    return -1;
}

static const host_tensor *constant_of(const onnx_model *model, const char *name)
{
    int value = value_of(model, name);

    assert_true(value >= 0);
    return model->value[value].constant;
}

static onnx_model *read_ok(const fixture *f, const build *b)
{
    onnx_model *model = NULL;

    if (build_read(f, b, &model) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    assert_non_null(model);
    return model;
}

/* ---- Graphs ---- */

static void reads_a_small_network(void **state)
{
    fixture *f = *state;
    onnx_model *m;
    build b;

    build_small(&b);
    m = read_ok(f, &b);
    build_free(&b);
    assert_int_equal(m->opset, 13);
    assert_int_equal(m->n_input, 1);
    assert_string_equal(m->value[m->input[0].value].name, "x");
    assert_int_equal(m->input[0].rank, 4);
    assert_int_equal(m->input[0].dim[0], -1);
    assert_int_equal(m->input[0].dim[3], 4);
    assert_int_equal(m->n_output, 1);
    assert_int_equal(m->output[0], value_of(m, "y"));
    assert_int_equal(m->n_node, 3);
    assert_string_equal(m->node[0].name, "conv1");
    assert_string_equal(m->node[0].type, "Conv");
    assert_int_equal(m->node[0].n_in, 3);
    assert_int_equal(m->node[0].in[1], value_of(m, "w"));
    assert_int_equal(m->value[value_of(m, "c")].producer, 0);
    assert_int_equal(m->value[value_of(m, "y")].producer, 2);
    assert_int_equal(m->value[value_of(m, "x")].producer, -1);
    assert_int_equal(m->value[value_of(m, "w")].producer, -1);
    assert_true(constant_of(m, "w")->is_float);
    assert_int_equal(constant_of(m, "w")->shape.rank, 4);
    assert_true(constant_of(m, "w")->f[5] == 6);
    assert_true(constant_of(m, "b")->f[1] == 0.5f);
    assert_null(constant_of(m, "c"));
    onnx_free(m);
}

static void reads_every_kind_of_attribute(void **state)
{
    static const int64_t list[] = {-1, INT64_MIN, INT64_MAX}, dims[] = {2};
    static const float floats[] = {0.25f, -1};
    fixture *f = *state;
    Onnx__AttributeProto *a;
    Onnx__NodeProto *node;
    const deconv_attr *attr;
    onnx_model *m;
    build b;

    build_start(&b);
    node = build_node(&b, "Constant", "", "", "y");
    a = build_attr(&b, node, "one", ATTR_OF(INT));
    a->has_i = 1;
    a->i = -7;
    build_ints(&b, node, "list", 3, list);
    build_ints(&b, node, "none", 0, list);
    a = build_attr(&b, node, "half", ATTR_OF(FLOAT));
    a->has_f = 1;
    a->f = 0.5f;
    a = build_attr(&b, node, "floats", ATTR_OF(FLOATS));
    a->n_floats = 2;
    a->floats = (float *)floats;
    a = build_attr(&b, node, "text", ATTR_OF(STRING));
    a->has_s = 1;
    a->s = build_bytes(&b, "same_upper", 10);
    a = build_attr(&b, node, "untyped", ATTR_OF(UNDEFINED));
    a->has_type = 0;
    a->has_i = 1;
    a->i = 3;
    a = build_attr(&b, node, "zero", ATTR_OF(INT)); /* as proto3 writers leave it out */
    a = build_attr(&b, node, "value", ATTR_OF(TENSOR));
    a->t = build_tensor(&b, "", TYPE_OF(INT64), 1, dims);
    build_raw(&b, a->t, list, 16);
    build_output(&b, "y");
    m = read_ok(f, &b);
    build_free(&b);

    assert_string_equal(m->node[0].name, "y"); /* the output's, as the node has none */
    assert_int_equal(m->node[0].attr_count, 8);
    attr = m->node[0].attrs;
    assert_string_equal(attr[0].name, "one");
    assert_true(attr[0].type == DECONV_ATTR_INTS && attr[0].count == 1 && attr[0].ints[0] == -7);
    assert_true(attr[1].count == 3 && attr[1].ints[1] == INT64_MIN);
    assert_true(attr[2].type == DECONV_ATTR_INTS && attr[2].count == 0);
    assert_true(attr[3].type == DECONV_ATTR_FLOATS && attr[3].floats[0] == 0.5f);
    assert_true(attr[4].count == 2 && attr[4].floats[1] == -1);
    assert_true(attr[5].type == DECONV_ATTR_STRING);
    assert_string_equal(attr[5].string, "same_upper");
    assert_true(attr[6].type == DECONV_ATTR_INTS && attr[6].ints[0] == 3);
    assert_true(attr[7].type == DECONV_ATTR_INTS && attr[7].count == 1 && attr[7].ints[0] == 0);
    assert_non_null(m->node[0].value);
    assert_true(!m->node[0].value->is_float && m->node[0].value->i[1] == INT64_MIN);
    onnx_free(m);
}

static void numbers_what_is_left_out(void **state)
{
    fixture *f = *state;
    onnx_model *m;
    build b;

    build_start(&b);
    build_input(&b, "x", TYPE_OF(FLOAT), 0, NULL);
    build_node(&b, "Clip", "clip", "x - x - -", "a -");
    build_node(&b, "Split", "split", "a", "- s -");
    build_node(&b, "Relu", "unused", "s", "u");
    build_output(&b, "s");
    m = read_ok(f, &b);
    build_free(&b);
    assert_int_equal(m->node[0].n_in, 3);
    assert_int_equal(m->node[0].in[1], -1);
    assert_int_equal(m->node[0].in[2], value_of(m, "x"));
    assert_int_equal(m->node[0].n_out, 1);
    assert_int_equal(m->node[1].n_out, 3); /* Split's outputs say how many parts there are */
    assert_int_equal(m->node[1].out[0], -1);
    assert_int_equal(m->node[1].out[1], value_of(m, "s"));
    assert_int_equal(m->node[1].out[2], -1);
    assert_int_equal(m->n_node, 3); /* also the one that no output needs */
    onnx_free(m);
}

static void sorts_nodes_only_where_needed(void **state)
{
    static const char *const expected[] = {"n0", "n3", "n1", "n2", "n4"};
    fixture *f = *state;
    onnx_model *m;
    build b;

    build_start(&b);
    build_input(&b, "x", TYPE_OF(FLOAT), 0, NULL);
    build_node(&b, "Relu", "n0", "x", "a");
    build_node(&b, "Add", "n1", "a d", "b");
    build_node(&b, "Relu", "n2", "b", "c");
    build_node(&b, "Relu", "n3", "a", "d");
    build_node(&b, "Relu", "n4", "x", "e");
    build_output(&b, "c");
    build_output(&b, "e");
    m = read_ok(f, &b);
    build_free(&b);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(m->node[i].name, expected[i]);
        assert_int_equal(m->value[m->node[i].out[0]].producer, i);
    }
    onnx_free(m);
}

static void takes_initializers_listed_as_inputs_for_weights(void **state)
{
    static const int64_t dims[] = {2, 3, 1, 1};
    fixture *f = *state;
    onnx_model *m;
    build b;

    build_small(&b);
    build_input(&b, "w", TYPE_OF(FLOAT), 4, dims);
    m = read_ok(f, &b);
    build_free(&b);
    assert_int_equal(m->n_input, 1);
    assert_non_null(constant_of(m, "w"));
    onnx_free(m);
}

static void accepts_opsets_7_to_21_in_both_spellings(void **state)
{
    fixture *f = *state;

    for (int opset = 7; opset <= 21; opset += 7) {
        onnx_model *m;
        build b;

        build_small(&b);
        b.opset.version = opset;
        b.opset.domain = build_text(&b, opset == 14 ? "ai.onnx" : "");
        b.graph.node[0]->domain = build_text(&b, "ai.onnx");
        m = read_ok(f, &b);
        assert_int_equal(m->opset, opset);
        onnx_free(m);
        build_free(&b);
    }
}

/* ---- Constants ---- */

/* Two elements of a type: as bytes of raw_data and as the numbers of the typed field. */
typedef struct element_case {
    int32_t type;
    uint8_t bytes[16];
    size_t size;
    int64_t field[2]; /* float_data and double_data: the values are `want` */
    double want[2];
    bool is_float;
} element_case;

static const element_case element_cases[] = {
    {TYPE_OF(FLOAT), {0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0}, 8, {0, 0}, {1.5, -2}, true},
    {TYPE_OF(DOUBLE),
     {0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0},
     16,
     {0, 0},
     {1.5, -2},
     true},
    {TYPE_OF(FLOAT16), {0x01, 0x00, 0x00, 0xc0}, 4, {1, 0xc000}, {0x1p-24, -2}, true},
    {TYPE_OF(BFLOAT16), {0xc0, 0x3f, 0x00, 0xc0}, 4, {0x3fc0, 0xc000}, {1.5, -2}, true},
    {TYPE_OF(INT8), {0x80, 0x7f}, 2, {-128, 127}, {-128, 127}, false},
    {TYPE_OF(UINT8), {0x80, 0xff}, 2, {128, 255}, {128, 255}, false},
    {TYPE_OF(INT16), {0, 0x80, 0xff, 0x7f}, 4, {-32768, 32767}, {-32768, 32767}, false},
    {TYPE_OF(UINT16), {0, 0x80, 0xff, 0xff}, 4, {32768, 65535}, {32768, 65535}, false},
    {TYPE_OF(INT32), {0, 0, 0, 0x80, 1, 0, 0, 0}, 8, {INT32_MIN, 1}, {INT32_MIN, 1}, false},
    {TYPE_OF(UINT32), {0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0}, 8, {UINT32_MAX, 1}, {UINT32_MAX, 1}, 0},
    {TYPE_OF(INT64),
     {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 0, 0, 0},
     16,
     {-1, 1ll << 32},
     {-1, 4294967296.0},
     false},
    {TYPE_OF(UINT64),
     {7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0},
     16,
     {7, 1ll << 32},
     {7, 4294967296.0},
     false},
    {TYPE_OF(BOOL), {0, 2}, 2, {0, 1}, {0, 1}, false},
};

static void fill_field(build *b, Onnx__TensorProto *t, const element_case *c)
{
    t->float_data = build_keep(b, 2 * sizeof(float));
    t->double_data = build_keep(b, 2 * sizeof(double));
    t->int32_data = build_keep(b, 2 * sizeof(int32_t));
    t->int64_data = build_keep(b, 2 * sizeof(int64_t));
    t->uint64_data = build_keep(b, 2 * sizeof(uint64_t));
    for (int i = 0; i < 2; i++) {
        t->float_data[i] = (float)c->want[i];
        t->double_data[i] = c->want[i];
        t->int32_data[i] = (int32_t)c->field[i];
        t->int64_data[i] = c->field[i];
        t->uint64_data[i] = (uint64_t)c->field[i];
    }
    switch (c->type) {
    case TYPE_OF(FLOAT):
        t->n_float_data = 2;
        break;
    case TYPE_OF(DOUBLE):
        t->n_double_data = 2;
        break;
    case TYPE_OF(INT64):
        t->n_int64_data = 2;
        break;
    case TYPE_OF(UINT32):
    case TYPE_OF(UINT64):
        t->n_uint64_data = 2;
        break;
    default:
        t->n_int32_data = 2;
    }
}

static void decodes_every_element_type(void **state)
{
    static const int64_t dims[] = {2};
    fixture *f = *state;

    for (size_t i = 0; i < sizeof element_cases / sizeof element_cases[0]; i++) {
        const element_case *c = &element_cases[i];
        onnx_model *m;
        build b;

        build_start(&b);
        build_raw(&b, build_initializer(&b, "raw", c->type, 1, dims), c->bytes, c->size);
        fill_field(&b, build_initializer(&b, "typed", c->type, 1, dims), c);
        build_node(&b, "Concat", "n", "raw typed", "y");
        build_output(&b, "y");
        m = read_ok(f, &b);
        for (int n = 0; n < 2; n++) {
            const host_tensor *t = constant_of(m, n ? "typed" : "raw");

            assert_int_equal(t->is_float, c->is_float);
            for (int e = 0; e < 2; e++)
                assert_true((t->is_float ? (double)t->f[e] : (double)t->i[e]) == c->want[e]);
        }
        onnx_free(m);
        build_free(&b);
    }
}

static void reads_scalars_and_empty_constants(void **state)
{
    static const int64_t none[] = {0}, some[] = {2, 0};
    static const float one = 1;
    fixture *f = *state;
    onnx_model *m;
    build b;

    build_start(&b);
    build_raw(&b, build_initializer(&b, "scalar", TYPE_OF(FLOAT), 0, NULL), &one, 4);
    build_initializer(&b, "roi", TYPE_OF(FLOAT), 1, none);
    build_initializer(&b, "axes", TYPE_OF(INT64), 2, some);
    build_node(&b, "Concat", "n", "scalar roi axes", "y");
    build_output(&b, "y");
    m = read_ok(f, &b);
    build_free(&b);
    assert_int_equal(constant_of(m, "scalar")->shape.rank, 0);
    assert_true(constant_of(m, "scalar")->f[0] == 1);
    assert_int_equal(shape_count(&constant_of(m, "roi")->shape), 0);
    assert_true(constant_of(m, "roi")->is_float);
    assert_non_null(constant_of(m, "roi")->data);
    assert_int_equal(constant_of(m, "axes")->shape.dim[0], 2);
    assert_int_equal(constant_of(m, "axes")->shape.dim[1], 0);
    onnx_free(m);
}

/* What no node reads is not looked at, whatever it is; it is no value either. */
static void ignores_unused_initializers(void **state)
{
    static const int64_t dims[] = {-1};
    fixture *f = *state;
    onnx_model *m;
    build b;

    build_small(&b);
    build_initializer(&b, "labels", TYPE_OF(STRING), 1, dims);
    m = read_ok(f, &b);
    build_free(&b);
    assert_int_equal(value_of(m, "labels"), -1);
    onnx_free(m);
}

static void drops_a_constant_and_keeps_its_shape(void **state)
{
    fixture *f = *state;
    onnx_model *m;
    build b;

    build_small(&b);
    m = read_ok(f, &b);
    build_free(&b);
    onnx_drop_constant(m, value_of(m, "w"));
    assert_null(constant_of(m, "w")->data);
    assert_int_equal(shape_count(&constant_of(m, "w")->shape), 6);
    onnx_drop_constant(m, value_of(m, "w"));
    onnx_drop_constant(m, value_of(m, "x"));
    onnx_free(m);
}

enum { MANY = 5000 }; /* elements of weights that are large enough to stay in the file */

/* Between small weights and nodes, of several element types, with fields that nobody knows. */
static void reads_large_weights_where_they_lie(void **state)
{
    static const int64_t dims[] = {MANY}, three[] = {3};
    static const float small[] = {1, 2, 3};
    fixture *f = *state;
    float *values = calloc(MANY, sizeof *values), part[7];
    double *doubles = calloc(MANY, sizeof *doubles);
    onnx_model *m;
    build b;

    for (int i = 0; i < MANY; i++)
        doubles[i] = values[i] = (float)(i * 37 % 1001) - 500;
    build_start(&b);
    build_raw(&b, build_initializer(&b, "s", TYPE_OF(FLOAT), 1, three), small, sizeof small);
    build_raw(&b, build_initializer(&b, "w", TYPE_OF(FLOAT), 1, dims), values, MANY * 4);
    build_raw(&b, build_initializer(&b, "d", TYPE_OF(DOUBLE), 1, dims), doubles, MANY * 8);
    build_raw(&b, build_initializer(&b, "t", TYPE_OF(FLOAT), 1, three), small, sizeof small);
    build_node(&b, "Sum", "n", "s w d t", "y");
    build_output(&b, "y");
    m = read_ok(f, &b);
    build_free(&b);
    assert_null(constant_of(m, "w")->data);
    assert_int_equal(onnx_read_constant(m, constant_of(m, "w"), MANY - 7, 7, part), DECONV_OK);
    assert_memory_equal(part, values + MANY - 7, sizeof part);
    for (int times = 0; times < 2; times++) {
        assert_int_equal(onnx_load_constant(m, value_of(m, "w")), DECONV_OK);
        assert_memory_equal(constant_of(m, "w")->f, values, MANY * sizeof *values);
        onnx_drop_constant(m, value_of(m, "w"));
    }
    assert_memory_equal(constant_of(m, "d")->f, values, MANY * sizeof *values);
    assert_memory_equal(constant_of(m, "s")->f, small, sizeof small);
    assert_memory_equal(constant_of(m, "t")->f, small, sizeof small);
    onnx_free(m);
    free(values);
    free(doubles);
}

/* The size is checked without the elements; a file that shrinks later is noticed. */
static void notices_what_large_weights_lack(void **state)
{
    static const int64_t dims[] = {MANY};
    fixture *f = *state;
    float *values = calloc(MANY, sizeof *values);
    onnx_model *m;
    build b;

    build_start(&b);
    build_raw(&b, build_initializer(&b, "w", TYPE_OF(FLOAT), 1, dims), values, MANY * 4 - 4);
    build_node(&b, "Relu", "n", "w", "y");
    build_output(&b, "y");
    assert_int_equal(build_read(f, &b, &m), DECONV_ERROR_FORMAT);
    assert_non_null(strstr(deconv_ctx_message(f->ctx), "'w' has 19996 bytes of data"));
    build_raw(&b, b.graph.initializer[0], values, MANY * 4);
    m = read_ok(f, &b);
    build_free(&b);
    assert_int_equal(truncate(in_folder(f, "model.onnx"), 1000), 0);
    assert_int_equal(onnx_load_constant(m, value_of(m, "w")), DECONV_ERROR_IO);
    assert_non_null(strstr(deconv_ctx_message(f->ctx), "became shorter"));
    onnx_free(m);
    free(values);
}

/* ---- External data ---- */

static void reads_external_data(void **state)
{
    static const int64_t dims[] = {3};
    static const uint8_t bytes[] = {9, 9,    9, 9, 0,    0,    0x80, 0x3f, 0, 0,
                                    0, 0x40, 0, 0, 0x40, 0x40, 1,    2,    3};
    fixture *f = *state;
    Onnx__TensorProto *t;
    onnx_model *m;
    build b;

    put_file(f, "weights.bin", bytes, sizeof bytes);
    build_start(&b);
    t = build_initializer(&b, "w", TYPE_OF(FLOAT), 1, dims);
    build_external(&b, t, "location", "weights.bin");
    build_external(&b, t, "offset", "4");
    build_external(&b, t, "length", "12");
    build_external(&b, t, "checksum", "0");
    t = build_initializer(&b, "tail", TYPE_OF(UINT8), 1, dims);
    build_external(&b, t, "location", "./weights.bin");
    build_external(&b, t, "offset", "16");
    build_node(&b, "Concat", "n", "w tail", "y");
    build_output(&b, "y");
    m = read_ok(f, &b);
    assert_true(constant_of(m, "w")->f[0] == 1 && constant_of(m, "w")->f[2] == 3);
    assert_true(constant_of(m, "tail")->i[0] == 1 && constant_of(m, "tail")->i[2] == 3);
    onnx_free(m);

    /* A folder and a link that stay inside are fine. */
    assert_int_equal(mkdir(in_folder(f, "sub"), 0777), 0);
    assert_int_equal(rename(in_folder(f, "weights.bin"), in_folder(f, "sub/..data")), 0);
    assert_int_equal(symlink("sub/..data", in_folder(f, "link.bin")), 0);
    b.graph.initializer[0]->external_data[0]->value = build_text(&b, "sub/..data");
    b.graph.initializer[1]->external_data[0]->value = build_text(&b, "link.bin");
    m = read_ok(f, &b);
    assert_true(constant_of(m, "w")->f[1] == 2 && constant_of(m, "tail")->i[1] == 2);
    onnx_free(m);
    assert_int_equal(remove(in_folder(f, "sub/..data")), 0);
    build_free(&b);
}

/* ---- Memory ---- */

typedef struct meter {
    size_t live, peak;
} meter;

static void *metered_alloc(size_t size, void *user)
{
    meter *m = user;
    size_t *memory = malloc(size + 16);

    if (!memory)
        return NULL;
    *memory = size;
    m->live += size;
    m->peak = m->live > m->peak ? m->live : m->peak;
    return memory + 16 / sizeof *memory;
}

static void metered_release(void *memory, void *user)
{
    meter *m = user;
    size_t *start = memory;

    if (!memory)
        return;
    start -= 16 / sizeof *start;
    m->live -= *start;
    free(start);
}

/* Large weights stay in the file until somebody asks for them. */
static void leaves_large_weights_in_the_file(void **state)
{
    static const int64_t dims[] = {1 << 20};
    const size_t weights = sizeof(float) << 20;
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    fixture *f = *state, own = *f;
    meter used = {0, 0};
    float *values = calloc(1, weights);
    size_t before;
    onnx_model *m;
    build b;

    options.cache_dir = "";
    options.allocate = metered_alloc;
    options.release = metered_release;
    options.allocator_user = &used;
    assert_int_equal(deconv_ctx_create(&options, &own.ctx), DECONV_OK);
    build_start(&b);
    build_raw(&b, build_initializer(&b, "w", TYPE_OF(FLOAT), 1, dims), values, weights);
    build_node(&b, "Relu", "n", "w", "y");
    build_output(&b, "y");
    before = used.live;
    used.peak = before;
    m = read_ok(&own, &b);
    assert_in_range(used.peak - before, 0, weights / 16);
    assert_null(constant_of(m, "w")->data);
    assert_int_equal(onnx_load_constant(m, value_of(m, "w")), DECONV_OK);
    assert_in_range(used.live - before, weights, weights + weights / 16);
    onnx_drop_constant(m, value_of(m, "w"));
    assert_in_range(used.live - before, 0, weights / 16);
    onnx_free(m);
    assert_int_equal(used.live, before);
    build_free(&b);
    free(values);
    deconv_ctx_destroy(own.ctx);
    assert_int_equal(used.live, 0);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(reads_a_small_network),
        WITH_FOLDER(reads_every_kind_of_attribute),
        WITH_FOLDER(numbers_what_is_left_out),
        WITH_FOLDER(sorts_nodes_only_where_needed),
        WITH_FOLDER(takes_initializers_listed_as_inputs_for_weights),
        WITH_FOLDER(accepts_opsets_7_to_21_in_both_spellings),
        WITH_FOLDER(decodes_every_element_type),
        WITH_FOLDER(reads_scalars_and_empty_constants),
        WITH_FOLDER(ignores_unused_initializers),
        WITH_FOLDER(drops_a_constant_and_keeps_its_shape),
        WITH_FOLDER(reads_large_weights_where_they_lie),
        WITH_FOLDER(notices_what_large_weights_lack),
        WITH_FOLDER(reads_external_data),
        WITH_FOLDER(leaves_large_weights_in_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
