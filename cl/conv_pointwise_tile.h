/* VECTORS vectors of positions of conv_pointwise.cl, for a range of items. Included there for each
 * number of them. */

/* Adds channel `n` of the panel to the sums; READ gives vector v of its values. */
#define ADD_CHANNEL(READ)                                                                          \
    {                                                                                              \
        VEC value[VECTORS];                                                                        \
                                                                                                   \
        EACH(v, VECTORS) value[v] = READ;                                                          \
        EACH(k, KC)                                                                                \
        {                                                                                          \
            const VEC weight = (VEC)wt[n * KC + k];                                                \
                                                                                                   \
            EACH(v, VECTORS) sum[k][v] = fma(value[v], weight, sum[k][v]);                         \
        }                                                                                          \
    }

/* Adds channels from c on, as many as the panel holds, to the sums of an item, number `turn` of
 * those that wait for each other. copy: the panel is filled on the way. */
static void CAT(add_, VECTORS)(const pointwise_shape *s, const pointwise_work *work,
                               const pointwise_tile *tile, int item, int turn, int c, int copy,
                               VEC *panel)
{
    const int count = min(CHANNELS, s->src_channels - c), more = c + count < s->src_channels;
    __global const float *wt = work->w + ((size_t)item * s->src_channels + c) * KC;
    VEC *wait = work->waiting + turn * KC * VECTORS;
    VEC sum[KC][VECTORS];

    EACH(k, KC)
    {
        const int channel = item * KC + k;
        const float start = work->bias && channel < s->dst_channels ? work->bias[channel] : 0.0f;

        EACH(v, VECTORS) sum[k][v] = c ? wait[k * VECTORS + v] : (VEC)start;
    }
    if (copy) {
        __global const float *from[VECTORS];

        EACH(v, VECTORS) from[v] = work->src + (size_t)c * s->src_plane + tile->start[v];
        /* Planes lie far apart, and no processor foresees that the next tile needs the next lines
         * of all of them: they are asked for by their last position. */
        for (int n = 0; n < count; n++) {
            ASK_FOR(from[0] + 3 * TILE - 1);
            ADD_CHANNEL((panel[n * MOST_VECTORS + v] = LOAD(0, from[v])))
            EACH(v, VECTORS) from[v] += s->src_plane;
        }
    } else {
        for (int n = 0; n < count; n++)
            ADD_CHANNEL(panel[n * MOST_VECTORS + v])
    }
    if (more) {
        EACH(k, KC) EACH(v, VECTORS) wait[k * VECTORS + v] = sum[k][v];
        return;
    }
    EACH(k, KC)
    {
        const int channel = item * KC + k;
        const size_t to = (size_t)channel * s->dst_plane;

        if (channel < s->dst_channels) {
            ASK_FOR_RESULTS(work->dst + to + tile->next);
            EACH(v, VECTORS)
            STORE_VECTOR(sum[k][v], tile->start[v], v == VECTORS - 1 ? tile->skip : 0)
        }
    }
}

#undef ADD_CHANNEL
