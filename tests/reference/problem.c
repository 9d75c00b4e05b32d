/* Parsing of problem lines and look-up of their attributes. */
#include "problem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list is of floats when any of its numbers looks like one. */
static ref_attr_type type_of(const char *text)
{
    if (!isdigit((unsigned char)text[0]) && text[0] != '-')
        return REF_STRING;
    return strpbrk(text, ".e") ? REF_FLOATS : REF_INTS;
}

static bool parse_list(const char *text, ref_attr *a)
{
    while (a->count < REF_MAX_LIST) {
        char *end;

        if (a->type == REF_INTS)
            a->ints[a->count++] = strtoll(text, &end, 10);
        else
            a->floats[a->count++] = strtof(text, &end);
        if (end == text || (*end && *end != ','))
            return false;
        if (!*end)
            return true;
        text = end + 1;
    }
    return false;
}

static bool parse_attr(const char *word, ref_attr *a)
{
    const char *equals = strchr(word, '=');
    const char *value = equals ? equals + 1 : "";

    if (!equals || equals == word || equals - word >= REF_MAX_NAME || !*value)
        return false;
    memset(a, 0, sizeof *a);
    memcpy(a->name, word, (size_t)(equals - word));
    a->type = type_of(value);
    if (a->type != REF_STRING)
        return parse_list(value, a);
    if (strlen(value) >= sizeof a->string)
        return false;
    memcpy(a->string, value, strlen(value) + 1);
    return true;
}

/* Takes the names that belong to the test and not to the operator; false for any other. */
static bool take_directive(ref_problem *p, const ref_attr *a)
{
    if (!strcmp(a->name, "opset") && a->type == REF_INTS)
        p->opset = (int)a->ints[0];
    else if (!strcmp(a->name, "ties") && a->type == REF_INTS)
        p->ties = a->ints[0] != 0;
    else if (!strcmp(a->name, "refused") && a->type == REF_INTS)
        p->refused = a->ints[0] != 0;
    else if (!strcmp(a->name, "range") && a->type == REF_FLOATS)
        p->range = a->floats[0];
    else if (!strcmp(a->name, "wanted") && a->type == REF_STRING)
        memcpy(p->wanted, a->string, sizeof p->wanted);
    else
        return false;
    return true;
}

bool ref_parse(const char *line, ref_problem *p, char *error, size_t error_size)
{
    char text[REF_MAX_LINE];
    char *rest = text, *word;

    memset(p, 0, sizeof *p);
    p->opset = 13;
    p->range = 1;
    if (strlen(line) >= sizeof text) {
        snprintf(error, error_size, "the line has %zu characters; at most %d fit", strlen(line),
                 REF_MAX_LINE - 1);
        return false;
    }
    memcpy(text, line, strlen(line) + 1);
    memcpy(p->line, text, sizeof text);
    word = strtok_r(text, " \t", &rest);
    if (!word || strlen(word) >= sizeof p->type) {
        snprintf(error, error_size, "no operator");
        return false;
    }
    memcpy(p->type, word, strlen(word) + 1);
    while ((word = strtok_r(NULL, " \t", &rest))) {
        ref_attr a;

        if (!parse_attr(word, &a) || p->n_attrs == REF_MAX_ATTRS) {
            snprintf(error, error_size, "'%s' is not NAME=VALUE", word);
            return false;
        }
        if (ref_find(p, a.name)) {
            snprintf(error, error_size, "%s is given twice", a.name);
            return false;
        }
        if (!take_directive(p, &a))
            p->attrs[p->n_attrs++] = a;
    }
    return true;
}

char *ref_trim(char *line)
{
    size_t length;

    line[strcspn(line, "#\r\n")] = 0;
    line += strspn(line, " \t");
    for (length = strlen(line); length > 0 && isspace((unsigned char)line[length - 1]); length--)
        line[length - 1] = 0;
    return line;
}

const ref_attr *ref_find(const ref_problem *p, const char *name)
{
    for (int i = 0; i < p->n_attrs; i++)
        if (!strcmp(p->attrs[i].name, name))
            return &p->attrs[i];
    return NULL;
}

int64_t ref_int(const ref_problem *p, const char *name, int64_t otherwise)
{
    const ref_attr *a = ref_find(p, name);

    return a && a->type == REF_INTS ? a->ints[0] : otherwise;
}

double ref_float(const ref_problem *p, const char *name, double otherwise)
{
    const ref_attr *a = ref_find(p, name);

    return a && a->type == REF_FLOATS ? a->floats[0] : otherwise;
}

const char *ref_string(const ref_problem *p, const char *name, const char *otherwise)
{
    const ref_attr *a = ref_find(p, name);

    return a && a->type == REF_STRING ? a->string : otherwise;
}
