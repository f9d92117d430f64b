/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target on all files of the folders given once for each allocation that it makes,
 * which fails; until none does. */
#include <stdio.h>

#include "base/os.h"
#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hr_status run(const char *path, unsigned long *runs)
{
    struct hr_map map = { 0 };
    bool failed = true;
    HR_TRY(hr_map_open(&map, path));
    (void)LLVMFuzzerTestOneInput(map.data, map.size); /* what is made once is made */
    for (unsigned n = 0; failed; n++, ++*runs) {
        hostile_memory_fail(n);
        (void)LLVMFuzzerTestOneInput(map.data, map.size);
        failed = hostile_memory_restore();
    }
    hr_map_close(&map);
    return HR_OK;
}

int main(int argc, char **argv)
{
    struct hr_names names = { 0 };
    enum hr_status status = HR_OK;
    unsigned long runs = 0;
    for (int i = 1; i < argc && status == HR_OK; i++)
        status = hr_os_walk(&names, argv[i], true);
    for (size_t i = 0; i < names.count && status == HR_OK; i++)
        status = run(names.items[i], &runs);
    if (status != HR_OK)
        fprintf(stderr, "scarce: %s\n", hr_last_message());
    else
        printf("%zu inputs, %lu allocations failed\n", names.count, runs);
    hr_names_fini(&names);
    return status != HR_OK || runs == 0;
}
