/* The sums of a tile, KB * LANES channels of dst at TILE positions, from bias to memory. Needs
 * lanes.h, transpose.h and conv_tile.h. */

/* Eight channels of TILE (6 or 8) neighbouring positions, of which `there` channels exist. */
static void store_rows(float8 *v, __global float *to, size_t apart, int there)
{
    TRANSPOSE8(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])
    EACH(l, 8)
    {
        if (l < there) {
#if TILE == 8
            STORE8(v[l], to + l * apart);
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
        if ((there) >= LANES && places->count == TILE) {                                           \
            if (add) {                                                                             \
                EACH(t, TILE) sum[b][t] += LOAD(0, add + plane + places->to[t]);                   \
            }                                                                                      \
            if (s.relu) {                                                                          \
                EACH(t, TILE)                                                                      \
                sum[b][t] = select(sum[b][t], (VEC)0.0f, sum[b][t] <= 0.0f);                       \
            }                                                                                      \
            EACH(t, TILE) STORE(sum[b][t], 0, dst + plane + places->to[t]);                        \
        } else {                                                                                   \
            EACH(t, TILE)                                                                          \
            {                                                                                      \
                if (t < places->count) {                                                           \
                    VEC value = sum[b][t];                                                         \
                                                                                                   \
                    if (add)                                                                       \
                        value += LOAD(0, add + plane + places->to[t]);                             \
                    value = select(value, least, value <= least);                                  \
                    STORE(select((VEC)0.0f, value, real), 0, dst + plane + places->to[t]);         \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } else if (!add && places->row) {                                                              \
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
        store_rows(part[h], dst + places->to[0] + ((channel) + h * 8) * apart, apart,              \
                   (there)-h * 8);                                                                 \
    } else {                                                                                       \
        float lanes[TILE * LANES];                                                                 \
                                                                                                   \
        EACH(t, TILE) HOLD(sum[b][t], t, lanes);                                                   \
        for (int l = 0; l < min(LANES, there); l++) {                                              \
            const size_t plane = (size_t)((channel) + l) * s.dst_h * s.dst_w;                      \
                                                                                                   \
            SCALAR for (int t = 0; t < places->count; t++)                                         \
            {                                                                                      \
                const size_t at = plane + places->to[t];                                           \
                const float value = lanes[t * LANES + l] + (add ? add[at] : 0.0f);                 \
                                                                                                   \
                dst[at] = s.relu && value <= 0.0f ? 0.0f : value;                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* What the sums of an item start with, `start`: the bias. (Loading lane by lane under a condition
 * becomes a masked load of NULL, which takes hundreds of cycles: PoCL 3.1 on Zen 3.) */
#define FIND_START(item)                                                                           \
    VEC start[KB];                                                                                 \
                                                                                                   \
    EACH(b, KB)                                                                                    \
    {                                                                                              \
        const int c = ((item)*KB + b) * LANES;                                                     \
                                                                                                   \
        start[b] = (VEC)0.0f;                                                                      \
        if (bias && c < s.dst_channels)                                                            \
            start[b] = load_part(bias + group * s.dst_channels + c, s.dst_channels - c);           \
    }
#define START_SUMS EACH(b, KB) EACH(t, TILE) sum[b][t] = start[b];
#define STORE_SUMS(item)                                                                           \
    EACH(b, KB)                                                                                    \
    {                                                                                              \
        const int there = s.dst_channels - ((item)*KB + b) * LANES;                                \
                                                                                                   \
        if (there > 0) {                                                                           \
            STORE_BLOCK(b, there, group *s.dst_channels + ((item)*KB + b) * LANES)                 \
        }                                                                                          \
    }
