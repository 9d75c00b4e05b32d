/* INPUT on the command line: a picture, prepared as the model card says, or a .npy file as it is.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static const char *shape_text(const int64_t *shape, uint32_t rank, char *text, size_t size)
{
    size_t used = 0;

    *text = '\0';
    for (uint32_t d = 0; d < rank && used < size; d++)
        used +=
            (size_t)snprintf(text + used, size - used, d ? ",%lld" : "%lld", (long long)shape[d]);
    return text;
}

/* `loaded` with a batch of one in front where that makes `rank` dimensions; else as it is. */
static bool add_batch(session *s, deconv_tensor *loaded, uint32_t rank, deconv_tensor **out)
{
    int64_t shape[DECONV_MAX_RANK] = {1};
    float *values;
    bool done;

    if (deconv_tensor_rank(loaded) + 1 != rank) {
        *out = loaded;
        return true;
    }
    for (uint32_t d = 1; d < rank; d++)
        shape[d] = deconv_tensor_size(loaded, d - 1);
    values = tensor_values(s, loaded);
    done = values && worked(s, deconv_tensor_create(s->ctx, shape, rank, out)) &&
           worked(s, deconv_tensor_write(*out, values, deconv_tensor_count(*out)));
    free(values);
    deconv_tensor_destroy(loaded);
    return done;
}

static bool load_values(session *s, const char *path, const int64_t *want, uint32_t rank, input *in)
{
    deconv_tensor *loaded = NULL;
    int64_t have[DECONV_MAX_RANK];
    char is[128], should[128];
    bool fits;

    if (!worked(s, deconv_tensor_load(s->ctx, path, &loaded)) ||
        !add_batch(s, loaded, rank, &in->tensor))
        return false;
    for (uint32_t d = 0; d < deconv_tensor_rank(in->tensor); d++)
        have[d] = deconv_tensor_size(in->tensor, d);
    fits = deconv_tensor_rank(in->tensor) == rank;
    for (uint32_t d = 1; fits && d < rank; d++)
        fits = have[d] == want[d];
    if (!fits) {
        fail("%s: the array is (%s); the network takes (N,%s)", path,
             shape_text(have, deconv_tensor_rank(in->tensor), is, sizeof is),
             shape_text(want + 1, rank - 1, should, sizeof should));
        return false;
    }
    in->batch = have[0];
    return true;
}

static bool load_picture(session *s, const char *path, const int64_t *want, uint32_t rank,
                         input *in)
{
    deconv_picture *whole = NULL;
    float *values = NULL;
    uint64_t count;
    char text[128];
    bool done;

    if (rank != 4 || (want[1] != 1 && want[1] != 3)) {
        fail("the network's input is (N,%s), not pictures; give a .npy file",
             shape_text(want + 1, rank - 1, text, sizeof text));
        return false;
    }
    count = (uint64_t)(want[1] * want[2] * want[3]);
    values = malloc((size_t)count * sizeof *values);
    if (!values)
        fail("no memory: %llu bytes for the picture", (unsigned long long)count * sizeof *values);
    done = values && worked(s, deconv_picture_read(s->ctx, path, &whole)) &&
           worked(s, deconv_card_crop(s->card, whole, want[2], want[3], &in->picture)) &&
           worked(s, deconv_card_values(s->card, in->picture, want[1], values, count)) &&
           worked(s, deconv_tensor_create(s->ctx, want, rank, &in->tensor)) &&
           worked(s, deconv_tensor_write(in->tensor, values, count));
    in->batch = 1;
    deconv_picture_destroy(whole);
    free(values);
    return done;
}

bool input_open(session *s, const char *path, input *in)
{
    int64_t want[DECONV_MAX_RANK], fixed_batch;
    const char *name;
    uint32_t rank;
    bool opened = false;

    *in = (input){0};
    if (deconv_net_input_count(s->net) != 1) {
        fail("the network has %u inputs; one is supported here, more through the library",
             deconv_net_input_count(s->net));
        return false;
    }
    if (!worked(s, deconv_net_input(s->net, 0, &name, want, &rank, &fixed_batch)))
        return false;
    if (ends_with(path, ".npy")) {
        opened = load_values(s, path, want, rank, in);
    } else if (fixed_batch > 1) {
        fail("the network takes batches of %lld; give a .npy file of that many pictures",
             (long long)fixed_batch);
    } else {
        opened = load_picture(s, path, want, rank, in);
    }
    if (opened)
        session_warn(s);
    return opened;
}

void input_close(input *in)
{
    deconv_tensor_destroy(in->tensor);
    deconv_picture_destroy(in->picture);
}
