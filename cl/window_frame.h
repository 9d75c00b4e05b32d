#ifndef WINDOW_FRAME_H
#define WINDOW_FRAME_H

/* As lib/window.h has it. */
typedef struct window_frame {
    int jump[2], offset[2], size[2];
} window_frame;

#endif
