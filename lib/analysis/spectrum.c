/* Energy by spatial frequency; see spectrum.h. */
#include "spectrum.h"

#include <kiss_fftr.h>
#include <math.h>

#define PI 3.14159265358979323846

/* Classes of the histogram per cycle. */
#define CLASSES_PER_CYCLE 48.0

/* What a bin of the half plane that a real signal needs adds to. */
typedef struct bin {
    float times; /* 2 where the other half plane has the same bin, 0 for frequency 0 */
    float radius, cos2, sin2;
    uint8_t band, class;
    bool beyond;
} bin;

struct spectrum {
    deconv_ctx *ctx;
    int rows, cols, half; /* bins of a row that are computed: cols / 2 + 1 */
    kiss_fftr_cfg along;  /* rows */
    kiss_fft_cfg down;    /* columns; NULL where there is one row */
    float *signal;
    kiss_fft_cpx *partly; /* [rows][half] transformed along */
    kiss_fft_cpx *bins;   /* [half][rows] */
    bin *table;           /* likewise */
    spectrum_sums areas;
};

/* ---- The grid ---- */

static void describe_bin(const spectrum *s, const spectrum_limits *limits, int row, int col, bin *b)
{
    double fy = (double)(2 * row <= s->rows ? row : row - s->rows) / s->rows;
    double fx = (double)col / s->cols;
    double f2 = fy * fy + fx * fx, f = sqrt(f2);
    /* At its axis' end +f and -f are one bin, which points both ways. */
    bool both_ways = 2 * row == s->rows || 2 * col == s->cols;
    int class = (int)(f * CLASSES_PER_CYCLE + 1e-9);

    b->times = col > 0 && 2 * col < s->cols ? 2.0f : 1.0f;
    if (row == 0 && col == 0)
        b->times = 0.0f;
    b->radius = (float)f;
    b->cos2 = f2 > 0.0 ? (float)((fx * fx - fy * fy) / f2) : 0.0f;
    b->sin2 = f2 > 0.0 && !both_ways ? (float)(2.0 * fx * fy / f2) : 0.0f;
    b->band = f < limits->to[0] - 1e-12   ? BAND_LOW
              : f < limits->to[1] - 1e-12 ? BAND_MID
                                          : BAND_HIGH;
    b->class = (uint8_t)(class < DECONV_FREQUENCY_CLASSES ? class : DECONV_FREQUENCY_CLASSES - 1);
    b->beyond = fabs(fy) > limits->nyquist[0] + 1e-12 || fx > limits->nyquist[1] + 1e-12;
}

static void describe_grid(spectrum *s, const spectrum_limits *limits)
{
    double each = 1.0 / ((double)s->rows * s->cols);

    s->areas.dc = each;
    for (int row = 0; row < s->rows; row++)
        for (int col = 0; col < s->half; col++) {
            bin *b = &s->table[(size_t)col * (size_t)s->rows + (size_t)row];

            describe_bin(s, limits, row, col, b);
            s->areas.band[b->band] += each * b->times;
            s->areas.class[b->class] += each * b->times;
            s->areas.radius += each * b->times * b->radius;
            s->areas.beyond += b->beyond ? each * b->times : 0.0;
        }
}

/* KISS FFT puts its plans into memory of ours; its own n-dimensional ones (131.1.0) do not say how
 * much they need. */
static deconv_status make_plans(spectrum *s)
{
    deconv_status status = DECONV_OK;
    size_t bytes = 0;
    void *memory;

    kiss_fftr_alloc(s->cols, 0, NULL, &bytes);
    memory = s->along = mem_alloc(s->ctx, 1, bytes, "a Fourier transform");
    if (!memory || !kiss_fftr_alloc(s->cols, 0, memory, &bytes))
        FAIL(s->ctx, DECONV_ERROR_NO_MEMORY, "no memory: a Fourier transform of %d", s->cols);
    if (s->rows == 1)
        goto done;
    bytes = 0;
    kiss_fft_alloc(s->rows, 0, NULL, &bytes);
    memory = s->down = mem_alloc(s->ctx, 1, bytes, "a Fourier transform");
    if (!memory || !kiss_fft_alloc(s->rows, 0, memory, &bytes))
        FAIL(s->ctx, DECONV_ERROR_NO_MEMORY, "no memory: a Fourier transform of %d", s->rows);
done:
    return status;
}

deconv_status spectrum_create(deconv_ctx *ctx, int64_t rows, int64_t cols,
                              const spectrum_limits *limits, spectrum **out)
{
    deconv_status status = DECONV_OK;
    spectrum *s = NULL;

    *out = NULL;
    if (rows > INT32_MAX / cols)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "a map of %lld x %lld is too large to analyse",
             (long long)rows, (long long)cols);
    TRY_ALLOC(s, ctx, 1);
    s->ctx = ctx;
    s->rows = (int)rows;
    s->cols = (int)cols;
    s->half = s->cols / 2 + 1;
    TRY_ALLOC(s->signal, ctx, (size_t)rows * (size_t)cols);
    TRY_ALLOC(s->partly, ctx, (size_t)rows * (size_t)s->half);
    if (rows > 1)
        TRY_ALLOC(s->bins, ctx, (size_t)rows * (size_t)s->half);
    TRY_ALLOC(s->table, ctx, (size_t)rows * (size_t)s->half);
    TRY(make_plans(s));
    describe_grid(s, limits);
    *out = s;
    s = NULL;
done:
    spectrum_free(s);
    return status;
}

void spectrum_free(spectrum *s)
{
    if (!s)
        return;
    mem_free(s->ctx, s->along);
    mem_free(s->ctx, s->down);
    mem_free(s->ctx, s->signal);
    mem_free(s->ctx, s->partly);
    mem_free(s->ctx, s->bins);
    mem_free(s->ctx, s->table);
    mem_free(s->ctx, s);
}

float *spectrum_signal(spectrum *s)
{
    return s->signal;
}

/* ---- Transforms ---- */

/* The bins of the signal, [half][rows]. */
static const kiss_fft_cpx *transform(const spectrum *s)
{
    for (int row = 0; row < s->rows; row++)
        kiss_fftr(s->along, s->signal + (size_t)row * (size_t)s->cols,
                  s->partly + (size_t)row * (size_t)s->half);
    if (!s->down)
        return s->partly;
    for (int col = 0; col < s->half; col++)
        kiss_fft_stride(s->down, s->partly + col, s->bins + (size_t)col * (size_t)s->rows, s->half);
    return s->bins;
}

static double energy_of(const kiss_fft_cpx *f, spectrum_kind kind)
{
    return kind == SPECTRUM_AUTOCORRELATION ? (double)f->r
                                            : 0.25 * ((double)f->r * f->r + (double)f->i * f->i);
}

deconv_status spectrum_add(spectrum *s, spectrum_kind kind, bool directions, double energy,
                           double weight, spectrum_sums *sums)
{
    size_t count = (size_t)s->rows * (size_t)s->half;
    double scale = 1.0 / ((double)s->rows * s->cols), sum = 0.0;
    const kiss_fft_cpx *bins = transform(s);

    for (size_t i = 0; i < count; i++) {
        const bin *b = &s->table[i];
        double e = energy_of(&bins[i], kind) * scale * b->times;

        sum += e;
        e *= weight;
        sums->band[b->band] += e;
        sums->class[b->class] += e;
        sums->radius += e * b->radius;
        if (b->beyond)
            sums->beyond += e;
        if (directions) {
            sums->cos2 += e * b->cos2;
            sums->sin2 += e * b->sin2;
        }
    }
    /* KISS FFT has no other way to tell that it found no memory for a prime length. */
    if (!(fabs(sum - energy) <= 1e-4 * energy))
        return error_set(s->ctx, DECONV_ERROR_NO_MEMORY,
                         "a Fourier transform of %d x %d lost energy (%g of %g): no memory?",
                         s->rows, s->cols, sum, energy);
    return DECONV_OK;
}

deconv_status spectrum_add_directions(spectrum *s, double weight, spectrum_sums *sums)
{
    size_t count = (size_t)s->rows * (size_t)s->half;
    double sum = 0.0, cos2 = 0.0, sin2 = 0.0;
    const kiss_fft_cpx *bins = transform(s);

    for (size_t i = 0; i < count; i++) {
        const bin *b = &s->table[i];
        double e = energy_of(&bins[i], SPECTRUM_MIRRORED) * b->times;

        sum += e;
        cos2 += e * b->cos2;
        sin2 += e * b->sin2;
    }
    if (sum > 0.0) {
        sums->cos2 += weight * cos2 / sum;
        sums->sin2 += weight * sin2 / sum;
    }
    return DECONV_OK;
}

void spectrum_read(spectrum *s, spectrum_kind kind, double *energies)
{
    double scale = 1.0 / ((double)s->rows * s->cols);
    const kiss_fft_cpx *bins = transform(s);

    for (int row = 0; row < s->rows; row++)
        for (int col = 0; col < s->cols; col++) {
            bool other = 2 * col > s->cols; /* the half plane that is not computed */
            int r = other ? (s->rows - row) % s->rows : row, c = other ? s->cols - col : col;
            size_t to = (size_t)((row + s->rows / 2) % s->rows) * (size_t)s->cols +
                        (size_t)((col + s->cols / 2) % s->cols);
            double e = scale * energy_of(&bins[(size_t)c * (size_t)s->rows + (size_t)r], kind);

            energies[to] = e > 0.0 ? e : 0.0; /* rounding */
        }
}

/* ---- Sums ---- */

spectrum_sums spectrum_areas(const spectrum *s)
{
    return s->areas;
}

void spectrum_sums_add(spectrum_sums *to, const spectrum_sums *from, double weight)
{
    to->dc += weight * from->dc;
    for (int i = 0; i < BAND_COUNT; i++)
        to->band[i] += weight * from->band[i];
    to->beyond += weight * from->beyond;
    to->radius += weight * from->radius;
    to->cos2 += weight * from->cos2;
    to->sin2 += weight * from->sin2;
    for (int i = 0; i < DECONV_FREQUENCY_CLASSES; i++)
        to->class[i] += weight * from->class[i];
}

double spectrum_energy(const spectrum_sums *sums)
{
    return sums->dc + sums->band[BAND_LOW] + sums->band[BAND_MID] + sums->band[BAND_HIGH];
}

deconv_bands spectrum_bands(const spectrum_sums *sums)
{
    double energy = spectrum_energy(sums);
    double rest = energy - sums->dc; /* what has a direction at all */
    deconv_bands bands = {.energy = energy,
                          .dc = sums->dc,
                          .low = sums->band[BAND_LOW],
                          .mid = sums->band[BAND_MID],
                          .high = sums->band[BAND_HIGH],
                          .beyond = sums->beyond};

    if (energy > 0.0)
        bands.centroid = sums->radius / energy;
    if (rest > 0.0) {
        /* The energy varies along (cos, sin) of this angle, rows counted downwards; its stripes run
         * across. */
        double along = 0.5 * atan2(sums->sin2, sums->cos2) * 180.0 / PI;

        bands.orientation = fmod(90.0 - along + 360.0, 180.0);
        bands.oriented = fmin(hypot(sums->cos2, sums->sin2) / rest, 1.0);
    }
    return bands;
}
