/* Model cards: which file is taken, what its keys mean and what is refused, down to the values that
 * reach the network. */
#define _XOPEN_SOURCE 700
#include "files.h"

static deconv_card *open_text(fixture *f, const char *json)
{
    deconv_card *card = NULL;

    if (deconv_card_open(f->ctx, put_text(f, "card.json", json), NULL, &card) != DECONV_OK)
        fail_msg("%s: %s", json, deconv_ctx_message(f->ctx));
    return card;
}

static void expect_refusal(fixture *f, const char *json, const char *part)
{
    deconv_card *card = (deconv_card *)f;

    if (deconv_card_open(f->ctx, put_text(f, "card.json", json), NULL, &card) !=
        DECONV_ERROR_FORMAT)
        fail_msg("not refused as a broken card: %s", json);
    assert_null(card);
    expect_message(f, "card.json");
    expect_message(f, part);
}

static deconv_picture *pattern(fixture *f, int width, int height)
{
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, width, height, NULL, &p), DECONV_OK);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                deconv_picture_pixels(p)[(y * width + x) * 3 + c] =
                    (uint8_t)(x * 37 + y * 91 + c * 53 + x * y * 11);
    return p;
}

/* Every byte value once in every channel, and a few more: 16 x 16. */
static deconv_picture *all_values(fixture *f)
{
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, 16, 16, NULL, &p), DECONV_OK);
    for (int i = 0; i < 256; i++) {
        deconv_picture_pixels(p)[3 * i] = (uint8_t)i;
        deconv_picture_pixels(p)[3 * i + 1] = (uint8_t)(255 - i);
        deconv_picture_pixels(p)[3 * i + 2] = (uint8_t)(i * 7);
    }
    return p;
}

/* ---- Values ---- */

static void range_of_bytes_is_exact(void **state)
{
    fixture *f = *state;
    deconv_card *card = open_text(f, "{\"input\": {\"channels\": \"rgb\", \"range\": [0, 255]}}");
    deconv_picture *p = all_values(f);
    float values[3 * 256];

    assert_int_equal(deconv_card_values(card, p, 3, values, 3 * 256), DECONV_OK);
    for (int i = 0; i < 256; i++) {
        assert_true(values[i] == (float)i);
        assert_true(values[256 + i] == (float)(255 - i));
        assert_true(values[512 + i] == (float)(i * 7 % 256));
    }
    assert_int_equal(deconv_card_bgr(card), 0);
    deconv_card_destroy(card);
    deconv_card_destroy(NULL);
    deconv_picture_destroy(p);
}

static void mean_and_std_are_in_the_nets_order(void **state)
{
    fixture *f = *state;
    deconv_card *card = open_text(f, "{\"input\": {\"channels\": \"bgr\", \"range\": [0, 255],"
                                     " \"mean\": [104, 117.5, 123], \"std\": [1, 2, 4]}}");
    deconv_picture *p = all_values(f);
    float values[3 * 256];

    assert_int_not_equal(deconv_card_bgr(card), 0);
    assert_int_equal(deconv_card_values(card, p, 3, values, 3 * 256), DECONV_OK);
    for (int i = 0; i < 256; i++) {
        assert_true(values[i] == (float)(i * 7 % 256 - 104));
        assert_true(values[256 + i] == (float)((255 - i - 117.5) / 2));
        assert_true(values[512 + i] == (float)((i - 123) / 4.0));
    }
    deconv_card_destroy(card);
    deconv_picture_destroy(p);
}

static void values_are_rounded_once(void **state)
{
    fixture *f = *state;
    deconv_card *card =
        open_text(f, "{\"input\": {\"range\": [-1, 1], \"mean\": 0.1, \"std\": 0.3}}");
    deconv_picture *p = all_values(f);
    float values[3 * 256];

    assert_int_equal(deconv_card_values(card, p, 3, values, 3 * 256), DECONV_OK);
    for (int i = 0; i < 256; i++)
        assert_true(values[i] == (float)((i * 2.0 / 255 - 1 - 0.1) / 0.3));
    deconv_card_destroy(card);
    deconv_picture_destroy(p);
}

static void one_channel_is_luma(void **state)
{
    fixture *f = *state;
    const uint8_t rgb[] = {200, 100, 50, 1, 2, 3, 255, 255, 255};
    const char *cards[] = {"{\"input\": {\"channels\": \"grey\", \"range\": [0, 255]}}",
                           "{\"input\": {\"range\": [0, 255]}}"};
    deconv_picture *p;
    float values[9];

    assert_int_equal(deconv_picture_create(f->ctx, 3, 1, rgb, &p), DECONV_OK);
    for (int i = 0; i < 2; i++) {
        deconv_card *card = open_text(f, cards[i]);

        assert_int_equal(deconv_card_values(card, p, 1, values, 3), DECONV_OK);
        assert_true(values[0] == 124); /* Pillow's convert("L") */
        assert_true(values[1] == 2);
        assert_true(values[2] == 255);
        assert_int_equal(deconv_card_values(card, p, 3, values, 9),
                         i ? DECONV_OK : DECONV_ERROR_INVALID);
        deconv_card_destroy(card);
    }
    deconv_picture_destroy(p);
}

static void wrong_channels_and_counts_are_refused(void **state)
{
    fixture *f = *state;
    deconv_card *card = open_text(f, "{\"input\": {\"channels\": \"rgb\"}}");
    deconv_card *three = open_text(f, "{\"input\": {\"mean\": [1, 2, 3]}}");
    deconv_picture *p = all_values(f);
    float values[4 * 256];

    assert_int_equal(deconv_card_values(card, p, 1, values, 256), DECONV_ERROR_INVALID);
    expect_message(f, "the network's input has 1");
    assert_int_equal(deconv_card_values(card, p, 4, values, 4 * 256), DECONV_ERROR_INVALID);
    expect_message(f, "the network's input has 4");
    assert_int_equal(deconv_card_values(card, p, 3, values, 3 * 255), DECONV_ERROR_INVALID);
    expect_message(f, "765");
    assert_int_equal(deconv_card_values(three, p, 1, values, 256), DECONV_ERROR_INVALID);
    expect_message(f, "3 numbers");
    deconv_card_destroy(card);
    deconv_card_destroy(three);
    deconv_picture_destroy(p);
}

/* ---- Resizing and cropping ---- */

static void expect_crop(fixture *f, const char *json, int width, int height, int net_height,
                        int net_width, const uint8_t *expected)
{
    deconv_card *card = open_text(f, json);
    deconv_picture *p = pattern(f, width, height), *q;

    assert_int_equal(deconv_card_crop(card, p, net_height, net_width, &q), DECONV_OK);
    assert_int_equal(deconv_picture_width(q), net_width);
    assert_int_equal(deconv_picture_height(q), net_height);
    assert_memory_equal(deconv_picture_pixels(q), expected, (size_t)net_width * net_height * 3);
    deconv_picture_destroy(p);
    deconv_picture_destroy(q);
    deconv_card_destroy(card);
}

/* Expected: torchvision 0.14, CenterCrop(5)(Resize(n)(Image)) */
static void cropping_equals_torchvision(void **state)
{
    static const uint8_t cropped[] = {
        128, 131, 126, 112, 112, 121, 89,  136, 143, 166, 135, 79,  109, 85,  132,
        120, 133, 121, 145, 135, 135, 117, 108, 117, 129, 134, 127, 129, 100, 132,
        124, 137, 144, 136, 134, 111, 120, 140, 126, 137, 121, 142, 119, 127, 139,
        132, 139, 116, 127, 146, 120, 138, 140, 135, 126, 137, 122, 110, 163, 94,
        135, 108, 137, 130, 125, 144, 125, 130, 136, 114, 124, 138, 109, 150, 102};
    static const uint8_t cropped_upright[] = {
        137, 101, 114, 122, 162, 111, 117, 150, 100, 132, 147, 137, 138, 128, 135,
        147, 72,  125, 129, 111, 140, 141, 128, 152, 158, 142, 133, 106, 121, 150,
        158, 121, 136, 136, 128, 120, 127, 107, 141, 116, 128, 144, 133, 134, 118,
        145, 129, 140, 131, 108, 144, 142, 115, 166, 156, 112, 115, 115, 135, 149,
        148, 137, 131, 113, 130, 134, 146, 106, 117, 144, 157, 120, 88,  92,  134};

    expect_crop(*state, "{\"input\": {\"resize\": 6, \"crop\": 5}}", 21, 14, 5, 5, cropped);
    expect_crop(*state, "{\"input\": {\"resize\": 6}}", 21, 14, 5, 5, cropped);
    expect_crop(*state, "{\"input\": {\"resize\": 8, \"crop\": 5}}", 14, 21, 5, 5, cropped_upright);
}

static void a_picture_of_the_right_size_is_left_alone(void **state)
{
    fixture *f = *state;
    deconv_picture *p = pattern(f, 5, 5);

    expect_crop(f, "{\"input\": {\"resize\": 6, \"crop\": 5}}", 5, 5, 5, 5,
                deconv_picture_pixels(p));
    deconv_picture_destroy(p);
    p = pattern(f, 9, 4);
    expect_crop(f, "{\"input\": {\"resize\": 300}}", 9, 4, 4, 9, deconv_picture_pixels(p));
    deconv_picture_destroy(p);
}

static void without_resize_the_whole_picture_is_fitted(void **state)
{
    static const uint8_t resized_7x2[] = {79,  132, 127, 127, 122, 175, 117, 170, 107, 165, 102,
                                          155, 97,  150, 145, 145, 140, 111, 135, 106, 148, 87,
                                          140, 135, 157, 152, 123, 87,  140, 77,  157, 94,  147,
                                          111, 164, 77,  99,  94,  147, 111, 164, 112};
    const uint8_t middle[] = {(1 * 91 + 2 * 37 + 22) % 256, (1 * 91 + 2 * 37 + 22 + 53) % 256,
                              (1 * 91 + 2 * 37 + 22 + 106) % 256};
    fixture *f = *state;

    expect_crop(f, "{}", 7, 5, 2, 7, resized_7x2);
    expect_crop(f, "{\"input\": {\"crop\": 1}}", 5, 3, 1, 1, middle);
}

static void crops_that_cannot_be_are_refused(void **state)
{
    fixture *f = *state;
    deconv_picture *p = pattern(f, 20, 10), *q = p;
    deconv_card *card = open_text(f, "{\"input\": {\"resize\": 8, \"crop\": 6}}");

    assert_int_equal(deconv_card_crop(card, p, 7, 7, &q), DECONV_ERROR_INVALID);
    assert_null(q);
    expect_message(f, "\"crop\" is 6");
    expect_message(f, "7 x 7");
    assert_int_equal(deconv_card_crop(card, p, 0, 7, &q), DECONV_ERROR_INVALID);
    deconv_card_destroy(card);

    card = open_text(f, "{\"input\": {\"resize\": 8}}");
    assert_int_equal(deconv_card_crop(card, p, 9, 5, &q), DECONV_ERROR_INVALID);
    expect_message(f, "5 x 9");
    expect_message(f, "16 x 8");
    assert_null(q);
    deconv_card_destroy(card);
    deconv_picture_destroy(p);
}

/* Resized whole it would be 256 x 256000 pixels; only the part that is cropped is made. */
static void a_very_thin_picture_is_resized_and_cropped(void **state)
{
    fixture *f = *state;
    deconv_card *card = open_text(f, "{\"input\": {\"resize\": 256, \"crop\": 224}}");
    deconv_picture *p = pattern(f, 1, 1000), *q = NULL;

    assert_int_equal(deconv_card_crop(card, p, 224, 224, &q), DECONV_OK);
    assert_int_equal(deconv_picture_width(q), 224);
    assert_int_equal(deconv_picture_height(q), 224);
    deconv_card_destroy(card);
    deconv_picture_destroy(p);
    deconv_picture_destroy(q);
}

/* ---- Cards ---- */

static void broken_cards_are_refused(void **state)
{
    fixture *f = *state;

    expect_refusal(f, "", "line 1");
    expect_refusal(f, "{\n\"input\":\n{,}}", "line 3");
    expect_refusal(f, "{} trailing", "JSON");
    expect_refusal(f, "[1]", "a list");
    expect_refusal(f, "{\"input\": 3}", "\"input\" is 3");
    expect_refusal(f, "{\"input\": {\"resize\": \"256\"}}", "\"resize\" is \"256\"");
    expect_refusal(f, "{\"input\": {\"resize\": 0}}", "\"resize\" is 0");
    expect_refusal(f, "{\"input\": {\"resize\": 2.5}}", "\"resize\" is 2.5");
    expect_refusal(f, "{\"input\": {\"resize\": 1e30}}", "\"resize\"");
    expect_refusal(f, "{\"input\": {\"crop\": null}}", "\"crop\" is null");
    expect_refusal(f, "{\"input\": {\"resize\": 5, \"crop\": 6}}", "\"crop\" 6");
    expect_refusal(f, "{\"input\": {\"channels\": \"RGBA\"}}", "\"rgb\", \"bgr\" or \"grey\"");
    expect_refusal(f, "{\"input\": {\"channels\": 3}}", "\"channels\" is 3");
    expect_refusal(f, "{\"input\": {\"range\": 255}}", "\"range\"");
    expect_refusal(f, "{\"input\": {\"range\": [0]}}", "\"range\"");
    expect_refusal(f, "{\"input\": {\"range\": [1, 1]}}", "\"range\"");
    expect_refusal(f, "{\"input\": {\"range\": [0, 1e999]}}", "\"range\"");
    expect_refusal(f, "{\"input\": {\"mean\": []}}", "\"mean\"");
    expect_refusal(f, "{\"input\": {\"mean\": [1, 2, 3, 4]}}", "\"mean\"");
    expect_refusal(f, "{\"input\": {\"mean\": [1, \"2\", 3]}}", "\"mean\"");
    expect_refusal(f, "{\"input\": {\"channels\": \"rgb\", \"mean\": [1, 2]}}", "2 numbers");
    expect_refusal(f, "{\"input\": {\"channels\": \"grey\", \"std\": [1, 2, 3]}}", "3 numbers");
    expect_refusal(f, "{\"input\": {\"std\": [1, 0, 1]}}", "\"std\" holds a 0");
    expect_refusal(f, "{\"input\": {\"std\": {}}}", "\"std\" is an object");
    expect_refusal(f, "{\"labels\": 7}", "\"labels\" is 7");
}

static void unknown_keys_are_named_in_the_log(void **state)
{
    fixture *f = *state;
    deconv_card *card = open_text(f, "{\"name\": 1, \"input\": {\"resise\": 3, \"crop\": 2}}");

    assert_non_null(strstr(f->log, "\"name\""));
    assert_non_null(strstr(f->log, "\"resise\" in \"input\""));
    assert_null(strstr(f->log, "\"crop\""));
    deconv_card_destroy(card);
}

/* ---- Labels ---- */

static void labels_are_read(void **state)
{
    fixture *f = *state;
    deconv_card *card;

    put_text(f, "names.txt",
             "\xef\xbb\xbfn01440764 tench, Tinca tinca\r\nlifeboat\n\nnature n01440764\n"
             "n0144076 seven digits\nn01440765\nh\xc3\xa9ron  \n\n\n");
    card = open_text(f, "{\"labels\": \"names.txt\"}");
    assert_int_equal(deconv_card_label_count(card), 7);
    assert_string_equal(deconv_card_label(card, 0), "tench, Tinca tinca");
    assert_string_equal(deconv_card_label(card, 1), "lifeboat");
    assert_string_equal(deconv_card_label(card, 2), "");
    assert_string_equal(deconv_card_label(card, 3), "nature n01440764");
    assert_string_equal(deconv_card_label(card, 4), "n0144076 seven digits");
    assert_string_equal(deconv_card_label(card, 5), "n01440765");
    assert_string_equal(deconv_card_label(card, 6), "h\xc3\xa9ron");
    assert_null(deconv_card_label(card, 7));
    assert_null(deconv_card_label(card, UINT32_MAX));
    deconv_card_destroy(card);

    card = open_text(f, "{}");
    assert_int_equal(deconv_card_label_count(card), 0);
    assert_null(deconv_card_label(card, 0));
    deconv_card_destroy(card);
}

static void classes_are_found_by_label(void **state)
{
    fixture *f = *state;
    deconv_card *card;
    int64_t index;

    put_text(f, "names.txt",
             "n01440764 tench, Tinca tinca\ncrane\nTub, vat\ncrane\nvat\nbath, tub\n");
    card = open_text(f, "{\"labels\": \"names.txt\"}");
    assert_int_equal(deconv_card_class(card, "tinca tinca", &index), DECONV_OK);
    assert_int_equal(index, 0);
    assert_int_equal(deconv_card_class(card, "Tench, Tinca tinca", &index), DECONV_OK);
    assert_int_equal(index, 0);
    assert_int_equal(deconv_card_class(card, "vat", &index), DECONV_OK);
    assert_int_equal(index, 4); /* a whole label before a part of one */
    assert_int_equal(deconv_card_class(card, "Crane", &index), DECONV_ERROR_INVALID);
    expect_message(f, "1 and 3");
    assert_int_equal(deconv_card_class(card, "tub", &index), DECONV_ERROR_INVALID);
    expect_message(f, "2 and 5");
    assert_int_equal(deconv_card_class(card, "trench", &index), DECONV_ERROR_NOT_FOUND);
    expect_message(f, "trench; the nearest are: tench");
    assert_int_equal(deconv_card_class(card, "ten", &index), DECONV_ERROR_NOT_FOUND);
    assert_int_equal(index, -1);
    deconv_card_destroy(card);
    card = open_text(f, "{}");
    assert_int_equal(deconv_card_class(card, "tench", &index), DECONV_ERROR_INVALID);
    deconv_card_destroy(card);
}

static void broken_labels_are_refused(void **state)
{
    fixture *f = *state;
    deconv_card *card = (deconv_card *)f;

    put_text(f, "empty.txt", "\n\n");
    put_text(f, "latin.txt", "one\nh\xe9ron\n");
    put_file(f, "zero.txt", "a\0b\n", 4);
    put_text(f, "a.txt", "a\n");
    expect_refusal(f, "{\"labels\": \"empty.txt\"}", "no labels");
    expect_refusal(f, "{\"labels\": \"latin.txt\"}", "line 2 is not UTF-8");
    expect_refusal(f, "{\"labels\": \"zero.txt\"}", "zero bytes");
    expect_refusal(f, "{\"labels\": \"a.txt\", \"labels\": \"a.txt\"}", "twice");
    assert_int_equal(deconv_card_open(f->ctx,
                                      put_text(f, "card.json", "{\"labels\": \"none.txt\"}"), NULL,
                                      &card),
                     DECONV_ERROR_NOT_FOUND);
    assert_null(card);
    expect_message(f, "card.json");
    expect_message(f, "none.txt");
}

static void labels_may_lie_elsewhere(void **state)
{
    fixture *f = *state;
    deconv_card *card;
    char json[1024];
    const char *path = put_text(f, "elsewhere.txt", "far\n");

    snprintf(json, sizeof json, "{\"labels\": \"%s\"}", path);
    card = open_text(f, json);
    assert_string_equal(deconv_card_label(card, 0), "far");
    deconv_card_destroy(card);
}

/* ---- Which card ---- */

/* The first label tells the cards apart. */
static void expect_label(fixture *f, const char *card_path, const char *model_path,
                         const char *label)
{
    deconv_card *card = NULL;

    f->log[0] = 0;
    if (deconv_card_open(f->ctx, card_path, model_path, &card) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    if (label)
        assert_string_equal(deconv_card_label(card, 0), label);
    else
        assert_null(deconv_card_label(card, 0));
    assert_int_equal(strstr(f->log, "no model card") != NULL, label == NULL);
    deconv_card_destroy(card);
}

static void cards_are_looked_for_in_order(void **state)
{
    fixture *f = *state;
    deconv_card *card = (deconv_card *)f;
    char model[512];

    strcpy(model, in_folder(f, "net.v2.onnx"));
    put_text(f, "one.txt", "one\n");
    put_text(f, "two.txt", "two\n");
    put_text(f, "three.txt", "three\n");
    expect_label(f, NULL, model, NULL);
    assert_non_null(strstr(f->log, model));
    put_text(f, "model.json", "{\"labels\": \"one.txt\"}");
    expect_label(f, NULL, model, "one");
    put_text(f, "net.v2.json", "{\"labels\": \"two.txt\"}");
    expect_label(f, NULL, model, "two");
    expect_label(f, put_text(f, "mine.card", "{\"labels\": \"three.txt\"}"), model, "three");
    expect_label(f, NULL, NULL, NULL);

    assert_int_equal(deconv_card_open(f->ctx, in_folder(f, "no.json"), model, &card),
                     DECONV_ERROR_NOT_FOUND);
    assert_null(card);
    expect_message(f, "no.json");
    put_text(f, "net.v2.json", "{"); /* a broken card is an error, not a reason to look on */
    assert_int_equal(deconv_card_open(f->ctx, NULL, model, &card), DECONV_ERROR_FORMAT);
    expect_message(f, "net.v2.json");
}

static void defaults_are_unit_range_rgb(void **state)
{
    fixture *f = *state;
    deconv_card *card;
    deconv_picture *p = all_values(f), *q;
    float values[3 * 256];

    assert_int_equal(deconv_card_open(f->ctx, NULL, NULL, &card), DECONV_OK);
    assert_int_equal(deconv_card_crop(card, p, 16, 16, &q), DECONV_OK);
    assert_int_equal(deconv_card_values(card, q, 3, values, 3 * 256), DECONV_OK);
    for (int i = 0; i < 256; i++) {
        assert_true(values[i] == (float)(i / 255.0));
        assert_true(values[512 + i] == (float)(i * 7 % 256 / 255.0));
    }
    assert_int_equal(deconv_card_bgr(card), 0);
    deconv_picture_destroy(p);
    deconv_picture_destroy(q);
    deconv_card_destroy(card);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(range_of_bytes_is_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mean_and_std_are_in_the_nets_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_are_rounded_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_channel_is_luma, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_channels_and_counts_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cropping_equals_torchvision, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_picture_of_the_right_size_is_left_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_resize_the_whole_picture_is_fitted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(crops_that_cannot_be_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_very_thin_picture_is_resized_and_cropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(broken_cards_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_keys_are_named_in_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(classes_are_found_by_label, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_labels_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_may_lie_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cards_are_looked_for_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(defaults_are_unit_range_rgb, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
