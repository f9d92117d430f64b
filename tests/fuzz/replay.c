/* SPDX-License-Identifier: Apache-2.0
 * The plain main of every fuzz target: runs it on all files of the folders and files given, on
 * every cut of the small ones and on mutations that are the same each time, so that a corpus is a
 * normal test. */
#include <stdio.h>
#include <stdlib.h>

#include "hostile.h"
#include "inputs.h"

#define SMALL     1500 /* bytes: longer files are cut in half only */
#define MUTATIONS 1000 /* of each file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(void *context, const uint8_t *data, size_t size)
{
    unsigned long *runs = context;
    (void)LLVMFuzzerTestOneInput(data, size);
    ++*runs;
}

static void replay(const struct hr_map *input, unsigned long *runs)
{
    hostile_copy(input->data, input->size, run, runs);
    if (input->size <= SMALL)
        hostile_cuts(input->data, input->size, run, runs);
    else
        hostile_copy(input->data, input->size / 2, run, runs);
    hostile_mutations(input->data, input->size, (uint32_t)input->size, MUTATIONS, run, runs);
}

int main(int argc, char **argv)
{
    size_t inputs;
    unsigned long runs = 0;
    const enum hr_status status = inputs_each(argc, argv, replay, &inputs, &runs);
    if (status != HR_OK)
        fprintf(stderr, "replay: %s\n", hr_last_message());
    else
        printf("%zu inputs replayed, %lu runs\n", inputs, runs);
    return status != HR_OK;
}
