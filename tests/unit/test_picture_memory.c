/* Pictures, cards and .npy files when memory runs out: at every single allocation in turn the call
 * must fail with its message, leak nothing and leave no file. */
#define _XOPEN_SOURCE 700
#include "files.h"

#include <stdbool.h>

typedef struct heap {
    long countdown; /* allocations until one fails; negative: none does */
    long live;
    bool failed;
} heap;

static void *allocate(size_t bytes, void *user)
{
    heap *h = user;
    void *memory = h->countdown == 0 ? NULL : malloc(bytes);

    if (h->countdown >= 0 && h->countdown-- == 0)
        h->failed = true;
    h->live += memory != NULL;
    return memory;
}

static void release(void *memory, void *user)
{
    heap *h = user;

    h->live -= memory != NULL;
    free(memory);
}

static deconv_ctx *create_ctx(heap *h)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx;

    options.cache_dir = "";
    options.level = DECONV_LOG_ERROR;
    options.allocate = allocate;
    options.release = release;
    options.allocator_user = h;
    assert_int_equal(deconv_ctx_create(&options, &ctx), DECONV_OK);
    return ctx;
}

static deconv_status read_and_write(deconv_ctx *ctx, const fixture *f)
{
    deconv_picture *p;
    deconv_status status = deconv_picture_read(ctx, in_folder(f, "in.png"), &p);

    if (status == DECONV_OK)
        status = deconv_picture_write(p, in_folder(f, "out.png"));
    deconv_picture_destroy(p);
    return status;
}

static deconv_status apply_card(deconv_ctx *ctx, const fixture *f)
{
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

static deconv_status display_and_montage(deconv_ctx *ctx, const fixture *f)
{
    const float values[] = {1, -2, 3, 0};
    const char *caption = "a caption that is longer than the tile is wide";
    deconv_picture *p, *montage = NULL;
    deconv_status status =
        deconv_picture_display(ctx, values, 1, 2, 2, DECONV_SCALING_PERCENTILE, 0, &p);

    (void)f;
    if (status == DECONV_OK)
        status = deconv_picture_montage(ctx, (const deconv_picture *const *)&p, &caption, 1, 1, 2,
                                        30, &montage);
    deconv_picture_destroy(montage);
    deconv_picture_destroy(p);
    return status;
}

static deconv_status save_and_load(deconv_ctx *ctx, const fixture *f)
{
    deconv_tensor *t;
    deconv_status status = deconv_tensor_load(ctx, in_folder(f, "in.npy"), &t);

    if (status == DECONV_OK)
        status = deconv_tensor_save(t, in_folder(f, "out.npy"));
    deconv_tensor_destroy(t);
    return status;
}

/* Lets allocation 0, 1, 2, ... fail until the work gets by without it. */
static void exhaust(fixture *f, const char *output,
                    deconv_status (*work)(deconv_ctx *ctx, const fixture *f))
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = create_ctx(&h);
    deconv_picture *p;
    deconv_status status;
    long failures = 0;

    /* This thread's place for messages is made with the first of them, and kept. */
    assert_int_equal(deconv_picture_create(ctx, 0, 0, NULL, &p), DECONV_ERROR_INVALID);
    for (;; failures++) {
        long live = h.live;

        h.failed = false;
        h.countdown = failures;
        status = work(ctx, f);
        h.countdown = -1;
        assert_int_equal(h.live, live);
        if (!h.failed)
            break;
        assert_int_equal(status, DECONV_ERROR_NO_MEMORY);
        if (!strstr(deconv_ctx_message(ctx), "memory"))
            fail_msg("allocation %ld: \"%s\"", failures, deconv_ctx_message(ctx));
        if (output)
            assert_int_not_equal(access(in_folder(f, output), F_OK), 0);
    }
    assert_int_equal(status, DECONV_OK);
    assert_true(failures >= 3);
    if (output)
        assert_int_equal(access(in_folder(f, output), F_OK), 0);
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
    exhaust(f, "out.png", read_and_write);
    exhaust(f, NULL, display_and_montage);
    assert_int_equal(clear_folder(f), 2);
}

static void cards_without_memory(void **state)
{
    fixture *f = *state;

    put_text(f, "labels.txt", "one\ntwo\n");
    put_text(f, "model.json",
             "{\"labels\": \"labels.txt\", \"input\": {\"resize\": 6, \"crop\": 5}}");
    exhaust(f, NULL, apply_card);
}

static void arrays_without_memory(void **state)
{
    fixture *f = *state;
    const float values[] = {1, 2, 3};
    const int64_t dims[] = {3};

    assert_int_equal(deconv_values_save(f->ctx, values, dims, 1, in_folder(f, "in.npy")),
                     DECONV_OK);
    exhaust(f, "out.npy", save_and_load);
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
