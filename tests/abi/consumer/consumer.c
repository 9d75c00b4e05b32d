/* A program of someone who has libdeconv installed. */
#include <deconv.h>

#include <stdio.h>

int main(void)
{
    uint32_t count = 0;
    deconv_status status = deconv_device_count(&count);

    printf("libdeconv %s, ABI %u, %u devices\n", deconv_version(), deconv_abi_version(), count);
    return status == DECONV_OK && deconv_abi_version() == DECONV_ABI_VERSION ? 0 : 1;
}
