/* Values for inputs and signals: pseudo-random, the same for the same line on every machine. */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double next_unit(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

static uint64_t hash(const char *text, uint64_t salt)
{
    uint64_t h = 0xcbf29ce484222325u ^ salt * 0x9e3779b97f4a7c15u; /* FNV-1a */

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

/* One value from each of `count` slices of [-0.8, 1.2], in random order: no two are equal, and
 * their mean is well away from zero, so that a mean over all of them is no difference of large
 * numbers. */
static void fill_distinct(ref_tensor *t, uint64_t *state)
{
    double slice = 2.0 / (double)t->count;

    for (int64_t i = 0; i < t->count; i++)
        t->at[i] = -0.8 + slice * ((double)i + 0.1 + 0.8 * next_unit(state));
    for (int64_t i = t->count - 1; i > 0; i--) {
        int64_t other = (int64_t)(next_random(state) % (uint64_t)(i + 1));
        double kept = t->at[i];

        t->at[i] = t->at[other];
        t->at[other] = kept;
    }
}

static void fill(ref_tensor *t, char kind, bool ties, double range, uint64_t seed)
{
    uint64_t state = seed;

    fill_distinct(t, &state);
    for (int64_t i = 0; i < t->count; i++) {
        double x = t->at[i];

        if (kind == 'p' || (kind == 'b' && !ties))
            x = 1 + 0.5 * x;
        else if (kind == 'd' || kind == 'b')
            x = copysign(0.5 + fabs(x), x);
        else if (kind == 'e' && ties)
            x = floor(1.5 + 2 * x);
        else if (ties)
            x = floor(4 * x + 0.5) / 4;
        t->at[i] = (float)(x * range);
    }
}

void ref_fill_inputs(ref_case *c, uint64_t salt)
{
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].given)
            fill(&c->in[i], c->op->fills[i], c->problem->ties, i == 0 ? c->problem->range : 1,
                 hash(c->problem->line, salt * 64 + (uint64_t)i));
}

void ref_fill_signals(ref_case *c, uint64_t salt)
{
    for (int o = 0; o < c->n_out; o++)
        fill(&c->R[o], 'u', false, 1, hash(c->problem->line, salt * 64 + 32 + (uint64_t)o));
}
