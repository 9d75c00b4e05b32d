/* Suggestions for a name that does not exist. */
#include <ctype.h>
#include <string.h>

#include "context.h"

/* Longer names are compared by their beginnings. */
#define COMPARED 96
#define NEAREST  16

static size_t compared_length(const char *text)
{
    size_t length = strlen(text);

    return length < COMPARED ? length : COMPARED;
}

static char folded(char c)
{
    return (char)tolower((unsigned char)c);
}

static bool contains(const char *text, size_t text_length, const char *part, size_t part_length)
{
    for (size_t at = 0; at + part_length <= text_length; at++) {
        size_t i = 0;

        while (i < part_length && folded(text[at + i]) == folded(part[i]))
            i++;
        if (i == part_length)
            return true;
    }
    return false;
}

/* Levenshtein distance, letter case ignored. A name that contains what was wanted, or the other way
 * round, comes before every name that does not: "fire4" means fire4/concat rather than fire5. */
static size_t distance(const char *a, const char *b)
{
    size_t la = compared_length(a), lb = compared_length(b);
    size_t row[COMPARED + 1];

    if (la > 0 && lb > 0 && (contains(a, la, b, lb) || contains(b, lb, a, la)))
        return la > lb ? la - lb : lb - la;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = diagonal + (folded(a[i - 1]) != folded(b[j - 1]));

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return COMPARED + row[lb];
}

void nearest_names(const char *wanted, const char *const *names, size_t count, size_t limit,
                   char *text, size_t text_size)
{
    size_t best[NEAREST], best_distance[NEAREST], found = 0, length = 0;

    if (limit > NEAREST)
        limit = NEAREST;
    for (size_t i = 0; i < count && limit > 0; i++) {
        size_t d = distance(wanted, names[i]), at = found;

        while (at > 0 && d < best_distance[at - 1])
            at--;
        if (at == limit)
            continue;
        if (found < limit)
            found++;
        for (size_t k = found - 1; k > at; k--) {
            best[k] = best[k - 1];
            best_distance[k] = best_distance[k - 1];
        }
        best[at] = i;
        best_distance[at] = d;
    }
    if (text_size == 0)
        return;
    text[0] = '\0';
    for (size_t i = 0; i < found; i++) {
        const char *name = names[best[i]];
        size_t separator = i > 0 ? 2 : 0, size = strlen(name);

        if (length + separator + size >= text_size)
            break;
        memcpy(text + length, ", ", separator);
        memcpy(text + length + separator, name, size + 1);
        length += separator + size;
    }
}
