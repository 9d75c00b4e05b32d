/* ONNX files that are wrong, cut off, damaged or out to do harm: each is refused with one line that
 * names what is wrong, or read as what it is; nothing is read out of bounds and nothing leaks. */
#define _XOPEN_SOURCE 700
#include "onnx_build.h"

#include <sys/stat.h>

/* ---- Files that are valid protobuf and wrong ONNX ---- */

typedef struct spoiled_case {
    void (*spoil)(build *b); /* what is done to the small network of onnx_build.h */
    deconv_status status;
    const char *message;
} spoiled_case;

static void no_graph(build *b)
{
    b->model.graph = NULL;
}

static void functions(build *b)
{
    b->model.functions = build_list(b);
    b->model.n_functions = 1;
    b->model.functions[0] = build_bytes(b, "x", 1);
}

static void no_opset(build *b)
{
    b->opset.domain = build_text(b, "com.example");
}

static void old_opset(build *b)
{
    b->opset.version = 6;
}

static void new_opset(build *b)
{
    b->opset.version = 22;
}

static void two_opsets(build *b)
{
    static Onnx__OperatorSetIdProto other;

    onnx__operator_set_id_proto__init(&other);
    other.has_version = 1;
    other.version = 12;
    b->model.opset_import[b->model.n_opset_import++] = &other;
}

static void sparse_weights(build *b)
{
    b->graph.sparse_initializer = build_list(b);
    b->graph.n_sparse_initializer = 1;
    b->graph.sparse_initializer[0] = build_bytes(b, "x", 1);
}

static void foreign_domain(build *b)
{
    b->graph.node[1]->domain = build_text(b, "com.example");
}

static void dangling_input(build *b)
{
    b->graph.node[1]->input[0] = build_text(b, "ghost");
}

static void dangling_output(build *b)
{
    b->graph.output[0]->name = build_text(b, "ghost");
}

static void no_outputs(build *b)
{
    b->graph.n_output = 0;
}

static void unnamed_output(build *b)
{
    b->graph.output[0]->name = NULL;
}

static void doubled_output(build *b)
{
    b->graph.node[1]->output[0] = build_text(b, "c");
}

static void output_named_like_input(build *b)
{
    b->graph.node[1]->output[0] = build_text(b, "x");
}

static void output_named_like_weight(build *b)
{
    b->graph.node[1]->output[0] = build_text(b, "w");
}

static void node_without_output(build *b)
{
    b->graph.node[2]->output[0] = build_text(b, "");
}

static void node_without_anything(build *b)
{
    node_without_output(b);
    b->graph.node[2]->name = NULL;
}

static void node_without_type(build *b)
{
    b->graph.node[1]->op_type = NULL;
}

static void cycle(build *b)
{
    b->graph.node[0]->input[0] = build_text(b, "y");
}

static void self_cycle(build *b)
{
    b->graph.node[1]->input[0] = build_text(b, "r");
}

static void input_twice(build *b)
{
    b->graph.input[b->graph.n_input++] = b->graph.input[0];
}

static void unnamed_input(build *b)
{
    b->graph.input[0]->name = NULL;
}

static void integer_input(build *b)
{
    b->graph.input[0]->type->tensor_type->elem_type = TYPE_OF(INT64);
}

static void sequence_input(build *b)
{
    b->graph.input[0]->type->tensor_type = NULL;
    b->graph.input[0]->type->has_sequence_type = 1;
    b->graph.input[0]->type->sequence_type = build_bytes(b, "", 0);
}

static Onnx__TensorShapeProto *input_shape(build *b)
{
    return b->graph.input[0]->type->tensor_type->shape;
}

static void flat_input(build *b)
{
    input_shape(b)->dim[1]->dim_value = 0;
}

static void negative_input(build *b)
{
    input_shape(b)->dim[2]->dim_value = -2;
}

static void huge_input(build *b)
{
    input_shape(b)->dim[2]->dim_value = INT64_MAX;
    input_shape(b)->dim[3]->dim_value = INT64_MAX;
}

static void six_dimensional_input(build *b)
{
    input_shape(b)->dim[4] = input_shape(b)->dim[5] = input_shape(b)->dim[3];
    input_shape(b)->n_dim = 6;
}

static Onnx__TensorProto *weight(build *b)
{
    return b->graph.initializer[0];
}

static void weight_twice(build *b)
{
    b->graph.initializer[b->graph.n_initializer++] = weight(b);
}

static void unnamed_weight(build *b)
{
    weight(b)->name = NULL;
}

static void string_weight(build *b)
{
    weight(b)->data_type = TYPE_OF(STRING);
}

static void float8_weight(build *b)
{
    weight(b)->data_type = TYPE_OF(FLOAT8E4M3FN);
}

static void weight_of_unknown_type(build *b)
{
    weight(b)->data_type = 1000;
}

static void weight_of_negative_type(build *b)
{
    weight(b)->data_type = -1;
}

static void weight_without_type(build *b)
{
    weight(b)->has_data_type = 0;
}

static void six_dimensional_weight(build *b)
{
    weight(b)->dims = build_keep(b, 6 * sizeof(int64_t));
    weight(b)->n_dims = 6;
}

static void negative_weight_dimension(build *b)
{
    weight(b)->dims[1] = -3;
}

static void huge_weight(build *b)
{
    weight(b)->dims[1] = (int64_t)1 << 62;
}

/* 2^32 * 2^32 is 0 where it overflows. */
static void overflowing_weight(build *b)
{
    weight(b)->dims[0] = weight(b)->dims[1] = weight(b)->dims[2] = weight(b)->dims[3] = 65536;
}

static void huge_empty_weight(build *b)
{
    weight(b)->dims[0] = 0;
    weight(b)->dims[1] = INT64_MAX;
}

/* As many elements as are possible, so that only the length of the data is wrong. */
static void short_weight(build *b)
{
    weight(b)->dims[0] = INT32_MAX;
    weight(b)->dims[1] = 1;
}

static void odd_weight(build *b)
{
    weight(b)->raw_data.len--;
}

static void long_weight(build *b)
{
    weight(b)->dims[0] = 1;
}

static void empty_weight_with_data(build *b)
{
    weight(b)->dims[0] = 0;
}

static void short_typed_weight(build *b)
{
    b->graph.initializer[1]->n_float_data = 1;
}

static void weight_in_the_wrong_field(build *b)
{
    b->graph.initializer[1]->data_type = TYPE_OF(INT64);
}

static void weight_twice_over(build *b)
{
    weight(b)->float_data = build_keep(b, 6 * sizeof(float));
    weight(b)->n_float_data = 6;
}

static void segmented_weight(build *b)
{
    weight(b)->has_segment = 1;
    weight(b)->segment = build_bytes(b, "", 0);
}

static void too_large_an_integer(build *b)
{
    weight(b)->data_type = TYPE_OF(UINT64);
    weight(b)->n_dims = 1;
    weight(b)->dims[0] = 3;
    memset(weight(b)->raw_data.data, 0xff, 24);
}

static Onnx__AttributeProto *padding(build *b)
{
    return b->graph.node[0]->attribute[1];
}

static void subgraph(build *b)
{
    padding(b)->type = ATTR_OF(GRAPH);
    padding(b)->has_g = 1;
    padding(b)->g = build_bytes(b, "x", 1);
}

/* Old files do not say what an attribute is. */
static void untyped_subgraph(build *b)
{
    subgraph(b);
    padding(b)->has_s = 0;
    padding(b)->has_type = 0;
}

static void list_of_strings(build *b)
{
    padding(b)->type = ATTR_OF(STRINGS);
}

static void attribute_of_unknown_type(build *b)
{
    padding(b)->type = (Onnx__AttributeProto__AttributeType)99;
}

static void attribute_of_negative_type(build *b)
{
    padding(b)->type = (Onnx__AttributeProto__AttributeType)-5;
}

static void attribute_without_anything(build *b)
{
    padding(b)->has_type = padding(b)->has_s = 0;
}

static void attribute_without_name(build *b)
{
    padding(b)->name = NULL;
}

static void attribute_twice(build *b)
{
    padding(b)->name = build_text(b, "kernel_shape");
}

static void attribute_of_a_function(build *b)
{
    padding(b)->ref_attr_name = build_text(b, "pad");
}

static void zero_byte_in_text(build *b)
{
    padding(b)->s = build_bytes(b, "VA\0ID", 5);
}

static void tensor_attribute(build *b)
{
    padding(b)->type = ATTR_OF(TENSOR);
    padding(b)->t = weight(b);
}

static void constant_without_tensor(build *b)
{
    b->graph.node[0]->op_type = build_text(b, "Constant");
    padding(b)->type = ATTR_OF(TENSOR);
    padding(b)->name = build_text(b, "value");
}

static void constant_of_strings(build *b)
{
    constant_without_tensor(b);
    padding(b)->t = build_tensor(b, "", TYPE_OF(STRING), 0, NULL);
}

static void line_break_in_a_name(build *b)
{
    b->graph.node[0]->name = build_text(b, "conv\n1");
}

static void bad_utf8_in_a_name(build *b)
{
    b->graph.node[1]->output[0] = build_text(b, "\xc0\xaf");
}

static void surrogate_in_a_name(build *b)
{
    b->graph.node[1]->input[0] = build_text(b, "\xed\xa0\x80");
}

static void cut_off_utf8_in_a_name(build *b)
{
    weight(b)->name = build_text(b, "w\xe2\x82");
}

static void escape_in_an_attribute(build *b)
{
    padding(b)->name = build_text(b, "\x1b[31m");
}

#define FORMAT      DECONV_ERROR_FORMAT
#define UNSUPPORTED DECONV_ERROR_UNSUPPORTED

static const spoiled_case spoiled_cases[] = {
    {no_graph, FORMAT, "no graph in it"},
    {functions, UNSUPPORTED, "1 functions of its own; inline them"},
    {no_opset, FORMAT, "does not say which opset it uses; 7 to 21"},
    {old_opset, UNSUPPORTED, "opset 6; 7 to 21 are supported"},
    {new_opset, UNSUPPORTED, "opset 22; 7 to 21 are supported"},
    {two_opsets, FORMAT, "two opsets, 13 and 12"},
    {sparse_weights, UNSUPPORTED, "1 of its weights are sparse"},
    {foreign_domain, UNSUPPORTED,
     "node relu1 (Relu): its operator belongs to domain 'com.example'"},
    {dangling_input, FORMAT, "node relu1 (Relu): input 'ghost' is produced by nothing"},
    {dangling_output, FORMAT, "output 'ghost' of the graph is produced by nothing"},
    {no_outputs, FORMAT, "the graph has no outputs"},
    {unnamed_output, FORMAT, "output '' of the graph is produced by nothing"},
    {doubled_output, FORMAT, "node relu1 (Relu): output 'c' is already produced by node conv1"},
    {output_named_like_input, FORMAT, "node relu1 (Relu): output 'x' is already an input"},
    {output_named_like_weight, FORMAT, "node relu1 (Relu): output 'w' is the name of an init"},
    {node_without_output, FORMAT, "node flat (Flatten): it has no output"},
    {node_without_anything, FORMAT, "node 2 (Flatten) has neither a name nor an output"},
    {node_without_type, FORMAT, "node relu1 has no operator"},
    {cycle, FORMAT, "its output is its own input through flat (Flatten), relu1 (Relu);"},
    {self_cycle, FORMAT, "node relu1 (Relu): its output is its own input; a network must not"},
    {input_twice, FORMAT, "input 'x' is listed twice"},
    {unnamed_input, FORMAT, "an input has no name"},
    {integer_input, UNSUPPORTED, "input 'x' holds int64; inputs must be float32"},
    {sequence_input, UNSUPPORTED, "input 'x' is not a tensor"},
    {flat_input, FORMAT, "input 'x': dimension 1 is 0"},
    {negative_input, FORMAT, "input 'x': dimension 2 is -2"},
    {huge_input, UNSUPPORTED, "input 'x' is too large at dimension 2 (9223372036854775807)"},
    {six_dimensional_input, UNSUPPORTED, "input 'x' has 6 dimensions; at most 5"},
    {weight_twice, FORMAT, "initializer 'w' is in the file twice"},
    {unnamed_weight, FORMAT, "initializer 0 has no name"},
    {string_weight, UNSUPPORTED, "initializer 'w' holds string (type 8); float16, bfloat16"},
    {float8_weight, UNSUPPORTED, "initializer 'w' holds float8e4m3fn"},
    {weight_of_unknown_type, UNSUPPORTED, "initializer 'w' holds an unknown element type"},
    {weight_of_negative_type, UNSUPPORTED, "initializer 'w' holds an unknown element type"},
    {weight_without_type, UNSUPPORTED, "initializer 'w' holds no element type"},
    {six_dimensional_weight, UNSUPPORTED, "initializer 'w' has 6 dimensions; at most 5"},
    {negative_weight_dimension, FORMAT, "initializer 'w': dimension 1 is -3"},
    {huge_weight, UNSUPPORTED, "initializer 'w' is too large at dimension 1"},
    {overflowing_weight, UNSUPPORTED, "initializer 'w' is too large at dimension 1 (65536)"},
    {huge_empty_weight, UNSUPPORTED, "initializer 'w' is too large at dimension 1"},
    {short_weight, FORMAT, "initializer 'w' has 24 bytes of data; its 2147483647 elements"},
    {odd_weight, FORMAT, "initializer 'w' has 23 bytes of data; its 6 elements of float32 need 24"},
    {long_weight, FORMAT, "initializer 'w' has 24 bytes of data; its 3 elements"},
    {empty_weight_with_data, FORMAT, "initializer 'w' has 24 bytes of data; its 0 elements"},
    {short_typed_weight, FORMAT, "initializer 'b' has 1 elements of float32; its shape needs 2"},
    {weight_in_the_wrong_field, FORMAT, "initializer 'b' has 0 elements of int64"},
    {weight_twice_over, FORMAT, "initializer 'w' has its elements twice"},
    {segmented_weight, UNSUPPORTED, "initializer 'w' is split into segments"},
    {too_large_an_integer, UNSUPPORTED, "initializer 'w': element 0 is 18446744073709551615"},
    {subgraph, UNSUPPORTED, "node conv1 (Conv): attribute auto_pad is a subgraph"},
    {untyped_subgraph, UNSUPPORTED, "node conv1 (Conv): attribute auto_pad is a subgraph"},
    {list_of_strings, UNSUPPORTED, "node conv1 (Conv): attribute auto_pad is a list of strings"},
    {attribute_of_unknown_type, UNSUPPORTED, "attribute auto_pad is something unknown"},
    {attribute_of_negative_type, UNSUPPORTED, "attribute auto_pad is something unknown"},
    {attribute_without_anything, UNSUPPORTED, "attribute auto_pad is nothing"},
    {attribute_without_name, FORMAT, "node conv1 (Conv): attribute 1 has no name"},
    {attribute_twice, FORMAT, "node conv1 (Conv): attribute kernel_shape is given twice"},
    {attribute_of_a_function, FORMAT, "attribute auto_pad refers to an attribute of a function"},
    {zero_byte_in_text, FORMAT, "attribute auto_pad has a zero byte"},
    {tensor_attribute, UNSUPPORTED, "node conv1 (Conv): attribute auto_pad is a tensor"},
    {constant_without_tensor, FORMAT, "node conv1 (Constant): its value has no tensor"},
    {constant_of_strings, UNSUPPORTED, "node conv1 (Constant): its value holds string"},
    {line_break_in_a_name, FORMAT, "the name of a node has byte 0x0a in it"},
    {bad_utf8_in_a_name, FORMAT, "the name of an output has byte 0xc0 in it"},
    {surrogate_in_a_name, FORMAT, "the name of a node's input has byte 0xed in it"},
    {cut_off_utf8_in_a_name, FORMAT, "the name of an initializer has byte 0xe2 in it"},
    {escape_in_an_attribute, FORMAT, "the name of an attribute has byte 0x1b in it"},
};

/* Every message starts with the file. */
static void expect_refusal(const fixture *f, deconv_status got, deconv_status status,
                           const onnx_model *model, const char *message)
{
    expect_message(f, message);
    expect_message(f, "/model.onnx: ");
    assert_int_equal(got, status);
    assert_null(model);
}

static void refuses_what_is_wrong(void **state)
{
    fixture *f = *state;

    for (size_t i = 0; i < sizeof spoiled_cases / sizeof spoiled_cases[0]; i++) {
        const spoiled_case *c = &spoiled_cases[i];
        onnx_model *model = NULL;
        build b;

        build_small(&b);
        c->spoil(&b);
        expect_refusal(f, build_read(f, &b, &model), c->status, model, c->message);
        build_free(&b);
    }
}

/* A cycle that is longer than a message, behind nodes that are not part of it. */
static void names_a_long_cycle(void **state)
{
    fixture *f = *state;
    onnx_model *model = NULL;
    build b;

    build_start(&b);
    build_input(&b, "x", TYPE_OF(FLOAT), 0, NULL);
    build_node(&b, "Relu", "front", "x", "v");
    build_node(&b, "Add", "n0", "v v19", "v0");
    for (int i = 1; i < 20; i++) {
        char name[16], in[16], out[16];

        snprintf(name, sizeof name, "n%d", i);
        snprintf(in, sizeof in, "v%d", i - 1);
        snprintf(out, sizeof out, "v%d", i);
        build_node(&b, "Relu", name, in, out);
    }
    build_output(&b, "v19");
    expect_refusal(f, build_read(f, &b, &model), FORMAT, model,
                   "node n0 (Add): its output is its own input through n19 (Relu), n18 (Relu)");
    expect_message(f, ", ...; a network must not have cycles");
    build_free(&b);
}

/* ---- External data ---- */

typedef struct external_case {
    const char *location, *offset, *length; /* NULL: not given */
    deconv_status status;
    const char *message;
} external_case;

static const external_case external_cases[] = {
    {NULL, "0", "8", FORMAT, "initializer 'w': external data without a location"},
    {"", "0", "8", FORMAT, "external data without a location"},
    {"/etc/passwd", NULL, NULL, FORMAT, "'/etc/passwd'; only files in the model's own folder"},
    {"../secret", NULL, NULL, FORMAT, "'../secret'; only files in the model's own folder"},
    {"sub/../../secret", NULL, NULL, FORMAT, "only files in the model's own folder"},
    {"..", NULL, NULL, FORMAT, "only files in the model's own folder"},
    {"out", NULL, NULL, FORMAT, "'out', a link out of the model's folder"},
    {"outside/passwd", NULL, NULL, FORMAT, "a link out of the model's folder"},
    {"missing", NULL, NULL, DECONV_ERROR_NOT_FOUND, "'missing': No such file"},
    {"loop", NULL, NULL, DECONV_ERROR_IO, "'loop': Too many levels"},
    {"sub", NULL, NULL, FORMAT, "'sub', which is not a plain file"},
    {"pipe", NULL, NULL, FORMAT, "'pipe', which is not a plain file"},
    {"data", "3", NULL, FORMAT, "8 bytes at offset 3 are beyond the end of 'data' (10 bytes)"},
    {"data", "11", "8", FORMAT, "8 bytes at offset 11 are beyond the end"},
    {"data", "9000000000000000000", NULL, FORMAT, "are beyond the end of 'data'"},
    {"data", "18446744073709551610", NULL, FORMAT, "the offset '18446744073709551610'"},
    {"data", "-1", NULL, FORMAT, "the offset '-1'; it must be a number"},
    {"data", "1x", NULL, FORMAT, "the offset '1x'; it must be a number"},
    {"data", "", NULL, FORMAT, "the offset ''; it must be a number"},
    {"data", "0", "7", FORMAT, "external data of 7 bytes; its shape and type need 8"},
    {"data", "0", " 8", FORMAT, "the length ' 8'; it must be a number"},
};

static void refuses_external_data_outside_or_beyond(void **state)
{
    static const int64_t dims[] = {2};
    fixture *f = *state;

    put_text(f, "data", "0123456789");
    assert_int_equal(mkdir(in_folder(f, "sub"), 0777), 0);
    assert_int_equal(symlink("/etc/passwd", in_folder(f, "out")), 0);
    assert_int_equal(symlink("/etc", in_folder(f, "outside")), 0);
    assert_int_equal(symlink("loop", in_folder(f, "loop")), 0);
    assert_int_equal(mkfifo(in_folder(f, "pipe"), 0666), 0);
    for (size_t i = 0; i < sizeof external_cases / sizeof external_cases[0]; i++) {
        const external_case *c = &external_cases[i];
        Onnx__TensorProto *t;
        onnx_model *model = NULL;
        build b;

        build_start(&b);
        t = build_initializer(&b, "w", TYPE_OF(FLOAT), 1, dims);
        if (c->location)
            build_external(&b, t, "location", c->location);
        if (c->offset)
            build_external(&b, t, "offset", c->offset);
        if (c->length)
            build_external(&b, t, "length", c->length);
        build_node(&b, "Relu", "n", "w", "y");
        build_output(&b, "y");
        expect_refusal(f, build_read(f, &b, &model), c->status, model, c->message);
        build_free(&b);
    }
}

/* A folder whose name continues the model folder's is another folder. */
static void tells_folders_of_similar_names_apart(void **state)
{
    static const int64_t dims[] = {2};
    fixture *f = *state, inner = *f;
    Onnx__TensorProto *t;
    onnx_model *model = NULL;
    build b;

    assert_int_equal(mkdir(in_folder(f, "a"), 0777), 0);
    assert_int_equal(mkdir(in_folder(f, "ab"), 0777), 0);
    put_text(f, "ab/data", "01234567");
    assert_int_equal(symlink("../ab/data", in_folder(f, "a/link")), 0);
    snprintf(inner.folder, sizeof inner.folder, "%s", in_folder(f, "a"));
    build_start(&b);
    t = build_initializer(&b, "w", TYPE_OF(FLOAT), 1, dims);
    build_external(&b, t, "location", "link");
    build_node(&b, "Relu", "n", "w", "y");
    build_output(&b, "y");
    expect_refusal(&inner, build_read(&inner, &b, &model), FORMAT, model,
                   "a link out of the model's folder");
    build_free(&b);
    assert_int_equal(clear_folder(&inner), 2);
    assert_int_equal(remove(in_folder(f, "ab/data")), 0);
}

/* ---- Files that are not ONNX ---- */

static void refuses_files_that_are_no_models(void **state)
{
    fixture *f = *state;
    onnx_model *model = NULL;

    assert_int_equal(onnx_read(f->ctx, in_folder(f, "model.onnx"), &model), DECONV_ERROR_NOT_FOUND);
    expect_message(f, "model.onnx");
    assert_int_not_equal(onnx_read(f->ctx, f->folder, &model), DECONV_OK);
    expect_message(f, "folder");
    expect_refusal(f, onnx_read(f->ctx, put_text(f, "model.onnx", ""), &model), FORMAT, model,
                   "the file is empty");
    expect_refusal(f, onnx_read(f->ctx, put_text(f, "model.onnx", "# Notes\nA text.\n"), &model),
                   FORMAT, model, "not an ONNX file");
    expect_refusal(f, onnx_read(f->ctx, put_text(f, "model.onnx", "\x89PNG\r\n\x1a\n"), &model),
                   FORMAT, model, "not an ONNX file");
}

/* Reads a damaged file: whatever comes of it, a model or a message, is whole. */
static bool survives(const fixture *f, const uint8_t *bytes, size_t size)
{
    const char *path = put_file(f, "model.onnx", bytes, size);
    onnx_model *model = NULL;
    deconv_status status = onnx_read(f->ctx, path, &model);

    if (status == DECONV_OK) {
        assert_non_null(model);
        assert_true(model->n_output > 0);
        for (int i = 0; i < model->n_node; i++)
            for (int k = 0; k < model->node[i].n_in; k++)
                assert_in_range(model->node[i].in[k] + 1, 0, model->n_value);
    } else {
        assert_null(model);
        expect_message(f, "/model.onnx: ");
    }
    onnx_free(model);
    return status == DECONV_OK;
}

static void survives_every_truncation(void **state)
{
    fixture *f = *state;
    size_t size;
    uint8_t *bytes;
    build b;

    build_small(&b);
    bytes = build_pack(&b, &size);
    assert_true(survives(f, bytes, size));
    for (size_t length = 0; length < size; length++) {
        uint8_t *exact = malloc(length + 1);

        memcpy(exact, bytes, length);
        /* The opset is the last field of the file: whatever is cut off, it goes first. */
        assert_false(survives(f, exact, length));
        free(exact);
    }
    free(bytes);
    build_free(&b);
}

static void survives_every_flipped_bit(void **state)
{
    fixture *f = *state;
    size_t size, loaded = 0;
    uint8_t *bytes;
    build b;

    build_small(&b);
    bytes = build_pack(&b, &size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        loaded += survives(f, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* Some only change a weight, most break something. */
    assert_in_range(loaded, 24 * 8, 4 * size);
    free(bytes);
    build_free(&b);
}

/* ---- No memory ---- */

typedef struct rationed {
    int left;   /* allocations until one fails; negative: all succeed */
    int failed; /* how many failed */
} rationed;

static void *rationed_alloc(size_t size, void *user)
{
    rationed *r = user;

    if (r->left == 0) {
        r->failed++;
        return NULL;
    }
    r->left -= r->left > 0;
    return malloc(size);
}

static void rationed_release(void *memory, void *user)
{
    (void)user;
    free(memory);
}

static void reports_every_failed_allocation(void **state)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    fixture *f = *state, own = *f;
    rationed ration = {-1, 0};
    onnx_model *model = NULL;
    int runs = 0;
    build b;

    options.cache_dir = "";
    options.allocate = rationed_alloc;
    options.release = rationed_release;
    options.allocator_user = &ration;
    assert_int_equal(deconv_ctx_create(&options, &own.ctx), DECONV_OK);
    build_small(&b);
    b.graph.n_output = 0; /* makes room for this thread's message, which needs memory itself */
    assert_int_equal(build_read(&own, &b, &model), FORMAT);
    b.graph.n_output = 1;
    for (;; runs++) {
        deconv_status status;

        ration.left = runs;
        ration.failed = 0;
        status = build_read(&own, &b, &model);
        ration.left = -1;
        if (status == DECONV_OK)
            break;
        assert_null(model);
        assert_int_equal(status, DECONV_ERROR_NO_MEMORY);
        assert_true(ration.failed > 0);
        expect_message(&own, "no memory");
    }
    assert_int_equal(ration.failed, 0);
    assert_true(runs > 50);
    onnx_free(model);
    build_free(&b);
    deconv_ctx_destroy(own.ctx);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(refuses_what_is_wrong),
        WITH_FOLDER(names_a_long_cycle),
        WITH_FOLDER(refuses_external_data_outside_or_beyond),
        WITH_FOLDER(tells_folders_of_similar_names_apart),
        WITH_FOLDER(refuses_files_that_are_no_models),
        WITH_FOLDER(survives_every_truncation),
        WITH_FOLDER(survives_every_flipped_bit),
        WITH_FOLDER(reports_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
