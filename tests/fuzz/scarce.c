/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target on all files and folders given once for each allocation that it makes,
 * which fails; until none does. */
#include <stdio.h>

#include "hostile.h"
#include "inputs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const struct hr_map *input, unsigned long *runs)
{
    bool failed = true;
    (void)LLVMFuzzerTestOneInput(input->data, input->size); /* what is made once is made */
    for (unsigned n = 0; failed; n++, ++*runs) {
        hostile_memory_fail(n);
        (void)LLVMFuzzerTestOneInput(input->data, input->size);
        failed = hostile_memory_restore();
    }
}

int main(int argc, char **argv)
{
    size_t inputs;
    unsigned long runs = 0;
    const enum hr_status status = inputs_each(argc, argv, run, &inputs, &runs);
    if (status != HR_OK)
        fprintf(stderr, "scarce: %s\n", hr_last_message());
    else
        printf("%zu inputs, %lu allocations failed\n", inputs, runs);
    return status != HR_OK || runs == 0;
}
