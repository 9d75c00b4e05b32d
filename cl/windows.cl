/* Windows of maps for a forward pass that computes only what has changed: lib/analysis/windows.h.
 *
 * Every place of a batch has, for each value, a window of its own inside the map: what has changed
 * there lies in the window, the rest is the clean picture's, the same for all places ("base").
 *
 *   base     [1][ceil(channels / FROM)][map_h][map_w][FROM]
 *   window   [count][ceil(channels / FROM)][window_h][window_w][FROM]; NULL: nothing has changed
 *   origins  [rows][pitch] int2: where windows begin in their maps
 *   to       [.][ceil(to_channels / TO)][to_h][to_w][TO]
 *
 * FROM, TO  channels side by side: 1 (NCHW), 8 or 16 */
#ifndef FROM
#define FROM 1
#endif
#ifndef TO
#define TO 1
#endif

/* As lib/analysis/windows.h has it, field for field. */
typedef struct gather_shape {
    int count; /* places, from place `skip` of the batch on; the first becomes picture `slot` of */
    int slot, skip;         /* `to` */
    int map_h, map_w;       /* of the value that is read */
    int window_h, window_w; /* of its windows */
    int to_h, to_w;         /* of what is written */
    int step_h, step_w;     /* position 0 of `to` is origin * step - shift of the map; */
    int shift_h, shift_w;   /* what lies outside the map becomes 0 */
    int window_row, to_row; /* rows of `origins`; -1: at 0, 0 */
    int pitch;
    int channels;              /* of the value */
    int first, taken;          /* which of them are read */
    int to_channels, to_first; /* of `to`, and where the first one goes */
} gather_shape;

/* What one row of one place reads. */
typedef struct row_cut {
    int y, x;             /* position of the map where it begins */
    int window_y;         /* row of the window, -1 where it has none */
    int from, to;         /* columns inside the map */
    int cut_from, cut_to; /* of these, columns inside the window */
    int window_x;         /* column of the window at cut_from */
} row_cut;

static row_cut cut_row(__global const int2 *restrict origins, const gather_shape *s, int place,
                       int y, int changed)
{
    const int2 to = s->to_row < 0 ? (int2)(0) : origins[s->to_row * s->pitch + place];
    const int2 at = s->window_row < 0 ? (int2)(0) : origins[s->window_row * s->pitch + place];
    row_cut r;

    r.y = to.x * s->step_h - s->shift_h + y;
    r.x = to.y * s->step_w - s->shift_w;
    r.from = r.to = r.cut_from = r.cut_to = r.window_x = 0;
    r.window_y = -1;
    if (r.y < 0 || r.y >= s->map_h)
        return r;
    r.from = clamp(-r.x, 0, s->to_w);
    r.to = clamp(s->map_w - r.x, r.from, s->to_w);
    r.cut_from = r.cut_to = r.to;
    if (!changed || r.y < at.x || r.y >= at.x + s->window_h)
        return r;
    r.window_y = r.y - at.x;
    r.cut_from = clamp(at.y - r.x, r.from, r.to);
    r.cut_to = clamp(at.y + s->window_w - r.x, r.cut_from, r.to);
    r.window_x = r.x + r.cut_from - at.y;
    return r;
}

static void copy_floats(__global float *restrict to, __global const float *restrict from, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = from[i];
}

static void clear_floats(__global float *to, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = 0.0f;
}

/* FROM = TO, and `to_first` and `first` at the beginning of a block. One work-item: one block of
 * channels of one place. */
__kernel void gather_blocks(__global const float *restrict base,
                            __global const float *restrict window, __global float *restrict to,
                            __global const int2 *restrict origins, const gather_shape s)
{
    const int z = (int)get_global_id(0), taken = (s.taken + TO - 1) / TO;
    const int place = s.skip + z / taken, block = z % taken, source = s.first / FROM + block;

    if (z / taken >= s.count)
        return;
    const int blocks = (s.channels + FROM - 1) / FROM, to_blocks = (s.to_channels + TO - 1) / TO;
    const size_t goes = (size_t)(s.slot + z / taken) * to_blocks + s.to_first / TO + block;
    const size_t cut = ((size_t)place * blocks + source) * s.window_h * s.window_w;
    __global float *out = to + goes * s.to_h * s.to_w * TO;

    for (int y = 0; y < s.to_h; y++, out += s.to_w * TO) {
        const row_cut r = cut_row(origins, &s, place, y, window != 0);
        __global const float *clean =
            base + (((size_t)source * s.map_h + r.y) * s.map_w + r.x) * FROM;

        clear_floats(out, r.from * TO);
        clear_floats(out + r.to * TO, (s.to_w - r.to) * TO);
        if (r.from == r.to)
            continue;
        copy_floats(out + r.from * TO, clean + r.from * FROM, (r.cut_from - r.from) * TO);
        copy_floats(out + r.cut_to * TO, clean + r.cut_to * FROM, (r.to - r.cut_to) * TO);
        if (r.cut_from < r.cut_to)
            copy_floats(out + r.cut_from * TO,
                        window + (cut + (size_t)r.window_y * s.window_w + r.window_x) * FROM,
                        (r.cut_to - r.cut_from) * TO);
    }
}

/* Any layouts. One work-item: one channel of one place. */
__kernel void gather_channels(__global const float *restrict base,
                              __global const float *restrict window, __global float *restrict to,
                              __global const int2 *restrict origins, const gather_shape s)
{
    const int z = (int)get_global_id(0), place = s.skip + z / s.taken, c = z % s.taken;

    if (z / s.taken >= s.count)
        return;
    const int blocks = (s.channels + FROM - 1) / FROM, from = s.first + c, goes = s.to_first + c;
    const int to_blocks = (s.to_channels + TO - 1) / TO;
    const size_t clean = (size_t)(from / FROM) * s.map_h * s.map_w;
    const size_t cut = ((size_t)place * blocks + from / FROM) * s.window_h * s.window_w;
    __global float *out =
        to + ((size_t)(s.slot + z / s.taken) * to_blocks + goes / TO) * s.to_h * s.to_w * TO +
        goes % TO;

    for (int y = 0; y < s.to_h; y++, out += s.to_w * TO) {
        const row_cut r = cut_row(origins, &s, place, y, window != 0);
        const size_t row = clean + (size_t)r.y * s.map_w + r.x;
        const size_t window_row = cut + (size_t)r.window_y * s.window_w + r.window_x;

        for (int x = 0; x < s.to_w; x++) {
            float value = 0.0f;

            if (x >= r.cut_from && x < r.cut_to)
                value = window[(window_row + x - r.cut_from) * FROM + from % FROM];
            else if (x >= r.from && x < r.to)
                value = base[(row + x) * FROM + from % FROM];
            out[x * TO] = value;
        }
    }
}
