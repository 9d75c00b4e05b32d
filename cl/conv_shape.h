/* The problem as lib/conv/blocked_plan.c hands it to the kernels with lanes across channels. */

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
    int dst_image, dst_from;  /* as in blocked_output */
    int dst_block;            /* 1: dst is NCHW; LANES: blocks */
    int relu;
    int items, ranges; /* KB blocks of dst each, in a group; ranges that share them */
    int chunks;        /* that share the tiles */
    int weight_offset; /* of this phase, in floats */
    int weight_group, weight_dst, weight_src, kernel_w; /* steps through the ONNX weights */
} blocked_shape;

/* What may differ from run to run; lib/conv/blocked.h has the same. */
typedef struct {
    int image; /* floats from image to image of dst */
    int from;  /* float of dst where the first image begins */
    int relu;  /* what is below zero becomes zero */
} blocked_output;
