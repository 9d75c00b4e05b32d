/* deconv devices: what can run here. */
#include "cli.h"

static const char *kind_name(deconv_device_kind kind)
{
    return kind == DECONV_DEVICE_CPU ? "cpu" : kind == DECONV_DEVICE_GPU ? "gpu" : "other";
}

static cJSON *device_json(uint32_t index, const deconv_device_info *info)
{
    cJSON *device = cJSON_CreateObject();

    cJSON_AddNumberToObject(device, "index", index);
    cJSON_AddStringToObject(device, "kind", kind_name(info->kind));
    cJSON_AddStringToObject(device, "name", info->name);
    cJSON_AddStringToObject(device, "vendor", info->vendor);
    cJSON_AddStringToObject(device, "platform", info->platform);
    cJSON_AddStringToObject(device, "version", info->version);
    cJSON_AddStringToObject(device, "driver", info->driver);
    cJSON_AddNumberToObject(device, "compute_units", info->compute_units);
    cJSON_AddNumberToObject(device, "global_memory", (double)info->global_memory);
    cJSON_AddNumberToObject(device, "max_allocation", (double)info->max_allocation);
    cJSON_AddBoolToObject(device, "default", (cJSON_bool)info->is_default);
    return device;
}

static void print_device(uint32_t index, const deconv_device_info *info)
{
    printf("%u  %-5s %s%s\n", index, kind_name(info->kind), info->name,
           info->is_default ? "  (default)" : "");
    printf("         %s, %s, driver %s\n", info->platform, info->version, info->driver);
    printf("         %u compute units, %.1f GiB, largest buffer %.1f GiB\n", info->compute_units,
           (double)info->global_memory / (1 << 30), (double)info->max_allocation / (1 << 30));
}

int command_devices(int argc, const char **argv)
{
    static const usage usage = {
        "", "Lists the OpenCL devices of this machine and marks the default.",
        "The index is what --device takes; so are cpu, gpu and a part of the name.\n"};
    struct poptOption options[] = {POPT_TABLEEND};
    session s = {0};
    uint32_t count;
    cJSON *list = NULL;
    int result = session_parse(&s, argc, argv, options, &usage, NULL, 0);

    if (result >= 0)
        goto done;
    result = EXIT_FAILED;
    if (deconv_device_count(&count) != DECONV_OK) {
        fail("%s", deconv_device_advice());
        goto done;
    }
    list = cJSON_CreateArray();
    for (uint32_t i = 0; i < count; i++) {
        deconv_device_info info = DECONV_DEVICE_INFO_INIT;

        if (deconv_device_get(i, &info) != DECONV_OK)
            continue;
        if (s.json)
            cJSON_AddItemToArray(list, device_json(i, &info));
        else
            print_device(i, &info);
    }
    if (s.json) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddItemToObject(object, "devices", list);
        list = NULL;
        result = print_json(object);
    } else {
        result = finish_output();
    }
done:
    cJSON_Delete(list);
    session_close(&s);
    return result;
}
