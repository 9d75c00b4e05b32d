/* Add, Sub, Mul, Div and Sum with NumPy broadcasting (cl/arithmetic.cl). The signal of an operand
 * that was repeated is summed over the dimensions it was repeated along. Operators of one operand
 * are in activation.c, those with a tensor of parameters in parametric.c. */
#include "broadcast.h"
#include "classes.h"

#include <string.h>

/* Add stands for Sum as well. */
typedef enum kind { ADD, SUB, MUL, DIV } kind;

/* The way back to one operand. `full`: as large as the result, so that nothing is summed and the
 * kernel, where there is one, walks the grid. */
typedef struct operand {
    bool full;
    grid grid;
    kernel *kernel;
    sums sums;
} operand;

typedef struct arithmetic {
    kind kind;
    kernel *forward;
    kernel *rectified; /* of Add: max(a + b, 0) */
    operand *operand;  /* [n_in] */
    grid *grid; /* [n_in] step i joins operand i to what came before; the first is not used */
} arithmetic;

static deconv_status arithmetic_init(op *op)
{
    static const struct {
        const char *type;
        kind kind;
    } kinds[] = {{"Add", ADD}, {"Sub", SUB}, {"Mul", MUL}, {"Div", DIV}, {"Sum", ADD}};
    arithmetic *f = op->state;
    deconv_status status = DECONV_OK;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].type, op->class->type) == 0)
            f->kind = kinds[i].kind;
    for (int i = 0; i < op->n_in; i++) {
        if (!op_has_input(op, i))
            OP_FAIL(op, DECONV_ERROR_INVALID, "input %d of %s is missing", i, op->class->type);
        if (op->constant[i] && !op->constant[i]->is_float)
            OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                    "input %d of %s is an integer constant; at run time only floats are computed",
                    i, op->class->type);
    }
done:
    return status;
}

static deconv_status arithmetic_shape(op *op)
{
    shape all = op->in_shape[0];
    char so_far[SHAPE_TEXT], next[SHAPE_TEXT];
    deconv_status status = DECONV_OK;

    for (int i = 1; i < op->n_in; i++) {
        shape joined;

        if (!shape_broadcast(&all, &op->in_shape[i], &joined))
            OP_FAIL(op, DECONV_ERROR_INVALID, "%s of %s and %s: the shapes do not broadcast",
                    op->class->type, shape_text(&all, so_far, sizeof so_far),
                    shape_text(&op->in_shape[i], next, sizeof next));
        all = joined;
    }
    TRY(shape_make(op->ctx, op->name, all.dim, (size_t)all.rank, &op->out_shape[0]));
done:
    return status;
}

/* ---- Layouts and windows of signals ---- */

static bool all_alike(const op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (op->is_weight[i] || !shape_equal(&op->in_shape[i], &op->out_shape[0]))
            return false;
    return true;
}

/* Operands of one shape may be taken as one long row. Division would divide the empty lanes. */
static op_blocks arithmetic_blocks(const op *op, int block)
{
    const arithmetic *f = op->state;

    (void)block;
    return all_alike(op) && f->kind != DIV ? BLOCKS_ALIKE : BLOCKS_NEVER;
}

static bool arithmetic_frame(const op *op, deconv_rule rule, uint32_t flags,
                             const window_frame *out, window_frame *in)
{
    const arithmetic *f = op->state;

    (void)rule;
    (void)flags;
    *in = *out;
    return all_alike(op) && f->kind == ADD;
}

/* A smaller operand gets sums, which may be of several channels. */
static signal_spread arithmetic_spread(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)rule;
    (void)flags;
    for (int i = 0; i < op->n_in; i++)
        if (!op->is_weight[i] && !shape_equal(&op->in_shape[i], &op->out_shape[0]))
            return ANYWHERE;
    return IN_CELL;
}

/* Operands as large as the result, and constants that are the same at every position. */
static bool arithmetic_local(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)rule;
    (void)flags;
    for (int i = 0; i < op->n_in; i++) {
        const shape *s = &op->in_shape[i];

        if (!op->is_weight[i] && !shape_equal(s, &op->out_shape[0]))
            return false;
        for (int d = 1; op->is_weight[i] && d <= op->out_shape[0].rank - 2 && d <= s->rank; d++)
            if (s->dim[s->rank - d] != 1)
                return false;
    }
    return true;
}

/* ---- Plan ---- */

/* The way back to operand `i`, by kind and operand: y = a + b, a - b, a b, a / b. */
static deconv_status plan_inverse(op *op, int i)
{
    static const char *const kernel_name[4][2] = {
        {NULL, NULL}, {NULL, "spread"}, {"multiply", "multiply"}, {"divide", "divisor_inverse"}};
    static const sum_term term[4][2] = {{SUM_PLAIN, SUM_PLAIN},
                                        {SUM_PLAIN, SUM_PLAIN},
                                        {SUM_TIMES, SUM_TIMES},
                                        {SUM_OVER, SUM_TIMES}};
    arithmetic *f = op->state;
    operand *x = &f->operand[i];
    const shape row = {1, {layout_floats(&op->out_shape[0], op->out_block[0])}};
    const shape *y = op->out_block[0] > 1 ? &row : &op->out_shape[0];
    int which = i > 0; /* of Sum's operands all but the first are alike */
    const shape *other = f->kind == ADD || op->out_block[0] > 1 ? y : &op->in_shape[!which];
    const char *name = kernel_name[f->kind][which];

    x->full = shape_count(&op->in_shape[i]) == shape_count(&op->out_shape[0]);
    if (!x->full)
        return sums_plan(op->ctx, y, &op->in_shape[i], term[f->kind][which], other, &x->sums);
    if (f->kind == DIV && which == 1)
        x->grid = grid_make(y, &op->in_shape[0], &op->in_shape[1]);
    else
        x->grid = grid_make(y, y, other);
    return name ? kernel_create(op->ctx, "arithmetic.cl", "", name, &x->kernel) : DECONV_OK;
}

static deconv_status arithmetic_plan(op *op)
{
    static const char *const kernel_name[] = {"add", "subtract", "multiply", "divide"};
    const shape row = {1, {layout_floats(&op->out_shape[0], op->out_block[0])}};
    arithmetic *f = op->state;
    deconv_status status;

    TRY(kernel_create(op->ctx, "arithmetic.cl", "", kernel_name[f->kind], &f->forward));
    if (f->kind == ADD)
        TRY(kernel_create(op->ctx, "arithmetic.cl", "", "add_rectified", &f->rectified));
    TRY_ALLOC(f->operand, op->ctx, (size_t)op->n_in);
    TRY_ALLOC(f->grid, op->ctx, (size_t)op->n_in);
    for (int i = 0; i < op->n_in; i++) {
        f->grid[i] = grid_make(&op->out_shape[0], i > 1 ? &op->out_shape[0] : &op->in_shape[0],
                               &op->in_shape[i]);
        if (op->out_block[0] > 1)
            f->grid[i] = grid_make(&row, &row, &row);
        if (!op->is_weight[i])
            TRY(plan_inverse(op, i));
    }
done:
    return status;
}

static void arithmetic_release(op *op)
{
    arithmetic *f = op->state;

    kernel_free(f->forward);
    kernel_free(f->rectified);
    for (int i = 0; f->operand && i < op->n_in; i++) {
        kernel_free(f->operand[i].kernel);
        sums_release(&f->operand[i].sums);
    }
    mem_free(op->ctx, f->operand);
    mem_free(op->ctx, f->grid);
}

/* ---- Passes ---- */

static deconv_status join(kernel *k, const grid *g, const tensor *a, const tensor *b, tensor *y)
{
    kernel_begin(k);
    arg_buffer(k, a->data);
    arg_buffer(k, b->data);
    arg_buffer(k, y->data);
    arg_struct(k, g, sizeof *g);
    return grid_launch(k, g);
}

static deconv_status arithmetic_forward(op *op, const op_pass *pass)
{
    const arithmetic *f = op->state;
    tensor *y = pass->out[0];
    deconv_status status = DECONV_OK;

    if (op->n_in == 1)
        return tensor_copy(pass->in[0], y);
    for (int i = 1; i < op->n_in; i++)
        TRY(join(pass->rectify && i == op->n_in - 1 ? f->rectified : f->forward, &f->grid[i],
                 i > 1 ? y : pass->in[0], pass->in[i], y));
done:
    return status;
}

/* The signal of an operand as large as the result. */
static deconv_status full_inverse(const arithmetic *f, int i, const op_pass *pass)
{
    const tensor *r = pass->signal_out[0];
    const operand *x = &f->operand[i];

    if (!x->kernel)
        return tensor_copy(r, pass->signal_in[i]);
    if (f->kind != SUB && !(f->kind == DIV && i == 1)) /* R b, R a, R / b */
        return join(x->kernel, &x->grid, r, pass->in[!i], pass->signal_in[i]);
    kernel_begin(x->kernel);
    arg_buffer(x->kernel, r->data);
    if (f->kind == DIV) {
        arg_buffer(x->kernel, pass->in[0]->data);
        arg_buffer(x->kernel, pass->in[1]->data);
    }
    arg_buffer(x->kernel, pass->signal_in[i]->data);
    arg_struct(x->kernel, &x->grid, sizeof x->grid);
    if (f->kind == DIV)
        arg_int(x->kernel, 0);
    else
        arg_float(x->kernel, -1.0f);
    return grid_launch(x->kernel, &x->grid);
}

/* The signal of an operand that was repeated. */
static deconv_status summed_inverse(const arithmetic *f, int i, const op_pass *pass)
{
    bool product = f->kind == MUL || f->kind == DIV;
    bool negative = i == 1 && (f->kind == SUB || f->kind == DIV);

    return sums_run(&f->operand[i].sums, pass->signal_out[0]->data,
                    product ? pass->in[!i]->data : NULL,
                    i == 1 && f->kind == DIV ? pass->in[1]->data : NULL, pass->signal_in[i]->data,
                    negative ? -1.0f : 1.0f);
}

static deconv_status arithmetic_inverse(op *op, const op_pass *pass)
{
    const arithmetic *f = op->state;
    deconv_status status = DECONV_OK;

    for (int i = 0; i < op->n_in; i++) {
        if (!pass->signal_in[i])
            continue;
        if (!pass->signal_out[0])
            TRY(tensor_clear(pass->signal_in[i]));
        else if (f->operand[i].full)
            TRY(full_inverse(f, i, pass));
        else
            TRY(summed_inverse(f, i, pass));
    }
done:
    return status;
}

/* A factor is read for the signal of the other one; the divisor for both signals. */
static uint32_t arithmetic_keeps(const op *op, deconv_rule rule, uint32_t flags)
{
    const arithmetic *f = op->state;
    uint32_t keeps = 0;

    (void)rule;
    (void)flags;
    if (f->kind != MUL && f->kind != DIV)
        return 0;
    if (!op->is_weight[0])
        keeps |= KEEP_INPUT(1);
    if (!op->is_weight[1])
        keeps |= KEEP_INPUT(0) | (f->kind == DIV ? KEEP_INPUT(1) : 0);
    for (int i = 0; i < 2; i++)
        if (op->is_weight[i])
            keeps &= ~KEEP_INPUT(i);
    return keeps;
}

/* R goes unchanged to the first operand of a sum or difference that is not repeated. */
static bool arithmetic_passes(const op *op, deconv_rule rule, uint32_t flags)
{
    const arithmetic *f = op->state;

    (void)rule;
    (void)flags;
    return (f->kind == ADD || f->kind == SUB) &&
           shape_count(&op->in_shape[0]) == shape_count(&op->out_shape[0]);
}

static box arithmetic_reach(const op *op, int input, const box *in, int output)
{
    return broadcast_reach(&op->in_shape[input], &op->out_shape[output], in);
}

static box arithmetic_needs(const op *op, int output, const box *out, int input)
{
    return broadcast_needs(&op->in_shape[input], &op->out_shape[output], out);
}

#define ARITHMETIC(TYPE, MIN, MAX, BITS)                                                           \
    {                                                                                              \
        .type = TYPE, .min_in = (MIN), .max_in = (MAX), .max_out = 1,                              \
        .state_size = sizeof(arithmetic), .init = arithmetic_init, .shape = arithmetic_shape,      \
        .plan = arithmetic_plan, .release = arithmetic_release, .forward = arithmetic_forward,     \
        .inverse = arithmetic_inverse, .reach = arithmetic_reach, .needs = arithmetic_needs,       \
        .keeps = arithmetic_keeps, .passes_signal = arithmetic_passes,                             \
        .blocks = arithmetic_blocks, .frame = arithmetic_frame, .local = arithmetic_local,         \
        .spread = arithmetic_spread, .rectifies = (BITS)                                           \
    }

const op_class op_arithmetic[OP_ARITHMETIC] = {
    ARITHMETIC("Add", 2, 2, RECTIFIES_FORWARD), ARITHMETIC("Sub", 2, 2, 0),
    ARITHMETIC("Mul", 2, 2, 0), ARITHMETIC("Div", 2, 2, 0), ARITHMETIC("Sum", 1, OP_MANY, 0)};
