/* graphs: random networks, each compared with itself (windows and whole layers) and with float64.
 *
 *   graphs [--print] NUMBER|FIRST..LAST...
 *   graphs [--print] --operator NAME       networks around one operator */
#include "graphs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 50 }; /* networks of which a good part must go by windows */

typedef struct total {
    int networks, failed, checks, layers, projections, cut, nodes, adjoints;
    double forward_error, inverse_error;
} total;

static void run_one(deconv_ctx *ctx, uint64_t seed, const char *path, bool print, total *t)
{
    static random_net g; /* large */
    net_report r = {.seed = seed};

    net_draw(&g, seed);
    if (print) {
        printf("graphs %llu: batch %lld\n", (unsigned long long)seed, (long long)g.batch);
        net_print(&g);
    }
    net_check(ctx, &g, path, &r);
    net_free(&g);
    t->networks++;
    t->failed += r.failures > 0;
    t->checks += r.checks;
    t->layers += r.layers;
    t->projections += r.projections;
    t->cut += r.cut;
    t->nodes += r.nodes;
    t->adjoints += r.adjoints;
    t->forward_error = fmax(t->forward_error, r.forward_error);
    t->inverse_error = fmax(t->inverse_error, r.inverse_error);
}

static bool number(const char *text, uint64_t *out)
{
    char *end;

    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

static bool run_all(deconv_ctx *ctx, int count, char **words, const char *path, bool print,
                    total *t)
{
    uint64_t first, last;

    for (int i = 0; i < count; i++) {
        char *dots = strstr(words[i], "..");

        if (dots)
            *dots = '\0';
        if (!number(words[i], &first) || !number(dots ? dots + 2 : words[i], &last))
            return false;
        for (uint64_t seed = first; seed <= last; seed++)
            run_one(ctx, seed, path, print, t);
    }
    return count > 0;
}

int main(int argc, char **argv)
{
    bool print = argc > 1 && strcmp(argv[1], "--print") == 0;
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    char error[512] = "", folder[] = "/tmp/deconv-graphs-XXXXXX", path[64];
    deconv_ctx *ctx = NULL;
    total t = {0};
    bool valid, one_operator;

    options.device = getenv("DECONV_DEVICE") ? NULL : "cpu";
    options.error = error;
    options.error_size = sizeof error;
    if (!mkdtemp(folder) || deconv_ctx_create(&options, &ctx) != DECONV_OK) {
        fprintf(stderr, "graphs: %s\n", *error ? error : "no folder in /tmp");
        return 1;
    }
    snprintf(path, sizeof path, "%s/net.onnx", folder);
    one_operator = argc == 3 + print && strcmp(argv[1 + print], "--operator") == 0;
    if (one_operator)
        t.failed = operators_check(ctx, argv[2 + print], path, print);
    valid = one_operator || run_all(ctx, argc - 1 - print, argv + 1 + print, path, print, &t);
    deconv_ctx_destroy(ctx);
    unlink(path);
    rmdir(folder);
    if (!valid) {
        fprintf(stderr, "usage: graphs [--print] NUMBER|FIRST..LAST...|--operator NAME\n");
        return 2;
    }
    if (one_operator)
        return t.failed != 0;
    printf("%d networks, %d layers: %d projections, %d of them by windows; %d checks\n", t.networks,
           t.layers, t.projections, t.cut, t.checks);
    printf("against float64: %d layers forward, worst relative error %.1e; %d projections, %.1e\n",
           t.nodes, t.forward_error, t.adjoints, t.inverse_error);
    printf("%d passed, %d failed\n", t.networks - t.failed, t.failed);
    if (t.networks >= MANY && t.cut < t.projections / 10 * 9)
        t.failed += printf("FAIL few projections went by windows\n") > 0;
    return t.failed != 0;
}
