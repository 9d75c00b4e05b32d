/* Constants of an ONNX file as host tensors: float32 or int64, whatever the file stores them as.
 * Where external data lies is external.c's business. */
#include "reader.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "../file.h"

/* ---- Element types ---- */

typedef enum element_kind {
    KIND_REFUSED,
    KIND_UNSIGNED,
    KIND_SIGNED,
    KIND_BOOL,
    KIND_HALF,
    KIND_BFLOAT,
    KIND_FLOAT,
    KIND_DOUBLE
} element_kind;

/* The field that holds elements which are not in raw_data. */
typedef enum element_field {
    FIELD_NONE,
    FIELD_F32,
    FIELD_I32,
    FIELD_I64,
    FIELD_U64,
    FIELD_F64
} element_field;

typedef struct element_type {
    const char *name;
    element_kind kind;
    unsigned bytes;
    element_field field;
} element_type;

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static const element_type element_types[] = {
    [TYPE(UNDEFINED)] = {.name = "no element type"},
    [TYPE(FLOAT)] = {"float32", KIND_FLOAT, 4, FIELD_F32},
    [TYPE(UINT8)] = {"uint8", KIND_UNSIGNED, 1, FIELD_I32},
    [TYPE(INT8)] = {"int8", KIND_SIGNED, 1, FIELD_I32},
    [TYPE(UINT16)] = {"uint16", KIND_UNSIGNED, 2, FIELD_I32},
    [TYPE(INT16)] = {"int16", KIND_SIGNED, 2, FIELD_I32},
    [TYPE(INT32)] = {"int32", KIND_SIGNED, 4, FIELD_I32},
    [TYPE(INT64)] = {"int64", KIND_SIGNED, 8, FIELD_I64},
    [TYPE(STRING)] = {.name = "string"},
    [TYPE(BOOL)] = {"bool", KIND_BOOL, 1, FIELD_I32},
    [TYPE(FLOAT16)] = {"float16", KIND_HALF, 2, FIELD_I32},
    [TYPE(DOUBLE)] = {"float64", KIND_DOUBLE, 8, FIELD_F64},
    [TYPE(UINT32)] = {"uint32", KIND_UNSIGNED, 4, FIELD_U64},
    [TYPE(UINT64)] = {"uint64", KIND_UNSIGNED, 8, FIELD_U64},
    [TYPE(COMPLEX64)] = {.name = "complex64"},
    [TYPE(COMPLEX128)] = {.name = "complex128"},
    [TYPE(BFLOAT16)] = {"bfloat16", KIND_BFLOAT, 2, FIELD_I32},
    [TYPE(FLOAT8E4M3FN)] = {.name = "float8e4m3fn"},
    [TYPE(FLOAT8E4M3FNUZ)] = {.name = "float8e4m3fnuz"},
    [TYPE(FLOAT8E5M2)] = {.name = "float8e5m2"},
    [TYPE(FLOAT8E5M2FNUZ)] = {.name = "float8e5m2fnuz"},
    [TYPE(UINT4)] = {.name = "uint4"},
    [TYPE(INT4)] = {.name = "int4"},
    [TYPE(FLOAT4E2M1)] = {.name = "float4e2m1"},
    [TYPE(FLOAT8E8M0)] = {.name = "float8e8m0"},
    [TYPE(UINT2)] = {.name = "uint2"},
    [TYPE(INT2)] = {.name = "int2"},
};

static const element_type *element_type_of(int32_t type)
{
    static const element_type unknown = {.name = "an unknown element type"};
    int32_t count = (int32_t)(sizeof element_types / sizeof element_types[0]);

    return type >= 0 && type < count ? &element_types[type] : &unknown;
}

const char *element_type_name(int32_t type)
{
    return element_type_of(type)->name;
}

bool element_type_is_float(int32_t type)
{
    return element_type_of(type)->kind >= KIND_HALF;
}

bool element_type_is_integer(int32_t type)
{
    element_kind kind = element_type_of(type)->kind;

    return kind == KIND_UNSIGNED || kind == KIND_SIGNED || kind == KIND_BOOL;
}

/* ---- One element ---- */

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_of_half(uint32_t bits)
{
    uint32_t sign = (bits & 0x8000u) << 16;
    uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;

    if (exponent == 0) { /* zero or subnormal: a multiple of 2^-24 */
        float value = ldexpf((float)mantissa, -24);
        return sign ? -value : value;
    }
    if (exponent == 31) /* infinity or NaN */
        return float_of_bits(sign | 0x7f800000u | mantissa << 13);
    return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

static float float_of_double_bits(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

static float decode_float(element_kind kind, uint64_t bits)
{
    switch (kind) {
    case KIND_HALF:
        return float_of_half((uint32_t)bits);
    case KIND_BFLOAT:
        return float_of_bits((uint32_t)bits << 16);
    case KIND_DOUBLE:
        return float_of_double_bits(bits);
    default:
        return float_of_bits((uint32_t)bits);
    }
}

/* `bits` has the element in its low `bytes` bytes, zeros above. */
static int64_t decode_int(const element_type *type, uint64_t bits)
{
    uint64_t sign = (uint64_t)1 << (8 * type->bytes - 1);
    int64_t value;

    if (type->kind == KIND_BOOL)
        return bits != 0;
    if (type->kind == KIND_SIGNED)
        bits = (bits ^ sign) - sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- A whole tensor ---- */

/* Where the elements of a tensor are: `raw` little-endian bytes, or else the field of its type. */
typedef struct element_source {
    const element_type *type;
    const uint8_t *raw;
    const Onnx__TensorProto *proto;
} element_source;

static uint64_t element_bits(const element_source *source, size_t i)
{
    unsigned bytes = source->type->bytes;
    uint64_t bits = 0;

    if (source->raw) {
        for (unsigned b = 0; b < bytes; b++)
            bits |= (uint64_t)source->raw[i * bytes + b] << 8 * b;
        return bits;
    }
    switch (source->type->field) {
    case FIELD_F32: {
        uint32_t word;

        memcpy(&word, &source->proto->float_data[i], sizeof word);
        bits = word;
        break;
    }
    case FIELD_F64:
        memcpy(&bits, &source->proto->double_data[i], sizeof bits);
        break;
    case FIELD_I64:
        bits = (uint64_t)source->proto->int64_data[i];
        break;
    case FIELD_U64:
        bits = source->proto->uint64_data[i];
        break;
    default:
        bits = (uint64_t)(int64_t)source->proto->int32_data[i];
        break;
    }
    return bytes == 8 ? bits : bits & (((uint64_t)1 << 8 * bytes) - 1);
}

static size_t field_count(const Onnx__TensorProto *proto, element_field field)
{
    switch (field) {
    case FIELD_F32:
        return proto->n_float_data;
    case FIELD_F64:
        return proto->n_double_data;
    case FIELD_I32:
        return proto->n_int32_data;
    case FIELD_I64:
        return proto->n_int64_data;
    case FIELD_U64:
        return proto->n_uint64_data;
    case FIELD_NONE:
        break;
    }
    return 0;
}

/* Unlike the shapes of activations, those of constants may have dimensions of 0. */
static deconv_status tensor_shape(deconv_ctx *ctx, const char *what, const Onnx__TensorProto *proto,
                                  shape *out)
{
    deconv_status status = DECONV_OK;
    int64_t count = 1;

    memset(out, 0, sizeof *out);
    if (proto->n_dims > DECONV_MAX_RANK)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "%s has %zu dimensions; at most %d are supported", what,
             proto->n_dims, DECONV_MAX_RANK);
    out->rank = (int)proto->n_dims;
    for (int d = 0; d < out->rank; d++) {
        int64_t size = proto->dims[d];

        if (size < 0)
            FAIL(ctx, DECONV_ERROR_FORMAT, "%s: dimension %d is %lld; it must not be negative",
                 what, d, (long long)size);
        if (size > INT32_MAX / count)
            FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
                 "%s is too large at dimension %d (%lld); a tensor holds at most 2147483647 "
                 "elements",
                 what, d, (long long)size);
        count *= size ? size : 1; /* strides must not overflow behind a 0 either */
        out->dim[d] = size;
    }
done:
    return status;
}

/* Whether elements in the file are what a host tensor holds. */
static bool are_floats(const element_type *type)
{
    const uint16_t probe = 1;

    return type->kind == KIND_FLOAT && *(const uint8_t *)&probe == 1;
}

/* Float32 data that is already what a host tensor holds changes hands; NULL where it has to be
 * converted. `fetched` is external data, which belongs to the caller. */
static float *take_floats(Onnx__TensorProto *proto, const element_source *source, uint8_t **fetched)
{
    float *taken = NULL;

    if (source->type->kind != KIND_FLOAT)
        return NULL;
    if (!source->raw) {
        taken = proto->float_data;
        proto->float_data = NULL;
        proto->n_float_data = 0;
    } else if (are_floats(source->type) && (uintptr_t)source->raw % alignof(float) == 0) {
        taken = (float *)(void *)(*fetched ? *fetched : proto->raw_data.data);
        if (*fetched) {
            *fetched = NULL;
        } else {
            proto->raw_data.data = NULL;
            proto->raw_data.len = 0;
        }
    }
    return taken;
}

/* Raw data that was left out when the file was parsed: floats stay in the file. */
static deconv_status fetch_raw(deconv_ctx *ctx, const model_file *file, const raw_place *place,
                               const element_source *source, uint8_t **fetched)
{
    deconv_status status = DECONV_OK;

    if (are_floats(source->type))
        goto done;
    TRY_ALLOC(*fetched, ctx, (size_t)place->bytes);
    TRY(file_read_at(ctx, file->path, file->fd, place->offset, (size_t)place->bytes, *fetched));
done:
    return status;
}

/* Finds the elements and checks that there are as many as the shape says. `source->raw` stays NULL
 * where they stay in the file. */
static deconv_status find_elements(deconv_ctx *ctx, const model_file *file, const char *what,
                                   const Onnx__TensorProto *proto, const raw_place *place,
                                   size_t count, element_source *source, uint8_t **fetched)
{
    const element_type *type = source->type;
    size_t expected = count * type->bytes;
    size_t typed = field_count(proto, type->field);
    size_t raw = place->bytes ? (size_t)place->bytes : proto->raw_data.len;
    deconv_status status = DECONV_OK;

    if (proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        TRY(external_read(ctx, file->path, what, proto, expected, fetched));
        source->raw = *fetched;
    } else if (raw > 0) {
        if (typed > 0)
            FAIL(ctx, DECONV_ERROR_FORMAT, "%s has its elements twice, as raw and as typed data",
                 what);
        if (raw != expected)
            FAIL(ctx, DECONV_ERROR_FORMAT,
                 "%s has %zu bytes of data; its %zu elements of %s need "
                 "%zu",
                 what, raw, count, type->name, expected);
        if (place->bytes)
            TRY(fetch_raw(ctx, file, place, source, fetched));
        source->raw = place->bytes ? *fetched : proto->raw_data.data;
    } else if (typed != count) {
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s has %zu elements of %s; its shape needs %zu", what,
             typed, type->name, count);
    }
done:
    return status;
}

static deconv_status convert_elements(deconv_ctx *ctx, const char *what,
                                      const element_source *source, size_t count, host_tensor *t)
{
    const element_type *type = source->type;

    for (size_t i = 0; t->is_float && i < count; i++)
        t->f[i] = decode_float(type->kind, element_bits(source, i));
    for (size_t i = 0; !t->is_float && i < count; i++) {
        uint64_t bits = element_bits(source, i);

        if (type->kind == KIND_UNSIGNED && bits > INT64_MAX)
            return error_set(ctx, DECONV_ERROR_UNSUPPORTED,
                             "%s: element %zu is %llu; integers go up to %lld", what, i,
                             (unsigned long long)bits, (long long)INT64_MAX);
        t->i[i] = decode_int(type, bits);
    }
    return DECONV_OK;
}

static deconv_status make_float_tensor(deconv_ctx *ctx, const char *what, const shape *s,
                                       host_tensor **out)
{
    *out = mem_alloc(ctx, 1, sizeof **out, what);
    if (!*out)
        return DECONV_ERROR_NO_MEMORY;
    (*out)->shape = *s;
    (*out)->is_float = true;
    return DECONV_OK;
}

deconv_status tensor_decode(deconv_ctx *ctx, const model_file *file, const char *what,
                            Onnx__TensorProto *proto, const raw_place *place, host_tensor **out)
{
    static const raw_place nowhere = {0, 0};
    element_source source = {element_type_of(proto->data_type), NULL, proto};
    deconv_status status = DECONV_OK;
    uint8_t *fetched = NULL;
    host_tensor *t = NULL;
    float *taken = NULL;
    bool in_file;
    size_t count;
    shape s;

    *out = NULL;
    if (source.type->kind == KIND_REFUSED)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s holds %s (type %d); float16, bfloat16, float32, float64, bool and integers of 8 "
             "to 64 bits are supported",
             what, source.type->name, (int)proto->data_type);
    if (proto->has_segment)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "%s is split into segments; store it whole", what);
    TRY(tensor_shape(ctx, what, proto, &s));
    count = (size_t)shape_count(&s);
    place = place ? place : &nowhere;
    TRY(find_elements(ctx, file, what, proto, place, count, &source, &fetched));

    in_file = place->bytes > 0 && !source.raw;
    if (count > 0 && !in_file)
        taken = take_floats(proto, &source, &fetched);
    if (in_file || taken) {
        TRY(make_float_tensor(ctx, what, &s, &t));
        t->f = taken;
        t->in_file = in_file;
        t->offset = place->offset;
        taken = NULL;
    } else {
        TRY(host_tensor_create(ctx, &s, source.type->kind >= KIND_HALF, &t));
        TRY(convert_elements(ctx, what, &source, count, t));
    }
    *out = t;
    t = NULL;
done:
    mem_free(ctx, taken);
    mem_free(ctx, fetched);
    host_tensor_free(ctx, t);
    tensor_release_data(ctx, proto);
    return status;
}

void tensor_release_data(deconv_ctx *ctx, Onnx__TensorProto *proto)
{
    mem_free(ctx, proto->raw_data.data);
    proto->raw_data.data = NULL;
    proto->raw_data.len = 0;
    mem_free(ctx, proto->float_data);
    proto->float_data = NULL;
    proto->n_float_data = 0;
    mem_free(ctx, proto->double_data);
    proto->double_data = NULL;
    proto->n_double_data = 0;
    mem_free(ctx, proto->int32_data);
    proto->int32_data = NULL;
    proto->n_int32_data = 0;
    mem_free(ctx, proto->int64_data);
    proto->int64_data = NULL;
    proto->n_int64_data = 0;
    mem_free(ctx, proto->uint64_data);
    proto->uint64_data = NULL;
    proto->n_uint64_data = 0;
}
