/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a label file: what parses gives one name a class. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/labels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_labels labels = { 0 };
    if (hr_labels_parse(&labels, data, size, "fuzz") != HR_OK)
        return 0;
    for (size_t i = 0; i < labels.count; i++)
        if (!labels.names[i] || strchr(labels.names[i], '\n'))
            abort();
    hr_labels_fini(&labels);
    return 0;
}
