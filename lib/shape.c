/* Shapes: counting, comparing, broadcasting. No tensors here. */
#include "tensor.h"

#include <stdio.h>
#include <string.h>

int64_t shape_span(const shape *s, int from, int to)
{
    int64_t count = 1;

    for (int d = from; d < to; d++)
        count *= s->dim[d];
    return count;
}

int64_t shape_count(const shape *s)
{
    return shape_span(s, 0, s->rank);
}

bool shape_equal(const shape *a, const shape *b)
{
    return a->rank == b->rank &&
           (a->rank <= 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0);
}

const char *shape_text(const shape *s, char *text, size_t size)
{
    size_t used = 0;

    if (s->rank <= 0)
        snprintf(text, size, s->rank < 0 ? "nothing" : "scalar");
    for (int d = 0; d < s->rank && used < size; d++)
        used +=
            (size_t)snprintf(text + used, size - used, d ? "x%lld" : "%lld", (long long)s->dim[d]);
    return text;
}

deconv_status shape_make(deconv_ctx *ctx, const char *what, const int64_t *dims, size_t rank,
                         shape *out)
{
    deconv_status status = DECONV_OK;
    int64_t count = 1;

    memset(out, 0, sizeof *out);
    if (rank > DECONV_MAX_RANK)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "%s has %zu dimensions; at most %d are supported", what,
             rank, DECONV_MAX_RANK);
    out->rank = (int)rank;
    for (size_t d = 0; d < rank; d++) {
        if (dims[d] < 1)
            FAIL(ctx, DECONV_ERROR_INVALID, "%s: dimension %zu is %lld; it must be at least 1",
                 what, d, (long long)dims[d]);
        if (dims[d] > INT32_MAX / count)
            FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
                 "%s is too large: a tensor holds at most 2147483647 elements", what);
        count *= dims[d];
        out->dim[d] = dims[d];
    }
done:
    return status;
}

bool shape_broadcast(const shape *a, const shape *b, shape *out)
{
    int rank = a->rank > b->rank ? a->rank : b->rank;

    memset(out, 0, sizeof *out);
    out->rank = rank;
    for (int d = 0; d < rank; d++) {
        int in_a = d - (rank - a->rank), in_b = d - (rank - b->rank);
        int64_t n = in_a < 0 ? 1 : a->dim[in_a];
        int64_t m = in_b < 0 ? 1 : b->dim[in_b];

        if (n != m && n != 1 && m != 1)
            return false;
        out->dim[d] = n == 1 ? m : n;
    }
    return true;
}
