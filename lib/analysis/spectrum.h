/* Energy by spatial frequency of one signal over a grid: a Fourier transform (KISS FFT) and the
 * sums over its bins. What the signals are is frequency_filters.c's and frequency_maps.c's. */
#ifndef DECONV_LIB_SPECTRUM_H
#define DECONV_LIB_SPECTRUM_H

#include "../context.h"

enum { BAND_LOW, BAND_MID, BAND_HIGH, BAND_COUNT };

/* Which bins belong together. */
typedef struct spectrum_limits {
    double to[2];      /* upper ends of low and mid, cycles per pixel */
    double nyquist[2]; /* per axis, height first: what lies past either is beyond */
} spectrum_limits;

/* Sums of energies. */
typedef struct spectrum_sums {
    double dc;
    double band[BAND_COUNT];
    double beyond;
    double radius;     /* times the radial frequency */
    double cos2, sin2; /* times those of twice the direction */
    double class[DECONV_FREQUENCY_CLASSES];
} spectrum_sums;

typedef struct spectrum spectrum;

/* A grid of rows x cols, cols even; one row is a 1-D signal. */
deconv_status spectrum_create(deconv_ctx *ctx, int64_t rows, int64_t cols,
                              const spectrum_limits *limits, spectrum **out);
void spectrum_free(spectrum *s);

/* The signal, rows x cols, to be filled before each transform. */
float *spectrum_signal(spectrum *s);

/* Two kinds of signals, and the energy of bin k of one:
 *   AUTOCORRELATION  real and even, about position 0: Re F[k] / (rows cols)
 *   MIRRORED         a quarter of it is the signal, the rest its reflections, so that it has no
 *                    edges: |F[k]|^2 / (4 rows cols) */
typedef enum spectrum_kind { SPECTRUM_AUTOCORRELATION, SPECTRUM_MIRRORED } spectrum_kind;

/* Adds `weight` times the energies of the signal, whose mean is zero, to `sums`, all but directions
 * where `directions` is false. `energy` is what they add up to: a transform that lost more than
 * rounding fails. */
deconv_status spectrum_add(spectrum *s, spectrum_kind kind, bool directions, double energy,
                           double weight, spectrum_sums *sums);
/* Adds directions only, from the signal as it is. */
deconv_status spectrum_add_directions(spectrum *s, double weight, spectrum_sums *sums);
/* The energies themselves, rows x cols, frequency 0 in the middle. */
void spectrum_read(spectrum *s, spectrum_kind kind, double *energies);

/* Shares of white noise: the areas of the bands. */
spectrum_sums spectrum_areas(const spectrum *s);

void spectrum_sums_add(spectrum_sums *to, const spectrum_sums *from, double weight);
double spectrum_energy(const spectrum_sums *sums);
/* As the public struct has it. */
deconv_bands spectrum_bands(const spectrum_sums *sums);

#endif
