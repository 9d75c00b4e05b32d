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
    return memcmp(a, b, sizeof *a) == 0;
}

window_frame frame_clip(const window_frame *f, const shape *map)
{
    double area = (double)f->size[0] * f->size[1];

    if (area > WORTH_CUTTING * (double)map_height(map) * (double)map_width(map))
        return frame_whole(map);
    return *f;
}

window_frame frame_union(const window_frame *a, const window_frame *b, const shape *map)
{
    window_frame u = *a;

    for (int i = 0; i < 2; i++) {
        int32_t end_a = a->offset[i] + a->size[i], end_b = b->offset[i] + b->size[i];

        if (a->jump[i] != b->jump[i])
            return frame_whole(map);
        u.offset[i] = a->offset[i] < b->offset[i] ? a->offset[i] : b->offset[i];
        u.size[i] = (end_a > end_b ? end_a : end_b) - u.offset[i];
    }
    return frame_clip(&u, map);
}

deconv_status frame_shape(deconv_ctx *ctx, const window_frame *f, const shape *map, int64_t count,
                          shape *out)
{
    const int64_t dims[4] = {count, map->dim[1], f->size[0], f->size[1]};
    const int64_t line[3] = {count, map->dim[1], f->size[1]};

    if (frame_is_whole(f)) {
        shape all = *map;

        all.dim[0] = count;
        return shape_make(ctx, "windows", all.dim, (size_t)all.rank, out);
    }
    if (map->rank == 3)
        return shape_make(ctx, "windows", line, 3, out);
    return shape_make(ctx, "windows", dims, 4, out);
}
