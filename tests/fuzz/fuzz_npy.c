/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a .npy file or an .npz archive: what parses is written, parsed again and equal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct hr_tensor *tensor)
{
    const struct hr_tensor first = *tensor;
    struct hr_tensor second;
    struct hr_buffer written = { 0 };
    size_t elements;
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
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_tensor tensor;
    struct hr_store *store;
    if (hr_npy_parse(&tensor, data, size, "fuzz") == HR_OK)
        round_trip(&tensor);
    if (hr_store_create(&store) != HR_OK)
        return 0;
    if (hr_npz_read(store, data, size, "fuzz") == HR_OK)
        for (size_t i = 0; i < hr_store_count(store); i++)
            round_trip(hr_store_tensor(store, i));
    hr_store_destroy(store);
    return 0;
}
