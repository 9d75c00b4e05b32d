/* Dense layers: a row of a batch has the bits that it has alone, in both directions, so that the
 * projections of many seeds are those of single ones. Against float64 they are tested by layers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "deconv.h"

enum { MOST = 64 };

typedef struct dense {
    deconv_ctx *ctx;
    int64_t k, n;
    int transposed; /* the weight is (n, k) */
    float *x, *r, *weight, *bias;
} dense;

static float *values(int64_t count, uint32_t seed)
{
    float *v = malloc((size_t)count * sizeof *v);

    assert_non_null(v);
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) / (1 << 23) - 1.0f;
    }
    return v;
}

static deconv_tensor *tensor_of(const dense *d, int64_t rows, int64_t columns, const float *v)
{
    const int64_t dims[] = {rows, columns};
    deconv_tensor *t;

    assert_int_equal(deconv_tensor_create(d->ctx, dims, 2, &t), DECONV_OK);
    if (v)
        assert_int_equal(deconv_tensor_write(t, v, (uint64_t)(rows * columns)), DECONV_OK);
    return t;
}

/* Rows first..first+rows-1, forward into y and back into s. */
static void run(const dense *d, int64_t first, int64_t rows, float *y, float *s)
{
    const int64_t transposed = d->transposed;
    const deconv_attr attr = {
        .name = "transB", .type = DECONV_ATTR_INTS, .count = 1, .ints = &transposed};
    deconv_tensor *x = tensor_of(d, rows, d->k, d->x + first * d->k);
    deconv_tensor *w = tensor_of(d, transposed ? d->n : d->k, transposed ? d->k : d->n, d->weight);
    deconv_tensor *bias = tensor_of(d, 1, d->n, d->bias);
    deconv_tensor *out = tensor_of(d, rows, d->n, NULL);
    deconv_tensor *r = tensor_of(d, rows, d->n, d->r + first * d->n);
    deconv_tensor *back = tensor_of(d, rows, d->k, NULL);
    const deconv_tensor *in[] = {x, w, bias};
    deconv_tensor *signals[] = {back, NULL, NULL};
    deconv_tensor *all[] = {x, w, bias, out, r, back};
    deconv_layer *layer;

    assert_int_equal(deconv_layer_create(d->ctx, "Gemm", 13, &attr, 1, &layer), DECONV_OK);
    assert_int_equal(deconv_run_layer(d->ctx, layer, DECONV_FORWARD, NULL, in, 3, &out, 1, NULL),
                     DECONV_OK);
    assert_int_equal(deconv_tensor_read(out, y, (uint64_t)(rows * d->n)), DECONV_OK);
    assert_int_equal(deconv_run_layer(d->ctx, layer, DECONV_INVERSE, NULL, in, 3, &r, 1, signals),
                     DECONV_OK);
    assert_int_equal(deconv_tensor_read(back, s, (uint64_t)(rows * d->k)), DECONV_OK);
    deconv_layer_destroy(layer);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        deconv_tensor_destroy(all[i]);
}

static void check(deconv_ctx *ctx, int64_t n, int64_t k, int transposed)
{
    static const int64_t batches[] = {1, 2, 7, 8, 9, MOST};
    dense d = {
        ctx,         k, n, transposed, values(MOST * k, 1), values(MOST * n, 2), values(n * k, 3),
        values(n, 4)};
    float *y = calloc(MOST * (size_t)n, sizeof *y), *s = calloc(MOST * (size_t)k, sizeof *s);
    float *alone_y = calloc(MOST * (size_t)n, sizeof *y);
    float *alone_s = calloc(MOST * (size_t)k, sizeof *s);

    for (int64_t i = 0; i < 9; i++)
        run(&d, i, 1, alone_y + i * n, alone_s + i * k);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        int64_t rows = batches[b] < 9 ? batches[b] : 9;

        run(&d, 0, batches[b], y, s);
        assert_memory_equal(y, alone_y, (size_t)(rows * n) * sizeof *y);
        assert_memory_equal(s, alone_s, (size_t)(rows * k) * sizeof *s);
    }
    free(y);
    free(s);
    free(alone_y);
    free(alone_s);
    free(d.x);
    free(d.r);
    free(d.weight);
    free(d.bias);
}

static void rows_do_not_depend_on_the_batch(void **state)
{
    static const int64_t sizes[][2] = {{1, 1},   {3, 5},      {1, 300},
                                       {300, 1}, {131, 2050}, {1030, 129}};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int transposed = 0; transposed < 2; transposed++)
            check(*state, sizes[i][0], sizes[i][1], transposed);
}

static int open_context(void **state)
{
    return deconv_ctx_create(NULL, (deconv_ctx **)state) != DECONV_OK;
}

static int close_context(void **state)
{
    deconv_ctx_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_do_not_depend_on_the_batch)};

    return cmocka_run_group_tests(tests, open_context, close_context);
}
