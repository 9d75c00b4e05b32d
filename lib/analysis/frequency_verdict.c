/* From energies to words: averages over a layer's filters, and a verdict in the sense of Zeiler &
 * Fergus 2013, section 4.1. Their "very high", "very low" and "little" have no numbers in the
 * paper; ours are options. */
#include "frequency.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* A band with this share or more is what a layer mostly has. */
#define MOST 0.6
/* As far as white noise may be off in any band. */
#define NOISE_MARGIN 0.05
/* Aliasing worth a word. */
#define WORTH_TELLING 0.01

/* ---- Averages ---- */

static void average(const deconv_frequency *f, frequency_layer *layer)
{
    uint32_t live_filters = 0, live_maps = 0;

    layer->dead_weight = layer->dead_activation = layer->over_limit = 0;
    layer->filter_shares = layer->map_shares = (spectrum_sums){0};
    for (uint32_t k = 0; k < layer->filters; k++) {
        const filter_result *r = &layer->filter[k];
        double energy = spectrum_energy(&r->sums), map_energy = spectrum_energy(&r->map_sums);

        layer->dead_weight += r->dead_weight;
        layer->dead_activation += frequency_map_is_dead(f, layer, k);
        layer->over_limit += r->over_limit;
        if (!r->dead_weight && energy > 0.0 && ++live_filters)
            spectrum_sums_add(&layer->filter_shares, &r->sums, 1.0 / energy);
        if (map_energy > 0.0 && !frequency_map_is_dead(f, layer, k) && ++live_maps)
            spectrum_sums_add(&layer->map_shares, &r->map_sums, 1.0 / map_energy);
    }
    if (live_filters) {
        spectrum_sums sum = layer->filter_shares;

        layer->filter_shares = (spectrum_sums){0};
        spectrum_sums_add(&layer->filter_shares, &sum, 1.0 / live_filters);
    }
    if (live_maps) {
        spectrum_sums sum = layer->map_shares;

        layer->map_shares = (spectrum_sums){0};
        spectrum_sums_add(&layer->map_shares, &sum, 1.0 / live_maps);
    }
}

/* ---- The verdict ---- */

/* Shares of low (with DC), mid and high. */
static void three_shares(const spectrum_sums *sums, double share[BAND_COUNT])
{
    for (int i = 0; i < BAND_COUNT; i++)
        share[i] = sums->band[i];
    share[BAND_LOW] += sums->dc;
}

static deconv_verdict judge(const deconv_frequency *f, const frequency_layer *layer)
{
    double share[BAND_COUNT], noise[BAND_COUNT], off = 0.0;

    three_shares(&layer->filter_shares, share);
    three_shares(&layer->noise, noise);
    for (int i = 0; i < BAND_COUNT; i++)
        off = fmax(off, fabs(share[i] - noise[i]));
    if (layer->dead_weight == layer->filters)
        return DECONV_VERDICT_DEAD;
    if (layer->kernel[0] == 1 && layer->kernel[1] == 1)
        return DECONV_VERDICT_POINT;
    if (share[BAND_MID] < f->options.little && share[BAND_LOW] >= f->options.much &&
        share[BAND_HIGH] >= f->options.much)
        return DECONV_VERDICT_GAP;
    if (off < NOISE_MARGIN)
        return DECONV_VERDICT_NOISE;
    for (int i = 0; i < BAND_COUNT; i++)
        if (share[i] >= MOST)
            return (deconv_verdict)(DECONV_VERDICT_LOW + i);
    for (int i = 0; i < BAND_COUNT; i++)
        if (share[i] < f->options.little)
            return DECONV_VERDICT_UNEVEN;
    return DECONV_VERDICT_EVEN;
}

static const char *const verdict_words[] = {
    [DECONV_VERDICT_EVEN] = "Low, mid and high frequencies are all covered",
    [DECONV_VERDICT_GAP] =
        "A mix of very high and very low frequencies with little in between, as in the first layer "
        "that Zeiler & Fergus replaced",
    [DECONV_VERDICT_LOW] = "Mostly low frequencies",
    [DECONV_VERDICT_MID] = "Mostly middle frequencies",
    [DECONV_VERDICT_HIGH] = "Mostly high frequencies",
    [DECONV_VERDICT_UNEVEN] = "Unevenly covered",
    [DECONV_VERDICT_NOISE] =
        "Spread as in white noise, which has no preferred frequency: as before training",
    [DECONV_VERDICT_POINT] = "Filters of one pixel pass every frequency alike",
    [DECONV_VERDICT_DEAD] = "No filter has weights to speak of",
};

typedef struct words {
    char *text;
    size_t used, size;
} words;

static void say(words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(words *w, const char *format, ...)
{
    va_list args;
    int wanted;

    va_start(args, format);
    wanted = vsnprintf(w->text + w->used, w->size - w->used, format, args);
    va_end(args);
    if (wanted > 0)
        w->used += (size_t)wanted < w->size - w->used ? (size_t)wanted : w->size - w->used - 1;
}

static void say_counts(const deconv_frequency *f, const frequency_layer *layer, words *w)
{
    if (layer->dead_weight && layer->verdict != DECONV_VERDICT_DEAD)
        say(w, " %u of %u filters %s dead: weights of almost nothing.", layer->dead_weight,
            layer->filters, layer->dead_weight == 1 ? "is" : "are");
    if (layer->dead_activation) {
        say(w, " %u of %u maps %s the same everywhere in ", layer->dead_activation, layer->filters,
            layer->dead_activation == 1 ? "is" : "are");
        if (f->pictures == 1)
            say(w, "the one picture.");
        else
            say(w, "all %llu pictures.", (unsigned long long)f->pictures);
    }
    if (layer->over_limit)
        say(w, " %u filter%s over the RMS limit of %g.", layer->over_limit,
            layer->over_limit == 1 ? " is" : "s are", f->options.rms_limit);
}

void frequency_judge(const deconv_frequency *f, frequency_layer *layer)
{
    words w = {layer->text, 0, sizeof layer->text};
    double share[BAND_COUNT];

    average(f, layer);
    layer->verdict = judge(f, layer);
    three_shares(&layer->filter_shares, share);
    say(&w, "%s", verdict_words[layer->verdict]);
    if (layer->verdict != DECONV_VERDICT_DEAD && layer->verdict != DECONV_VERDICT_POINT)
        say(&w, " (low %.0f %%, mid %.0f %%, high %.0f %%)", 100.0 * share[BAND_LOW],
            100.0 * share[BAND_MID], 100.0 * share[BAND_HIGH]);
    say(&w, ".");
    if (layer->filter_shares.beyond >= WORTH_TELLING)
        say(&w, " %.0f %% of the energy lies past the Nyquist limit of the stride and aliases.",
            100.0 * layer->filter_shares.beyond);
    say_counts(f, layer, &w);
}
