/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a weight file of any format: what opens has tensors whose every element can be read,
 * and is the same after it was written as safetensors and opened again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tensor/store.h"

#define MOST_ELEMENTS ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Row-major bytes of a tensor; NULL for one too large to look at. */
static void *rows_of(const struct hr_tensor *t, size_t *bytes)
{
    size_t elements;
    if (hr_shape_elements(&t->shape, &elements) != HR_OK)
        abort();
    *bytes = elements * hr_dtype_bytes(t->dtype);
    void *rows =
        elements <= MOST_ELEMENTS ? hr_mem_alloc(elements, hr_dtype_bytes(t->dtype)) : NULL;
    if (rows)
        hr_tensor_gather(rows, t);
    return rows;
}

static void compare(const struct hr_store *a, const struct hr_store *b)
{
    if (hr_store_count(a) != hr_store_count(b))
        abort();
    for (size_t i = 0; i < hr_store_count(a); i++) {
        const struct hr_tensor *x = hr_store_tensor(a, i);
        const struct hr_tensor *y = hr_store_find(b, hr_store_name(a, i));
        size_t x_bytes, y_bytes;
        if (!y || x->dtype != y->dtype || !hr_shape_equal(&x->shape, &y->shape))
            abort();
        void *x_rows = rows_of(x, &x_bytes), *y_rows = rows_of(y, &y_bytes);
        if (x_bytes != y_bytes || (x_rows && y_rows && memcmp(x_rows, y_rows, x_bytes) != 0))
            abort();
        hr_mem_free(x_rows);
        hr_mem_free(y_rows);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_store *first = NULL, *second = NULL;
    char path[64];
    if (hr_store_open_memory(&first, data, size, "fuzz") != HR_OK)
        return 0;
    snprintf(path, sizeof path, "/tmp/hrnet_fuzz_store_%ld", (long)getpid());
    /* Names that are not UTF-8 cannot be written; that is a status, not a crash. */
    if (hr_store_save(first, path, HR_FORMAT_SAFETENSORS) == HR_OK) {
        if (hr_store_open(&second, path) != HR_OK)
            abort();
        compare(first, second);
        unlink(path);
    }
    hr_store_destroy(second);
    hr_store_destroy(first);
    return 0;
}
