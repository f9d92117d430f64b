/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a zip archive: the entries that unpack are written as an archive of their own, which
 * lists the same names and bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/zip.h"

#define MOST_BYTES ((uint64_t)1 << 18) /* of an entry that is looked at */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The entry's bytes, or NULL when they are too many or do not unpack. */
static uint8_t *bytes_of(const struct hr_zip_entry *entry)
{
    if (entry->size > MOST_BYTES)
        return NULL;
    uint8_t *bytes = hr_mem_alloc((size_t)entry->size, 1);
    if (bytes && !entry->deflated)
        memcpy(bytes, entry->packed.data, entry->packed.size);
    else if (bytes && hr_zip_inflate(entry, bytes, "fuzz") != HR_OK) {
        hr_mem_free(bytes);
        return NULL;
    }
    return bytes;
}

static void compare(const struct hr_zip_entry *a, size_t count, const uint8_t *data, size_t size)
{
    struct hr_arena arena = { 0 };
    struct hr_zip_entry *b;
    size_t at = 0, b_count;
    if (hr_zip_list(&b, &b_count, &arena, data, size, "again") != HR_OK)
        abort();
    for (size_t i = 0; i < count; i++) {
        uint8_t *bytes = bytes_of(&a[i]);
        if (bytes && strlen(a[i].name) <= 4096) {
            if (at == b_count || strcmp(a[i].name, b[at].name) != 0 || a[i].size != b[at].size ||
                b[at].deflated || memcmp(bytes, b[at].packed.data, (size_t)a[i].size) != 0)
                abort();
            at++;
        }
        hr_mem_free(bytes);
    }
    if (at != b_count)
        abort();
    hr_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_arena arena = { 0 };
    struct hr_zip_entry *entries;
    size_t count, written_size = 0;
    char *written = NULL;
    if (hr_zip_list(&entries, &count, &arena, data, size, "fuzz") == HR_OK) {
        struct hr_zip_writer w = { .file = open_memstream(&written, &written_size) };
        for (size_t i = 0; i < count && w.file; i++) {
            uint8_t *bytes = bytes_of(&entries[i]);
            if (bytes && strlen(entries[i].name) <= 4096 &&
                hr_zip_add(&w, entries[i].name, bytes, (size_t)entries[i].size, 64) != HR_OK)
                abort();
            hr_mem_free(bytes);
        }
        if (!w.file || hr_zip_finish(&w) != HR_OK || fclose(w.file) != 0)
            abort();
        compare(entries, count, (const uint8_t *)written, written_size);
        free(written);
    }
    hr_arena_fini(&arena);
    return 0;
}
