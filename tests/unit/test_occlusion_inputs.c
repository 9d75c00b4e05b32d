/* Occlusion of networks other than one picture in and classes out. One input of several: the others
 * stay as they are, whatever their number of dimensions, and both engines give the same bits. No
 * classes: maps that need some are refused. */
#define _XOPEN_SOURCE 700
#include "onnx_build.h"

#include "analysis/occlusion.h"

enum { MAPS = 2, SIDE = 9, VECTOR = 3, FILTERS = 4, CLASSES = FILTERS * SIDE * SIDE + VECTOR };

static float *numbers(size_t count)
{
    float *values = malloc(count * sizeof *values);

    for (size_t i = 0; i < count; i++)
        values[i] = (float)((i * 2654435761u >> 7) % 1000) / 500.0f - 1.0f;
    return values;
}

/* softmax(concat(flatten(conv(x) + y), z)): x and y maps, z a vector. */
static const char *write_net(fixture *f)
{
    const int64_t x[] = {0, MAPS, SIDE, SIDE}, y[] = {0, FILTERS, SIDE, SIDE}, z[] = {0, VECTOR};
    const int64_t w[] = {FILTERS, MAPS, 3, 3}, pads[] = {1, 1, 1, 1}, one[] = {1};
    const size_t count = FILTERS * MAPS * 9;
    float *weights = numbers(count);
    build *b = malloc(sizeof *b);
    const char *path;
    uint8_t *bytes;
    size_t size;

    build_start(b);
    build_input(b, "x", TYPE_OF(FLOAT), 4, x);
    build_input(b, "y", TYPE_OF(FLOAT), 4, y);
    build_input(b, "z", TYPE_OF(FLOAT), 2, z);
    build_raw(b, build_initializer(b, "w", TYPE_OF(FLOAT), 4, w), weights, count * sizeof *weights);
    build_ints(b, build_node(b, "Conv", "conv", "x w", "c"), "pads", 4, pads);
    build_node(b, "Add", "add", "c y", "a");
    build_node(b, "Flatten", "flat", "a", "f");
    build_ints(b, build_node(b, "Concat", "join", "f z", "j"), "axis", 1, one);
    build_node(b, "Softmax", "end", "j", "p");
    build_output(b, "p");
    bytes = build_pack(b, &size);
    path = put_file(f, "net.onnx", bytes, size);
    free(bytes);
    free(weights);
    build_free(b);
    free(b);
    return path;
}

static deconv_tensor *tensor_of(fixture *f, const int64_t *shape, uint32_t rank)
{
    deconv_tensor *t;
    float *values;

    assert_int_equal(deconv_tensor_create(f->ctx, shape, rank, &t), DECONV_OK);
    values = numbers((size_t)deconv_tensor_count(t));
    assert_int_equal(deconv_tensor_write(t, values, deconv_tensor_count(t)), DECONV_OK);
    free(values);
    return t;
}

static deconv_occlusion *sweep_of(fixture *f, deconv_net *net, deconv_tensor *const *inputs,
                                  uint32_t covered, deconv_occlusion_engine engine)
{
    const deconv_occlusion_map maps[] = {{DECONV_OCCLUSION_PROB, 0, 0},
                                         {DECONV_OCCLUSION_LOGIT, 0, 0},
                                         {DECONV_OCCLUSION_ACTIVITY, 0, 1},
                                         {DECONV_OCCLUSION_ACTIVITY, 1, 2}};
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    deconv_occlusion *o;

    options.engine = engine;
    options.patch_height = options.patch_width = 3;
    options.stride_y = options.stride_x = 2;
    options.input = covered;
    options.maps = maps;
    options.map_count = 4;
    if (occlusion_run(net, (const tensor *const *)inputs, 3, &options, true, &o) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    return o;
}

static void other_inputs_stay_as_they_are(void **state)
{
    const int64_t x[] = {1, MAPS, SIDE, SIDE}, y[] = {1, FILTERS, SIDE, SIDE}, z[] = {1, VECTOR};
    fixture *f = *state;
    deconv_tensor *inputs[] = {tensor_of(f, x, 4), tensor_of(f, y, 4), tensor_of(f, z, 2)};
    deconv_net *net;

    if (deconv_net_open(f->ctx, write_net(f), NULL, &net) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    for (uint32_t covered = 0; covered < 2; covered++) {
        deconv_occlusion *is = sweep_of(f, net, inputs, covered, DECONV_OCCLUSION_INCREMENTAL);
        deconv_occlusion *should = sweep_of(f, net, inputs, covered, DECONV_OCCLUSION_FULL);
        deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
        size_t places;

        assert_int_equal(deconv_occlusion_get(is, &info), DECONV_OK);
        places = (size_t)(info.rows * info.columns);
        for (uint32_t m = 0; m < info.map_count; m++)
            assert_memory_equal(deconv_occlusion_values(is, m), deconv_occlusion_values(should, m),
                                places * sizeof(float));
        /* The convolution is not touched where the second input is covered. */
        for (size_t i = 1; i < places; i++)
            assert_int_equal(covered == 0, deconv_occlusion_values(is, 2)[i] !=
                                               deconv_occlusion_values(is, 2)[0]);
        deconv_occlusion_destroy(is);
        deconv_occlusion_destroy(should);
    }
    for (int i = 0; i < 3; i++)
        deconv_tensor_destroy(inputs[i]);
    deconv_net_destroy(net);
    clear_folder(f);
}

/* y = relu(x), as large as x. */
static const char *write_maps_net(fixture *f)
{
    const int64_t x[] = {0, MAPS, SIDE, SIDE};
    build *b = malloc(sizeof *b);
    const char *path;
    uint8_t *bytes;
    size_t size;

    build_start(b);
    build_input(b, "x", TYPE_OF(FLOAT), 4, x);
    build_node(b, "Relu", "relu", "x", "y");
    build_output(b, "y");
    bytes = build_pack(b, &size);
    path = put_file(f, "maps.onnx", bytes, size);
    free(bytes);
    build_free(b);
    free(b);
    return path;
}

static void maps_of_classes_need_a_classifier(void **state)
{
    const int64_t x[] = {1, MAPS, SIDE, SIDE};
    fixture *f = *state;
    deconv_tensor *input = tensor_of(f, x, 4);
    const deconv_tensor *const inputs[] = {input};
    deconv_net *net;

    if (deconv_net_open(f->ctx, write_maps_net(f), NULL, &net) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    for (int kind = DECONV_OCCLUSION_PROB; kind <= DECONV_OCCLUSION_ACTIVITY; kind++) {
        const deconv_occlusion_map map = {(deconv_occlusion_kind)kind, 0, 1};
        deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
        deconv_occlusion *o = (deconv_occlusion *)f;
        deconv_status status;

        options.maps = &map;
        options.map_count = 1;
        status = deconv_occlusion_run(net, inputs, 1, &options, &o);
        if (kind == DECONV_OCCLUSION_ACTIVITY) {
            assert_int_equal(status, DECONV_OK);
            deconv_occlusion_destroy(o);
            continue;
        }
        assert_int_equal(status, DECONV_ERROR_INVALID);
        assert_null(o);
        assert_non_null(strstr(deconv_ctx_message(f->ctx), "need a classifier"));
    }
    deconv_tensor_destroy(input);
    deconv_net_destroy(net);
    clear_folder(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_inputs_stay_as_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(maps_of_classes_need_a_classifier, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
