/* Small values in and out: numbers on the command line, tensors, JSON. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool parse_number(const char *text, int64_t *out)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < 0)
        return false;
    *out = value;
    return true;
}

bool parse_size(const char *text, uint64_t *out)
{
    static const char units[] = "KMG";
    const char *unit;
    char *end;
    unsigned long long value;
    int shift = 0;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (end == text || *text == '-' || errno || value < 1)
        return false;
    unit = *end ? strchr(units, *end) : NULL;
    if (unit)
        shift = 10 * (int)(unit - units + 1);
    if (*end && (!unit || end[1]))
        return false;
    if (value > UINT64_MAX >> shift)
        return false;
    *out = (uint64_t)value << shift;
    return true;
}

bool parse_pair(const char *text, int64_t *first, int64_t *second)
{
    const char *comma = strchr(text, ',');
    char head[32];

    if (!comma || (size_t)(comma - text) >= sizeof head)
        return false;
    memcpy(head, text, (size_t)(comma - text));
    head[comma - text] = '\0';
    return parse_number(head, first) && parse_number(comma + 1, second);
}

int parse_choice(const char *text, const char *const *choices)
{
    for (int i = 0; choices[i]; i++)
        if (strcmp(text, choices[i]) == 0)
            return i;
    return -1;
}

float *tensor_values(const session *s, const deconv_tensor *tensor)
{
    uint64_t count = deconv_tensor_count(tensor);
    float *values = malloc((size_t)count * sizeof *values);

    if (!values)
        fail("no memory: %llu bytes for values", (unsigned long long)count * sizeof *values);
    else if (!worked(s, deconv_tensor_read(tensor, values, count))) {
        free(values);
        values = NULL;
    }
    return values;
}

int finish_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return fail("standard output: %s", strerror(errno));
    return EXIT_DONE;
}

int print_json(cJSON *object)
{
    char *text = cJSON_Print(object);

    cJSON_Delete(object);
    if (!text)
        return fail("no memory for the JSON output");
    puts(text);
    free(text);
    return finish_output();
}

cJSON *json_shape(const int64_t *shape, uint32_t rank)
{
    cJSON *list = cJSON_CreateArray();

    for (uint32_t d = 0; d < rank; d++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)shape[d]));
    return list;
}
