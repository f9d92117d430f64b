/* SPDX-License-Identifier: Apache-2.0
 * The readers and writers behind store.h.  A reader adds views into data[0..size), which outlives
 * the store, or owned tensors; on failure the store is thrown away by the caller.  `name` is for
 * messages. */
#ifndef HR_TENSOR_FORMATS_H
#define HR_TENSOR_FORMATS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/bytes.h"
#include "base/text.h"
#include "tensor/store.h"
#include "wire/zip.h"

enum hr_status hr_safetensors_read(struct hr_store *store, const void *data, size_t size,
                                   const char *name) HR_WARN_UNUSED;
enum hr_status hr_safetensors_write(const struct hr_store *store, const char *path) HR_WARN_UNUSED;

enum hr_status hr_paddle_read(struct hr_store *store, const void *data, size_t size,
                              const char *name) HR_WARN_UNUSED;
enum hr_status hr_paddle_write(const struct hr_store *store, const char *path) HR_WARN_UNUSED;

#define HR_PADDLE_NAME_TABLE "StructuredToParameterName@@"
#define HR_PADDLE_TRAILER    "\x80\x04}X\x0a\0\0\0" HR_METADATA_NAME

/* Paddle-Lite's .nb: the parameters alone, under its own names. */
bool hr_paddle_lite_magic(const void *data, size_t size);
enum hr_status hr_paddle_lite_read(struct hr_store *store, const void *data, size_t size,
                                   const char *name) HR_WARN_UNUSED;

enum hr_status hr_torch_zip_read(struct hr_store *store, const void *data, size_t size,
                                 const char *name) HR_WARN_UNUSED;
enum hr_status hr_torch_zip_write(const struct hr_store *store, const char *path) HR_WARN_UNUSED;

/* The stream of pickles that PyTorch wrote before 1.6 starts with a magic number. */
bool hr_torch_legacy_magic(const void *data, size_t size);
enum hr_status hr_torch_legacy_read(struct hr_store *store, const void *data, size_t size,
                                    const char *name) HR_WARN_UNUSED;

/* The store's metadata as a JSON object of strings, and as its text. */
#define HR_METADATA_NAME "hrnet.json" /* of that text in a Paddle or PyTorch file */
enum hr_status hr_metadata_add(struct hr_store *store, const json_t *object,
                               const char *file) HR_WARN_UNUSED;
enum hr_status hr_metadata_parse(struct hr_store *store, struct hr_span text,
                                 const char *file) HR_WARN_UNUSED;
enum hr_status hr_metadata_object(json_t **out, const struct hr_store *store) HR_WARN_UNUSED;
enum hr_status hr_metadata_print(struct hr_text *out, const struct hr_store *store) HR_WARN_UNUSED;

/* What the deflated entries of an archive may still become, all together: 64 MiB, or 16 times the
 * file.  too_large: what is wrong then, and the cure, behind "NAME: its deflated ". */
struct hr_unpacking {
    struct hr_store *store;
    const char *name, *too_large;
    size_t left;
};
struct hr_unpacking hr_unpacking_of(struct hr_store *store, size_t file_size, const char *name,
                                    const char *too_large);
/* An entry's bytes: as they lie in the archive, or unpacked into memory of the store. */
enum hr_status hr_unpack(struct hr_unpacking *u, const struct hr_zip_entry *entry,
                         struct hr_span *out) HR_WARN_UNUSED;

/* Bytes of a tensor of this shape; a failure names file and tensor. */
enum hr_status hr_tensor_bytes_of(size_t *out, const struct hr_tensor *t, const char *file,
                                  const char *tensor) HR_WARN_UNUSED;

/* Writes tensor `index` row-major and little-endian to the file; false after a write error. */
bool hr_tensor_stream(const struct hr_store *store, size_t index, FILE *file);

#endif
