/* SPDX-License-Identifier: Apache-2.0
 * A door for the format tests: `store_tool list FILE` prints name, type, shape and SHA-256 of every
 * tensor; `store_tool save IN OUT safetensors|paddle|torch` writes it in another format. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tensor/store.h"

static int fail(enum hr_status status)
{
    fprintf(stderr, "store_tool: %s\n", hr_last_message());
    return hr_status_info(status)->exit;
}

static enum hr_status list(const struct hr_store *store)
{
    for (size_t i = 0; i < hr_store_count(store); i++) {
        const struct hr_tensor *t = hr_store_tensor(store, i);
        struct hr_sha256 h;
        uint8_t digest[32];
        char hex[65];
        size_t elements;
        HR_TRY(hr_shape_elements(&t->shape, &elements));
        void *rows = hr_mem_alloc(elements, hr_dtype_bytes(t->dtype));
        if (!rows)
            return HR_E_MEMORY;
        hr_tensor_gather(rows, t);
        hr_sha256_init(&h);
        hr_sha256_update(&h, rows, elements * hr_dtype_bytes(t->dtype));
        hr_sha256_final(&h, digest);
        hr_hex(hex, digest);
        printf("%s\t%s\t%s\t%s\n", hr_store_name(store, i), hr_dtype_name(t->dtype),
               hr_shape_str(&t->shape).s, hex);
        hr_mem_free(rows);
    }
    return HR_OK;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum hr_format format;
    } formats[] = { { "safetensors", HR_FORMAT_SAFETENSORS },
                    { "paddle", HR_FORMAT_PADDLE },
                    { "torch", HR_FORMAT_TORCH } };
    struct hr_store *store = NULL;
    enum hr_status status;
    if (argc < 3)
        return 2;
    if ((status = hr_store_open(&store, argv[2])) != HR_OK)
        return fail(status);
    if (strcmp(argv[1], "list") == 0)
        status = list(store);
    for (size_t i = 0; argc == 5 && i < HR_COUNT(formats); i++)
        if (strcmp(argv[4], formats[i].name) == 0)
            status = hr_store_save(store, argv[3], formats[i].format);
    hr_store_destroy(store);
    return status == HR_OK ? 0 : fail(status);
}
