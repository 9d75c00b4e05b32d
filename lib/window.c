/* Frames of windows; see window.h. */
#include "window.h"

#include <string.h>

/* A window of more than this share of the map is not worth cutting out. */
#define WORTH_CUTTING 0.9

int64_t map_height(const shape *map)
{
    return map->rank >= 4 ? map->dim[map->rank - 2] : 1;
}

int64_t map_width(const shape *map)
{
    return map->rank >= 3 ? map->dim[map->rank - 1] : 1;
}

int64_t map_channels(const shape *map)
{
    return shape_span(map, 1, map->rank > 3 ? map->rank - 2 : map->rank > 1 ? 2 : 1);
}

window_frame frame_whole(const shape *map)
{
    return (window_frame){.size = {(int32_t)map_height(map), (int32_t)map_width(map)}};
}

bool frame_is_whole(const window_frame *f)
{
    return f->jump[0] == 0 && f->jump[1] == 0;
}

bool frame_equal(const window_frame *a, const window_frame *b)
{
    for (int i = 0; i < 2; i++)
        if (a->jump[i] != b->jump[i] || a->offset[i] != b->offset[i] || a->size[i] != b->size[i] ||
            a->table[i] != b->table[i])
            return false;
    return a->turned == b->turned;
}

int frame_by(const window_frame *f, int axis)
{
    return f->turned ? 1 - axis : axis;
}

int64_t frame_begin(const window_frame *f, int axis, int64_t at)
{
    int64_t from = f->table[axis] ? f->table[axis][at] : at;

    return from * f->jump[axis] + f->offset[axis];
}

placed_frame frame_placed(const window_frame *f)
{
    return (placed_frame){f->first, {f->size[0], f->size[1]}};
}

/* ---- Tables ---- */

deconv_status frame_tables_add(frame_tables *t, int axis, int32_t **out)
{
    deconv_status status = DECONV_OK;
    int32_t **more = NULL;

    *out = NULL;
    if (t->count == t->room) {
        int room = 2 * t->room + 8;

        TRY_ALLOC(more, t->ctx, (size_t)room);
        if (t->count)
            memcpy(more, t->table, (size_t)t->count * sizeof *more);
        mem_free(t->ctx, t->table);
        t->table = more;
        t->room = room;
    }
    TRY_ALLOC(t->table[t->count], t->ctx, (size_t)t->seeds[axis]);
    *out = t->table[t->count++];
done:
    return status;
}

void frame_tables_free(frame_tables *t)
{
    for (int i = 0; i < t->count; i++)
        mem_free(t->ctx, t->table[i]);
    mem_free(t->ctx, t->table);
    *t = (frame_tables){0};
}

/* ---- Frames out of frames ---- */

window_frame frame_clip(const window_frame *f, const shape *map)
{
    double area = (double)f->size[0] * f->size[1];

    if (area > WORTH_CUTTING * (double)map_height(map) * (double)map_width(map))
        return frame_whole(map);
    return *f;
}

/* Smallest range that holds what both have of 0..length-1. */
static void union_range(int64_t from[2], int64_t to[2], int64_t length)
{
    for (int k = 0; k < 2; k++) {
        int other = 1 - k;

        if (from[k] < length && to[k] > 0)
            continue;
        from[k] = from[other];
        to[k] = to[other];
    }
    from[0] = from[1] < from[0] ? from[1] : from[0];
    to[0] = to[1] > to[0] ? to[1] : to[0];
}

/* Axis `i` of u becomes that of a and b together. */
static deconv_status union_axis(frame_tables *t, const window_frame *a, const window_frame *b,
                                int i, int64_t length, window_frame *u)
{
    int64_t positions = t->seeds[frame_by(a, i)], size = 0;
    deconv_status status = DECONV_OK;
    int32_t *table;

    if (a->jump[i] == b->jump[i] && a->table[i] == b->table[i]) {
        int64_t end_a = (int64_t)a->offset[i] + a->size[i];
        int64_t end_b = (int64_t)b->offset[i] + b->size[i];

        u->offset[i] = a->offset[i] < b->offset[i] ? a->offset[i] : b->offset[i];
        u->size[i] = (int32_t)((end_a > end_b ? end_a : end_b) - u->offset[i]);
        goto done;
    }
    TRY(frame_tables_add(t, frame_by(a, i), &table));
    for (int64_t p = 0; p < positions; p++) {
        int64_t from[2] = {frame_begin(a, i, p), frame_begin(b, i, p)};
        int64_t to[2] = {from[0] + a->size[i], from[1] + b->size[i]};

        union_range(from, to, length);
        table[p] = (int32_t)from[0];
        size = to[0] - from[0] > size ? to[0] - from[0] : size;
    }
    u->size[i] = (int32_t)(size < INT32_MAX ? size : INT32_MAX);
    u->table[i] = table;
    u->jump[i] = 1;
    u->offset[i] = 0;
done:
    return status;
}

deconv_status frame_union(frame_tables *t, const window_frame *a, const window_frame *b,
                          const shape *map, window_frame *out)
{
    window_frame u = *a;
    deconv_status status = DECONV_OK;

    if (frame_is_whole(a) || frame_is_whole(b) || a->turned != b->turned) {
        *out = frame_whole(map);
        goto done;
    }
    for (int i = 0; i < 2; i++)
        TRY(union_axis(t, a, b, i, i ? map_width(map) : map_height(map), &u));
    *out = frame_clip(&u, map);
done:
    return status;
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    return (a % b + b) % b;
}

deconv_status frame_align(frame_tables *t, const window_frame *f, const int32_t step[2],
                          window_frame *out)
{
    window_frame a = *f;
    deconv_status status = DECONV_OK;

    for (int i = 0; i < 2; i++) {
        int64_t most = 0;
        int32_t *table;

        if (f->jump[i] % step[i] == 0)
            continue;
        TRY(frame_tables_add(t, frame_by(f, i), &table));
        for (int64_t p = 0; p < t->seeds[frame_by(f, i)]; p++) {
            int64_t from = frame_begin(f, i, p), over = floor_mod(from, step[i]);

            table[p] = (int32_t)((from - over) / step[i]);
            most = over > most ? over : most;
        }
        a.table[i] = table;
        a.jump[i] = step[i];
        a.offset[i] = 0;
        a.size[i] += (int32_t)most;
    }
    *out = a;
done:
    return status;
}

deconv_status frame_shape(deconv_ctx *ctx, const window_frame *f, const shape *map, int64_t count,
                          shape *out)
{
    shape s = *map;

    s.dim[0] = count;
    if (!frame_is_whole(f)) {
        s.dim[s.rank - 1] = f->size[1];
        if (s.rank > 3)
            s.dim[s.rank - 2] = f->size[0];
    }
    return shape_make(ctx, "windows", s.dim, (size_t)s.rank, out);
}
