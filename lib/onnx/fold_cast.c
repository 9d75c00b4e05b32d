/* Folding of conversions between element types. */
#include "fold.h"

#include <math.h>

#include "reader.h"

/* Towards zero; what does not fit goes to the nearest that does, NaN to 0. */
static int64_t int_of_float(double value)
{
    if (isnan(value))
        return 0;
    if (value >= 0x1p63)
        return INT64_MAX;
    return value < -0x1p63 ? INT64_MIN : (int64_t)value;
}

/* Keeps the low bits that an integer of the wanted width has, as a conversion in C does. */
static int64_t narrow(int64_t value, int32_t type)
{
    switch (type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
        return value != 0;
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
        return (uint8_t)value;
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT16:
        return (uint16_t)value;
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
        return (uint32_t)value;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT8:
        return (int8_t)(uint8_t)value;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT16:
        return (int16_t)(uint16_t)value;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
        return (int32_t)(uint32_t)value;
    default:
        return value;
    }
}

/* Between kinds of floats nothing changes: the library computes all of them in float32. */
static deconv_status run_cast(const fold *f)
{
    const host_tensor *x = fold_in(f, 0);
    int64_t count = shape_count(&x->shape);
    deconv_status status = DECONV_OK;
    int64_t wanted;
    int32_t to;
    bool to_float;

    TRY(fold_attr_int(f, "to", -1, &wanted));
    to = wanted < 0 || wanted > INT32_MAX ? -1 : (int32_t)wanted;
    to_float = element_type_is_float(to);
    if (!to_float && !element_type_is_integer(to))
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED,
                  "to = %lld (%s); casts go to floats, bool and integers of 8 to 64 bits",
                  (long long)wanted, element_type_name(to));
    if (to_float && x->is_float) {
        TRY(fold_copy_as(f, 0, x, &x->shape));
        goto done;
    }
    TRY(fold_out(f, 0, &x->shape, to_float));
    for (int64_t n = 0; n < count; n++) {
        if (to_float)
            f->out[0]->f[n] = (float)x->i[n];
        else if (to == ONNX__TENSOR_PROTO__DATA_TYPE__BOOL && x->is_float)
            f->out[0]->i[n] = x->f[n] != 0;
        else
            f->out[0]->i[n] = narrow(x->is_float ? int_of_float(x->f[n]) : x->i[n], to);
    }
done:
    return status;
}

const fold_op fold_cast_ops[] = {
    {"Cast", 1, 1, .run = run_cast},
    {.type = NULL},
};
