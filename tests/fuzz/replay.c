/* SPDX-License-Identifier: Apache-2.0
 * The plain main of every fuzz target: runs it on all files of the folders and files given, and on
 * the first half of each, so that a corpus is a normal test. */
#include <stdint.h>
#include <stdio.h>

#include "base/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hr_status replay(const char *path)
{
    struct hr_map map = { 0 };
    HR_TRY(hr_map_open(&map, path));
    (void)LLVMFuzzerTestOneInput(map.data, map.size);
    (void)LLVMFuzzerTestOneInput(map.data, map.size / 2);
    hr_map_close(&map);
    return HR_OK;
}

int main(int argc, char **argv)
{
    struct hr_names names = { 0 };
    enum hr_status status = HR_OK;
    for (int i = 1; i < argc && status == HR_OK; i++)
        status = hr_os_kind(argv[i]) == HR_OS_FOLDER ? hr_os_walk(&names, argv[i], true)
                                                     : hr_names_add(&names, argv[i]);
    if (status == HR_OK && names.count == 0)
        status = hr_fail(HR_E_NOT_FOUND, "no inputs to replay");
    for (size_t i = 0; i < names.count && status == HR_OK; i++)
        status = replay(names.items[i]);
    if (status != HR_OK)
        fprintf(stderr, "replay: %s\n", hr_last_message());
    else
        printf("%zu inputs replayed\n", names.count);
    hr_names_fini(&names);
    return status != HR_OK;
}
