/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a .npy file: what parses is written, parsed again and equal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_tensor first, second;
    struct hr_buffer written = { 0 };
    size_t elements;
    if (hr_npy_parse(&first, data, size, "fuzz") != HR_OK)
        return 0;
    if (hr_npy_write(&written, &first) == HR_OK) {
        if (hr_npy_parse(&second, written.data, written.size, "again") != HR_OK ||
            !hr_shape_equal(&first.shape, &second.shape) || first.dtype != second.dtype ||
            hr_shape_elements(&first.shape, &elements) != HR_OK)
            abort();
        const size_t bytes = elements * hr_dtype_bytes(first.dtype);
        void *rows = hr_mem_alloc(bytes, 1);
        if (rows) {
            hr_tensor_gather(rows, &first);
            if (memcmp(rows, second.data, bytes) != 0)
                abort();
        }
        hr_mem_free(rows);
    }
    hr_buffer_fini(&written);
    return 0;
}
