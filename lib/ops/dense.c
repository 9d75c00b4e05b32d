/* Gemm and MatMul: which matrices they multiply, and how boxes map between them. The multiplying is
 * product.c's. */
#include "classes.h"
#include "product.h"

typedef struct dense {
    product product; /* first: product.c works on it */
    int64_t trans_a, trans_b;
} dense;

/* ---- Gemm ---- */

static deconv_status gemm_init(op *op)
{
    dense *d = op->state;
    deconv_status status = DECONV_OK;

    TRY(attr_int(op, "transA", 0, &d->trans_a));
    TRY(attr_int(op, "transB", 0, &d->trans_b));
    TRY(attr_float(op, "alpha", 1.0f, &d->product.alpha));
    TRY(attr_float(op, "beta", 1.0f, &d->product.beta));
done:
    return status;
}

/* A rank-2 tensor as a matrix, transposed or not. */
static matrix matrix_2d(const shape *s, bool transpose)
{
    matrix a = {.row = s->dim[1], .column = 1, .size = shape_count(s)};

    return transpose ? matrix_transposed(a) : a;
}

/* Strides of a tensor that broadcasts to m x n. */
static deconv_status gemm_bias(const op *op, product *p)
{
    const shape *c = &op->in_shape[2];
    int64_t rows, columns;
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT];

    if (!op_has_input(op, 2))
        goto done;
    rows = c->rank > 1 ? c->dim[c->rank - 2] : 1;
    columns = c->rank > 0 ? c->dim[c->rank - 1] : 1;
    if (c->rank > 2 || (rows != 1 && rows != p->m) || (columns != 1 && columns != p->n))
        OP_FAIL(op, DECONV_ERROR_INVALID, "C of shape %s does not broadcast to %lldx%lld",
                shape_text(c, text, sizeof text), (long long)p->m, (long long)p->n);
    p->bias_row = rows == 1 ? 0 : columns;
    p->bias_column = columns == 1 ? 0 : 1;
done:
    return status;
}

static deconv_status gemm_shape_out(op *op)
{
    dense *d = op->state;
    product *p = &d->product;
    const shape *a = &op->in_shape[0], *b = &op->in_shape[1];
    deconv_status status = DECONV_OK;
    char text[2][SHAPE_TEXT];

    if (a->rank != 2 || b->rank != 2)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "Gemm takes matrices, not %s and %s; Flatten makes one of a feature map",
                shape_text(a, text[0], sizeof text[0]), shape_text(b, text[1], sizeof text[1]));
    p->m = a->dim[d->trans_a ? 1 : 0];
    p->k = a->dim[d->trans_a ? 0 : 1];
    p->n = b->dim[d->trans_b ? 0 : 1];
    if (b->dim[d->trans_b ? 1 : 0] != p->k)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "A %s%s and B %s%s do not fit: A has %lld columns, B %lld rows",
                shape_text(a, text[0], sizeof text[0]), d->trans_a ? " transposed" : "",
                shape_text(b, text[1], sizeof text[1]), d->trans_b ? " transposed" : "",
                (long long)p->k, (long long)b->dim[d->trans_b ? 1 : 0]);
    TRY(shape_make(op->ctx, op->name, (int64_t[]){p->m, p->n}, 2, &op->out_shape[0]));
    for (int i = 0; i < BATCH_DIMS; i++)
        p->batch[i] = 1;
    p->a = matrix_2d(a, d->trans_a != 0);
    p->b = matrix_2d(b, d->trans_b != 0);
    p->c = matrix_2d(&op->out_shape[0], false);
    TRY(gemm_bias(op, p));
done:
    return status;
}

/* Rows and columns of a box over a matrix that may be stored transposed. */
static box gemm_box(int64_t row_from, int64_t row_to, int64_t column_from, int64_t column_to,
                    bool transpose)
{
    box b = {.rank = 2};

    b.from[transpose ? 1 : 0] = row_from;
    b.to[transpose ? 1 : 0] = row_to;
    b.from[transpose ? 0 : 1] = column_from;
    b.to[transpose ? 0 : 1] = column_to;
    return b;
}

static box gemm_needs(const op *op, int output, const box *out, int input)
{
    const dense *d = op->state;
    const shape *s = &op->in_shape[input];
    box b = box_empty(s->rank);

    (void)output;
    if (box_is_empty(out))
        return b;
    if (input == 0)
        return gemm_box(out->from[0], out->to[0], 0, d->product.k, d->trans_a != 0);
    if (input == 1)
        return gemm_box(0, d->product.k, out->from[1], out->to[1], d->trans_b != 0);
    for (int i = 0; i < s->rank; i++) {
        int dim = 2 - s->rank + i;

        b.from[i] = s->dim[i] == 1 ? 0 : out->from[dim];
        b.to[i] = s->dim[i] == 1 ? 1 : out->to[dim];
    }
    return b;
}

static box gemm_reach(const op *op, int input, const box *in, int output)
{
    const dense *d = op->state;
    const shape *s = &op->in_shape[input];
    box b = box_whole(&op->out_shape[output]);

    if (box_is_empty(in))
        return box_empty(2);
    if (input == 0) {
        b.from[0] = in->from[d->trans_a ? 1 : 0];
        b.to[0] = in->to[d->trans_a ? 1 : 0];
    } else if (input == 1) {
        b.from[1] = in->from[d->trans_b ? 0 : 1];
        b.to[1] = in->to[d->trans_b ? 0 : 1];
    } else {
        for (int i = 0; i < s->rank; i++) {
            if (s->dim[i] == 1)
                continue;
            b.from[2 - s->rank + i] = in->from[i];
            b.to[2 - s->rank + i] = in->to[i];
        }
    }
    return b;
}

const op_class op_gemm = {
    .type = "Gemm",
    .min_in = 2,
    .max_in = 3,
    .max_out = 1,
    .weights = 1u << 2,
    .state_size = sizeof(dense),
    .init = gemm_init,
    .shape = gemm_shape_out,
    .plan = product_plan,
    .plan_inverse = product_plan_inverse,
    .release = product_release,
    .forward = product_forward,
    .inverse = product_inverse,
    .reach = gemm_reach,
    .needs = gemm_needs,
    .keeps = product_keeps,
    .frame = product_frame,
    .plan_windows = product_plan_windows,
    .release_windows = product_release_windows,
};

/* ---- MatMul ---- */

/* How the dimensions of a factor are named: which one is its row, its column (-1: it has none, it
 * is a vector), and the size of batch dimension i of the product in it. */
typedef struct factor {
    const shape *shape;
    int row, column;
} factor;

static factor left_factor(const op *op)
{
    const shape *s = &op->in_shape[0];

    return (factor){s, s->rank == 1 ? -1 : s->rank - 2, s->rank - 1};
}

static factor right_factor(const op *op)
{
    const shape *s = &op->in_shape[1];

    return (factor){s, s->rank == 1 ? 0 : s->rank - 2, s->rank == 1 ? -1 : s->rank - 1};
}

/* The dimension of a factor that is batch dimension i of the product's BATCH_DIMS, or -1. */
static int batch_dim(const shape *s, int i)
{
    return i - BATCH_DIMS + s->rank - 2 >= 0 ? i - BATCH_DIMS + s->rank - 2 : -1;
}

static int64_t dim_or_1(const shape *s, int d)
{
    return d < 0 ? 1 : s->dim[d];
}

/* A factor over the product's batch; a dimension of size 1 repeats. */
static matrix matrix_of(const factor *f, const int64_t *batch)
{
    const shape *s = f->shape;
    matrix a = {.size = shape_count(s)};

    a.row = f->row < 0 ? 0 : shape_span(s, f->row + 1, s->rank);
    a.column = f->column < 0 ? 0 : shape_span(s, f->column + 1, s->rank);
    for (int i = 0; i < BATCH_DIMS; i++) {
        int d = batch_dim(s, i);

        a.batch[i] = d < 0 || (s->dim[d] == 1 && batch[i] > 1) ? 0 : shape_span(s, d + 1, s->rank);
    }
    return a;
}

/* One constant matrix for all of a batch, as in a dense layer over tokens: the batch is more rows.
 */
static void fold_batch(product *p)
{
    int64_t rows = p->m;

    for (int i = BATCH_DIMS - 1; i >= 0; i--) {
        if (p->batch[i] == 1)
            continue;
        if (p->b.batch[i] != 0 || p->a.batch[i] != rows * p->a.row ||
            p->c.batch[i] != rows * p->c.row)
            return;
        rows *= p->batch[i];
    }
    p->m = rows;
    for (int i = 0; i < BATCH_DIMS; i++)
        p->batch[i] = 1;
}

static deconv_status matmul_init(op *op)
{
    product *p = op->state;

    p->alpha = p->beta = 1.0f;
    return DECONV_OK;
}

static deconv_status matmul_refuse(const op *op, const char *why)
{
    char a[SHAPE_TEXT], b[SHAPE_TEXT];

    return op_error(op, DECONV_ERROR_INVALID, "%s times %s: %s",
                    shape_text(&op->in_shape[0], a, sizeof a),
                    shape_text(&op->in_shape[1], b, sizeof b), why);
}

static deconv_status matmul_shape(op *op)
{
    product *p = op->state;
    const factor a = left_factor(op), b = right_factor(op);
    int batch_rank = (a.shape->rank > b.shape->rank ? a.shape->rank : b.shape->rank) - 2;
    deconv_status status = DECONV_OK;
    shape out = {.rank = 0};

    if (a.shape->rank < 1 || b.shape->rank < 1)
        return matmul_refuse(op, "a scalar is no factor; Mul multiplies by one");
    p->m = dim_or_1(a.shape, a.row);
    p->k = a.shape->dim[a.column];
    p->n = dim_or_1(b.shape, b.column);
    if (b.shape->dim[b.row] != p->k)
        return matmul_refuse(op, "the columns of the first must be as many as the second's rows");
    for (int i = 0; i < BATCH_DIMS; i++) {
        int64_t in_a = dim_or_1(a.shape, batch_dim(a.shape, i));
        int64_t in_b = dim_or_1(b.shape, batch_dim(b.shape, i));

        if (in_a != in_b && in_a != 1 && in_b != 1)
            return matmul_refuse(op, "the leading dimensions must be equal or 1");
        p->batch[i] = in_a > in_b ? in_a : in_b;
        if (i >= BATCH_DIMS - batch_rank)
            out.dim[out.rank++] = p->batch[i];
    }
    if (a.row >= 0)
        out.dim[out.rank++] = p->m;
    if (b.column >= 0)
        out.dim[out.rank++] = p->n;
    TRY(shape_make(op->ctx, op->name, out.dim, (size_t)out.rank, &op->out_shape[0]));

    p->a = matrix_of(&a, p->batch);
    p->b = matrix_of(&b, p->batch);
    p->c = (matrix){.row = p->n, .column = 1, .size = shape_count(&op->out_shape[0])};
    for (int64_t i = BATCH_DIMS - 1, step = p->m * p->n; i >= 0; step *= p->batch[i], i--)
        p->c.batch[i] = step;
    fold_batch(p);
done:
    return status;
}

/* The dimensions of the product: where the rows and the columns are, -1 for a vector's. */
static void matmul_out_dims(const op *op, int *row, int *column)
{
    int rank = op->out_shape[0].rank;

    *column = op->in_shape[1].rank == 1 ? -1 : --rank;
    *row = op->in_shape[0].rank == 1 ? -1 : --rank;
}

/* Copies dimension `d` of `from` to dimension `to_d` of `to`; nothing where one has none. */
static void copy_dim(const box *from, int d, box *to, int to_d)
{
    if (d < 0 || to_d < 0)
        return;
    to->from[to_d] = from->from[d];
    to->to[to_d] = from->to[d];
}

/* Between a box of a factor and one of the product, in either direction: batch dimensions that are
 * broadcast stay whole, the rest and the row or column that both have are copied. */
static box matmul_map(const op *op, int input, const box *from, bool to_out)
{
    const factor f = input == 0 ? left_factor(op) : right_factor(op);
    const shape *out = &op->out_shape[0];
    box to = box_whole(to_out ? out : f.shape);
    int row, column, kept, out_kept, batch_rank;

    if (box_is_empty(from))
        return box_empty(to.rank);
    matmul_out_dims(op, &row, &column);
    batch_rank = out->rank - (row >= 0) - (column >= 0);
    for (int i = 0; i < BATCH_DIMS; i++) {
        int d = batch_dim(f.shape, i), out_d = i - BATCH_DIMS + batch_rank;

        if (d < 0 || out_d < 0 || f.shape->dim[d] != out->dim[out_d])
            continue;
        if (to_out)
            copy_dim(from, d, &to, out_d);
        else
            copy_dim(from, out_d, &to, d);
    }
    kept = input == 0 ? f.row : f.column;
    out_kept = input == 0 ? row : column;
    if (to_out)
        copy_dim(from, kept, &to, out_kept);
    else
        copy_dim(from, out_kept, &to, kept);
    return to;
}

static box matmul_needs(const op *op, int output, const box *out, int input)
{
    (void)output;
    return matmul_map(op, input, out, false);
}

static box matmul_reach(const op *op, int input, const box *in, int output)
{
    (void)output;
    return matmul_map(op, input, in, true);
}

const op_class op_matmul = {
    .type = "MatMul",
    .min_in = 2,
    .max_in = 2,
    .max_out = 1,
    .state_size = sizeof(product),
    .init = matmul_init,
    .shape = matmul_shape,
    .plan = product_plan,
    .plan_inverse = product_plan_inverse,
    .release = product_release,
    .forward = product_forward,
    .inverse = product_inverse,
    .reach = matmul_reach,
    .needs = matmul_needs,
    .keeps = product_keeps,
    .frame = product_frame,
    .plan_windows = product_plan_windows,
    .release_windows = product_release_windows,
};
