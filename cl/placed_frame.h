#ifndef PLACED_FRAME_H
#define PLACED_FRAME_H

/* Windows of one size, as lib/window.h has it: window s begins at origins[first + s]. */
typedef struct placed_frame {
    int first, size[2];
} placed_frame;

#endif
