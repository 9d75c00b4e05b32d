/* Pictures, cards and .npy files when memory runs out: at every single allocation in turn the call
 * must fail with its message, leak nothing and leave no file. */
#define _XOPEN_SOURCE 700
#include "files.h"

#include "../harness/starve.h"

/* A file that is not written whole is not there at all. */
static void expect_output(const fixture *f, const char *name, deconv_status status)
{
    assert_int_equal(access(in_folder(f, name), F_OK) == 0, status == DECONV_OK);
}

static deconv_status read_and_write(deconv_ctx *ctx, void *user)
{
    const fixture *f = user;
    deconv_picture *p;
    deconv_status status = deconv_picture_read(ctx, in_folder(f, "in.png"), &p);

    if (status == DECONV_OK)
        status = deconv_picture_write(p, in_folder(f, "out.png"));
    deconv_picture_destroy(p);
    expect_output(f, "out.png", status);
    return status;
}

static deconv_status apply_card(deconv_ctx *ctx, void *user)
{
    const fixture *f = user;
    deconv_card *card;
    deconv_picture *p = NULL, *cropped = NULL;
    deconv_status status = deconv_card_open(ctx, NULL, in_folder(f, "net.onnx"), &card);

    if (status == DECONV_OK)
        status = deconv_picture_create(ctx, 20, 13, NULL, &p);
    if (status == DECONV_OK)
        status = deconv_card_crop(card, p, 5, 5, &cropped);
    deconv_picture_destroy(cropped);
    deconv_picture_destroy(p);
    deconv_card_destroy(card);
    return status;
}

static deconv_status display_and_montage(deconv_ctx *ctx, void *user)
{
    const float values[] = {1, -2, 3, 0};
    const char *caption = "a caption that is longer than the tile is wide";
    deconv_picture *p, *montage = NULL;
    deconv_status status =
        deconv_picture_display(ctx, values, 1, 2, 2, DECONV_SCALING_PERCENTILE, 0, &p);

    (void)user;
    if (status == DECONV_OK)
        status = deconv_picture_montage(ctx, (const deconv_picture *const *)&p, &caption, 1, 1, 2,
                                        30, &montage);
    deconv_picture_destroy(montage);
    deconv_picture_destroy(p);
    return status;
}

static deconv_status save_and_load(deconv_ctx *ctx, void *user)
{
    const fixture *f = user;
    deconv_tensor *t;
    deconv_status status = deconv_tensor_load(ctx, in_folder(f, "in.npy"), &t);

    if (status == DECONV_OK)
        status = deconv_tensor_save(t, in_folder(f, "out.npy"));
    deconv_tensor_destroy(t);
    expect_output(f, "out.npy", status);
    return status;
}

static void exhaust(fixture *f, starved_work work)
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    char why[512] = "";
    long refused;

    assert_non_null(ctx);
    refused = starve(ctx, &h, work, f, why, sizeof why);
    if (refused < 0)
        fail_msg("%s", why);
    assert_true(refused >= 3);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
}

static void pictures_without_memory(void **state)
{
    fixture *f = *state;
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, 9, 9, NULL, &p), DECONV_OK);
    assert_int_equal(deconv_picture_write(p, in_folder(f, "in.png")), DECONV_OK);
    deconv_picture_destroy(p);
    exhaust(f, read_and_write);
    exhaust(f, display_and_montage);
    assert_int_equal(clear_folder(f), 2);
}

static void cards_without_memory(void **state)
{
    fixture *f = *state;

    put_text(f, "labels.txt", "one\ntwo\n");
    put_text(f, "model.json",
             "{\"labels\": \"labels.txt\", \"input\": {\"resize\": 6, \"crop\": 5}}");
    exhaust(f, apply_card);
}

static void arrays_without_memory(void **state)
{
    fixture *f = *state;
    const float values[] = {1, 2, 3};
    const int64_t dims[] = {3};

    assert_int_equal(deconv_values_save(f->ctx, values, dims, 1, in_folder(f, "in.npy")),
                     DECONV_OK);
    exhaust(f, save_and_load);
    assert_int_equal(clear_folder(f), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pictures_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cards_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arrays_without_memory, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
