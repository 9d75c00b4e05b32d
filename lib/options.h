/* Structs that cross the ABI: a caller built against an older header hands in a shorter one. */
#ifndef DECONV_LIB_OPTIONS_H
#define DECONV_LIB_OPTIONS_H

#include "context.h"

/* Copies the fields that `from` has (its first field says how large it is) over the defaults in
 * `to`, a struct of `size` bytes. NULL leaves the defaults. A struct_size of 0, as of a struct that
 * was never set up, is an error; one larger than `size` comes from a newer header and its unknown
 * fields must be zero. */
deconv_status options_read(deconv_ctx *ctx, void *to, size_t size, const void *from,
                           const char *type);

/* Copies a filled struct out to a caller's that may be shorter; its struct_size stays. */
deconv_status options_write(deconv_ctx *ctx, void *to, const void *from, size_t size,
                            const char *type);

#define OPTIONS_READ(ctx, to, from)  options_read((ctx), (to), sizeof *(to), (from), #from)
#define OPTIONS_WRITE(ctx, to, from) options_write((ctx), (to), (from), sizeof *(from), #to)

#endif
