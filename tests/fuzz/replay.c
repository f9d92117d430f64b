/* SPDX-License-Identifier: Apache-2.0
 * The plain main of every fuzz target: runs it on all files of the folders and files given, on
 * every cut of the small ones and on mutations that are the same each time, so that a corpus is a
 * normal test. */
#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "hostile.h"

#define SMALL     1500 /* bytes: longer files are cut in half only */
#define MUTATIONS 1000 /* of each file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(void *context, const uint8_t *data, size_t size)
{
    unsigned long *runs = context;
    (void)LLVMFuzzerTestOneInput(data, size);
    ++*runs;
}

static enum hr_status replay(const char *path, unsigned long *runs)
{
    struct hr_map map = { 0 };
    HR_TRY(hr_map_open(&map, path));
    hostile_copy(map.data, map.size, run, runs);
    if (map.size <= SMALL)
        hostile_cuts(map.data, map.size, run, runs);
    else
        hostile_copy(map.data, map.size / 2, run, runs);
    hostile_mutations(map.data, map.size, (uint32_t)map.size, MUTATIONS, run, runs);
    hr_map_close(&map);
    return HR_OK;
}

int main(int argc, char **argv)
{
    struct hr_names names = { 0 };
    enum hr_status status = HR_OK;
    unsigned long runs = 0;
    for (int i = 1; i < argc && status == HR_OK; i++)
        status = hr_os_kind(argv[i]) == HR_OS_FOLDER ? hr_os_walk(&names, argv[i], true)
                                                     : hr_names_add(&names, argv[i]);
    if (status == HR_OK && names.count == 0)
        status = hr_fail(HR_E_NOT_FOUND, "no inputs to replay");
    for (size_t i = 0; i < names.count && status == HR_OK; i++)
        status = replay(names.items[i], &runs);
    if (status != HR_OK)
        fprintf(stderr, "replay: %s\n", hr_last_message());
    else
        printf("%zu inputs replayed, %lu runs\n", names.count, runs);
    hr_names_fini(&names);
    return status != HR_OK;
}
