/* SPDX-License-Identifier: Apache-2.0
 * Zip archives as PyTorch and NumPy use them (PKWARE APPNOTE 6.3.10): entries are read in place
 * through the central directory and written stored, each payload aligned.  Our own and not a
 * library's, because a stored entry must become a view of the mapped file, which no library
 * offers. */
#ifndef HR_WIRE_ZIP_H
#define HR_WIRE_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/status.h"

struct hr_zip_entry {
    const char *name;      /* zero-terminated, in the arena */
    struct hr_span packed; /* the entry's bytes as they lie in the archive */
    uint64_t size;         /* unpacked */
    bool deflated;
};

/* Lists the entries of data[0..size), which must outlive them.  Ranges are checked; two entries may
 * not share bytes, so that all of them together are no larger than the archive (stored) or than
 * 1032 times it (deflate's own limit). */
enum hr_status hr_zip_list(struct hr_zip_entry **entries, size_t *count, struct hr_arena *arena,
                           const void *data, size_t size, const char *name) HR_WARN_UNUSED;

/* Inflates a deflated entry into out[entry->size]. */
enum hr_status hr_zip_inflate(const struct hr_zip_entry *entry, void *out,
                              const char *name) HR_WARN_UNUSED;

/* Writes an archive of stored entries to a stream.  Zero-initialise with .file set; a write error
 * sticks to the stream.  hr_zip_finish writes the directory and frees. */
struct hr_zip_writer {
    FILE *file;
    uint64_t offset, count;
    struct hr_buffer directory;
};
/* align: the payload starts at a multiple of it (a power of two up to 4096; 1 for any). */
enum hr_status hr_zip_add(struct hr_zip_writer *writer, const char *name, const void *data,
                          size_t size, size_t align) HR_WARN_UNUSED;
enum hr_status hr_zip_finish(struct hr_zip_writer *writer) HR_WARN_UNUSED;

/* An archive of what `fill` adds takes the place of path's file once it is complete; on failure the
 * old file stays. */
typedef enum hr_status hr_zip_fill_fn(struct hr_zip_writer *writer, const void *context);
enum hr_status hr_zip_save(const char *path, hr_zip_fill_fn *fill,
                           const void *context) HR_WARN_UNUSED;

#endif
