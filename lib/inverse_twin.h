/* Operators whose inverse knows nothing of windows: a twin of the operator, made for tensors of the
 * shape that a batch of windows has, carries them, the activations cut out like the windows. */
#ifndef DECONV_LIB_INVERSE_TWIN_H
#define DECONV_LIB_INVERSE_TWIN_H

#include "trace.h"

/* Activations that a twin reads, at most. */
enum { TWIN_CUTS = 4 };

/* Memory for them, shared by all twins of a pass. */
typedef struct twin_room {
    scratch cut[TWIN_CUTS];
    kernel *kernel;
} twin_room;

typedef struct twin twin;

/* Whether node's inverse works for windows of frame `cut`, the same for all its signals and
 * activations; NULL: for a batch of whole signals, item by item. */
bool twin_fits(const graph *g, const graph_node *node, deconv_rule rule, uint32_t flags,
               const window_frame *cut);
/* Bytes of activations for each window. */
uint64_t twin_bytes(const graph *g, const graph_node *node, deconv_rule rule, uint32_t flags,
                    const window_frame *cut);
/* For w->count windows; twin_fits() said yes. The room grows as needed. */
deconv_status twin_create(const graph *g, const graph_node *node, deconv_rule rule, uint32_t flags,
                          const window_frame *cut, const windows *w, twin_room *room, twin **out);
void twin_free(twin *t);
/* The inverse between the signals of `pass`, whose operands are whole tensors. */
deconv_status twin_run(twin *t, const windows *w, const twin_room *room, const op_pass *pass);
void twin_room_free(twin_room *room);

#endif
