/* Convolution for GPUs, both directions, as a matrix product that gathers its right side on the
 * way: for every group g
 *
 *     dst[m][n] = bias[m] + sum over k of w[k][m] src[position n, tap k]
 *
 *   m  a channel of dst in the group
 *   n  a position of dst: image, row, column; all images together, so that small windows fill tiles
 *   k  a channel of src and a tap: channel, row, column
 *
 * A direction is a set of phases (lib/conv/phases.h), dense convolutions that one launch computes.
 *
 *   src, dst  NCHW
 *   w      [phase][G][depth][rows]  packed once by pack_implicit; depth and rows are rounded up to
 *                                   whole tiles and filled with zeros
 *   table  [phase][depth]           where tap k lies from a position's first one: its distance in
 *                                   src, and row << 16 | column
 *
 * One work-group: a tile of BM channels x BN positions, BK terms at a time through local memory,
 * two tiles of it, so that the next one is on its way while one is used. One work-item: TM x TN
 * sums and their totals in registers. Sums run over k in order; every CHUNK terms the partial sum
 * goes to the total.
 * The bits of a result depend on nothing but its own terms: not on tiles, batch, sizes, nor on
 * whether the chunks are added up as they come or each by a group of its own (`split`: for small
 * results over many terms), whose partial sums sum_chunks then adds in order.
 *
 *                 BM   BN   TM TN   work-items   local memory
 * large          128  128    8  8          256       16.5 KiB
 * small           64   64    4  4          256       8.25 KiB
 * narrow          16  128    4  4          128        9.5 KiB
 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef BM
#define BM 64
#define BN 64
#define TM 4
#define TN 4
#endif
#define BK      8   /* BK and CHUNK as in lib/conv/implicit.c */
#define CHUNK   512 /* whole tiles */

#define ITEMS   (BM / TM * (BN / TN))
#define BRING_A (BK * BM / ITEMS) /* floats of w that an item brings, side by side */
#define BRING_B (BK * BN / ITEMS) /* terms of one position that an item brings */

/* One axis of a phase; lib/conv/phases.h has the same. */
typedef struct phase_axis {
    int first, step, count;  /* positions of dst: first + u step, u < count */
    int src_step, src_first; /* tap m of position u reads src_first + u src_step + m tap_step */
    int taps, tap_step;
    int weight_first, weight_step; /* tap m is the kernel's weight_first + m weight_step */
} phase_axis;

/* Filled in by lib/conv/implicit.c, field for field, as is implicit_shape. */
typedef struct implicit_phase {
    phase_axis y, x;
    int terms, depth;   /* values of k; rounded up */
    int chunks;         /* at least 1 */
    int weights, table; /* where they begin */
} implicit_phase;

/* Channels are those of one group. */
typedef struct implicit_shape {
    int batch, groups;
    int src_channels, src_h, src_w;
    int dst_channels, dst_h, dst_w;
    int rows; /* dst_channels rounded up to tiles */
    int phases_y, phases_x;
    int split;     /* 0, or how many chunks the groups of the third dimension share out */
    int part_size; /* elements of one chunk's partial sums */
    int relu;
    int weight_group, weight_dst, weight_src, kernel_w; /* steps through the ONNX weights */
} implicit_shape;

/* Negative zero becomes zero, NaN stays. */
inline float above_zero(float v)
{
    return v <= 0.0f ? 0.0f : v;
}

/* Work-items: row of w, term, phase and group. */
kernel void pack_implicit(global const float *restrict w, global float *restrict packed,
                          global const implicit_phase *restrict phases, implicit_shape s)
{
    const int m = get_global_id(0), k = get_global_id(1);
    const int phase = (int)get_global_id(2) / s.groups, g = (int)get_global_id(2) % s.groups;
    float value = 0.0f;

    if (m >= s.rows || phase >= s.phases_y * s.phases_x || k >= phases[phase].depth)
        return;
    if (m < s.dst_channels && k < phases[phase].terms) {
        const phase_axis y = phases[phase].y, x = phases[phase].x;
        const int tap = k % (y.taps * x.taps), channel = k / (y.taps * x.taps);
        const int row = y.weight_first + tap / x.taps * y.weight_step;
        const int column = x.weight_first + tap % x.taps * x.weight_step;

        value = w[g * s.weight_group + m * s.weight_dst + channel * s.weight_src +
                  row * s.kernel_w + column];
    }
    packed[phases[phase].weights + (g * phases[phase].depth + k) * s.rows + m] = value;
}

/* Four sums from element i of a tile's side of `size`: items lie side by side in each run of four,
 * so that reads of local memory are wide and stores to dst long. */
#define RUN_OF(i, item, size, count) ((i) / 4 * ((size) / ((count) / 4)) + (item)*4 + (i) % 4)

/* Groups: tile of positions; tile of channels and group; phase and chunk. */
kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
conv_implicit(global const float *restrict src, global const float *restrict w,
              global const float *restrict bias, global const int2 *restrict table,
              global const implicit_phase *restrict phases, global const float *add,
              global float *part, global float *dst, implicit_shape s)
{
    local float tile_a[2][BK * BM], tile_b[2][BK * BN];
    local int place[BN]; /* in dst, of channel 0; -1: beyond the last position */
    const int item = get_local_id(0), tn = item % (BN / TN), tm = item / (BN / TN);
    const int splits = max(s.split, 1);
    const int phase_number = (int)get_group_id(2) / splits, share = (int)get_group_id(2) % splits;
    global const implicit_phase *phase = phases + phase_number;
    const int row_tiles = s.rows / BM;
    const int g = (int)get_group_id(1) / row_tiles, m0 = (int)get_group_id(1) % row_tiles * BM;
    const int src_plane = s.src_h * s.src_w, dst_plane = s.dst_h * s.dst_w;

    /* The position and the terms that this item brings into local memory. */
    const int column = item % BN, term = item / BN * BRING_B;
    const int wide = phase->x.count, area = phase->y.count * wide, positions = s.batch * area;
    const int n = (int)get_group_id(0) * BN + column;
    const int image = n / area, v = n % area / wide, u = n % area % wide;
    const int inside = n < positions;
    const int src_y = phase->y.src_first + v * phase->y.src_step;
    const int src_x = phase->x.src_first + u * phase->x.src_step;
    global const float *from =
        src + (image * s.groups + g) * s.src_channels * src_plane + src_y * s.src_w + src_x;
    global const int2 *taps = table + phase->table + term;
    global const float *weights = w + phase->weights + g * phase->depth * s.rows + m0 +
                                  item * BRING_A / BM * s.rows + item * BRING_A % BM;

    /* A group without work takes part in every barrier all the same. */
    const int works = (int)get_group_id(0) * BN < positions && share < phase->chunks;
    const int first = s.split ? share : 0;
    const int last = !works ? first : s.split ? share + 1 : phase->chunks;
    float4 sum[TM][TN / 4], total[TM][TN / 4];
    int side = 0;

    if (item < BN)
        place[item] = inside ? (image * s.groups + g) * s.dst_channels * dst_plane +
                                   (phase->y.first + v * phase->y.step) * s.dst_w + phase->x.first +
                                   u * phase->x.step
                             : -1;
    barrier(CLK_LOCAL_MEM_FENCE);
    /* A total begins with the bias; a later chunk's own leaves what it is added to as it is. */
#pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + RUN_OF(i, tm, BM, TM);
        const float begin = first > 0                    ? -0.0f
                            : bias && m < s.dst_channels ? bias[g * s.dst_channels + m]
                                                         : 0.0f;

#pragma unroll
        for (int j = 0; j < TN / 4; j++)
            total[i][j] = (float4)(begin);
    }
    for (int chunk = first; chunk < last; chunk++) {
        const int k_to = min((chunk + 1) * CHUNK, phase->depth);
        float a[BRING_A], b[BRING_B];

#pragma unroll
        for (int i = 0; i < TM; i++) {
#pragma unroll
            for (int j = 0; j < TN / 4; j++)
                sum[i][j] = (float4)(0.0f);
        }
/* The item's part of the tile from term K on, into registers. */
#define BRING(K)                                                                                   \
    _Pragma("unroll") for (int i = 0; i < BRING_A; i++) a[i] = weights[(K)*s.rows + i];            \
    _Pragma("unroll") for (int i = 0; i < BRING_B; i++)                                            \
    {                                                                                              \
        const int2 tap = taps[(K) + i];                                                            \
        const int y = src_y + (tap.y >> 16), x = src_x + (tap.y & 0xffff);                         \
        const int there = inside && (K) + term + i < phase->terms && y >= 0 && y < s.src_h &&      \
                          x >= 0 && x < s.src_w;                                                   \
        b[i] = there ? from[tap.x] : 0.0f;                                                         \
    }
        if (chunk * CHUNK < k_to) {
            BRING(chunk * CHUNK)
        }
        for (int k = chunk * CHUNK; k < k_to; k += BK) {
            local float *ta = tile_a[side], *tb = tile_b[side];

#pragma unroll
            for (int i = 0; i < BRING_A; i++)
                ta[item * BRING_A + i] = a[i];
#pragma unroll
            for (int i = 0; i < BRING_B; i++)
                tb[(term + i) * BN + column] = b[i];
            barrier(CLK_LOCAL_MEM_FENCE);
            if (k + BK < k_to) {
                BRING(k + BK)
            }
#pragma unroll
            for (int l = 0; l < BK; l++) {
                float4 positions4[TN / 4];

#pragma unroll
                for (int j = 0; j < TN / 4; j++)
                    positions4[j] = vload4(0, tb + l * BN + RUN_OF(j * 4, tn, BN, TN));
#pragma unroll
                for (int i = 0; i < TM; i++) {
                    const float4 weight = (float4)(ta[l * BM + RUN_OF(i, tm, BM, TM)]);

#pragma unroll
                    for (int j = 0; j < TN / 4; j++)
                        sum[i][j] = fma(weight, positions4[j], sum[i][j]);
                }
            }
            side ^= 1;
        }

#pragma unroll
        for (int i = 0; i < TM; i++) {
#pragma unroll
            for (int j = 0; j < TN / 4; j++)
                total[i][j] += sum[i][j];
        }
    }
    if (!works)
        return;

#pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + RUN_OF(i, tm, BM, TM);

#pragma unroll
        for (int j = 0; j < TN; j++) {
            const int at = place[RUN_OF(j, tn, BN, TN)] + m * dst_plane;
            float value = ((float *)&total[i][j / 4])[j % 4];

            if (place[RUN_OF(j, tn, BN, TN)] < 0 || m >= s.dst_channels)
                continue;
            if (s.split) {
                part[share * s.part_size + at] = value;
                continue;
            }
            if (add)
                value += add[at];
            dst[at] = s.relu ? above_zero(value) : value;
        }
    }
}

/* The end of a split product. Work-items: position in the plane; plane of dst. */
kernel void sum_chunks(global const float *restrict part,
                       global const implicit_phase *restrict phases, global const float *add,
                       global float *dst, implicit_shape s)
{
    const int position = get_global_id(0), plane = get_global_id(1);
    const int size = s.dst_h * s.dst_w;

    if (position >= size || plane >= s.batch * s.groups * s.dst_channels)
        return;

    const int y = position / s.dst_w, x = position % s.dst_w, at = plane * size + position;
    const int chunks = phases[y % s.phases_y * s.phases_x + x % s.phases_x].chunks;
    float value = part[at];

    for (int chunk = 1; chunk < chunks; chunk++)
        value += part[chunk * s.part_size + at];
    if (add)
        value += add[at];
    dst[at] = s.relu ? above_zero(value) : value;
}
