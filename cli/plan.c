/* deconv info --plan: which algorithm serves each convolution, and why not the others. */
#include "cli.h"

static const char *direction_name(deconv_direction direction)
{
    return direction == DECONV_FORWARD ? "forward" : "inverse";
}

/* "nchw", "c16" */
static const char *layout_name(uint32_t block, char *text, size_t size)
{
    if (block == 1)
        return "nchw";
    snprintf(text, size, "c%u", block);
    return text;
}

static cJSON *candidates_json(session *s, const deconv_plan *plan, uint32_t index, uint32_t count)
{
    cJSON *list = cJSON_CreateArray();

    for (uint32_t i = 0; i < count; i++) {
        deconv_plan_candidate c = DECONV_PLAN_CANDIDATE_INIT;
        cJSON *entry;

        if (!worked(s, deconv_plan_candidate_get(plan, index, i, &c))) {
            cJSON_Delete(list);
            return NULL;
        }
        entry = cJSON_CreateObject();
        cJSON_AddItemToArray(list, entry);
        cJSON_AddStringToObject(entry, "algorithm", c.name);
        cJSON_AddBoolToObject(entry, "chosen", !c.reason);
        cJSON_AddBoolToObject(entry, "refused", c.refused != 0);
        if (c.reason)
            cJSON_AddStringToObject(entry, "reason", c.reason);
        if (!c.refused)
            cJSON_AddNumberToObject(entry, "cost", c.cost);
        if (c.microseconds > 0.0)
            cJSON_AddNumberToObject(entry, "microseconds", c.microseconds);
    }
    return list;
}

static bool add_json(session *s, const deconv_plan *plan, uint32_t index,
                     const deconv_plan_info *info, const char *layer, cJSON *json)
{
    char from[16], to[16];
    cJSON *candidates = candidates_json(s, plan, index, info->candidate_count), *entry;

    if (!candidates)
        return false;
    entry = cJSON_CreateObject();
    cJSON_AddItemToArray(json, entry);
    cJSON_AddStringToObject(entry, "layer", layer);
    cJSON_AddStringToObject(entry, "direction", direction_name(info->direction));
    cJSON_AddStringToObject(entry, "algorithm", info->algorithm);
    cJSON_AddStringToObject(entry, "from", layout_name(info->from_block, from, sizeof from));
    cJSON_AddStringToObject(entry, "to", layout_name(info->to_block, to, sizeof to));
    cJSON_AddNumberToObject(entry, "multiply_adds", info->work);
    cJSON_AddNumberToObject(entry, "share", info->share);
    if (info->microseconds > 0.0)
        cJSON_AddNumberToObject(entry, "microseconds", info->microseconds);
    if (info->approximate) {
        cJSON_AddStringToObject(entry, "fast", info->approximate);
        cJSON_AddNumberToObject(entry, "fast_cost", info->approximate_cost);
    }
    cJSON_AddItemToObject(entry, "candidates", candidates);
    return true;
}

static bool print_reasons(session *s, const deconv_plan *plan, uint32_t index, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        deconv_plan_candidate c = DECONV_PLAN_CANDIDATE_INIT;

        if (!worked(s, deconv_plan_candidate_get(plan, index, i, &c)))
            return false;
        if (c.reason)
            printf("    %s: %s\n", c.name, c.reason);
    }
    return true;
}

static bool print_line(session *s, const deconv_plan *plan, uint32_t index,
                       const deconv_plan_info *info, const char *layer, int name_width)
{
    char from[16], to[16], layout[48], time[32] = "";

    snprintf(layout, sizeof layout, "%s to %s", layout_name(info->from_block, from, sizeof from),
             layout_name(info->to_block, to, sizeof to));
    if (info->microseconds > 0.0)
        snprintf(time, sizeof time, "%.1f us", info->microseconds);
    printf("%-*s  %-9s  %-10s  %-14s  %10.2f  %5.1f %%  %12s\n", name_width, layer,
           direction_name(info->direction), info->algorithm, layout, info->work * 1e-6,
           100.0 * info->share, time);
    if (info->approximate)
        printf("    run --fast: %s, estimated at %.2f times the cost\n", info->approximate,
               info->approximate_cost);
    return print_reasons(s, plan, index, info->candidate_count);
}

bool print_plan(session *s, int64_t batch, int name_width, cJSON *json)
{
    deconv_plan *plan = NULL;
    bool done = worked(s, deconv_plan_create(s->net, batch, &plan));

    progress_clear();
    if (done && !json)
        printf("%-*s  %-9s  %-10s  %-14s  %10s  %7s  %12s\n", name_width, "layer", "direction",
               "algorithm", "layout", "mega-MAC", "cost", "measured");
    for (uint32_t i = 0; done && i < deconv_plan_count(plan); i++) {
        deconv_plan_info info = DECONV_PLAN_INFO_INIT;
        deconv_layer_info layer = DECONV_LAYER_INFO_INIT;

        done = worked(s, deconv_plan_get(plan, i, &info)) &&
               worked(s, deconv_net_layer(s->net, info.layer, &layer)) &&
               (json ? add_json(s, plan, i, &info, layer.name, json)
                     : print_line(s, plan, i, &info, layer.name, name_width));
    }
    deconv_plan_destroy(plan);
    return done;
}
