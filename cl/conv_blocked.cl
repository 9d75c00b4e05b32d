/* Convolution for CPU devices, both directions: dst = gather(src, w) with lanes across channels.
 *
 *   src   [N][G][C/LANES][H][W][LANES], or planes of a border wide enough for every tap (planar)
 *   w     packed once by pack_weights, zero where there is no channel
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

/* NCHW to blocks of LANES channels; channels that do not exist are zero. One item: LANES channels
 * of up to ROW positions. */
#define ROW 64
__kernel void pack_channels(__global const float *restrict src, __global float *restrict packed,
                            int channels, int size)
{
    const int from = (int)get_global_id(0) * ROW, to = min(from + ROW, size);
    const int plane = (int)get_global_id(1); /* of [N][G][blocks] */
    const int blocks = (channels + LANES - 1) / LANES;
    const int channel = plane % blocks * LANES;
    const int there = min(LANES, channels - channel);
    __global const float *in = src + ((size_t)(plane / blocks) * channels + channel) * size;
    __global float *out = packed + (size_t)plane * size * LANES;
    int t = from;

    for (; there == LANES && t + 8 <= to; t += 8) {
        for (int l = 0; l < LANES; l += 8) {
            __global const float *p = in + (size_t)l * size + t;
            float8 a = vload8(0, p), b = vload8(0, p + size), c = vload8(0, p + 2 * (size_t)size);
            float8 d = vload8(0, p + 3 * (size_t)size), e = vload8(0, p + 4 * (size_t)size);
            float8 f = vload8(0, p + 5 * (size_t)size), g = vload8(0, p + 6 * (size_t)size);
            float8 h = vload8(0, p + 7 * (size_t)size);

            TRANSPOSE8(a, b, c, d, e, f, g, h)
            vstore8(a, 0, out + (t + 0) * LANES + l);
            vstore8(b, 0, out + (t + 1) * LANES + l);
            vstore8(c, 0, out + (t + 2) * LANES + l);
            vstore8(d, 0, out + (t + 3) * LANES + l);
            vstore8(e, 0, out + (t + 4) * LANES + l);
            vstore8(f, 0, out + (t + 5) * LANES + l);
            vstore8(g, 0, out + (t + 6) * LANES + l);
            vstore8(h, 0, out + (t + 7) * LANES + l);
        }
    }
    for (; t < to; t++)
        for (int l = 0; l < LANES; l++)
            out[t * LANES + l] = l < there ? in[(size_t)l * size + t] : 0.0f;
}

/* The channels of NCHW (lanes = 1) or of a block of `lanes`, each as a plane with a border of
 * zeros: `top` and `left` before it, the rest of high x wide behind it. One item: one row. */
__kernel void pad_planes(__global const float *restrict src, __global float *restrict padded,
                         int channels, int lanes, int h, int w, int high, int wide, int top,
                         int left)
{
    const int y = (int)get_global_id(0), plane = (int)get_global_id(1);
    const int image = plane / channels, c = plane % channels;
    __global const float *in = lanes == 1 ? src + ((size_t)plane * h + y - top) * w
                                          : src + ((size_t)image * h + y - top) * w * lanes + c;
    __global float *out = padded + ((size_t)plane * high + y) * wide;
    const int from = y < top || y >= top + h ? wide : left;

    if (y >= high)
        return;
    for (int x = 0; x < min(from, wide); x++)
        out[x] = 0.0f;
    for (int x = from; x < min(left + w, wide); x++)
        out[x] = in[(x - left) * lanes];
    for (int x = max(from, left + w); x < wide; x++)
        out[x] = 0.0f;
}

/* The weights of one phase; one item a float. `across` channels of src side by side:
 *
 *   kb > 0  [G][items][chunk of taps][C/across][taps of the chunk][across][kb][LANES]
 *   kb = 0  [taps][C/LANES][dst_channels][LANES]
 */
__kernel void pack_weights(__global const float *restrict w, __global float *restrict packed,
                           const blocked_shape s, int kb, int across, int chunk)
{
    const int at = (int)get_global_id(0), taps = s.y.taps * s.x.taps;
    int i = at, dst, src, tap, group = 0;

    if (kb > 0) {
        int first, lane = i % LANES;

        i /= LANES;
        dst = i % kb * LANES + lane;
        i /= kb;
        src = i % across;
        i /= across;
        tap = i % (s.blocks * taps);
        i /= s.blocks * taps;
        first = tap / (s.blocks * chunk) * chunk;
        tap -= first * s.blocks;
        src += tap / min(chunk, taps - first) * across;
        tap = first + tap % min(chunk, taps - first);
        dst += i % s.items * kb * LANES;
        group = i / s.items;
    } else {
        src = i % LANES;
        i /= LANES;
        dst = i % s.dst_channels;
        i /= s.dst_channels;
        src += i % s.blocks * LANES;
        tap = i / s.blocks;
    }
    const int row = s.y.weight_first + tap / s.x.taps * s.y.weight_step;
    const int column = s.x.weight_first + tap % s.x.taps * s.x.weight_step;

    packed[s.weight_offset + at] = src < s.src_channels && dst < s.dst_channels
                                       ? w[group * s.weight_group + dst * s.weight_dst +
                                           src * s.weight_src + row * s.kernel_w + column]
                                       : 0.0f;
}

#ifdef TILE
/* max(value, 0), with NaN kept and no negative zero. */
#define ABOVE_ZERO(value) select(value, (VEC)0.0f, (value) <= (VEC)0.0f)

typedef struct {
    int count;                /* positions that exist */
    int y[TILE], x[TILE];     /* where the first tap reads */
    int from[TILE], to[TILE]; /* floats to the image in src, to the position in dst */
} tile_places;

typedef struct {
    int first, count;    /* taps first.. of the phase are worked out; `count` meet src */
    int tap[TAPS];       /* which of them */
    int at[TAPS * TILE]; /* where they read; -1: past the border */
} tile_taps;

static void find_places(const blocked_shape *s, int tile, tile_places *p)
{
    const int total = s->batch * s->y.count * s->x.count;
    const int first = tile * TILE;
    int u = first % s->x.count, rest = first / s->x.count;
    int v = rest % s->y.count, image = rest / s->y.count;

    p->count = min(TILE, total - first);
    for (int t = 0; t < TILE; t++) {
        p->y[t] = s->y.src_first + v * s->y.src_step;
        p->x[t] = s->x.src_first + u * s->x.src_step;
        p->from[t] = image * s->src_image;
        p->to[t] =
            image * s->dst_image +
            ((s->y.first + v * s->y.step) * s->dst_w + s->x.first + u * s->x.step) * s->dst_block;
        if (t + 1 >= p->count) /* the last position again */
            continue;
        if (++u == s->x.count) {
            u = 0;
            if (++v == s->y.count) {
                v = 0;
                image++;
            }
        }
    }
}

static void find_taps(const blocked_shape *s, const tile_places *p, int first, tile_taps *taps)
{
    const int last = min(first + TAPS, s->y.taps * s->x.taps);
    int i = first / s->x.taps, j = first - i * s->x.taps, n = 0;

    taps->first = first;
    for (int tap = first; tap < last; tap++) {
        int *at = taps->at + n * TILE;
        int meets = 0;

        for (int t = 0; t < TILE; t++) {
            const int row = p->y[t] + i * s->y.tap_step, column = p->x[t] + j * s->x.tap_step;
            const int inside = (row >= 0) & (row < s->src_h) & (column >= 0) & (column < s->src_w);

            at[t] = inside ? p->from[t] + (row * s->src_w + column) * LANES : -1;
            meets |= inside;
        }
        taps->tap[n] = tap - first;
        n += meets;
        if (++j == s->x.taps) {
            j = 0;
            i++;
        }
    }
    taps->count = n;
}

#ifdef KB
/* Stores the sums of block `b` of an item: `there` channels of it exist. */
#define STORE_BLOCK(b, there, channel)                                                             \
    if (s.dst_block > 1) {                                                                         \
        const size_t plane = (size_t)((channel) + (b)*LANES) * s.dst_h * s.dst_w;                  \
        const IVEC real = LANE_NUMBERS < (IVEC)(there);                                            \
                                                                                                   \
        EACH(t, TILE)                                                                              \
        {                                                                                          \
            if (t < places.count) {                                                                \
                VEC value = sum[b][t];                                                             \
                                                                                                   \
                if (add)                                                                           \
                    value += LOAD(0, add + plane + places.to[t]);                                  \
                if (s.relu)                                                                        \
                    value = ABOVE_ZERO(value);                                                     \
                if ((there) < LANES)                                                               \
                    value = select((VEC)0.0f, value, real);                                        \
                STORE(value, 0, dst + plane + places.to[t]);                                       \
            }                                                                                      \
        }                                                                                          \
    } else {                                                                                       \
        float lanes[TILE * LANES];                                                                 \
                                                                                                   \
        EACH(t, TILE) STORE(sum[b][t], t, lanes);                                                  \
        for (int l = 0; l < min(LANES, there); l++) {                                              \
            const size_t plane = (size_t)((channel) + (b)*LANES + l) * s.dst_h * s.dst_w;          \
                                                                                                   \
            for (int t = 0; t < places.count; t++) {                                               \
                const size_t at = plane + places.to[t];                                            \
                const float value = lanes[t * LANES + l] + (add ? add[at] : 0.0f);                 \
                                                                                                   \
                dst[at] = s.relu && value <= 0.0f ? 0.0f : value;                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* The sums of a block start with the bias. */
#define START_SUMS(item)                                                                           \
    EACH(b, KB)                                                                                    \
    {                                                                                              \
        float start[LANES];                                                                        \
                                                                                                   \
        for (int l = 0; l < LANES; l++) {                                                          \
            const int c = ((item)*KB + b) * LANES + l;                                             \
                                                                                                   \
            start[l] = bias && c < s.dst_channels ? bias[group * s.dst_channels + c] : 0.0f;       \
        }                                                                                          \
        EACH(t, TILE) sum[b][t] = LOAD(0, start);                                                  \
    }
#define STORE_SUMS(item)                                                                           \
    EACH(b, KB)                                                                                    \
    {                                                                                              \
        const int there = s.dst_channels - ((item)*KB + b) * LANES;                                \
                                                                                                   \
        if (there > 0) {                                                                           \
            STORE_BLOCK(b, there, group *s.dst_channels + (item)*KB * LANES)                       \
        }                                                                                          \
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
    const int all_taps = s.y.taps * s.x.taps;

/* Where a tile's taps read is worked out once for each tile; past the border they read `zeros`.
 * Sums run over chunks of TAPS taps, block of channels, tap, channel. */
__kernel void conv_blocked(__global const float *restrict src, __global const float *restrict w,
                           __global const float *restrict bias, __global const float *restrict add,
                           __global float *restrict dst, __global const float *restrict zeros,
                           const blocked_shape s)
{
    WORK const int tap_floats = LANES * KB * LANES;

    for (int tile = tile_from; tile < tile_to; tile++) {
        tile_places places;
        tile_taps taps;

        find_places(&s, tile, &places);
        taps.first = -1;
        for (int item = item_from; item < item_to; item++) {
            __global const float *wc =
                w + s.weight_offset +
                (size_t)(group * s.items + item) * s.blocks * all_taps * tap_floats;
            VEC sum[KB][TILE];

            START_SUMS(item)
            for (int first = 0; first < all_taps; first += TAPS) {
                __global const float *in = src + (size_t)group * s.blocks * s.src_plane;
                const int step = min(TAPS, all_taps - first);

                if (taps.first != first)
                    find_taps(&s, &places, first, &taps);
                for (int block = 0; block < s.blocks; block++) {
                    for (int k = 0; k < taps.count; k++) {
                        __global const float *wt = wc + taps.tap[k] * tap_floats;
                        __global const float *from[TILE];

                        EACH(t, TILE)
                        {
                            const int at = taps.at[k * TILE + t];

                            from[t] = at < 0 ? zeros : in + at;
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

/* For src of few channels: planes with a border that no tap leaves, one channel of one tap at a
 * time. Sums run over channel, row, column. */
__kernel void conv_planar(__global const float *restrict src, __global const float *restrict w,
                          __global const float *restrict bias, __global const float *restrict add,
                          __global float *restrict dst, __global const float *restrict zeros,
                          const blocked_shape s)
{
    WORK

        for (int tile = tile_from; tile < tile_to; tile++)
    {
        __global const float *from[TILE];
        tile_places places;

        find_places(&s, tile, &places);
        EACH(t, TILE)
        from[t] = src + places.from[t] + group * s.blocks * s.src_plane + places.y[t] * s.src_w +
                  places.x[t];
        for (int item = item_from; item < item_to; item++) {
            __global const float *wt =
                w + s.weight_offset +
                (size_t)(group * s.items + item) * s.blocks * all_taps * (KB * LANES);
            VEC sum[KB][TILE];

            START_SUMS(item)
            for (int c = 0; c < s.blocks; c++) {
                for (int i = 0; i < s.y.taps; i++) {
                    const long row = (long)c * s.src_plane + i * s.y.tap_step * s.src_w;

                    for (int j = 0; j < s.x.taps; j++) {
                        const long at = row + j * s.x.tap_step;
                        VEC weight[KB];

                        EACH(b, KB) weight[b] = LOAD(b, wt);
                        wt += KB * LANES;
                        EACH(t, TILE)
                        {
                            const VEC one = (VEC)from[t][at];

                            EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);
                        }
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

/* One block of channels of one tap; AT(t): where position t of the tile reads. */
#define MULTIPLY_FEW(AT)                                                                           \
    {                                                                                              \
        VEC weight[CHANNELS];                                                                      \
                                                                                                   \
        EACH(c, CHANNELS) weight[c] = LOAD(c, wt);                                                 \
        wt += CHANNELS * LANES;                                                                    \
        EACH(t, TILE)                                                                              \
        {                                                                                          \
            const VEC v = LOAD(0, AT(t));                                                          \
                                                                                                   \
            EACH(c, CHANNELS) sum[c][t] = fma(v, weight[c], sum[c][t]);                            \
        }                                                                                          \
    }
#define INSIDE(t) (from[t] + along)
#define EDGE(t)   (inside[t] ? from[t] + along : zeros)

/* For dst of few channels, where lanes across dst would idle: lanes run across the channels of src
 * instead and are added up at the end. Sums run over tap, then block of channels. */
__kernel void conv_few(__global const float *restrict src, __global const float *restrict w,
                       __global const float *restrict bias, __global const float *restrict add,
                       __global float *restrict dst, __global const float *restrict zeros,
                       const blocked_shape s)
{
    const int tile_from = (int)get_global_id(0) * s.tiles;
    const int tile_to =
        min(tile_from + s.tiles, (s.batch * s.y.count * s.x.count + TILE - 1) / TILE);
    const size_t apart = s.dst_block > 1 ? 1 : (size_t)s.dst_h * s.dst_w; /* channels of dst */

    for (int tile = tile_from; tile < tile_to; tile++) {
        __global const float *wt = w + s.weight_offset;
        tile_places places;
        VEC sum[CHANNELS][TILE];

        find_places(&s, tile, &places);
        EACH(c, CHANNELS) EACH(t, TILE) sum[c][t] = (VEC)0.0f;
        for (int i = 0; i < s.y.taps; i++) {
            for (int j = 0; j < s.x.taps; j++) {
                __global const float *from[TILE];
                int inside[TILE], all = 1, any = 0;

                EACH(t, TILE)
                {
                    const int row = places.y[t] + i * s.y.tap_step;
                    const int column = places.x[t] + j * s.x.tap_step;

                    inside[t] = (row >= 0) & (row < s.src_h) & (column >= 0) & (column < s.src_w);
                    from[t] = src + places.from[t] + (row * s.src_w + column) * LANES;
                    all &= inside[t];
                    any |= inside[t];
                }
                if (all) {
                    for (long b = 0, along = 0; b < s.blocks; b++, along += s.src_plane)
                        MULTIPLY_FEW(INSIDE)
                } else if (any) {
                    for (long b = 0, along = 0; b < s.blocks; b++, along += s.src_plane)
                        MULTIPLY_FEW(EDGE)
                } else {
                    wt += s.blocks * CHANNELS * LANES;
                }
            }
        }
        EACH(t, TILE)
        {
            if (t < places.count) {
                for (int c = 0; c < CHANNELS; c++) {
                    const size_t at = places.to[t] + c * apart;
                    const float value =
                        across(sum[c][t]) + (bias ? bias[c] : 0.0f) + (add ? add[at] : 0.0f);

                    dst[at] = s.relu && value <= 0.0f ? 0.0f : value;
                }
                for (int c = CHANNELS; c < s.dst_block; c++)
                    dst[places.to[t] + c] = 0.0f;
            }
        }
    }
}
#endif
#endif
