/* One test problem: a line of text that names an operator, the shapes of its inputs and its
 * attributes. Parsing only; what the names mean is known to reference.c.
 *
 *     Conv x=2,3,7,9 w=5,3,3,2 b=5 strides=2,1 pads=1,0,2,1 group=1 opset=13
 *
 *   NAME=1,2,3     an input's shape, or an attribute of integers
 *   NAME=0.5,2.0   an attribute of floats: every number has a point or an exponent
 *   NAME=linear    an attribute that is a string
 * Besides the operator's own names there are
 *   opset=N        13 when left out
 *   ties=1         values are multiples of 1/4, so that equal values and exact zeros occur
 *   range=30.0     input 0 is in about [-30, 30] instead of about [-1, 1]
 *   wanted=a       the inverse asks for the signals of these inputs only (separated by commas)
 *   refused=1      the library must refuse the problem
 */
#ifndef DECONV_TESTS_PROBLEM_H
#define DECONV_TESTS_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REF_MAX_LINE = 400, REF_MAX_NAME = 40, REF_MAX_LIST = 24, REF_MAX_ATTRS = 16 };

typedef enum ref_attr_type { REF_INTS, REF_FLOATS, REF_STRING } ref_attr_type;

typedef struct ref_attr {
    char name[REF_MAX_NAME];
    ref_attr_type type;
    int count;
    int64_t ints[REF_MAX_LIST];
    float floats[REF_MAX_LIST];
    char string[REF_MAX_NAME];
} ref_attr;

typedef struct ref_problem {
    char line[REF_MAX_LINE];
    char type[REF_MAX_NAME];
    int opset;
    bool ties, refused;
    double range;
    char wanted[REF_MAX_NAME]; /* "": all */
    int n_attrs;               /* inputs among them: reference.c tells them apart */
    ref_attr attrs[REF_MAX_ATTRS];
} ref_problem;

/* Parses one line without comment; false with the reason in `error`. */
bool ref_parse(const char *line, ref_problem *out, char *error, size_t error_size);

/* What a line of a problem file holds: cuts the comment and surrounding blanks off in place and
 * returns the text, "" for a line without a problem. */
char *ref_trim(char *line);

const ref_attr *ref_find(const ref_problem *p, const char *name);
int64_t ref_int(const ref_problem *p, const char *name, int64_t otherwise);
double ref_float(const ref_problem *p, const char *name, double otherwise);
const char *ref_string(const ref_problem *p, const char *name, const char *otherwise);

#endif
