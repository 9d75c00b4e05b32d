/* Checks of the float64 reference itself: results worked out by hand, gradients against central
 * finite differences on every problem line, and the relations between the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

/* ---- By hand ---- */

enum { MAX_VALUES = 16 };

/* A problem with its inputs, and the outputs they must give. With `R`, what must come back to input
 * `back`. Lists are as long as the tensors. */
typedef struct example {
    const char *line;
    double in[REF_MAX_IN][MAX_VALUES];
    double out[MAX_VALUES]; /* all outputs one after the other */
    deconv_rule rule;
    uint32_t flags;
    double R[MAX_VALUES];
    int back;
    double S[MAX_VALUES];
} example;

#define DECONVNET DECONV_RULE_DECONVNET
#define GRADIENT  DECONV_RULE_GRADIENT
#define GUIDED    DECONV_RULE_GUIDED

static const example examples[] = {
    {"Conv x=1,1,4 w=1,1,2 b=1 strides=2 pads=1,1",
     {{1, 2, 3, 4}, {10, 1}, {0.5}},
     {1.5, 23.5, 40.5},
     GRADIENT,
     0,
     {1, 10, 100},
     0,
     {1, 100, 10, 1000}},
    {"Conv x=1,2,2 w=2,1,1 group=2",
     {{1, 2, 3, 4}, {10, 100}},
     {10, 20, 300, 400},
     DECONVNET,
     0,
     {1, -1, 1, -1},
     0,
     {10, -10, 100, -100}},
    {"Conv x=1,1,5 w=1,1,2 dilations=3",
     {{1, 2, 3, 4, 5}, {1, 10}},
     {41, 52},
     GUIDED,
     0,
     {1, -1},
     0,
     {1, -1, 0, 10, -10}},
    {"ConvTranspose x=1,1,2 w=1,1,3 b=1 strides=2 pads=1,0 output_padding=1",
     {{1, 2}, {1, 10, 100}, {0.5}},
     {10.5, 102.5, 20.5, 200.5, 0.5},
     GRADIENT,
     0,
     {1, 2, 3, 4, 5},
     0,
     {210, 432}},
    {"ConvTranspose x=1,1,2 w=1,1,3 strides=2 output_shape=4 auto_pad=SAME_UPPER",
     {{1, 2}, {1, 10, 100}},
     {1, 10, 102, 20},
     GRADIENT,
     0,
     {1, 0, 0, 0},
     0,
     {1, 0}},
    {"ConvTranspose x=1,1,2 w=1,1,3 strides=2 output_shape=4",
     {{1, 2}, {1, 10, 100}},
     {10, 102, 20, 200},
     GRADIENT,
     0,
     {1, 0, 0, 0},
     0,
     {10, 0}},
    /* Ties go to the first in row-major order, overlapping windows add, padding is never chosen. */
    {"MaxPool x=1,1,3,3 kernel_shape=2,2",
     {{-1, 5, 5, -2, 5, 0, -3, -4, 1}},
     {5, 5, 5, 5},
     DECONVNET,
     0,
     {1, -2, 4, 8},
     0,
     {0, -1, 0, 0, 12, 0, 0, 0, 0}},
    {"MaxPool x=1,1,2 kernel_shape=3 pads=1,1",
     {{-5, -7}},
     {-5, -5},
     GRADIENT,
     0,
     {1, 2},
     0,
     {3, 0}},
    /* Of four windows that ceil_mode would make of 5 cells, the last starts in the padding. */
    {"MaxPool x=1,1,5 kernel_shape=1 strides=2 pads=0,1 ceil_mode=1",
     {{1, 2, 3, 4, 5}},
     {1, 3, 5},
     GRADIENT,
     0,
     {1, 2, 3},
     0,
     {1, 0, 2, 0, 3}},
    {"AveragePool x=1,1,3 kernel_shape=2 strides=2 ceil_mode=1",
     {{2, 4, 6}},
     {3, 6},
     GRADIENT,
     0,
     {1, 1},
     0,
     {0.5, 0.5, 1}},
    {"AveragePool x=1,1,3 kernel_shape=2 strides=2 ceil_mode=1 count_include_pad=1",
     {{2, 4, 6}},
     {3, 6},
     GRADIENT,
     DECONV_INVERSE_AVERAGE_COPY,
     {1, 2},
     0,
     {1, 1, 2}},
    {"AveragePool x=1,1,2 kernel_shape=2 pads=1,1",
     {{2, 4}},
     {2, 3, 4},
     GRADIENT,
     0,
     {1, 1, 1},
     0,
     {1.5, 1.5}},
    {"AveragePool x=1,1,2 kernel_shape=2 pads=1,1 count_include_pad=1",
     {{2, 4}},
     {1, 3, 2},
     GRADIENT,
     0,
     {1, 1, 1},
     0,
     {1, 1}},
    {"AveragePool x=1,1,2 kernel_shape=2 auto_pad=SAME_LOWER",
     {{2, 4}},
     {2, 3},
     GRADIENT,
     DECONV_INVERSE_AVERAGE_COPY,
     {1, 2},
     0,
     {3, 2}},
    {"GlobalAveragePool x=1,1,2,2", {{1, 2, 3, 6}}, {3}, DECONVNET, 0, {4}, 0, {1, 1, 1, 1}},
    {"GlobalMaxPool x=1,1,2,2", {{1, 6, 3, 6}}, {6}, DECONVNET, 0, {-4}, 0, {0, -4, 0, 0}},
    {"Relu x=4", {{-1, 0, 2, 3}}, {0, 0, 2, 3}, DECONVNET, 0, {1, 2, 3, -4}, 0, {1, 2, 3, 0}},
    {"Relu x=4", {{-1, 0, 2, 3}}, {0, 0, 2, 3}, GRADIENT, 0, {1, 2, 3, -4}, 0, {0, 0, 3, -4}},
    {"Relu x=4", {{-1, 0, 2, 3}}, {0, 0, 2, 3}, GUIDED, 0, {1, 2, 3, -4}, 0, {0, 0, 3, 0}},
    {"LeakyRelu x=3 alpha=0.5", {{-2, 0, 2}}, {-1, 0, 2}, GRADIENT, 0, {2, 2, 2}, 0, {1, 1, 2}},
    {"LeakyRelu x=3 alpha=0.5", {{-2, 0, 2}}, {-1, 0, 2}, DECONVNET, 0, {2, -2, 1}, 0, {2, 0, 1}},
    {"LeakyRelu x=3 alpha=0.5",
     {{-2, 0, 2}},
     {-1, 0, 2},
     DECONVNET,
     DECONV_INVERSE_APPLY_F,
     {2, -2, 1},
     0,
     {2, -1, 1}},
    {"LeakyRelu x=3 alpha=0.5", {{-2, 0, 2}}, {-1, 0, 2}, GUIDED, 0, {2, -2, -1}, 0, {1, 0, 0}},
    {"Elu x=2 alpha=2.0",
     {{-1, 3}},
     {-1.2642411176571153, 3},
     GRADIENT,
     0,
     {1, 1},
     0,
     {0.7357588823428847, 1}},
    {"Selu x=2",
     {{-1, 1}},
     {-1.1113307378125628, 1.0507009873554805},
     GUIDED,
     0,
     {1, -1},
     0,
     {0.6467686030205, 0}},
    {"Celu x=2 alpha=2.0",
     {{-1, 3}},
     {-0.78693868057473315, 3},
     GRADIENT,
     0,
     {1, 1},
     0,
     {0.60653065971263342, 1}},
    {"Sigmoid x=2",
     {{0, 1}},
     {0.5, 0.73105857863000488},
     GRADIENT,
     0,
     {4, 1},
     0,
     {1, 0.19661193324148185}},
    {"Tanh x=2",
     {{0, 1}},
     {0, 0.76159415595576489},
     GRADIENT,
     0,
     {2, 1},
     0,
     {2, 0.41997434161402614}},
    {"Softplus x=2",
     {{0, 1}},
     {0.69314718055994531, 1.3132616875182228},
     GRADIENT,
     0,
     {2, 1},
     0,
     {1, 0.73105857863000488}},
    {"Softsign x=2", {{-3, 1}}, {-0.75, 0.5}, GRADIENT, 0, {16, 4}, 0, {1, 1}},
    {"Mish x=1",
     {{1}},
     {0.86509838826731035},
     DECONVNET,
     DECONV_INVERSE_APPLY_F,
     {1},
     0,
     {0.86509838826731035}},
    {"Gelu x=2",
     {{1, -1}},
     {0.84134474606854293, -0.15865525393145707},
     DECONVNET,
     0,
     {1, -1},
     0,
     {1, 0}},
    {"Gelu x=1 approximate=tanh",
     {{1}},
     {0.84119199060827676},
     DECONVNET,
     DECONV_INVERSE_APPLY_F,
     {1},
     0,
     {0.84119199060827676}},
    {"Erf x=2",
     {{0, 1}},
     {0, 0.84270079294971489},
     GRADIENT,
     0,
     {1, 1},
     0,
     {1.1283791670955126, 0.41510749742059471}},
    {"PRelu x=1,2,2 slope=2,1",
     {{-1, 2, -3, 4}, {0.5, 0.25}},
     {-0.5, 2, -0.75, 4},
     GRADIENT,
     0,
     {1, 1, 1, 1},
     0,
     {0.5, 1, 0.25, 1}},
    {"Clip x=4 min=-1.0 max=1.0",
     {{-1, 0, 1, 3}},
     {-1, 0, 1, 1},
     GRADIENT,
     0,
     {5, 5, 5, 5},
     0,
     {0, 5, 0, 0}},
    {"HardSigmoid x=3", {{-5, 0, 5}}, {0, 0.5, 1}, GRADIENT, 0, {1, 1, 1}, 0, {0, 0.2, 0}},
    {"HardSwish x=3", {{-4, 0, 4}}, {0, 0, 4}, GRADIENT, 0, {1, 1, 1}, 0, {0, 0.5, 1}},
    {"ThresholdedRelu x=3 alpha=2.0", {{1, 2, 3}}, {0, 0, 3}, GRADIENT, 0, {1, 1, 1}, 0, {0, 0, 1}},
    /* Arithmetic: the derivative under every rule. */
    {"Exp x=2",
     {{0, 1}},
     {1, 2.718281828459045},
     DECONVNET,
     0,
     {-1, 1},
     0,
     {-1, 2.718281828459045}},
    {"Sqrt x=2", {{4, 9}}, {2, 3}, GUIDED, 0, {-4, 6}, 0, {-1, 1}},
    {"Abs x=2", {{-4, 9}}, {4, 9}, DECONVNET, 0, {1, -2}, 0, {-1, -2}},
    {"Neg x=2", {{-4, 9}}, {4, -9}, DECONVNET, 0, {1, -2}, 0, {-1, 2}},
    {"Reciprocal x=2", {{2, -4}}, {0.5, -0.25}, GUIDED, 0, {4, -16}, 0, {-1, 1}},
    {"Pow x=1,2 exponent=2", {{-3, 4}, {2, 0.5}}, {9, 2}, DECONVNET, 0, {-1, 4}, 0, {6, 1}},
    {"Sum x0=2 x1=1 x2=2,1",
     {{1, 2}, {10}, {100, 200}},
     {111, 112, 211, 212},
     GUIDED,
     0,
     {1, 2, 3, -4},
     1,
     {2}},
    {"ReduceSum x=2,2 axes=0 keepdims=0",
     {{1, 2, 3, 6}},
     {4, 8},
     GRADIENT,
     0,
     {2, 4},
     0,
     {2, 4, 2, 4}},
    {"Add a=2,2 b=2",
     {{1, 2, 3, 4}, {10, 20}},
     {11, 22, 13, 24},
     GUIDED,
     0,
     {1, -2, 3, -4},
     1,
     {4, -6}},
    {"Sub a=2 b=2,1", {{1, 2}, {10, 20}}, {-9, -8, -19, -18}, GUIDED, 0, {1, 2, 3, 4}, 1, {-3, -7}},
    {"Mul a=2,2 b=2",
     {{1, 2, 3, 4}, {10, 20}},
     {10, 40, 30, 80},
     GUIDED,
     0,
     {1, 1, 1, 1},
     1,
     {4, 6}},
    {"Div a=2 b=2", {{6, 8}, {2, -4}}, {3, -2}, GRADIENT, 0, {1, 2}, 1, {-1.5, -1}},
    {"BatchNormalization x=1,2,1 scale=2 bias=2 mean=2 var=2 epsilon=1.0",
     {{5, 7}, {2, 3}, {1, -1}, {1, 3}, {3, 8}},
     {5, 3},
     DECONVNET,
     0,
     {-1, 2},
     0,
     {-1, 2}},
    /* The even region of channel 1 is channels 1 - 0 to 1 + 1: size 2 looks ahead. */
    {"LRN x=1,3,1 size=2 alpha=2.0 beta=1.0 bias=1.0",
     {{1, 2, 3}},
     {1.0 / 6, 2.0 / 14, 3.0 / 10},
     DECONVNET,
     0,
     {1, -2, 3},
     0,
     {1, -2, 3}},
    {"LRN x=1,3,1 size=2 alpha=2.0 beta=1.0 bias=1.0",
     {{1, 2, 3}},
     {1.0 / 6, 2.0 / 14, 3.0 / 10},
     DECONVNET,
     DECONV_INVERSE_LRN_DERIVATIVE,
     {0, 0, 1},
     0,
     {0, 0, 1.0 / 10 - 18.0 / 100}},
    {"Softmax x=1,2,2 opset=12",
     {{0, 0, 0, 0}},
     {0.25, 0.25, 0.25, 0.25},
     GRADIENT,
     0,
     {1, 0, 0, 0},
     0,
     {0.1875, -0.0625, -0.0625, -0.0625}},
    {"Softmax x=1,2,2 axis=1",
     {{0, 0, 0, 0}},
     {0.5, 0.5, 0.5, 0.5},
     DECONVNET,
     0,
     {1, -1, 2, 0},
     0,
     {1, -1, 2, 0}},
    {"LogSoftmax x=2",
     {{0, 0}},
     {-0.69314718055994531, -0.69314718055994531},
     GRADIENT,
     0,
     {1, 0},
     0,
     {0.5, -0.5}},
    {"Gemm a=2,1 b=3,2 c=3 transA=1 transB=1 alpha=2.0 beta=0.5",
     {{1, 2}, {1, 2, 3, 4, 5, 6}, {2, 4, 6}},
     {11, 24, 37},
     GRADIENT,
     0,
     {1, 0, -1},
     0,
     {-8, -8}},
    {"MatMul a=2 b=2,2", {{1, 2}, {1, 2, 3, 4}}, {7, 10}, GRADIENT, 0, {1, 10}, 1, {1, 10, 2, 20}},
    {"MatMul a=1,2 b=2,2,1", {{1, 2}, {1, 2, 3, 4}}, {5, 11}, GRADIENT, 0, {1, 10}, 0, {31, 42}},
    {"Concat x0=2,1 x1=2,2 axis=-1",
     {{1, 2}, {3, 4, 5, 6}},
     {1, 3, 4, 2, 5, 6},
     GUIDED,
     0,
     {1, 2, 3, 4, 5, 6},
     1,
     {2, 3, 5, 6}},
    {"Split x=5 num_outputs=2 opset=18",
     {{1, 2, 3, 4, 5}},
     {1, 2, 3, 4, 5},
     GUIDED,
     0,
     {6, 7, 8, 9, 10},
     0,
     {6, 7, 8, 9, 10}},
    {"Slice x=5 starts=-1 ends=-6 steps=-2",
     {{1, 2, 3, 4, 5}},
     {5, 3, 1},
     GUIDED,
     0,
     {1, 2, 3},
     0,
     {3, 0, 2, 0, 1}},
    {"Pad x=3 pads=2,1 mode=reflect",
     {{1, 2, 3}},
     {3, 2, 1, 2, 3, 2},
     GRADIENT,
     0,
     {1, 2, 4, 8, 16, 32},
     0,
     {4, 42, 17}},
    {"Pad x=3 pads=1,-1 constant_value=7.0",
     {{1, 2, 3}},
     {7, 1, 2},
     GRADIENT,
     0,
     {1, 2, 3},
     0,
     {2, 3, 0}},
    {"Transpose x=2,3",
     {{1, 2, 3, 4, 5, 6}},
     {1, 4, 2, 5, 3, 6},
     GRADIENT,
     0,
     {1, 2, 3, 4, 5, 6},
     0,
     {1, 3, 5, 2, 4, 6}},
    {"Resize x=1,1,2 sizes=1,1,4 mode=linear",
     {{0, 4}},
     {0, 1, 3, 4},
     GRADIENT,
     0,
     {1, 1, 1, 2},
     0,
     {2, 3}},
    {"Resize x=1,1,4 scales=1.0,1.0,0.5",
     {{1, 2, 3, 4}},
     {1, 3},
     GRADIENT,
     0,
     {1, 2},
     0,
     {1, 0, 2, 0}},
    {"Resize x=1,1,4 scales=1.0,1.0,0.5 nearest_mode=round_prefer_ceil",
     {{1, 2, 3, 4}},
     {2, 4},
     GRADIENT,
     0,
     {1, 2},
     0,
     {0, 1, 0, 2}},
    {"Upsample x=1,1,2 scales=1.0,1.0,2.0 mode=linear opset=9",
     {{0, 4}},
     {0, 2, 4, 4},
     GRADIENT,
     0,
     {1, 1, 1, 1},
     0,
     {1.5, 2.5}},
    {"Gather x=3 indices=2,0,-1", {{1, 2, 3}}, {3, 1, 3}, GRADIENT, 0, {1, 2, 4}, 0, {2, 0, 5}},
    {"Expand x=2,1 shape=3",
     {{1, 2}},
     {1, 1, 1, 2, 2, 2},
     GRADIENT,
     0,
     {1, 2, 3, 4, 5, 6},
     0,
     {6, 15}},
    {"Tile x=2 repeats=2", {{1, 2}}, {1, 2, 1, 2}, GRADIENT, 0, {1, 2, 3, 4}, 0, {4, 6}},
    {"ReduceMean x=2,2 axes=0 keepdims=0",
     {{1, 2, 3, 6}},
     {2, 4},
     GRADIENT,
     DECONV_INVERSE_AVERAGE_COPY,
     {2, 4},
     0,
     {1, 2, 1, 2}},
};

static void check_values(const char *line, const char *what, const double *is, const double *should,
                         int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(is[i] - should[i]) <= 1e-6 * (1 + fabs(should[i]))))
            fail_msg("%s: %s[%d] is %g; it must be %g", line, what, (int)i, is[i], should[i]);
}

static void check_example(const example *e)
{
    int64_t at = 0;
    ref_problem p;
    char error[160];
    ref_case c;

    assert_true(ref_parse(e->line, &p, error, sizeof error));
    if (!ref_open(&p, &c)) {
        ref_close(&c);
        fail_msg("%s: the case does not open", e->line);
    }
    for (int i = 0; i < c.n_in; i++)
        if (c.in[i].given)
            memcpy(c.in[i].at, e->in[i], (size_t)c.in[i].count * sizeof(double));
    ref_forward(&c);
    for (int o = 0; o < c.n_out; o++) {
        check_values(e->line, "output", c.out[o].at, e->out + at, c.out[o].count);
        memcpy(c.R[o].at, e->R + at, (size_t)c.R[o].count * sizeof(double));
        at += c.out[o].count;
    }
    ref_inverse(&c, e->rule, e->flags);
    check_values(e->line, "signal", c.S[e->back].at, e->S, c.S[e->back].count);
    ref_close(&c);
}

static void by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        check_example(&examples[i]);
}

/* ---- On every problem line ---- */

typedef void (*visit)(ref_case *c, void *user);

static void for_each_line(const char *path, visit function, void *user)
{
    FILE *file = fopen(path, "r");
    char line[REF_MAX_LINE * 2], error[160];
    ref_problem p;
    ref_case c;

    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *text = ref_trim(line);

        if (!*text)
            continue;
        if (!ref_parse(text, &p, error, sizeof error))
            fail_msg("%s: %s", text, error);
        if (p.refused)
            continue;
        if (!ref_open(&p, &c))
            fail_msg("%s: %s", text, c.error);
        ref_fill_inputs(&c, 1);
        ref_fill_signals(&c, 1);
        function(&c, user);
        ref_close(&c);
    }
    fclose(file);
}

static void for_each_problem(visit function, void *user)
{
    const char *folder = DECONV_TEST_SOURCE_DIR "/problems";
    DIR *dir = opendir(folder);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[1024];

        if (!strstr(entry->d_name, ".txt"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        for_each_line(path, function, user);
    }
    closedir(dir);
}

static void mark_operator(ref_case *c, void *user)
{
    size_t count;
    const ref_op *const *ops = ref_ops(&count);
    int *lines = user;

    for (size_t i = 0; i < count; i++)
        lines[i] += ops[i] == c->op;
}

/* The files are as large as the project's acceptance asks for, and no operator is forgotten. */
static void problems_cover_all(void **state)
{
    size_t count;
    const ref_op *const *ops = ref_ops(&count);
    int *lines = calloc(count, sizeof *lines), total = 0;

    (void)state;
    for_each_problem(mark_operator, lines);
    for (size_t i = 0; i < count; i++) {
        if (lines[i] < 2)
            fail_msg("%s has %d problems; at least 2 are expected", ops[i]->type, lines[i]);
        total += lines[i];
    }
    free(lines);
    assert_true(total >= 400);
}

/* <f(x + h d) - f(x - h d), R> / 2h must equal <d, S> under the gradient rule, for a random d. */
static void check_derivative(ref_case *c, void *user)
{
    const double h = 1e-6;
    double slope = 0, back = 0, scale = 0;
    double *direction[REF_MAX_IN] = {NULL};
    ref_case other;

    (void)user;
    if (c->op->linearity != REF_LINEAR && c->problem->ties)
        return;
    assert_true(ref_open(c->problem, &other));
    ref_fill_inputs(&other, 2);
    ref_inverse(c, DECONV_RULE_GRADIENT, DECONV_INVERSE_LRN_DERIVATIVE);
    for (int i = 0; i < c->n_in; i++) {
        if (!c->in[i].given || c->op->weights >> i & 1)
            continue;
        direction[i] = other.in[i].at;
        for (int64_t e = 0; e < c->in[i].count; e++) {
            back += direction[i][e] * c->S[i].at[e];
            scale += fabs(direction[i][e] * c->S[i].at[e]);
        }
    }
    for (int side = 1; side >= -1; side -= 2) {
        for (int i = 0; i < c->n_in; i++)
            for (int64_t e = 0; direction[i] && e < c->in[i].count; e++)
                c->in[i].at[e] += (side == 1 ? h : -2 * h) * direction[i][e];
        ref_forward(c);
        for (int o = 0; o < c->n_out; o++)
            for (int64_t e = 0; e < c->out[o].count; e++)
                slope += side * c->out[o].at[e] * c->R[o].at[e] / (2 * h);
    }
    if (!(fabs(slope - back) <= 1e-6 * scale + 1e-9))
        fail_msg("%s: the slope is %.9g, the gradient says %.9g", c->problem->line, slope, back);
    ref_close(&other);
}

static void gradients_are_derivatives(void **state)
{
    (void)state;
    for_each_problem(check_derivative, NULL);
}

/* Guided is the gradient of the positive signal at activations, and all rules agree where the
 * operator is linear. */
static void check_rules(ref_case *c, void *user)
{
    bool activation = c->op->flags & DECONV_INVERSE_APPLY_F;
    double *guided;

    (void)user;
    if (c->op->linearity == REF_NONLINEAR && !activation)
        return;
    ref_inverse(c, DECONV_RULE_GUIDED, 0);
    guided = malloc((size_t)c->S[0].count * sizeof *guided);
    assert_non_null(guided);
    memcpy(guided, c->S[0].at, (size_t)c->S[0].count * sizeof *guided);
    if (!activation) {
        ref_inverse(c, DECONV_RULE_DECONVNET, 0);
        check_values(c->problem->line, "deconvnet", c->S[0].at, guided, c->S[0].count);
    }
    for (int64_t i = 0; activation && i < c->R[0].count; i++)
        c->R[0].at[i] = c->R[0].at[i] > 0 ? c->R[0].at[i] : 0;
    ref_inverse(c, DECONV_RULE_GRADIENT, 0);
    check_values(c->problem->line, "gradient", c->S[0].at, guided, c->S[0].count);
    free(guided);
}

static void rules_are_related(void **state)
{
    (void)state;
    for_each_problem(check_rules, NULL);
}

/* ---- Parsing ---- */

static void bad_lines_are_refused(void **state)
{
    static const char *const lines[] = {
        "", "Conv x", "Conv =1", "Conv x=", "Conv x=1,a", "Conv x=1 x=2", "Conv x=1,,2"};
    static const char *const unopenable[] = {"Convolve x=1",
                                             "Conv w=1,1,1",
                                             "Conv x=1,1,3 w=1,1,5",
                                             "Conv x=1,2,3 w=1,1,3",
                                             "MaxPool x=1,1,3 kernel_shape=2,2",
                                             "MatMul a=2,3 b=2,3",
                                             "Add a=2 b=3",
                                             "Reshape x=2,3 shape=4,2",
                                             "Concat x0=2,3 x1=3,3 axis=1"};
    char error[160];
    ref_problem p;
    ref_case c;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (ref_parse(lines[i], &p, error, sizeof error))
            fail_msg("'%s' was accepted", lines[i]);
    for (size_t i = 0; i < sizeof unopenable / sizeof *unopenable; i++) {
        assert_true(ref_parse(unopenable[i], &p, error, sizeof error));
        if (ref_open(&p, &c))
            fail_msg("'%s' was opened", unopenable[i]);
        assert_true(c.error[0] != 0);
        ref_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(problems_cover_all),
        cmocka_unit_test(gradients_are_derivatives),
        cmocka_unit_test(rules_are_related),
        cmocka_unit_test(bad_lines_are_refused),
    };

    return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
