/* Folding of operators that make a constant out of attributes or of a shape alone. */
#include "fold.h"

#include <math.h>
#include <string.h>

/* ---- Constant ---- */

static deconv_status run_constant(const fold *f)
{
    static const struct {
        const char *name;
        deconv_attr_type type;
        bool is_list;
    } forms[] = {
        {"value_int", DECONV_ATTR_INTS, false},
        {"value_ints", DECONV_ATTR_INTS, true},
        {"value_float", DECONV_ATTR_FLOATS, false},
        {"value_floats", DECONV_ATTR_FLOATS, true},
    };
    deconv_status status = DECONV_OK;

    if (f->node->value) {
        TRY(fold_copy_as(f, 0, f->node->value, &f->node->value->shape));
        goto done;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const deconv_attr *attr = fold_attr(f, forms[i].name);
        shape s = {.rank = forms[i].is_list};

        if (!attr)
            continue;
        if (attr->type != forms[i].type || (!forms[i].is_list && attr->count != 1) ||
            attr->count > INT32_MAX)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "attribute %s is of another type than its name says",
                      attr->name);
        s.dim[0] = (int64_t)attr->count;
        TRY(fold_out(f, 0, &s, attr->type == DECONV_ATTR_FLOATS));
        for (uint64_t n = 0; n < attr->count; n++) {
            if (attr->type == DECONV_ATTR_FLOATS)
                f->out[0]->f[n] = attr->floats[n];
            else
                f->out[0]->i[n] = attr->ints[n];
        }
        goto done;
    }
    FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED,
              "it has no value that is a tensor, a number or a list of numbers");
done:
    return status;
}

static deconv_status run_constant_of_shape(const fold *f)
{
    const host_tensor *value = f->node->value;
    deconv_status status = DECONV_OK;
    const int64_t *list;
    shape s = {0};
    size_t count;

    if (value && shape_count(&value->shape) != 1)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its value has %lld elements; it must have one",
                  (long long)shape_count(&value->shape));
    TRY(fold_list(f, "shape", 0, &list, &count));
    if (count > DECONV_MAX_RANK)
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED, "%zu dimensions; at most %d are supported", count,
                  DECONV_MAX_RANK);
    s.rank = (int)count;
    for (int d = 0; d < s.rank; d++) {
        if (list[d] < 0)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "dimension %d cannot be %lld", d, (long long)list[d]);
        s.dim[d] = list[d];
    }
    TRY(fold_out(f, 0, &s, !value || value->is_float));
    for (int64_t n = 0; value && n < shape_count(&s); n++) {
        if (value->is_float)
            f->out[0]->f[n] = value->f[0];
        else
            f->out[0]->i[n] = value->i[0];
    }
done:
    return status;
}

/* ---- Shape and Size ---- */

static deconv_status run_shape(const fold *f)
{
    const shape *from = &f->in_shape[0];
    deconv_status status = DECONV_OK;
    shape s = {.rank = 1};
    int64_t start, end;

    TRY(fold_attr_int(f, "start", 0, &start));
    TRY(fold_attr_int(f, "end", from->rank, &end));
    start += start < 0 ? from->rank : 0;
    end += end < 0 ? from->rank : 0;
    start = start < 0 ? 0 : start > from->rank ? from->rank : start;
    end = end < start ? start : end > from->rank ? from->rank : end;
    s.dim[0] = end - start;
    TRY(fold_out(f, 0, &s, false));
    for (int64_t d = start; d < end; d++)
        f->out[0]->i[d - start] = from->dim[d];
done:
    return status;
}

static deconv_status run_size(const fold *f)
{
    deconv_status status = DECONV_OK;
    shape s = {0};

    TRY(fold_out(f, 0, &s, false));
    f->out[0]->i[0] = shape_count(&f->in_shape[0]);
done:
    return status;
}

/* ---- Range ---- */

/* How many integers there are from start to below (above, for a negative step) limit. */
static uint64_t range_count(int64_t start, int64_t limit, int64_t delta)
{
    uint64_t distance, step;

    if (delta > 0 ? limit <= start : limit >= start)
        return 0;
    distance = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    return (distance - 1) / step + 1;
}

static deconv_status run_range(const fold *f)
{
    const host_tensor *start = fold_in(f, 0), *limit = fold_in(f, 1), *delta = fold_in(f, 2);
    deconv_status status = DECONV_OK;
    shape s = {.rank = 1};
    double count;

    for (int i = 0; i < 3; i++) {
        if (shape_count(&fold_in(f, i)->shape) != 1 || fold_in(f, i)->is_float != start->is_float)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT,
                      "start, limit and delta must be single numbers of one type");
    }
    if (start->is_float ? delta->f[0] == 0 : delta->i[0] == 0)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "delta is 0");
    if (start->is_float)
        count = ceil(((double)limit->f[0] - start->f[0]) / delta->f[0]);
    else
        count = (double)range_count(start->i[0], limit->i[0], delta->i[0]);
    if (!(count <= INT32_MAX))
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED, "%g elements are too many; at most %d are made",
                  count, INT32_MAX);
    s.dim[0] = count > 0 ? (int64_t)count : 0;
    TRY(fold_out(f, 0, &s, start->is_float));
    for (int64_t n = 0; n < s.dim[0]; n++) {
        if (start->is_float)
            f->out[0]->f[n] = (float)(start->f[0] + (double)n * delta->f[0]);
        else
            f->out[0]->i[n] =
                (int64_t)((uint64_t)start->i[0] + (uint64_t)n * (uint64_t)delta->i[0]);
    }
done:
    return status;
}

const fold_op fold_create_ops[] = {
    {"Constant", 0, 0, .run = run_constant},
    {"ConstantOfShape", 1, 1, .run = run_constant_of_shape},
    {"Shape", 1, 1, .run = run_shape, .by_shape = true},
    {"Size", 1, 1, .run = run_size, .by_shape = true},
    {"Range", 3, 3, .run = run_range},
    {.type = NULL},
};
