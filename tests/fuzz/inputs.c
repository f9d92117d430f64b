/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs.h"

static enum hr_status run_file(const char *path,
                               void (*run)(const struct hr_map *input, unsigned long *runs),
                               unsigned long *runs)
{
    struct hr_map map = { 0 };
    HR_TRY(hr_map_open(&map, path));
    run(&map, runs);
    hr_map_close(&map);
    return HR_OK;
}

enum hr_status inputs_each(int argc, char **argv,
                           void (*run)(const struct hr_map *input, unsigned long *runs),
                           size_t *inputs, unsigned long *runs)
{
    struct hr_names names = { 0 };
    enum hr_status status = HR_OK;
    for (int i = 1; i < argc && status == HR_OK; i++)
        status = hr_os_kind(argv[i]) == HR_OS_FOLDER ? hr_os_walk(&names, argv[i], true)
                                                     : hr_names_add(&names, argv[i]);
    if (status == HR_OK && names.count == 0)
        status = hr_fail(HR_E_NOT_FOUND, "no inputs");
    for (size_t i = 0; i < names.count && status == HR_OK; i++)
        status = run_file(names.items[i], run, runs);
    *inputs = names.count;
    hr_names_fini(&names);
    return status;
}
