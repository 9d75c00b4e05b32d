/* NumPy's .npy files of float32, the one array format the library speaks; layout as in NumPy's
 * numpy.lib.format. */
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "tensor.h"

#define MAGIC       "\x93NUMPY"
#define MAGIC_SIZE  6
#define PREAMBLE_V1 10 /* magic, version, header length in 2 bytes; versions 2 and 3: in 4 */
#define PREAMBLE_V2 12
#define ALIGNMENT   64
#define FILE_LIMIT                                                                                 \
    ((size_t)INT32_MAX <= SIZE_MAX / 8 ? (size_t)INT32_MAX * 4 + ((size_t)1 << 20) : SIZE_MAX / 2)
#define DESCR_SIZE 64
#define HEADER_WANTED                                                                              \
    "the header of a .npy file is {'descr': ..., 'fortran_order': ..., 'shape': ...}"

_Static_assert(sizeof(float) == 4, "float32 files are copied as they are");

/* The header's text while it is read. */
typedef struct npy_text {
    const char *at;
    const char *end;
} npy_text;

typedef struct npy_header {
    char descr[DESCR_SIZE]; /* as it stands in the header, without quotes */
    bool fortran;
    int64_t dim[DECONV_MAX_RANK];
    size_t rank;    /* may be larger than DECONV_MAX_RANK; dim holds the first ones */
    unsigned seen;  /* one bit a key */
    size_t data_at; /* where the values start in the file */
} npy_header;

static void skip_space(npy_text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t' || *t->at == '\r'))
        t->at++;
}

static bool take(npy_text *t, const char *word)
{
    size_t length = strlen(word);

    skip_space(t);
    if ((size_t)(t->end - t->at) < length || memcmp(t->at, word, length) != 0)
        return false;
    t->at += length;
    return true;
}

static bool take_string(npy_text *t, char *out, size_t room)
{
    char quote;
    size_t length = 0;

    skip_space(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"'))
        return false;
    for (quote = *t->at++; t->at < t->end && *t->at != quote; t->at++) {
        if (length + 1 >= room || (unsigned char)*t->at < ' ' || (unsigned char)*t->at > '~')
            return false;
        out[length++] = *t->at;
    }
    out[length] = 0;
    return t->at < t->end && *t->at++ == quote;
}

/* A whole number; one of more than 18 digits is none. */
static bool take_size(npy_text *t, int64_t *value)
{
    int digits = 0;

    skip_space(t);
    for (*value = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
        if (++digits <= 18)
            *value = *value * 10 + (*t->at - '0');
    return digits > 0 && digits <= 18;
}

/* (), (3,), (3, 4), (3, 4,): a Python tuple. */
static bool take_shape(npy_text *t, npy_header *h)
{
    bool comma = true;

    if (!take(t, "("))
        return false;
    for (h->rank = 0; !take(t, ")"); h->rank++) {
        int64_t size;

        if (!comma || !take_size(t, &size))
            return false;
        if (h->rank < DECONV_MAX_RANK)
            h->dim[h->rank] = size;
        comma = take(t, ",");
    }
    return comma || h->rank > 1;
}

/* A structured type is a list; one word stands for it in the message. */
static bool take_descr(npy_text *t, npy_header *h)
{
    int depth = 0;

    if (take_string(t, h->descr, sizeof h->descr))
        return true;
    if (t->at == t->end || *t->at != '[')
        return false;
    do {
        depth += (*t->at == '[') - (*t->at == ']');
        t->at++;
    } while (depth > 0 && t->at < t->end);
    strcpy(h->descr, "structured");
    return depth == 0;
}

static bool take_entry(npy_text *t, npy_header *h)
{
    char key[16];
    unsigned bit;
    bool sound;

    if (!take_string(t, key, sizeof key) || !take(t, ":"))
        return false;
    if (strcmp(key, "descr") == 0) {
        bit = 1;
        sound = take_descr(t, h);
    } else if (strcmp(key, "fortran_order") == 0) {
        bit = 2;
        h->fortran = take(t, "True");
        sound = h->fortran || take(t, "False");
    } else if (strcmp(key, "shape") == 0) {
        bit = 4;
        sound = take_shape(t, h);
    } else {
        return false;
    }
    sound = sound && !(h->seen & bit);
    h->seen |= bit;
    return sound;
}

static bool take_dictionary(npy_text *t, npy_header *h)
{
    bool comma = true;

    if (!take(t, "{"))
        return false;
    while (!take(t, "}")) {
        if (!comma || !take_entry(t, h))
            return false;
        comma = take(t, ",");
    }
    skip_space(t);
    return t->at == t->end && h->seen == 7;
}

static deconv_status read_header(deconv_ctx *ctx, const char *path, const uint8_t *bytes,
                                 size_t size, npy_header *h)
{
    size_t preamble, length;
    deconv_status status = DECONV_OK;

    if (size < MAGIC_SIZE || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: not a .npy file: it does not start with \\x93NUMPY",
             path);
    if (size < PREAMBLE_V2)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: cut off inside the header, after %zu bytes", path,
             size);
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s: .npy format version %u.%u; versions 1.0, 2.0 and 3.0 are read", path, bytes[6],
             bytes[7]);
    preamble = bytes[6] == 1 ? PREAMBLE_V1 : PREAMBLE_V2;
    length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > size - preamble)
        FAIL(ctx, DECONV_ERROR_FORMAT,
             "%s: cut off inside the header: %zu bytes of header, %zu in the file", path, length,
             size - preamble);

    npy_text text = {(const char *)bytes + preamble, (const char *)bytes + preamble + length};

    if (!take_dictionary(&text, h))
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: the header is broken; " HEADER_WANTED, path);
    h->data_at = preamble + length;
done:
    return status;
}

/* '<f8' as a reader of the message would name it. */
static const char *type_name(const char *descr)
{
    static const struct {
        const char *code;
        const char *name;
    } types[] = {
        {"f2", "float16"},   {"f4", "float32"},     {"f8", "float64"}, {"f16", "longdouble"},
        {"i1", "int8"},      {"i2", "int16"},       {"i4", "int32"},   {"i8", "int64"},
        {"u1", "uint8"},     {"u2", "uint16"},      {"u4", "uint32"},  {"u8", "uint64"},
        {"c8", "complex64"}, {"c16", "complex128"}, {"b1", "bool"},    {"O", "object"}};
    const char *code = descr + (*descr && strchr("<>|=", *descr) ? 1 : 0);

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(code, types[i].code) == 0)
            return types[i].name;
    return descr;
}

static deconv_status check_header(deconv_ctx *ctx, const char *path, const npy_header *h,
                                  shape *out)
{
    deconv_status status;

    if (strcmp(h->descr, ">f4") == 0)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s: holds big-endian float32 values; save little-endian ones: a.astype('<f4')", path);
    if (strcmp(h->descr, "|f4") == 0)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s: holds float32 values of no byte order ('|f4'); save a.astype('<f4')", path);
    if (strcmp(h->descr, "<f4") != 0)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s: holds %s values; save float32: a.astype('float32')", path, type_name(h->descr));
    if (h->fortran)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s: holds values in Fortran order; save C order: numpy.ascontiguousarray(a)", path);
    if (h->rank < 1 || h->rank > DECONV_MAX_RANK)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s: holds an array of %zu dimensions; 1 to %d are read", path, h->rank,
             DECONV_MAX_RANK);
    status = shape_make(ctx, path, h->dim, h->rank, out);
    if (status == DECONV_ERROR_INVALID) /* of a caller's shape; here the file's */
        status = DECONV_ERROR_FORMAT;
done:
    return status;
}

deconv_status deconv_tensor_load(deconv_ctx *ctx, const char *path, deconv_tensor **out)
{
    npy_header h = {0};
    shape s;
    uint8_t *bytes = NULL;
    float *values = NULL;
    size_t size, count;
    deconv_tensor *made = NULL;
    deconv_status status;

    *out = NULL;
    TRY(file_read(ctx, path, FILE_LIMIT, &bytes, &size));
    if (size == 0)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: the file is empty; a .npy file is wanted", path);
    TRY(read_header(ctx, path, bytes, size, &h));
    TRY(check_header(ctx, path, &h, &s));
    count = (size_t)shape_count(&s);
    if (size - h.data_at != count * sizeof *values) {
        char text[SHAPE_TEXT];

        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: %zu bytes of values; the shape %s takes %zu", path,
             size - h.data_at, shape_text(&s, text, sizeof text), count * sizeof *values);
    }
    TRY_ALLOC(values, ctx, count);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *b = bytes + h.data_at + i * 4;
        uint32_t bits =
            (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;

        memcpy(&values[i], &bits, sizeof bits);
    }
    mem_free(ctx, bytes);
    bytes = NULL;
    TRY(deconv_tensor_create(ctx, s.dim, (uint32_t)s.rank, &made));
    TRY(deconv_tensor_write(made, values, count));
    *out = made;
    made = NULL;
done:
    deconv_tensor_destroy(made);
    mem_free(ctx, values);
    mem_free(ctx, bytes);
    return status;
}

/* Version 1.0, padded with spaces so that the values start at a multiple of 64 bytes. Returns the
 * header's size; `header` takes 4 * ALIGNMENT bytes. */
static size_t write_header(const shape *s, char *header)
{
    char sizes[DECONV_MAX_RANK * 12 + 1];
    size_t used = 0, length, total;

    for (int i = 0; i < s->rank; i++)
        used += (size_t)snprintf(sizes + used, sizeof sizes - used, "%s%lld", i ? ", " : "",
                                 (long long)s->dim[i]);
    memset(header, ' ', 4 * ALIGNMENT);
    length = (size_t)snprintf(header + PREAMBLE_V1, 4 * ALIGNMENT - PREAMBLE_V1,
                              "{'descr': '<f4', 'fortran_order': False, 'shape': (%s%s), }", sizes,
                              s->rank == 1 ? "," : "");
    total = (PREAMBLE_V1 + length + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    header[PREAMBLE_V1 + length] = ' ';
    header[total - 1] = '\n';
    memcpy(header, MAGIC "\x01\x00", MAGIC_SIZE + 2);
    header[8] = (char)((total - PREAMBLE_V1) & 0xFF);
    header[9] = (char)((total - PREAMBLE_V1) >> 8);
    return total;
}

deconv_status deconv_values_save(deconv_ctx *ctx, const float *values, const int64_t *dims,
                                 uint32_t rank, const char *path)
{
    char header[4 * ALIGNMENT];
    uint8_t *bytes = NULL;
    size_t count, total;
    shape s;
    deconv_status status;

    if (rank < 1 || rank > DECONV_MAX_RANK)
        FAIL(ctx, DECONV_ERROR_INVALID, "%s: an array of %u dimensions; 1 to %d are written", path,
             rank, DECONV_MAX_RANK);
    TRY(shape_make(ctx, path, dims, rank, &s));
    count = (size_t)shape_count(&s);
    total = write_header(&s, header);
    TRY_ALLOC(bytes, ctx, total + count * sizeof *values);
    memcpy(bytes, header, total);
    for (size_t i = 0; i < count; i++) {
        uint8_t *b = bytes + total + i * 4;
        uint32_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        for (int k = 0; k < 4; k++)
            b[k] = (uint8_t)(bits >> 8 * k);
    }
    TRY(file_write(ctx, path, bytes, total + count * sizeof *values));
done:
    mem_free(ctx, bytes);
    return status;
}

deconv_status deconv_tensor_save(const deconv_tensor *t, const char *path)
{
    deconv_ctx *ctx = t->ctx;
    size_t count = (size_t)shape_count(&t->shape);
    float *values = NULL;
    deconv_status status;

    TRY_ALLOC(values, ctx, count);
    TRY(deconv_tensor_read(t, values, count));
    TRY(deconv_values_save(ctx, values, t->shape.dim, (uint32_t)t->shape.rank, path));
done:
    mem_free(ctx, values);
    return status;
}
