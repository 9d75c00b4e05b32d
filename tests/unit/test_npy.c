/* .npy files: what is written is what NumPy writes; what is read is float32 in C order and nothing
 * else. */
#define _XOPEN_SOURCE 700
#include "files.h"

#include <math.h>

typedef struct npy {
    uint8_t bytes[1024];
    size_t size;
} npy;

/* A file of `version` with `dict` as its header, unpadded, and `values` floats of 0, 1, 2, ... */
static npy make(uint8_t version, const char *dict, size_t values)
{
    npy file = {.size = version == 1 ? 10 : 12};
    size_t length = strlen(dict);

    memcpy(file.bytes, "\x93NUMPY", 6);
    file.bytes[6] = version;
    file.bytes[8] = (uint8_t)length;
    file.bytes[9] = (uint8_t)(length >> 8);
    memcpy(file.bytes + file.size, dict, length);
    file.size += length;
    for (size_t i = 0; i < values; i++) {
        float value = (float)i;

        memcpy(file.bytes + file.size, &value, sizeof value);
        file.size += sizeof value;
    }
    return file;
}

static deconv_tensor *load(fixture *f, const npy *file)
{
    deconv_tensor *t = NULL;

    if (deconv_tensor_load(f->ctx, put_file(f, "a.npy", file->bytes, file->size), &t) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    return t;
}

static void expect_refusal(fixture *f, const npy *file, deconv_status status, const char *part)
{
    deconv_tensor *t = (deconv_tensor *)f;

    if (deconv_tensor_load(f->ctx, put_file(f, "a.npy", file->bytes, file->size), &t) != status)
        fail_msg("%s: not status %d: %s", part, status, deconv_ctx_message(f->ctx));
    assert_null(t);
    expect_message(f, "a.npy");
    expect_message(f, part);
}

static void expect_header_refusal(fixture *f, const char *dict, deconv_status status,
                                  const char *part)
{
    npy file = make(1, dict, 6);

    expect_refusal(f, &file, status, part);
}

static void saved_bytes_are_numpys(void **state)
{
    fixture *f = *state;
    const int64_t dims[] = {2, 3};
    const float values[] = {0, 1, -2, 0.5f, 1e30f, -0.0f};
    const char *header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    const uint8_t first[] = {0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0};
    uint8_t *bytes;
    size_t size;

    assert_int_equal(deconv_values_save(f->ctx, values, dims, 2, in_folder(f, "a.npy")), DECONV_OK);
    bytes = get_file(in_folder(f, "a.npy"), &size);
    assert_int_equal(size, 128 + 24);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
    assert_memory_equal(bytes + 10, header, strlen(header));
    for (size_t i = 10 + strlen(header); i < 127; i++)
        assert_int_equal(bytes[i], ' ');
    assert_int_equal(bytes[127], '\n');
    assert_memory_equal(bytes + 128, first, sizeof first);
    free(bytes);
}

static void every_rank_comes_back(void **state)
{
    fixture *f = *state;
    const int64_t dims[] = {2, 1, 3, 5, 4};
    float values[120], back[120];

    for (int i = 0; i < 120; i++)
        values[i] = (float)i * 0.37f - 20;
    values[0] = INFINITY;
    values[1] = -1e-45f;
    for (uint32_t rank = 1; rank <= 5; rank++) {
        uint64_t count = 1;
        deconv_tensor *t, *u;
        uint8_t *bytes;
        size_t size;

        for (uint32_t i = 0; i < rank; i++)
            count *= (uint64_t)dims[i];
        assert_int_equal(deconv_values_save(f->ctx, values, dims, rank, in_folder(f, "a.npy")),
                         DECONV_OK);
        bytes = get_file(in_folder(f, "a.npy"), &size);
        assert_int_equal((size - count * 4) % 64, 0);
        free(bytes);
        assert_int_equal(deconv_tensor_load(f->ctx, in_folder(f, "a.npy"), &t), DECONV_OK);
        assert_int_equal(deconv_tensor_rank(t), rank);
        for (uint32_t i = 0; i < rank; i++)
            assert_int_equal(deconv_tensor_size(t, i), dims[i]);
        assert_int_equal(deconv_tensor_save(t, in_folder(f, "b.npy")), DECONV_OK);
        assert_int_equal(deconv_tensor_load(f->ctx, in_folder(f, "b.npy"), &u), DECONV_OK);
        assert_int_equal(deconv_tensor_read(u, back, count), DECONV_OK);
        assert_memory_equal(back, values, count * sizeof *values);
        deconv_tensor_destroy(t);
        deconv_tensor_destroy(u);
    }
}

static void all_versions_and_spellings_are_read(void **state)
{
    fixture *f = *state;
    const char *dicts[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
        "{\"shape\":(2,3,),\"descr\":\"<f4\",\"fortran_order\":False}",
        "  { 'fortran_order' : False , 'shape' : ( 2 , 3 ) , 'descr' : '<f4' }  "};
    float values[6];

    for (uint8_t version = 1; version <= 3; version++)
        for (int i = 0; i < 3; i++) {
            npy file = make(version, dicts[i], 6);
            deconv_tensor *t = load(f, &file);

            assert_int_equal(deconv_tensor_rank(t), 2);
            assert_int_equal(deconv_tensor_size(t, 0), 2);
            assert_int_equal(deconv_tensor_size(t, 1), 3);
            assert_int_equal(deconv_tensor_read(t, values, 6), DECONV_OK);
            for (int k = 0; k < 6; k++)
                assert_true(values[k] == (float)k);
            deconv_tensor_destroy(t);
        }
}

static void other_types_are_named(void **state)
{
    fixture *f = *state;
    const char *types[][2] = {{"'<f8'", "float64 values; save float32: a.astype('float32')"},
                              {"'<f2'", "float16"},
                              {"'|u1'", "uint8"},
                              {"'<i8'", "int64"},
                              {"'|b1'", "bool"},
                              {"'<c8'", "complex64"},
                              {"'|O'", "object"},
                              {"'|f4'", "float32 values of no byte order"},
                              {"'>f4'", "big-endian float32"},
                              {"'<U7'", "<U7"},
                              {"[('x', '<f4'), ('y', '<f4')]", "structured"}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char dict[200];

        snprintf(dict, sizeof dict, "{'descr': %s, 'fortran_order': False, 'shape': (2, 3), }",
                 types[i][0]);
        expect_header_refusal(f, dict, DECONV_ERROR_UNSUPPORTED, types[i][1]);
    }
}

static void other_layouts_are_refused(void **state)
{
    fixture *f = *state;

#define SHAPE(text) "{'descr': '<f4', 'fortran_order': False, 'shape': " text ", }"
    expect_header_refusal(f, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
                          DECONV_ERROR_UNSUPPORTED, "numpy.ascontiguousarray");
    expect_header_refusal(f, SHAPE("()"), DECONV_ERROR_UNSUPPORTED, "0 dimensions");
    expect_header_refusal(f, SHAPE("(1, 1, 1, 1, 2, 3)"), DECONV_ERROR_UNSUPPORTED, "6 dimensions");
    expect_header_refusal(f, SHAPE("(2, 0)"), DECONV_ERROR_FORMAT, "dimension 1 is 0");
    expect_header_refusal(f, SHAPE("(999999999999, 999999999999, 999999999999)"),
                          DECONV_ERROR_UNSUPPORTED, "too large");
    expect_header_refusal(f, SHAPE("(4294967296, 4294967296)"), DECONV_ERROR_UNSUPPORTED,
                          "too large");
    expect_header_refusal(f, SHAPE("(99999999999999999999,)"), DECONV_ERROR_FORMAT, "header");
    expect_header_refusal(f, SHAPE("(7,)"), DECONV_ERROR_FORMAT, "24 bytes of values");
    expect_header_refusal(f, SHAPE("(5,)"), DECONV_ERROR_FORMAT, "takes 20");
}

static void broken_headers_are_refused(void **state)
{
    fixture *f = *state;
    const char *dicts[] = {
        "",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': <f4, 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, ,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': [[[, 'fortran_order': False, 'shape': (2, 3)}"};

    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++)
        expect_header_refusal(f, dicts[i], DECONV_ERROR_FORMAT, "the header is broken");
}

static void cut_off_and_foreign_files_are_refused(void **state)
{
    fixture *f = *state;
    npy whole = make(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 6);
    npy file = {0};
    deconv_tensor *t = (deconv_tensor *)f;

    expect_refusal(f, &file, DECONV_ERROR_FORMAT, "empty");
    for (size_t size = 1; size < whole.size; size++) {
        file = whole;
        file.size = size;
        expect_refusal(f, &file, DECONV_ERROR_FORMAT,
                       size < 6                 ? "not a .npy file"
                       : size < whole.size - 24 ? "cut off inside the header"
                                                : "bytes of values");
    }
    file = whole;
    file.bytes[file.size++] = 0;
    expect_refusal(f, &file, DECONV_ERROR_FORMAT, "25 bytes of values; the shape 2x3 takes 24");
    file = whole;
    file.bytes[6] = 4;
    expect_refusal(f, &file, DECONV_ERROR_UNSUPPORTED, "version 4.0");
    file = whole;
    memset(file.bytes + 8, 255, 4);
    expect_refusal(f, &file, DECONV_ERROR_FORMAT, "cut off inside the header");
    memcpy(file.bytes, "PK\x03\x04", 4);
    expect_refusal(f, &file, DECONV_ERROR_FORMAT, "not a .npy file");
    assert_int_equal(deconv_tensor_load(f->ctx, in_folder(f, "none.npy"), &t),
                     DECONV_ERROR_NOT_FOUND);
    assert_null(t);
    expect_message(f, "none.npy");
}

static void what_cannot_be_saved_leaves_nothing(void **state)
{
    fixture *f = *state;
    const int64_t dims[] = {2, 0, 1, 1, 1, 1}, huge[] = {INT64_MAX, INT64_MAX};
    const float values[2] = {0};

    assert_int_equal(deconv_values_save(f->ctx, values, dims, 0, in_folder(f, "a.npy")),
                     DECONV_ERROR_INVALID);
    assert_int_equal(deconv_values_save(f->ctx, values, dims, 6, in_folder(f, "a.npy")),
                     DECONV_ERROR_INVALID);
    expect_message(f, "6 dimensions");
    assert_int_equal(deconv_values_save(f->ctx, values, dims, 2, in_folder(f, "a.npy")),
                     DECONV_ERROR_INVALID);
    assert_int_equal(deconv_values_save(f->ctx, values, huge, 2, in_folder(f, "a.npy")),
                     DECONV_ERROR_UNSUPPORTED);
    assert_int_equal(deconv_values_save(f->ctx, values, dims, 1, in_folder(f, "no/a.npy")),
                     DECONV_ERROR_IO);
    expect_message(f, "no/a.npy");
    assert_int_equal(clear_folder(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(saved_bytes_are_numpys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_rank_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_versions_and_spellings_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_types_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_layouts_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_headers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_off_and_foreign_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_saved_leaves_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
