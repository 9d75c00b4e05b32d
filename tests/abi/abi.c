/* The ABI as a program outside sees it: the public header and the shared library, nothing else.
 * Compiled as C11 and, by abi_cxx.cpp, as C++17. */
#include <deconv.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
#define STATIC_ASSERT static_assert
#else
#define STATIC_ASSERT _Static_assert
#endif

static int failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition);                            \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

/* ---- What is pinned ---- */

/* A field may only be appended: every size here grows with the version that appends it, and no
 * offset ever changes. */
#if UINTPTR_MAX == UINT64_MAX
#define PIN(type, size) STATIC_ASSERT(sizeof(type) == (size), #type " has another size")
#define PIN_LAST(type, field, offset)                                                              \
    STATIC_ASSERT(offsetof(type, field) == (offset), #type "." #field " has moved")

PIN(deconv_device_info, 672);
PIN(deconv_ctx_options, 112);
PIN(deconv_inverse_options, 16);
PIN(deconv_attr, 48);
PIN(deconv_net_options, 16);
PIN(deconv_layer_info, 88);
PIN(deconv_trace_options, 40);
PIN(deconv_seed, 32);
PIN(deconv_projection_info, 48);
PIN(deconv_project_options, 24);
PIN(deconv_plan_info, 72);
PIN(deconv_plan_candidate, 40);
PIN(deconv_tune_options, 24);
PIN(deconv_tune_summary, 32);
PIN(deconv_frequency_options, 56);
PIN(deconv_bands, 72);
PIN(deconv_frequency_info, 312);
PIN(deconv_filter_info, 160);
PIN(deconv_occlusion_map, 16);
PIN(deconv_occlusion_options, 136);
PIN(deconv_occlusion_info, 96);
PIN_LAST(deconv_device_info, version, 544);
PIN_LAST(deconv_ctx_options, memory, 104);
PIN_LAST(deconv_attr, string, 40);
PIN_LAST(deconv_layer_info, op_type, 80);
PIN_LAST(deconv_trace_options, last_count, 32);
PIN_LAST(deconv_projection_info, died_at, 40);
PIN_LAST(deconv_plan_info, approximate_cost, 64);
PIN_LAST(deconv_plan_candidate, reason, 32);
PIN_LAST(deconv_tune_options, limit_seconds, 16);
PIN_LAST(deconv_tune_summary, path, 24);
PIN_LAST(deconv_frequency_options, much, 48);
PIN_LAST(deconv_bands, oriented, 64);
PIN_LAST(deconv_frequency_info, text, 304);
PIN_LAST(deconv_filter_info, map_bands, 88);
PIN_LAST(deconv_occlusion_map, unit, 8);
PIN_LAST(deconv_occlusion_options, input, 132);
PIN_LAST(deconv_occlusion_info, clean_logit, 92);
#endif

#define PIN_ENUM(type) STATIC_ASSERT(sizeof(type) == 4, #type " is not 32 bits wide")

PIN_ENUM(deconv_status);
PIN_ENUM(deconv_device_kind);
PIN_ENUM(deconv_log_level);
PIN_ENUM(deconv_rule);
PIN_ENUM(deconv_attr_type);
PIN_ENUM(deconv_direction);
PIN_ENUM(deconv_seed_value);
PIN_ENUM(deconv_scaling);
PIN_ENUM(deconv_verdict);
PIN_ENUM(deconv_frequency_source);
PIN_ENUM(deconv_fill);
PIN_ENUM(deconv_occlusion_kind);
PIN_ENUM(deconv_occlusion_engine);

/* ---- Structs ---- */

/* The init function gives, byte for byte, what the macro gives. */
#define CHECK_INIT(type, macro)                                                                    \
    do {                                                                                           \
        type by_macro = macro, by_function;                                                        \
                                                                                                   \
        memset((void *)&by_function, 0xff, sizeof by_function);                                    \
        type##_init(&by_function);                                                                 \
        CHECK(memcmp(&by_macro, &by_function, sizeof by_macro) == 0);                              \
        CHECK(by_function.struct_size == sizeof by_function);                                      \
    } while (0)

static void macros_equal_functions(void)
{
    CHECK_INIT(deconv_device_info, DECONV_DEVICE_INFO_INIT);
    CHECK_INIT(deconv_ctx_options, DECONV_CTX_OPTIONS_INIT);
    CHECK_INIT(deconv_inverse_options, DECONV_INVERSE_OPTIONS_INIT);
    CHECK_INIT(deconv_net_options, DECONV_NET_OPTIONS_INIT);
    CHECK_INIT(deconv_layer_info, DECONV_LAYER_INFO_INIT);
    CHECK_INIT(deconv_trace_options, DECONV_TRACE_OPTIONS_INIT);
    CHECK_INIT(deconv_project_options, DECONV_PROJECT_OPTIONS_INIT);
    CHECK_INIT(deconv_plan_info, DECONV_PLAN_INFO_INIT);
    CHECK_INIT(deconv_plan_candidate, DECONV_PLAN_CANDIDATE_INIT);
    CHECK_INIT(deconv_tune_options, DECONV_TUNE_OPTIONS_INIT);
    CHECK_INIT(deconv_tune_summary, DECONV_TUNE_SUMMARY_INIT);
    CHECK_INIT(deconv_frequency_options, DECONV_FREQUENCY_OPTIONS_INIT);
    CHECK_INIT(deconv_frequency_info, DECONV_FREQUENCY_INFO_INIT);
    CHECK_INIT(deconv_filter_info, DECONV_FILTER_INFO_INIT);
    CHECK_INIT(deconv_occlusion_options, DECONV_OCCLUSION_OPTIONS_INIT);
    CHECK_INIT(deconv_occlusion_info, DECONV_OCCLUSION_INFO_INIT);
}

static void null_is_nothing(void)
{
    deconv_ctx_destroy(NULL);
    deconv_tensor_destroy(NULL);
    deconv_layer_destroy(NULL);
    deconv_net_destroy(NULL);
    deconv_trace_destroy(NULL);
    deconv_plan_destroy(NULL);
    deconv_frequency_destroy(NULL);
    deconv_picture_destroy(NULL);
    deconv_card_destroy(NULL);
    deconv_occlusion_destroy(NULL);
}

static void versions_agree(void)
{
    unsigned major = 0, minor = 0, patch = 0;

    CHECK(deconv_abi_version() == DECONV_ABI_VERSION);
    CHECK(sscanf(deconv_version(), "%u.%u.%u", &major, &minor, &patch) == 3);
    CHECK(major == DECONV_ABI_VERSION);
}

/* `size` bytes of a struct that an older caller knows; the rest is not its own. */
static void shorten(void *options, size_t whole, size_t size)
{
    uint32_t known = (uint32_t)size;

    memcpy(options, &known, sizeof known);
    memset((char *)options + size, 0xee, whole - size);
}

#define SHORTEN(options, last) shorten(&(options), sizeof(options), offsetof_end(options, last))
#define offsetof_end(options, last)                                                                \
    ((size_t)((char *)&(options).last + sizeof(options).last - (char *)&(options)))

static int is_untouched(const void *options, size_t whole, size_t from)
{
    for (size_t i = from; i < whole; i++)
        if (((const unsigned char *)options)[i] != 0xee)
            return 0;
    return 1;
}

static deconv_ctx *older_callers_context(void)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx = NULL;

    options.cache_dir = "";
    SHORTEN(options, cache_dir);
    CHECK(deconv_ctx_create(&options, &ctx) == DECONV_OK);
    return ctx;
}

static void older_callers_get_what_they_know(deconv_ctx *ctx)
{
    deconv_device_info info = DECONV_DEVICE_INFO_INIT, whole = DECONV_DEVICE_INFO_INIT;

    CHECK(deconv_ctx_device(ctx, &whole) == DECONV_OK);
    SHORTEN(info, name);
    CHECK(deconv_ctx_device(ctx, &info) == DECONV_OK);
    CHECK(strcmp(info.name, whole.name) == 0);
    CHECK(info.struct_size == offsetof_end(info, name));
    CHECK(is_untouched(&info, sizeof info, offsetof_end(info, name)));
    SHORTEN(info, kind);
    CHECK(deconv_device_get(0, &info) == DECONV_OK);
    CHECK(is_untouched(&info, sizeof info, offsetof_end(info, kind)));
}

/* ---- One layer and one network, with whole, shorter and longer structs ---- */

static void layer_runs(deconv_ctx *ctx)
{
    static const int64_t shape[] = {1, 1, 1, 3};
    static const float x[] = {-1, 0, 2}, r[] = {3, -4, 5};
    struct {
        deconv_inverse_options known;
        uint64_t later;
    } newer = {DECONV_INVERSE_OPTIONS_INIT, 0};
    deconv_inverse_options older = DECONV_INVERSE_OPTIONS_INIT;
    deconv_tensor *in = NULL, *out = NULL, *signal = NULL;
    deconv_layer *layer = NULL;
    float values[3];

    CHECK(deconv_layer_create(ctx, "Relu", 13, NULL, 0, &layer) == DECONV_OK);
    CHECK(deconv_tensor_create(ctx, shape, 4, &in) == DECONV_OK);
    CHECK(deconv_tensor_create(ctx, shape, 4, &out) == DECONV_OK);
    CHECK(deconv_tensor_create(ctx, shape, 4, &signal) == DECONV_OK);
    if (failures)
        return;
    const deconv_tensor *const inputs[] = {in};
    CHECK(deconv_tensor_write(in, x, 3) == DECONV_OK);
    CHECK(deconv_run_layer(ctx, layer, DECONV_FORWARD, NULL, inputs, 1, &out, 1, NULL) ==
          DECONV_OK);
    CHECK(deconv_tensor_read(out, values, 3) == DECONV_OK);
    CHECK(values[0] == 0 && values[1] == 0 && values[2] == 2);
    CHECK(deconv_tensor_write(out, r, 3) == DECONV_OK);
    older.rule = DECONV_RULE_GRADIENT;
    SHORTEN(older, rule);
    CHECK(deconv_run_layer(ctx, layer, DECONV_INVERSE, &older, inputs, 1, &out, 1, &signal) ==
          DECONV_OK);
    CHECK(deconv_tensor_read(signal, values, 3) == DECONV_OK);
    CHECK(values[0] == 0 && values[1] == 0 && values[2] == 5);
    newer.known.struct_size = sizeof newer;
    CHECK(deconv_run_layer(ctx, layer, DECONV_INVERSE, &newer.known, inputs, 1, &out, 1, &signal) ==
          DECONV_OK);
    CHECK(deconv_tensor_read(signal, values, 3) == DECONV_OK);
    CHECK(values[0] == 3 && values[1] == 0 && values[2] == 5);
    newer.later = 1; /* a field that this library does not know, in use */
    CHECK(deconv_run_layer(ctx, layer, DECONV_INVERSE, &newer.known, inputs, 1, &out, 1, &signal) ==
          DECONV_ERROR_UNSUPPORTED);
    CHECK(strstr(deconv_ctx_message(ctx), "does not know") != NULL);
    deconv_tensor_destroy(signal);
    deconv_tensor_destroy(out);
    deconv_tensor_destroy(in);
    deconv_layer_destroy(layer);
}

static void trace_and_project(deconv_net *net, deconv_tensor *x, uint32_t layer)
{
    deconv_trace_options trace_options = DECONV_TRACE_OPTIONS_INIT;
    deconv_project_options options = DECONV_PROJECT_OPTIONS_INIT;
    deconv_seed seed = {0, DECONV_STRONGEST, DECONV_STRONGEST, DECONV_STRONGEST};
    deconv_projection_info info;
    deconv_trace *trace = NULL;

    trace_options.rules = 1u << DECONV_RULE_GUIDED;
    SHORTEN(trace_options, rules);
    CHECK(deconv_trace_create(net, 1, &trace_options, &trace) == DECONV_OK);
    if (!trace)
        return;
    const deconv_tensor *const inputs[] = {x};
    CHECK(deconv_trace_run(trace, inputs, 1) == DECONV_OK);
    options.rule = DECONV_RULE_GUIDED;
    SHORTEN(options, flags);
    CHECK(deconv_project(trace, layer, &seed, 1, &options, x, &info) == DECONV_OK);
    CHECK(info.activation > 0 && info.unit >= 0);
    deconv_trace_destroy(trace);
}

/* Both directions of the four convolutions. */
static void plan_and_tune(deconv_ctx *ctx, deconv_net *net)
{
    deconv_plan_info info = DECONV_PLAN_INFO_INIT;
    deconv_plan_candidate candidate = DECONV_PLAN_CANDIDATE_INIT;
    deconv_tune_options options = DECONV_TUNE_OPTIONS_INIT;
    deconv_tune_summary summary = DECONV_TUNE_SUMMARY_INIT;
    deconv_plan *plan = NULL;
    double shares[2] = {0, 0};

    CHECK(deconv_plan_create(net, 2, &plan) == DECONV_OK);
    if (!plan)
        return;
    CHECK(deconv_plan_count(plan) == 8);
    for (uint32_t i = 0; i < deconv_plan_count(plan); i++) {
        int chosen = 0;

        CHECK(deconv_plan_get(plan, i, &info) == DECONV_OK);
        CHECK(info.direction == (i % 2 ? DECONV_INVERSE : DECONV_FORWARD));
        CHECK(info.work > 0 && info.share > 0 && info.candidate_count > 0);
        CHECK(info.microseconds == 0);
        CHECK((info.approximate != NULL) == (info.approximate_cost > 0));
        CHECK(!info.approximate || info.direction == DECONV_FORWARD);
        shares[info.direction] += info.share;
        for (uint32_t c = 0; c < info.candidate_count; c++) {
            CHECK(deconv_plan_candidate_get(plan, i, c, &candidate) == DECONV_OK);
            CHECK(!candidate.refused || candidate.reason != NULL);
            if (candidate.reason)
                continue;
            chosen++;
            CHECK(strcmp(candidate.name, info.algorithm) == 0 && candidate.cost == 1);
        }
        CHECK(chosen == 1);
        CHECK(deconv_plan_candidate_get(plan, i, info.candidate_count, &candidate) ==
              DECONV_ERROR_NOT_FOUND);
    }
    for (int d = 0; d < 2; d++)
        CHECK(shares[d] > 0.999 && shares[d] < 1.001);
    SHORTEN(info, direction);
    CHECK(deconv_plan_get(plan, 0, &info) == DECONV_OK);
    CHECK(is_untouched(&info, sizeof info, offsetof_end(info, direction)));
    CHECK(deconv_plan_get(plan, 8, &info) == DECONV_ERROR_NOT_FOUND);
    deconv_plan_destroy(plan);

    /* This context keeps no files. */
    CHECK(deconv_net_tune(net, NULL, &summary) == DECONV_ERROR_INVALID);
    CHECK(strstr(deconv_ctx_message(ctx), "cache folder") != NULL);
    options.limit_seconds = -1;
    CHECK(deconv_net_tune(net, &options, NULL) == DECONV_ERROR_INVALID);
    CHECK(strstr(deconv_ctx_message(ctx), "limit_seconds") != NULL);
}

static void network_runs(deconv_ctx *ctx, const char *path)
{
    static const int64_t shape[] = {1, 3, 96, 96};
    deconv_net_options options = DECONV_NET_OPTIONS_INIT;
    deconv_layer_info info = DECONV_LAYER_INFO_INIT;
    deconv_net *net = NULL;
    deconv_tensor *x = NULL;
    uint32_t layer = 0;

    SHORTEN(options, height);
    CHECK(deconv_net_open(ctx, path, &options, &net) == DECONV_OK);
    CHECK(deconv_tensor_create(ctx, shape, 4, &x) == DECONV_OK);
    if (!net || !x) {
        printf("     %s\n", deconv_ctx_message(ctx));
        return;
    }
    CHECK(deconv_net_find(net, "pool2", &layer) == DECONV_OK);
    SHORTEN(info, shape);
    CHECK(deconv_net_layer(net, layer, &info) == DECONV_OK);
    CHECK(info.rank == 4 && info.shape[1] == 64);
    CHECK(is_untouched(&info, sizeof info, offsetof_end(info, shape)));
    trace_and_project(net, x, layer);
    plan_and_tune(ctx, net);
    deconv_tensor_destroy(x);
    deconv_net_destroy(net);
}

int main(int argc, char **argv)
{
    deconv_ctx *ctx;

    if (argc != 2) {
        fprintf(stderr, "usage: abi NETWORK.onnx\n");
        return 2;
    }
    macros_equal_functions();
    null_is_nothing();
    versions_agree();
    ctx = older_callers_context();
    if (ctx) {
        older_callers_get_what_they_know(ctx);
        layer_runs(ctx);
        network_runs(ctx, argv[1]);
    }
    deconv_ctx_destroy(ctx);
    printf("%s: %d failures\n", deconv_version(), failures);
    return failures != 0;
}
