/* Convolution for CPU devices, both directions: dst = gather(src, w) with lanes across channels.
 *
 *   src   [N][G][C/LANES][H][W][LANES], or planes of a border wide enough for every tap (planar)
 *   w     packed once by pack_weights (cl/conv_pack.cl), zero where there is no channel
 *   bias  one value for each channel of dst, or NULL
 *   add   NULL, or a tensor of dst's layout that is added to the sums
 *   dst   NCHW, or [N][blocks][H][W][LANES] with zeros in the lanes past the last channel
 *
 * A direction is a set of phases (lib/conv/phases.h): the positions of dst that are `step` apart
 * see the same taps, so each phase is a dense convolution. The forward direction has one, the
 * adjoint of stride s has s*s. A tile is TILE positions of a phase, counted through rows and
 * images: no row is too short for it. Sums run in the same order for every position, so a window of
 * a picture gives the same bits as the whole.
 *
 * One work-item: `tiles` tiles for KB * LANES channels of dst, `range` times, so that weights stay
 * in the cache. All sums of a tile are in registers.
 *
 *   LANES     16 or 8: floats in a vector register
 *   TILE, KB  positions and blocks of channels: 6 x 2 sums on AVX2, 6 x 4 on AVX-512
 *   CHANNELS  of dst, 1 to 4, for conv_few
 */
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#define VEC        CAT(float, LANES)
#define LOAD       CAT(vload, LANES)
#define STORE      CAT(vstore, LANES)
#define IVEC       CAT(int, LANES)
#if LANES == 16
#define LANE_NUMBERS (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#else
#define LANE_NUMBERS (int8)(0, 1, 2, 3, 4, 5, 6, 7)
#endif
#define EACH(i, count) _Pragma("unroll") for (int i = 0; i < (count); i++)

/* Taps that are worked out at a time; lib/conv/blocked.h has the same. */
#define TAPS 32

/* How many positions ahead conv_few asks for its source: it waits for memory otherwise, as it does
 * little with each value. */
#define AHEAD 8

/* One axis of a phase; lib/conv/phases.h has the same. */
typedef struct {
    int first, step, count;  /* positions of dst: first + u step, u < count */
    int src_step, src_first; /* tap m of position u reads src_first + u src_step + m tap_step */
    int taps, tap_step;
    int weight_first, weight_step; /* tap m is the kernel's weight_first + m weight_step */
} phase_axis;

/* lib/conv/blocked.h has the same. */
typedef struct {
    phase_axis y, x;
    int batch, groups, blocks;      /* blocks of src channels in a group */
    int src_channels, src_h, src_w; /* channels in a group */
    int dst_channels, dst_h, dst_w;
    int src_image, src_plane; /* floats from image to image, from block of channels to block */
    int dst_image;            /* floats from image to image of dst */
    int dst_from;             /* float of dst where the first image begins */
    int dst_block;            /* 1: dst is NCHW; LANES: blocks */
    int relu;                 /* what is below zero becomes zero */
    int items, range;         /* KB blocks of dst each, in a group; items of a work-item */
    int tiles;                /* of a work-item */
    int weight_offset;        /* of this phase, in floats */
    int weight_group, weight_dst, weight_src, kernel_w; /* steps through the ONNX weights */
} blocked_shape;

/* Eight vectors of eight as a matrix, turned over its diagonal. */
#define TRANSPOSE8(a, b, c, d, e, f, g, h)                                                         \
    {                                                                                              \
        const float8 ab = PAIR_UP(a, b, s0, s1, s4, s5), ab2 = PAIR_UP(a, b, s2, s3, s6, s7);      \
        const float8 cd = PAIR_UP(c, d, s0, s1, s4, s5), cd2 = PAIR_UP(c, d, s2, s3, s6, s7);      \
        const float8 ef = PAIR_UP(e, f, s0, s1, s4, s5), ef2 = PAIR_UP(e, f, s2, s3, s6, s7);      \
        const float8 gh = PAIR_UP(g, h, s0, s1, s4, s5), gh2 = PAIR_UP(g, h, s2, s3, s6, s7);      \
        const float8 p = FIRSTS(ab, cd), q = SECONDS(ab, cd);                                      \
        const float8 r = FIRSTS(ab2, cd2), t_ = SECONDS(ab2, cd2);                                 \
        const float8 p2 = FIRSTS(ef, gh), q2 = SECONDS(ef, gh);                                    \
        const float8 r2 = FIRSTS(ef2, gh2), t2 = SECONDS(ef2, gh2);                                \
        a = (float8)(p.lo, p2.lo);                                                                 \
        b = (float8)(q.lo, q2.lo);                                                                 \
        c = (float8)(r.lo, r2.lo);                                                                 \
        d = (float8)(t_.lo, t2.lo);                                                                \
        e = (float8)(p.hi, p2.hi);                                                                 \
        f = (float8)(q.hi, q2.hi);                                                                 \
        g = (float8)(r.hi, r2.hi);                                                                 \
        h = (float8)(t_.hi, t2.hi);                                                                \
    }
#define PAIR_UP(x, y, i, j, k, l) (float8)(x.i, y.i, x.j, y.j, x.k, y.k, x.l, y.l)
#define FIRSTS(x, y)              (float8)(x.s01, y.s01, x.s45, y.s45)
#define SECONDS(x, y)             (float8)(x.s23, y.s23, x.s67, y.s67)

#ifdef TILE
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
    p->inside = y >= 0 && y + high < s->src_h && x >= 0 &&
                x + (TILE - 1) * s->x.src_step + wide < s->src_w && past >= TILE;
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

/* The tiles, group and items of a work-item. */
#define WORK                                                                                       \
    const int ranges = (s.items + s.range - 1) / s.range;                                          \
    const int group = (int)get_global_id(1) / ranges;                                              \
    const int item_from = (int)get_global_id(1) % ranges * s.range;                                \
    const int item_to = min(item_from + s.range, s.items);                                         \
    const int tile_from = (int)get_global_id(0) * s.tiles;                                         \
    const int tile_to =                                                                            \
        min(tile_from + s.tiles, (s.batch * s.y.count * s.x.count + TILE - 1) / TILE);             \
    const int all_taps = s.y.taps * s.x.taps;                                                      \
    position at = position_of(&s, tile_from)

/* Taps first.. of a phase as a tile meets them. */
typedef struct {
    int first, inside; /* what is worked out: chunk and kind of tile; first = -1: nothing */
    int count;         /* taps that meet src */
    int tap[TAPS];     /* which of the chunk they are */
    int shift[TAPS];   /* floats from where the first tap reads */
    int at[TAPS *
           TILE]; /* where each position reads; -1: past the border; not where all is inside */
} tile_taps;

static void find_taps(const blocked_shape *s, const tile_places *p, int first, tile_taps *taps)
{
    const int last = min(first + TAPS, s->y.taps * s->x.taps);
    int i = first / s->x.taps, j = first - i * s->x.taps, n = 0;

    if (taps->first == first && taps->inside && p->inside)
        return;
    taps->first = first;
    taps->inside = p->inside;
    for (int tap = first; tap < last; tap++) {
        const int down = i * s->y.tap_step, right = j * s->x.tap_step;
        const int shift = (down * s->src_w + right) * LANES;
        int meets = p->inside;

        for (int t = 0; t < TILE && !p->inside; t++) {
            const int row = p->y[t] + down, column = p->x[t] + right;
            const int inside = (row >= 0) & (row < s->src_h) & (column >= 0) & (column < s->src_w);

            taps->at[n * TILE + t] = inside ? p->from[t] + shift : -1;
            meets |= inside;
        }
        taps->tap[n] = tap - first;
        taps->shift[n] = shift;
        n += meets;
        if (++j == s->x.taps) {
            j = 0;
            i++;
        }
    }
    taps->count = n;
}

#ifdef KB
/* The first `there` floats; zeros in the other lanes. */
static VEC load_part(__global const float *from, int there)
{
    float lanes[LANES];

    if (there >= LANES)
        return LOAD(0, from);
    for (int l = 0; l < LANES; l++)
        lanes[l] = l < there ? from[l] : 0.0f;
    return LOAD(0, lanes);
}

/* Eight channels of TILE (6 or 8) neighbouring positions, of which `there` channels exist. */
static void store_rows(float8 *v, __global float *to, size_t apart, int there)
{
    TRANSPOSE8(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])
    EACH(l, 8)
    {
        if (l < there) {
#if TILE == 8
            vstore8(v[l], 0, to + l * apart);
#else
            vstore4(v[l].lo, 0, to + l * apart);
            vstore2(v[l].s45, 2, to + l * apart);
#endif
        }
    }
}

#if LANES == 16
#define EIGHTS(value)                                                                              \
    {                                                                                              \
        value.lo, value.hi                                                                         \
    }
#else
#define EIGHTS(value)                                                                              \
    {                                                                                              \
        value                                                                                      \
    }
#endif

/* Stores the sums of block `b` of an item: `there` channels of it exist, the first is `channel`.
 * What is not above `least`, 0 or minus infinity, becomes that: NaN stays, negative zero does not.
 */
#define STORE_BLOCK(b, there, channel)                                                             \
    if (s.dst_block > 1) {                                                                         \
        const size_t plane = (size_t)(channel)*s.dst_h * s.dst_w;                                  \
        const IVEC real = LANE_NUMBERS < (IVEC)(there);                                            \
                                                                                                   \
        if (!add && (there) >= LANES && places.count == TILE) {                                    \
            EACH(t, TILE)                                                                          \
            STORE(select(sum[b][t], least, sum[b][t] <= least), 0, dst + plane + places.to[t]);    \
        } else {                                                                                   \
            EACH(t, TILE)                                                                          \
            {                                                                                      \
                if (t < places.count) {                                                            \
                    VEC value = sum[b][t];                                                         \
                                                                                                   \
                    if (add)                                                                       \
                        value += LOAD(0, add + plane + places.to[t]);                              \
                    value = select(value, least, value <= least);                                  \
                    STORE(select((VEC)0.0f, value, real), 0, dst + plane + places.to[t]);          \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } else if (!add && places.row) {                                                               \
        const size_t apart = (size_t)s.dst_h * s.dst_w;                                            \
        float8 part[LANES / 8][8];                                                                 \
                                                                                                   \
        EACH(t, TILE)                                                                              \
        {                                                                                          \
            const VEC value = select(sum[b][t], least, sum[b][t] <= least);                        \
            const float8 eight[] = EIGHTS(value);                                                  \
                                                                                                   \
            EACH(h, LANES / 8) part[h][t] = eight[h];                                              \
        }                                                                                          \
        for (int t = TILE; t < 8; t++)                                                             \
            EACH(h, LANES / 8) part[h][t] = (float8)0.0f;                                          \
        EACH(h, LANES / 8)                                                                         \
        store_rows(part[h], dst + places.to[0] + ((channel) + h * 8) * apart, apart,               \
                   (there)-h * 8);                                                                 \
    } else {                                                                                       \
        float lanes[TILE * LANES];                                                                 \
                                                                                                   \
        EACH(t, TILE) STORE(sum[b][t], t, lanes);                                                  \
        for (int l = 0; l < min(LANES, there); l++) {                                              \
            const size_t plane = (size_t)((channel) + l) * s.dst_h * s.dst_w;                      \
                                                                                                   \
            for (int t = 0; t < places.count; t++) {                                               \
                const size_t at = plane + places.to[t];                                            \
                const float value = lanes[t * LANES + l] + (add ? add[at] : 0.0f);                 \
                                                                                                   \
                dst[at] = s.relu && value <= 0.0f ? 0.0f : value;                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* The sums of a block start with the bias. (Loading lane by lane under a condition becomes a masked
 * load of NULL, which takes hundreds of cycles: PoCL 3.1 on Zen 3.) */
#define START_SUMS(item)                                                                           \
    EACH(b, KB)                                                                                    \
    {                                                                                              \
        const int c = ((item)*KB + b) * LANES;                                                     \
        VEC start = (VEC)0.0f;                                                                     \
                                                                                                   \
        if (bias && c < s.dst_channels)                                                            \
            start = load_part(bias + group * s.dst_channels + c, s.dst_channels - c);              \
        EACH(t, TILE) sum[b][t] = start;                                                           \
    }
#define STORE_SUMS(item)                                                                           \
    EACH(b, KB)                                                                                    \
    {                                                                                              \
        const int there = s.dst_channels - ((item)*KB + b) * LANES;                                \
                                                                                                   \
        if (there > 0) {                                                                           \
            STORE_BLOCK(b, there, group *s.dst_channels + ((item)*KB + b) * LANES)                 \
        }                                                                                          \
    }

/* Where a tile's taps read is worked out once for each tile; past the border they read `zeros`.
 * Sums run over chunks of TAPS taps, block of channels, tap, channel. */
__kernel void conv_blocked(__global const float *restrict src, __global const float *restrict w,
                           __global const float *restrict bias, __global const float *restrict add,
                           __global float *restrict dst, __global const float *restrict zeros,
                           const blocked_shape s)
{
    WORK;
    const int tap_floats = LANES * KB * LANES;
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);

    int taps_of = -1; /* the tile that `taps` is for */
    tile_taps taps;

    taps.first = -1;
    for (int tile = tile_from; tile < tile_to; tile++) {
        tile_places places;

        find_places(&s, &at, LANES, &places);
        for (int item = item_from; item < item_to; item++) {
            __global const float *wc =
                w + s.weight_offset +
                (size_t)(group * s.items + item) * s.blocks * all_taps * tap_floats;
            VEC sum[KB][TILE];

            START_SUMS(item)
            for (int first = 0; first < all_taps; first += TAPS) {
                __global const float *in = src + (size_t)group * s.blocks * s.src_plane;
                const int step = min(TAPS, all_taps - first);

                if (taps.first != first || taps_of != tile)
                    find_taps(&s, &places, first, &taps);
                taps_of = tile;
                for (int block = 0; block < s.blocks; block++) {
                    for (int k = 0; k < taps.count; k++) {
                        __global const float *wt = wc + taps.tap[k] * tap_floats;
                        __global const float *from[TILE];

                        if (places.inside) {
                            EACH(t, TILE) from[t] = in + taps.shift[k] + places.from[t];
                        } else {
                            EACH(t, TILE)
                            {
                                const int read = taps.at[k * TILE + t];

                                from[t] = read < 0 ? zeros : in + read;
                            }
                        }
                        EACH(l, LANES)
                        {
                            VEC weight[KB];

                            EACH(b, KB) weight[b] = LOAD(l * KB + b, wt);
                            EACH(t, TILE)
                            {
                                const VEC one = (VEC)from[t][l];

                                EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);
                            }
                        }
                    }
                    in += s.src_plane;
                    wc += step * tap_floats;
                }
            }
            STORE_SUMS(item)
        }
    }
}

/* What conv_planar works out at a time, at most seven channels of 11 x 11 taps. */
#define PLANAR_TAPS 847

/* Where terms first.. (channel, row, column) read, in floats from where a position reads first. */
static int find_terms(const blocked_shape *s, int first, int *shift)
{
    const int taps = s->y.taps * s->x.taps, last = min(first + PLANAR_TAPS, s->blocks * taps);
    int c = first / taps, i = first % taps / s->x.taps, j = first % taps % s->x.taps;

    for (int term = first; term < last; term++) {
        shift[term - first] = c * s->src_plane + i * s->y.tap_step * s->src_w + j * s->x.tap_step;
        if (++j == s->x.taps) {
            j = 0;
            if (++i == s->y.taps) {
                i = 0;
                c++;
            }
        }
    }
    return last - first;
}

/* For src of few channels: planes with a border that no tap leaves, one channel of one tap at a
 * time. Sums run over channel, row, column. */
__kernel void conv_planar(__global const float *restrict src, __global const float *restrict w,
                          __global const float *restrict bias, __global const float *restrict add,
                          __global float *restrict dst, __global const float *restrict zeros,
                          const blocked_shape s)
{
    WORK;
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);
    const int terms = s.blocks * all_taps;
    int shift[PLANAR_TAPS], known = find_terms(&s, 0, shift);

    for (int tile = tile_from; tile < tile_to; tile++) {
        __global const float *from[TILE];
        tile_places places;

        find_places(&s, &at, 1, &places);
        EACH(t, TILE) from[t] = src + group * s.blocks * s.src_plane + places.from[t];
        for (int item = item_from; item < item_to; item++) {
            __global const float *wt =
                w + s.weight_offset + (size_t)(group * s.items + item) * terms * (KB * LANES);
            VEC sum[KB][TILE];

            START_SUMS(item)
            for (int first = 0; first < terms; first += PLANAR_TAPS) {
                if (terms > PLANAR_TAPS)
                    known = find_terms(&s, first, shift);
                for (int k = 0; k < known; k++) {
                    const long along = shift[k];
                    VEC weight[KB];

                    EACH(b, KB) weight[b] = LOAD(b, wt);
                    wt += KB * LANES;
                    EACH(t, TILE)
                    {
                        const VEC one = (VEC)from[t][along];

                        EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);
                    }
                }
            }
            STORE_SUMS(item)
        }
    }
}
/* One channel in each group, both ways: lanes run across groups. w is [items][taps][LANES], items
 * are blocks of channels. Sums run over the taps. */
__kernel void conv_depthwise(__global const float *restrict src, __global const float *restrict w,
                             __global const float *restrict bias,
                             __global const float *restrict add, __global float *restrict dst,
                             __global const float *restrict zeros, const blocked_shape s)
{
    WORK;
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);
    int taps_of = -1; /* the tile that `taps` is for */
    tile_taps taps;

    taps.first = -1;
    for (int tile = tile_from; tile < tile_to; tile++) {
        tile_places places;

        find_places(&s, &at, LANES, &places);
        for (int item = item_from; item < item_to; item++) {
            __global const float *in = src + (size_t)item * s.src_plane;
            __global const float *wi = w + s.weight_offset + (size_t)item * all_taps * LANES;
            VEC sum[KB][TILE];

            START_SUMS(item)
            for (int first = 0; first < all_taps; first += TAPS) {
                if (taps.first != first || taps_of != tile)
                    find_taps(&s, &places, first, &taps);
                taps_of = tile;
                for (int k = 0; k < taps.count; k++) {
                    const VEC weight = LOAD(first + taps.tap[k], wi);
                    const int *read = taps.at + k * TILE;

                    if (places.inside) {
                        EACH(t, TILE)
                        sum[0][t] =
                            fma(LOAD(0, in + places.from[t] + taps.shift[k]), weight, sum[0][t]);
                    } else {
                        EACH(t, TILE)
                        sum[0][t] =
                            fma(LOAD(0, read[t] < 0 ? zeros : in + read[t]), weight, sum[0][t]);
                    }
                }
            }
            STORE_SUMS(item)
        }
    }
}
#endif

#ifdef CHANNELS
/* The lanes of a vector added up in a fixed order. */
static float across(VEC v)
{
#if LANES == 16
    const float8 v8 = v.lo + v.hi;
#else
    const float8 v8 = v;
#endif
    const float4 v4 = v8.lo + v8.hi;
    const float2 v2 = v4.lo + v4.hi;

    return v2.x + v2.y;
}

/* One block of channels of one tap, READ the vector of position t of a tile. */
#define MULTIPLY_FEW(READ)                                                                         \
    {                                                                                              \
        __global const float *wt = wc + taps.tap[k] * CHANNELS * LANES;                            \
        VEC weight[CHANNELS];                                                                      \
                                                                                                   \
        EACH(c, CHANNELS) weight[c] = LOAD(c, wt);                                                 \
        EACH(t, TILE)                                                                              \
        {                                                                                          \
            const VEC v = READ;                                                                    \
                                                                                                   \
            EACH(c, CHANNELS) sum[c][t] = fma(v, weight[c], sum[c][t]);                            \
        }                                                                                          \
    }

/* For dst of few channels, where lanes across dst would idle: lanes run across the channels of src
 * instead and are added up at the end. Sums run over chunks of taps, block of channels, tap. */
__kernel void conv_few(__global const float *restrict src, __global const float *restrict w,
                       __global const float *restrict bias, __global const float *restrict add,
                       __global float *restrict dst, __global const float *restrict zeros,
                       const blocked_shape s)
{
    const int tile_from = (int)get_global_id(0) * s.tiles;
    const int tile_to =
        min(tile_from + s.tiles, (s.batch * s.y.count * s.x.count + TILE - 1) / TILE);
    const int all_taps = s.y.taps * s.x.taps;
    const size_t apart = s.dst_block > 1 ? 1 : (size_t)s.dst_h * s.dst_w; /* channels of dst */
    position at = position_of(&s, tile_from);
    tile_taps taps;

    taps.first = -1;
    for (int tile = tile_from; tile < tile_to; tile++) {
        __global const float *wc = w + s.weight_offset;
        __global const float *from[TILE];
        tile_places places;
        VEC sum[CHANNELS][TILE];

        find_places(&s, &at, LANES, &places);
        EACH(c, CHANNELS) EACH(t, TILE) sum[c][t] = (VEC)0.0f;
        EACH(t, TILE) from[t] = src + places.from[t];
        for (int first = 0; first < all_taps; first += TAPS) {
            long plane = 0;

            find_taps(&s, &places, first, &taps);
            for (int block = 0; block < s.blocks; block++) {
                if (places.inside) {
                    for (int k = 0; k < taps.count; k++) {
                        const long along = plane + taps.shift[k];

                        __builtin_prefetch(from[TILE - 1] + along + AHEAD * LANES);
                        MULTIPLY_FEW(LOAD(0, from[t] + along))
                    }
                } else {
                    for (int k = 0; k < taps.count; k++) {
                        const int *read = taps.at + k * TILE;

                        MULTIPLY_FEW(LOAD(0, read[t] < 0 ? zeros : src + plane + read[t]))
                    }
                }
                plane += s.src_plane;
                wc += min(TAPS, all_taps - first) * CHANNELS * LANES;
            }
        }
        EACH(t, TILE)
        {
            if (t < places.count) {
                for (int c = 0; c < CHANNELS; c++) {
                    const size_t to = places.to[t] + c * apart;
                    const float value =
                        across(sum[c][t]) + (bias ? bias[c] : 0.0f) + (add ? add[to] : 0.0f);

                    dst[to] = s.relu && value <= 0.0f ? 0.0f : value;
                }
                for (int c = CHANNELS; c < s.dst_block; c++)
                    dst[places.to[t] + c] = 0.0f;
            }
        }
    }
}
#endif
#endif
