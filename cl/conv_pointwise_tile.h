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

static void CAT(tile_of_, VECTORS)(const pointwise_shape *s, const pointwise_tile *tile,
                                   __global const float *src, __global const float *w,
                                   __global const float *bias, __global const float *add,
                                   __global float *dst, int item_from, int item_to, VEC *panel,
                                   VEC *waiting)
{
    for (int first = item_from; first < item_to; first += WAITING) {
        const int last = min(first + WAITING, item_to);

        for (int c = 0; c < s->src_channels; c += PANEL) {
            const int count = min(PANEL, s->src_channels - c), more = c + count < s->src_channels;
            const int fill = first == item_from || s->src_channels > PANEL;
            __global const float *plane = src + (size_t)c * s->src_plane;

#if SIDES == GATHER
            if (fill) {
                gathered places[VECTORS];

                EACH(v, VECTORS) find_gathered(s, tile->start[v], &places[v]);
                for (int n = 0; n < count; n++)
                    EACH(v, VECTORS)
                panel[n * VECTORS + v] = gather(&places[v], plane + (size_t)n * s->src_plane);
            }
#endif
            for (int item = first; item < last; item++) {
                __global const float *wt = w + ((size_t)item * s->src_channels + c) * KC;
                VEC *wait = waiting + (item - first) * KC * VECTORS;
                VEC sum[KC][VECTORS];

                EACH(k, KC)
                {
                    const int channel = item * KC + k;
                    const float start = bias && channel < s->dst_channels ? bias[channel] : 0.0f;

                    EACH(v, VECTORS) sum[k][v] = c ? wait[k * VECTORS + v] : (VEC)start;
                }
                if (fill && item == first && SIDES != GATHER) {
                    __global const float *from[VECTORS];

                    EACH(v, VECTORS) from[v] = plane + tile->start[v];
                    for (int n = 0; n < count; n++) {
                        ASK_FOR(from[0] + 3 * TILE - 1);
                        ADD_CHANNEL((panel[n * VECTORS + v] = LOAD(0, from[v])))
                        EACH(v, VECTORS) from[v] += s->src_plane;
                    }
                } else {
                    for (int n = 0; n < count; n++)
                        ADD_CHANNEL(panel[n * VECTORS + v])
                }
                if (more) {
                    EACH(k, KC) EACH(v, VECTORS) wait[k * VECTORS + v] = sum[k][v];
                    continue;
                }
                EACH(k, KC)
                {
                    const int channel = item * KC + k;
                    const size_t to = (size_t)channel * s->dst_plane;

                    if (channel < s->dst_channels) {
#if SIDES == SPREAD
                        for (int i = 0; i < 2; i++) {
                            ASK_FOR_WRITING(dst + to + tile->next + i * s->dst_w + TILE);
                            ASK_FOR_WRITING(dst + to + tile->next + i * s->dst_w + 2 * TILE - 1);
                        }
#else
                        ASK_FOR_WRITING(dst + to + tile->next + TILE - 1);
#endif
                        EACH(v, VECTORS)
                        {
                            const int skip = v == VECTORS - 1 ? tile->skip : 0;
                            const int at = tile->start[v];

#if SIDES == SPREAD
                            store_boxes(s, sum[k][v], bias ? bias[channel] : 0.0f, at, skip,
                                        add ? add + to : 0, dst + to);
#else
                            store_row(s, sum[k][v], skip, add ? add + to + at : 0, dst + to + at);
#endif
                        }
                    }
                }
            }
        }
    }
}

#undef ADD_CHANNEL
