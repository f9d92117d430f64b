/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a weight file of any format: what opens has tensors whose every element can be read,
 * and is the same after it was written in each format and opened again; a save may fail only for a
 * reason that can be seen in the store. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
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

/* May this tensor be lost or refused in the format? */
static bool cannot_be_kept(const struct hr_store *store, size_t i, enum hr_format format)
{
    const char *name = hr_store_name(store, i);
    const enum hr_dtype dtype = hr_store_tensor(store, i)->dtype;
    if (format == HR_FORMAT_SAFETENSORS)
        return !hr_utf8_valid(name, strlen(name)) || strcmp(name, "__metadata__") == 0;
    if (strlen(name) >= 1024 || strstr(name, "@@")) /* too long; a table of Paddle's */
        return true;
    if (format == HR_FORMAT_TORCH)
        return dtype == HR_DTYPE_U16 || dtype == HR_DTYPE_U32 || dtype == HR_DTYPE_U64;
    return dtype == HR_DTYPE_U16;
}

static bool all_can_be_kept(const struct hr_store *store, enum hr_format format)
{
    for (size_t i = 0; i < hr_store_count(store); i++)
        if (cannot_be_kept(store, i, format))
            return false;
    return hr_store_count(store) > 0 || format != HR_FORMAT_TORCH; /* no tensors: no state dict */
}

static void save_and_compare(const struct hr_store *store, const char *path, enum hr_format format)
{
    struct hr_store *back = NULL;
    const bool kept = all_can_be_kept(store, format);
    const enum hr_status status = hr_store_save(store, path, format);
    if (kept && status != HR_OK)
        abort();
    if (status == HR_OK && hr_store_open(&back, path) == HR_OK) {
        if (kept)
            compare(store, back);
    } else if (kept) {
        abort();
    }
    hr_store_destroy(back);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_store *first = NULL;
    char path[64];
    if (hr_store_open_memory(&first, data, size, "fuzz") != HR_OK)
        return 0;
    snprintf(path, sizeof path, "%s/hrnet_fuzz_store_%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    save_and_compare(first, path, HR_FORMAT_SAFETENSORS);
    save_and_compare(first, path, HR_FORMAT_PADDLE);
    save_and_compare(first, path, HR_FORMAT_TORCH);
    hr_store_destroy(first);
    return 0;
}
