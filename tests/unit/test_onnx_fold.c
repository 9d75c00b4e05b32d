/* Folding of nodes on the host. A case is one line of text: operator, attributes, inputs, and what
 * comes out. Reading files is tested in test_onnx_read.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "onnx/model.h"

#define LIST_MAX 64 /* elements of a tensor, inputs, attributes */

/* Tensors: "f2x3:1,2,3,4,5,6" float, "i:5" an integer scalar, "i0:" an empty list, "?2x3" an
 * activation of that shape, "??" one of unknown shape, "-" left out.
 * Attributes: "axis=1", "perm=1,0", "value_float=0.5", "value=f1:7".
 * Result: tensors, "-" for an output that is not wanted; "no" where the node does not fold;
 * "!TEXT" for an error whose message has TEXT in it. */
typedef struct fold_case {
    const char *type;
    const char *attrs;
    const char *in;
    const char *out;
} fold_case;

static const fold_case cases[] = {
    /* made of attributes or shapes */
    {"Constant", "value=f2:1,2", "", "f2:1,2"},
    {"Constant", "value=i0:", "", "i0:"},
    {"Constant", "value_int=7", "", "i:7"},
    {"Constant", "value_ints=7,8", "", "i2:7,8"},
    {"Constant", "value_float=0.5", "", "f:0.5"},
    {"Constant", "value_floats=0.5,1.5", "", "f2:0.5,1.5"},
    {"Constant", "value_string='x'", "", "!it has no value"},
    {"Constant", "value_int=1,2", "", "!attribute value_int"},
    {"Constant", "", "", "!it has no value"},
    {"Constant", "value_int=7", "i:1", "!it has 1 inputs"},
    {"ConstantOfShape", "", "i2:1,2", "f1x2:0,0"},
    {"ConstantOfShape", "value=i1:5", "i2:1,2", "i1x2:5,5"},
    {"ConstantOfShape", "value=f1:0.5", "i0:", "f:0.5"},
    {"ConstantOfShape", "", "i1:0", "f0:"},
    {"ConstantOfShape", "", "i1:-1", "!dimension 0 cannot be -1"},
    {"ConstantOfShape", "value=i2:1,2", "i1:1", "!its value has 2 elements"},
    {"ConstantOfShape", "", "i3:100000,100000,100000", "!100000x100000x100000 is too large"},
    {"ConstantOfShape", "", "i2:4611686018427387904,4", "!too large"},
    {"ConstantOfShape", "", "i3:0,4611686018427387904,4", "!too large"},
    {"ConstantOfShape", "", "i6:1,1,1,1,1,1", "!6 dimensions; at most 5"},
    {"Shape", "", "?2x3x4", "i3:2,3,4"},
    {"Shape", "start=1", "?2x3x4", "i2:3,4"},
    {"Shape", "end=-1", "?2x3x4", "i2:2,3"},
    {"Shape", "start=-2 end=-1", "?2x3x4", "i1:3"},
    {"Shape", "start=2 end=1", "?2x3x4", "i0:"},
    {"Shape", "start=-9 end=9", "?2x3x4", "i3:2,3,4"},
    {"Shape", "", "f:1", "i0:"},
    {"Shape", "", "??", "no"},
    {"Size", "", "?2x3x4", "i:24"},
    {"Range", "", "i:1 i:8 i:3", "i3:1,4,7"},
    {"Range", "", "i:8 i:1 i:-3", "i3:8,5,2"},
    {"Range", "", "i:1 i:1 i:1", "i0:"},
    {"Range", "", "f:0 f:1 f:0.25", "f4:0,0.25,0.5,0.75"},
    {"Range", "", "i:0 i:9223372036854775807 i:1", "!too many"},
    {"Range", "", "f:0 f:inf f:1", "!too many"},
    {"Range", "", "i:-9223372036854775808 i:9223372036854775807 i:9223372036854775807",
     "i3:-9223372036854775808,-1,9223372036854775806"},
    {"Range", "", "i:0 i:5 i:0", "!delta is 0"},
    {"Range", "", "i:0 f:5 i:1", "!of one type"},

    /* another shape */
    {"Identity", "", "f2x1:1,2", "f2x1:1,2"},
    {"Identity", "", "?2x3", "no"},
    {"Reshape", "", "i4:1,2,3,4 i2:2,2", "i2x2:1,2,3,4"},
    {"Reshape", "", "i2x3:1,2,3,4,5,6 i2:0,-1", "i2x3:1,2,3,4,5,6"},
    {"Reshape", "", "i2x3:1,2,3,4,5,6 i1:-1", "i6:1,2,3,4,5,6"},
    {"Reshape", "", "i1:9 i0:", "i:9"},
    {"Reshape", "", "i0x3: i2:0,-1", "!in place of -1"},
    {"Reshape", "allowzero=1", "i0x3: i2:3,0", "i3x0:"},
    {"Reshape", "", "i4:1,2,3,4 i2:3,-1", "!in place of -1"},
    {"Reshape", "", "i4:1,2,3,4 i2:-1,-1", "!more than one"},
    {"Reshape", "", "i4:1,2,3,4 i2:2,3", "!4 cannot become 2x3"},
    {"Reshape", "", "i4:1,2,3,4 i2:4,0", "!dimension 1 is 0"},
    {"Reshape", "", "i4:1,2,3,4 i2:4,-2", "!cannot be -2"},
    {"Reshape", "", "i4:1,2,3,4 i3:4294967296,4294967296,4", "!cannot be 4294967296"},
    {"Reshape", "", "i4:1,2,3,4 f1:4", "!must be a list of integers"},
    {"Reshape", "", "i4:1,2,3,4 ?1", "no"},
    {"Flatten", "", "i2x1x2:1,2,3,4", "i2x2:1,2,3,4"},
    {"Flatten", "axis=0", "i2x2:1,2,3,4", "i1x4:1,2,3,4"},
    {"Flatten", "axis=-1", "i2x1x2:1,2,3,4", "i2x2:1,2,3,4"},
    {"Flatten", "axis=4", "i2x2:1,2,3,4", "!axis 4 does not exist"},
    {"Squeeze", "", "f1x2x1:1,2", "f2:1,2"},
    {"Squeeze", "axes=0", "f1x2x1:1,2", "f2x1:1,2"},
    {"Squeeze", "", "f1x2x1:1,2 i1:-1", "f1x2:1,2"},
    {"Squeeze", "axes=1", "f1x2x1:1,2", "!dimension 1 is 2"},
    {"Squeeze", "axes=3", "f1x2x1:1,2", "!axis 3 does not exist"},
    {"Unsqueeze", "axes=0,3", "f2x1:1,2", "f1x2x1x1:1,2"},
    {"Unsqueeze", "", "f:1 i1:0", "f1:1"},
    {"Unsqueeze", "", "f2:1,2 i1:-1", "f2x1:1,2"},
    {"Unsqueeze", "axes=0,-4", "f2x1:1,2", "!axis 0 is named twice"},
    {"Unsqueeze", "axes=0,1,2,3,4", "f1:1", "!6 dimensions; at most 5"},

    /* another place */
    {"Transpose", "", "i2x3:1,2,3,4,5,6", "i3x2:1,4,2,5,3,6"},
    {"Transpose", "perm=0,2,1", "f1x2x2:1,2,3,4", "f1x2x2:1,3,2,4"},
    {"Transpose", "perm=1,2,0", "i2x1x3:1,2,3,4,5,6", "i1x3x2:1,4,2,5,3,6"},
    {"Transpose", "perm=0,0", "i2x2:1,2,3,4", "!axis 0 is named twice"},
    {"Transpose", "perm=0", "i2x2:1,2,3,4", "!perm has 1 entries"},
    {"Concat", "axis=0", "i1:1 i2:2,3 i0: i1:4", "i4:1,2,3,4"},
    {"Concat", "axis=-1", "f2x1:1,2 f2x2:3,4,5,6", "f2x3:1,3,4,2,5,6"},
    {"Concat", "axis=1", "f2x1:1,2 f1x1:3", "!input 1 is 1x1"},
    {"Concat", "axis=0", "f1:1 i1:1", "!different types"},
    {"Concat", "axis=0", "f1:1 - f1:1", "!input 1 is left out"},
    {"Concat", "", "f1:1", "!axis"},
    {"Concat", "axis=0", "", "!it has no inputs"},
    {"Concat", "axis=0", "f:1 f:1", "!axis 0 does not exist"},
    {"Split", "", "i4:1,2,3,4", "i2:1,2 i2:3,4"},
    {"Split", "axis=1 split=1,2", "i2x3:1,2,3,4,5,6", "i2x1:1,4 i2x2:2,3,5,6"},
    {"Split", "", "i3:1,2,3 i3:1,0,2", "i1:1 i0: i2:2,3"},
    {"Split", "", "i3:1,2,3 i3:1,1,1", "- i1:2 -"},
    {"Split", "num_outputs=3", "i5:1,2,3,4,5", "i2:1,2 i2:3,4 i1:5"},
    {"Split", "", "i3:1,2,3 i2:1,1", "!add up to 2"},
    {"Split", "", "i3:1,2,3 i2:4,-1", "!part 0"},
    {"Split", "", "i3:1,2,3", "!cannot be split into 2 equal parts"},

    /* some of it */
    {"Slice", "starts=1 ends=3", "i4:1,2,3,4", "i2:2,3"},
    {"Slice", "starts=0,1 ends=1,3 axes=0,1", "i2x3:1,2,3,4,5,6", "i1x2:2,3"},
    {"Slice", "", "i4:1,2,3,4 i1:-1 i1:-9223372036854775808 i1:0 i1:-1", "i4:4,3,2,1"},
    {"Slice", "", "i4:1,2,3,4 i1:9223372036854775807 i1:0 i1:0 i1:-2", "i2:4,2"},
    {"Slice", "", "i5:1,2,3,4,5 i1:0 i1:9223372036854775807 i1:0 i1:2", "i3:1,3,5"},
    {"Slice", "", "i2x2:1,2,3,4 i1:1 i1:2 i1:-1", "i2x1:2,4"},
    {"Slice", "", "i4:1,2,3,4 i1:3 i1:1", "i0:"},
    {"Slice", "", "i4:1,2,3,4 i1:0 i1:4 - i1:3", "i2:1,4"},
    {"Slice", "", "i4:1,2,3,4 i1:1 i1:4 i1:0 i1:9223372036854775807", "i1:2"},
    {"Slice", "", "i4:1,2,3,4 i1:2 i1:-9 i1:0 i1:-9223372036854775808", "i1:3"},
    {"Slice", "", "i0: i1:-1 i1:-5 i1:0 i1:-1", "i0:"},
    {"Slice", "", "i4:1,2,3,4 i1:0 i1:4 i1:0 i1:0", "!the step along axis 0 is 0"},
    {"Slice", "", "i4:1,2,3,4 i1:0 i2:4,4", "!do not fit"},
    {"Slice", "", "i2x2:1,2,3,4 i2:0,0 i2:1,1 i2:0,-2", "!axis 0 is named twice"},
    {"Gather", "", "i3:5,6,7 i:-1", "i:7"},
    {"Gather", "axis=1", "f2x3:1,2,3,4,5,6 i2:2,0", "f2x2:3,1,6,4"},
    {"Gather", "", "i3x2:1,2,3,4,5,6 i2x1:0,2", "i2x1x2:1,2,5,6"},
    {"Gather", "", "i3:5,6,7 i:3", "!index 3 is outside axis 0 of 3"},
    {"Gather", "", "i3:5,6,7 i:-9223372036854775808", "!is outside axis 0 of 3"},
    {"Gather", "", "i3:5,6,7 f:0", "!indices must be integers"},
    {"Gather", "", "i:5 i:0", "!axis 0 does not exist"},
    {"Expand", "", "i2x1:1,2 i2:1,3", "i2x3:1,1,1,2,2,2"},
    {"Expand", "", "f:7 i1:2", "f2:7,7"},
    {"Expand", "", "i2:1,2 i1:3", "!2 cannot be expanded to 3"},
    {"Expand", "", "f:7 i2:4096,4097", "!4096x4097 is too large"},
    {"Tile", "", "i2:1,2 i1:2", "i4:1,2,1,2"},
    {"Tile", "", "i2x2:1,2,3,4 i2:1,2", "i2x4:1,2,1,2,3,4,3,4"},
    {"Tile", "", "i2:1,2 i1:0", "i0:"},
    {"Tile", "", "i2:1,2 i1:-1", "!-1 repeats"},
    {"Tile", "", "i2:1,2 i2:1,1", "!2 repeats for 1 dimensions"},
    {"Where", "", "i2:1,0 f2:1,2 f:9", "f2:1,9"},
    {"Where", "", "i2x1:1,0 i1x2:1,2 i2x2:5,6,7,8", "i2x2:1,2,7,8"},
    {"Where", "", "f1:1 i1:1 i1:2", "!must be bool"},
    {"Where", "", "i1:1 f1:1 i1:2", "!one input is float"},

    /* arithmetic */
    {"Add", "", "i2:1,2 i:3", "i2:4,5"},
    {"Add", "", "f2x1:1,2 f2:10,20", "f2x2:11,21,12,22"},
    {"Add", "", "i:9223372036854775807 i:1", "i:-9223372036854775808"},
    {"Add", "", "i2:1,2 i3:1,2,3", "!2 and 3 do not fit"},
    {"Add", "", "i1:1 f1:1", "!one input is float"},
    {"Add", "", "i1:1", "!it has 1 inputs; Add takes 2"},
    {"Add", "", "i1:1 -", "!it has 1 inputs"},
    {"Add", "", "- i1:1", "!input 0 is left out"},
    {"Add", "", "i1:1 ?1", "no"},
    {"Add", "", "i0: i1:1", "i0:"},
    {"Sub", "", "i1:1 i1:3", "i1:-2"},
    {"Mul", "", "f1:0.5 f1:3", "f1:1.5"},
    {"Div", "", "i4:7,-7,7,-7 i4:2,2,-2,-2", "i4:3,-3,-3,3"},
    {"Div", "", "i:-9223372036854775808 i:-1", "i:-9223372036854775808"},
    {"Div", "", "f1:1 f1:0", "f1:inf"},
    {"Div", "", "i1:1 i2:1,0", "!division by zero"},
    {"Mod", "", "i4:7,-7,7,-7 i4:3,3,-3,-3", "i4:1,2,-2,-1"},
    {"Mod", "fmod=1", "i4:7,-7,7,-7 i4:3,3,-3,-3", "i4:1,-1,1,-1"},
    {"Mod", "fmod=1", "f2:7.5,-7.5 f:2", "f2:1.5,-1.5"},
    {"Mod", "", "i:-9223372036854775808 i:-1", "i:0"},
    {"Mod", "", "f1:7 f1:2", "!fmod = 1"},
    {"Mod", "", "i1:7 i1:0", "!division by zero"},
    {"Neg", "", "f2:1,-2", "f2:-1,2"},
    {"Neg", "", "i1:-9223372036854775808", "i1:-9223372036854775808"},
    {"Abs", "", "i2:-3,3", "i2:3,3"},
    {"Min", "", "i2:1,5 i:3 i:4", "i2:1,3"},
    {"Max", "", "f2:1,5 f:3", "f2:3,5"},
    {"Max", "", "f2:nan,1 f2:1,nan", "f2:nan,nan"},
    {"Max", "", "f1:2", "f1:2"},
    {"Max", "", "f1:1 f1:2 i1:3", "!one input is float"},
    {"Max", "", "f1:1 - f1:2", "!input 1 is left out"},
    {"Pow", "", "f2:2,4 f:0.5", "f2:1.4142135,2"},
    {"Pow", "", "f1:2 i1:-1", "f1:0.5"},
    {"Pow", "", "i3:2,-3,-1 i3:10,3,-3", "i3:1024,-27,-1"},
    {"Pow", "", "i1:0 i1:-1", "!0 to a negative power"},
    {"Pow", "", "i1:2 f1:0.5", "!convert one with Cast"},
    {"Sqrt", "", "f2:4,2", "f2:2,1.4142135"},
    {"Sqrt", "", "i1:4", "!Sqrt does not take integers"},
    {"Reciprocal", "", "f1:4", "f1:0.25"},
    {"Exp", "", "f2:0,1", "f2:1,2.7182818"},
    {"Floor", "", "f2:1.5,-1.5", "f2:1,-2"},
    {"Ceil", "", "f2:1.5,-1.5", "f2:2,-1"},
    {"Round", "", "f8:0.5,1.5,2.5,-0.5,-1.5,-2.5,2.4,-2.6", "f8:0,2,2,-0,-2,-2,2,-3"},
    {"Round", "", "f3:inf,-inf,nan", "f3:inf,-inf,nan"},

    /* comparisons and logic */
    {"Equal", "", "f2:1,2 f:2", "i2:0,1"},
    {"Equal", "", "i2:1,2 i:2", "i2:0,1"},
    {"Less", "", "i3:1,2,3 i:2", "i3:1,0,0"},
    {"Greater", "", "f3:1,2,3 f:2", "i3:0,0,1"},
    {"LessOrEqual", "", "f4:1,2,3,nan f:2", "i4:1,1,0,0"},
    {"GreaterOrEqual", "", "i3:1,2,3 i:2", "i3:0,1,1"},
    {"Not", "", "i3:0,1,2", "i3:1,0,0"},
    {"And", "", "i4:0,0,1,1 i4:0,1,0,1", "i4:0,0,0,1"},
    {"Or", "", "i4:0,0,1,1 i4:0,1,0,1", "i4:0,1,1,1"},
    {"Xor", "", "i4:0,0,1,1 i4:0,1,0,1", "i4:0,1,1,0"},
    {"And", "", "f1:1 f1:1", "!And does not take floats"},

    /* conversions; 1 float, 2 uint8, 3 int8, 6 int32, 7 int64, 8 string, 9 bool, 10 float16 */
    {"Cast", "to=1", "i2:1,-2", "f2:1,-2"},
    {"Cast", "to=10", "f1:0.1", "f1:0.1"},
    {"Cast", "to=7", "f4:1.9,-1.9,nan,1e30", "i4:1,-1,0,9223372036854775807"},
    {"Cast", "to=6", "i1:4294967297", "i1:1"},
    {"Cast", "to=2", "i2:257,-1", "i2:1,255"},
    {"Cast", "to=3", "i2:128,-129", "i2:-128,127"},
    {"Cast", "to=9", "f4:0,0.5,-1,nan", "i4:0,1,1,1"},
    {"Cast", "to=9", "i2:0,256", "i2:0,1"},
    {"Cast", "to=8", "i1:1", "!to = 8 (string)"},
    {"Cast", "to=99", "i1:1", "!to = 99"},
    {"Cast", "", "i1:1", "!to = -1"},
    {"Cast", "to=1", "?3", "no"},

    /* reductions */
    {"ReduceSum", "axes=1", "i2x3:1,2,3,4,5,6", "i2x1:6,15"},
    {"ReduceSum", "keepdims=0", "f2x3:1,2,3,4,5,6 i1:0", "f3:5,7,9"},
    {"ReduceSum", "keepdims=0", "i2x3:1,2,3,4,5,6", "i:21"},
    {"ReduceSum", "noop_with_empty_axes=1", "i3:1,2,3 i0:", "i3:1,2,3"},
    {"ReduceSum", "axes=0", "i0x2:", "i1x2:0,0"},
    {"ReduceProd", "keepdims=0 axes=0,2", "i2x2x2:1,2,3,4,5,6,7,8", "i2:60,672"},
    {"ReduceMax", "keepdims=0", "i3:-5,-2,-9", "i:-2"},
    {"ReduceMin", "axes=-1 keepdims=0", "f2x2:3,1,-1,nan", "f2:1,nan"},
    {"ReduceMax", "axes=0 keepdims=0", "f0x1:", "f1:-inf"},
    {"ReduceMean", "axes=0,1 keepdims=0", "f2x2:1,2,3,4", "f:2.5"},
    {"ReduceMean", "keepdims=0", "i3:1,2,2", "i:1"},
    {"ReduceMean", "keepdims=0", "i0:", "!no elements to reduce"},
    {"ReduceSum", "axes=2", "i2x3:1,2,3,4,5,6", "!axis 2 does not exist"},

    /* left to the device */
    {"Relu", "", "f2:1,2", "no"},
    {"Conv", "", "f1x1x1:1 f1x1x1:1", "no"},
};

/* ---- Text to tensors and attributes ---- */

static host_tensor *parse_tensor(deconv_ctx *ctx, const char **text, shape *s)
{
    const char *c = *text;
    char kind = *c++;
    host_tensor *t;

    memset(s, 0, sizeof *s);
    s->rank = -1;
    if (kind == '-' || (kind == '?' && *c == '?')) {
        *text = kind == '-' ? c : c + 1;
        return NULL;
    }
    for (s->rank = 0; *c >= '0' && *c <= '9'; c += *c == 'x')
        s->dim[s->rank++] = strtoll(c, (char **)&c, 10);
    *text = c;
    if (kind == '?')
        return NULL;
    assert_true(*c == ':' && (kind == 'f' || kind == 'i'));
    assert_int_equal(host_tensor_create(ctx, s, kind == 'f', &t), DECONV_OK);
    for (int64_t i = 0; i < shape_count(s); i++) {
        c++;
        if (kind == 'f')
            t->f[i] = strtof(c, (char **)&c);
        else
            t->i[i] = strtoll(c, (char **)&c, 10);
    }
    *text = shape_count(s) ? c : c + 1;
    assert_true(**text == 0 || **text == ' ');
    return t;
}

typedef struct attr_list {
    deconv_attr attr[LIST_MAX];
    char name[LIST_MAX][32];
    int64_t ints[LIST_MAX];
    float floats[LIST_MAX];
    size_t count;
    host_tensor *value;
} attr_list;

/* One number makes an attribute of integers, with a point in it one of floats. */
static void parse_attributes(deconv_ctx *ctx, const char *text, attr_list *list)
{
    int used = 0;

    memset(list, 0, sizeof *list);
    while (*text) {
        const char *equals = strchr(text, '=');
        deconv_attr *attr = &list->attr[list->count];
        const char *end;
        shape s;

        snprintf(list->name[list->count], 32, "%.*s", (int)(equals - text), text);
        text = equals + 1;
        if (strcmp(list->name[list->count], "value") == 0) {
            list->value = parse_tensor(ctx, &text, &s);
            continue;
        }
        attr->name = list->name[list->count++];
        end = text + strcspn(text, " ");
        attr->type = *text == '\''                             ? DECONV_ATTR_STRING
                     : memchr(text, '.', (size_t)(end - text)) ? DECONV_ATTR_FLOATS
                                                               : DECONV_ATTR_INTS;
        attr->ints = &list->ints[used];
        attr->floats = &list->floats[used];
        attr->string = "x";
        for (; attr->type != DECONV_ATTR_STRING && text < end; text += *text == ',') {
            list->floats[used] = strtof(text, NULL);
            list->ints[used++] = strtoll(text, NULL, 10);
            text += strspn(text, "0123456789.-");
            attr->count++;
        }
        text = *end ? end + 1 : end;
    }
}

/* ---- One case ---- */

static bool same_float(float a, float b)
{
    return (isnan(a) && isnan(b)) || a == b || fabsf(a - b) <= 1e-6f * fabsf(b);
}

static void check_tensor(const host_tensor *got, const host_tensor *want)
{
    assert_non_null(got);
    assert_int_equal(got->is_float, want->is_float);
    assert_true(shape_equal(&got->shape, &want->shape));
    for (int64_t i = 0; i < shape_count(&want->shape); i++) {
        if (want->is_float)
            assert_true(same_float(got->f[i], want->f[i]));
        else
            assert_int_equal(got->i[i], want->i[i]);
    }
}

static size_t count_words(const char *text)
{
    size_t count = *text != 0;

    for (; *text; text++)
        count += *text == ' ';
    return count;
}

/* Two outputs are asked for where the case expects a failure of Split. */
static int outputs_of(const fold_case *c)
{
    if (*c->out == '!')
        return strcmp(c->type, "Split") == 0 ? 2 : 1;
    return strcmp(c->out, "no") == 0 ? 1 : (int)count_words(c->out);
}

static void run_case(deconv_ctx *ctx, const fold_case *c)
{
    int in_number[LIST_MAX], out_number[LIST_MAX];
    host_tensor *in[LIST_MAX] = {0}, *out[LIST_MAX] = {0};
    const host_tensor *known[LIST_MAX] = {0};
    shape in_shape[LIST_MAX] = {0};
    attr_list attrs;
    const char *text = c->in;
    onnx_node node = {.name = "n", .type = c->type, .in = in_number, .out = out_number};
    deconv_status status;
    bool folded = true;

    parse_attributes(ctx, c->attrs, &attrs);
    node.attrs = attrs.attr;
    node.attr_count = attrs.count;
    node.value = attrs.value;
    for (; *text; text += *text == ' ', node.n_in++) {
        in_number[node.n_in] = *text == '-' ? -1 : node.n_in;
        in[node.n_in] = parse_tensor(ctx, &text, &in_shape[node.n_in]);
        known[node.n_in] = in[node.n_in];
    }
    while (node.n_in > 0 && in_number[node.n_in - 1] < 0) /* as the reader does */
        node.n_in--;
    node.n_out = outputs_of(c);
    text = c->out;
    for (int i = 0; i < node.n_out; i++) {
        out_number[i] = *text == '-' ? -1 : 100 + i;
        text += strcspn(text, " ");
        text += *text == ' ';
    }

    status = onnx_fold(ctx, &node, 13, known, in_shape, out, &folded);
    text = c->out;
    if (*c->out == '!') {
        assert_true(status != DECONV_OK && !folded);
        assert_non_null(strstr(deconv_ctx_message(ctx), "node n ("));
        assert_non_null(strstr(deconv_ctx_message(ctx), c->type));
        assert_non_null(strstr(deconv_ctx_message(ctx), c->out + 1));
    } else {
        assert_int_equal(status, DECONV_OK);
        assert_int_equal(folded, strcmp(c->out, "no") != 0);
    }
    for (int i = 0; i < node.n_out; i++) {
        host_tensor *want = NULL;
        shape s;

        if (folded)
            want = parse_tensor(ctx, &text, &s);
        text += *text == ' ';
        if (want)
            check_tensor(out[i], want);
        else
            assert_null(out[i]);
        host_tensor_free(ctx, want);
        host_tensor_free(ctx, out[i]);
    }
    for (int i = 0; i < LIST_MAX; i++)
        host_tensor_free(ctx, in[i]);
    host_tensor_free(ctx, attrs.value);
}

/* ---- Tests ---- */

static int set_up(void **state)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx;

    options.cache_dir = "";
    assert_int_equal(deconv_ctx_create(&options, &ctx), DECONV_OK);
    *state = ctx;
    return 0;
}

static int tear_down(void **state)
{
    deconv_ctx_destroy(*state);
    return 0;
}

static void folds_every_case(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("%s [%s] %s -> %s\n", cases[i].type, cases[i].attrs, cases[i].in,
                      cases[i].out);
        run_case(*state, &cases[i]);
    }
}

/* Two outputs of an operator that has one. */
static void refuses_too_many_outputs(void **state)
{
    int in[] = {0}, out[] = {1, 2};
    onnx_node node = {.name = "n", .type = "Shape", .in = in, .n_in = 1, .out = out, .n_out = 2};
    const host_tensor *known[] = {NULL};
    shape s = {.rank = 1, .dim = {3}};
    host_tensor *made[2];
    bool folded;

    assert_int_not_equal(onnx_fold(*state, &node, 13, known, &s, made, &folded), DECONV_OK);
    assert_non_null(strstr(deconv_ctx_message(*state), "it has 2 outputs; Shape gives one"));
    assert_false(folded);
}

/* A weight whose elements are on the device only has a shape but no value. */
static void takes_dropped_constants_for_unknown(void **state)
{
    int in[] = {0}, out[] = {1};
    onnx_node node = {.name = "n", .type = "Identity", .in = in, .n_in = 1, .out = out, .n_out = 1};
    onnx_node shape_of = node;
    host_tensor dropped = {.shape = {.rank = 1, .dim = {3}}, .is_float = true};
    const host_tensor *known[] = {&dropped};
    host_tensor *made[1];
    bool folded;

    assert_int_equal(onnx_fold(*state, &node, 13, known, &dropped.shape, made, &folded), DECONV_OK);
    assert_false(folded);
    shape_of.type = "Shape";
    assert_int_equal(onnx_fold(*state, &shape_of, 13, known, &dropped.shape, made, &folded),
                     DECONV_OK);
    assert_true(folded);
    assert_int_equal(made[0]->i[0], 3);
    host_tensor_free(*state, made[0]);
}

/* A weight of 5 dimensions through Transpose and back is the same weight. */
static void transposes_back_and_forth(void **state)
{
    static const int64_t there[] = {3, 0, 4, 1, 2}, back[] = {1, 3, 4, 0, 2};
    deconv_attr attr = {.name = "perm", .type = DECONV_ATTR_INTS, .count = 5, .ints = there};
    int in[] = {0}, out[] = {1};
    onnx_node node = {.name = "n",
                      .type = "Transpose",
                      .attrs = &attr,
                      .attr_count = 1,
                      .in = in,
                      .n_in = 1,
                      .out = out,
                      .n_out = 1};
    shape s = {.rank = 5, .dim = {2, 3, 5, 7, 4}};
    host_tensor *x, *once, *twice;
    const host_tensor *known[1];
    bool folded;

    assert_int_equal(host_tensor_create(*state, &s, true, &x), DECONV_OK);
    for (int64_t i = 0; i < shape_count(&s); i++)
        x->f[i] = (float)i;
    known[0] = x;
    assert_int_equal(onnx_fold(*state, &node, 13, known, &s, &once, &folded), DECONV_OK);
    assert_int_equal(once->shape.dim[0], 7);
    assert_int_equal(once->shape.dim[2], 4);
    assert_true(once->f[1] == 4 * 7); /* the last of the new dimensions is the old third */
    attr.ints = back;
    known[0] = once;
    assert_int_equal(onnx_fold(*state, &node, 13, known, &once->shape, &twice, &folded), DECONV_OK);
    check_tensor(twice, x);
    host_tensor_free(*state, x);
    host_tensor_free(*state, once);
    host_tensor_free(*state, twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_every_case),
        cmocka_unit_test(refuses_too_many_outputs),
        cmocka_unit_test(takes_dropped_constants_for_unknown),
        cmocka_unit_test(transposes_back_and_forth),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
