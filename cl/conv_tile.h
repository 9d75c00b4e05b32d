/* Where the positions of a tile read and write, for the convolutions with lanes across channels.
 * Needs TILE, hints.h, lanes.h and conv_shape.h.
 *
 * A direction is a set of phases (lib/conv/phases.h): the positions of dst that are `step` apart
 * see the same taps, so each phase is a dense convolution. The forward direction has one, the
 * adjoint of stride s has s*s. A tile is TILE positions of a phase, counted through rows and
 * images: no row is too short for it.
 */

/* Taps that are worked out at a time; lib/conv/blocked.h has the same. */
#define TAPS 32

/* Position u of row v of a phase, in an image. */
typedef struct {
    int u, v, image;
} position;

typedef struct {
    int count;            /* positions that exist; the last one stands in for the others */
    int row;              /* they are neighbours in a row of dst */
    int inside;           /* every tap of every one meets src */
    int y[TILE], x[TILE]; /* where the first tap reads; only where not all is inside */
    int from[TILE];       /* the same in floats from the start of src */
    int to[TILE];         /* floats from the start of dst */
} tile_places;

/* The work-item's phase, with where the results of this run go. (By a pointer: returned as a value,
 * it inlines to what Oclgrind 21.10 does not know.) */
static void get_phase(__global const blocked_shape *phases, const blocked_output *output,
                      blocked_shape *s)
{
    *s = phases[get_global_id(0)];
    s->dst_image = output->image;
    s->dst_from = output->from;
    s->relu = output->relu;
}

static position position_of(const blocked_shape *s, int tile)
{
    const int row = tile * TILE / s->x.count;
    position p;

    p.u = tile * TILE - row * s->x.count;
    p.v = row % s->y.count;
    p.image = row / s->y.count;
    return p;
}

static void next_row(const blocked_shape *s, position *p)
{
    p->u = 0;
    if (++p->v == s->y.count) {
        p->v = 0;
        p->image++;
    }
}

/* The tile that starts at *at, which moves on; src has `pos` floats for each position. */
static void find_places(const blocked_shape *s, position *at, int pos, tile_places *p)
{
    const int high = (s->y.taps - 1) * s->y.tap_step, wide = (s->x.taps - 1) * s->x.tap_step;
    const int y = s->y.src_first + at->v * s->y.src_step;
    const int x = s->x.src_first + at->u * s->x.src_step;
    const int past = s->x.count - at->u; /* positions to the end of the row */

    p->count = TILE;
    p->row = past >= TILE && s->x.step == 1;
    p->inside = past >= TILE && (high < 0 || wide < 0 || /* no taps */
                                 (y >= 0 && y + high < s->src_h && x >= 0 &&
                                  x + (TILE - 1) * s->x.src_step + wide < s->src_w));
    if (p->inside) {
        const int from = at->image * s->src_image + (y * s->src_w + x) * pos;
        const int to =
            s->dst_from + at->image * s->dst_image +
            ((s->y.first + at->v * s->y.step) * s->dst_w + s->x.first + at->u * s->x.step) *
                s->dst_block;

        EACH(t, TILE)
        {
            p->from[t] = from + t * s->x.src_step * pos;
            p->to[t] = to + t * s->x.step * s->dst_block;
        }
        at->u += TILE;
        if (past == TILE)
            next_row(s, at);
        return;
    }
    p->inside = 1;
    for (int t = 0; t < TILE; t++) {
        const int last = t > 0 && at->image == s->batch; /* there is no position any more */
        const int row = last ? p->y[t - 1] : s->y.src_first + at->v * s->y.src_step;
        const int column = last ? p->x[t - 1] : s->x.src_first + at->u * s->x.src_step;

        p->y[t] = row;
        p->x[t] = column;
        p->inside &=
            (row >= 0) & (row + high < s->src_h) & (column >= 0) & (column + wide < s->src_w);
        if (last) {
            p->from[t] = p->from[t - 1];
            continue;
        }
        p->from[t] = at->image * s->src_image + (row * s->src_w + column) * pos;
        p->to[t] = s->dst_from + at->image * s->dst_image +
                   ((s->y.first + at->v * s->y.step) * s->dst_w + s->x.first + at->u * s->x.step) *
                       s->dst_block;
        p->count = t + 1;
        if (++at->u == s->x.count)
            next_row(s, at);
    }
}

/* Where part `part` of `parts` begins of `count` things, shared out evenly; the last parts have one
 * more where they do not divide. */
static int share(int part, int parts, int count)
{
    return (int)((long)part * count / parts);
}

/* The tiles of a work-item: phase and chunk. The phases of a chunk come one after the other: their
 * results lie among each other's. */
#define WORK_TILES                                                                                 \
    const int all_tiles = (s.batch * s.y.count * s.x.count + TILE - 1) / TILE;                     \
    const int tile_from = share((int)get_global_id(1), s.chunks, all_tiles);                       \
    const int tile_to = share((int)get_global_id(1) + 1, s.chunks, all_tiles);                     \
    const int all_taps = s.y.taps * s.x.taps;                                                      \
    if (tile_from >= tile_to)                                                                      \
        return;                                                                                    \
    position at = position_of(&s, tile_from)

/* The group and items as well. */
#define WORK                                                                                       \
    const int group = (int)get_global_id(2) / s.ranges;                                            \
    const int range = (int)get_global_id(2) % s.ranges;                                            \
    const int item_from = share(range, s.ranges, s.items);                                         \
    const int item_to = share(range + 1, s.ranges, s.items);                                       \
    WORK_TILES

/* Taps first.. of a phase as a tile meets them. */
typedef struct {
    int first, inside; /* what is worked out: chunk and kind of tile; first = -1: nothing */
    int count;         /* taps that meet src */
    int tap[TAPS];     /* which of the chunk they are */
    int shift[TAPS];   /* floats from where the first tap reads */
    int missed[TAPS];  /* bit t: position t is past the border there */
} tile_taps;

#define ALL_MISSED ((1 << TILE) - 1)

/* Bit t: coordinate t moved by `by` is none of 0..size-1. */
static int missed_by(const int *at, int by, int size)
{
    int bits = 0;

    EACH(t, TILE) bits |= ((uint)(at[t] + by) >= (uint)size) << t;
    return bits;
}

static void find_taps(const blocked_shape *s, const tile_places *p, int first, tile_taps *taps)
{
    const int last = min(first + TAPS, s->y.taps * s->x.taps);
    int i = first / s->x.taps, j = first - i * s->x.taps, n = 0;
    int rows = 0, columns[TAPS];

    if (taps->first == first && taps->inside && p->inside)
        return;
    taps->first = first;
    taps->inside = p->inside;
    if (!p->inside) {
        rows = missed_by(p->y, i * s->y.tap_step, s->src_h);
        SCALAR for (int k = 0; k < min(s->x.taps, TAPS); k++)
        {
            columns[k] = missed_by(p->x, k * s->x.tap_step, s->src_w);
        }
    }
    SCALAR for (int tap = first; tap < last; tap++)
    {
        const int down = i * s->y.tap_step, right = j * s->x.tap_step;
        int missed = 0;

        if (!p->inside)
            missed = rows | (j < TAPS ? columns[j] : missed_by(p->x, right, s->src_w));
        taps->tap[n] = tap - first;
        taps->shift[n] = (down * s->src_w + right) * LANES;
        taps->missed[n] = missed;
        n += missed != ALL_MISSED;
        if (++j == s->x.taps) {
            j = 0;
            i++;
            if (!p->inside)
                rows = missed_by(p->y, i * s->y.tap_step, s->src_h);
        }
    }
    taps->count = n;
}

/* The same as a place for each tap and position, in floats from where src begins; -1: past the
 * border. */
static void find_reads(const tile_places *p, const tile_taps *taps, int *at)
{
    SCALAR for (int k = 0; k < taps->count; k++)
    {
        EACH(t, TILE)
        {
            at[k * TILE + t] = taps->missed[k] >> t & 1 ? -1 : p->from[t] + taps->shift[k];
        }
    }
}
