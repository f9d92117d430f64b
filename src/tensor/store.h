/* SPDX-License-Identifier: Apache-2.0
 * An ordered map name -> tensor that owns or maps the tensors' bytes, with string metadata; read
 * from and written to safetensors, PyTorch and Paddle files.  The format is told from the content,
 * never from the suffix. */
#ifndef HR_TENSOR_STORE_H
#define HR_TENSOR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/os.h"
#include "base/status.h"
#include "tensor/tensor.h"

struct hr_store; /* not thread-safe while it changes; any number of readers afterwards */

enum hr_format {
    HR_FORMAT_NONE, /* made in memory */
    HR_FORMAT_SAFETENSORS,
    HR_FORMAT_PADDLE,         /* .pdparams: a pickled dict of NumPy arrays */
    HR_FORMAT_TORCH,          /* .pth, zip of a pickle and storages */
    HR_FORMAT_TORCH_LEGACY,   /* .pth before PyTorch 1.6: a stream of pickles and storages */
    HR_FORMAT_ONNX,           /* these hold graphs too: exchange/ reads them */
    HR_FORMAT_PADDLE_PROGRAM, /* .pdmodel and .pdiparams */
    HR_FORMAT_PADDLE_PIR,     /* .json and .pdiparams */
    HR_FORMAT_PADDLE_LITE,    /* .nb: parameters as its optimiser left them, norms multiplied in */
};
const char *hr_format_name(enum hr_format format); /* "safetensors", "Paddle pickle", ... */

enum hr_status hr_store_create(struct hr_store **out) HR_WARN_UNUSED;
void hr_store_destroy(struct hr_store *store); /* NULL is allowed */

/* Opens a file (mapped, not read) or a block of memory (borrowed until the store is destroyed).
 * `name` is for messages.  Nothing in a pickle is executed. */
enum hr_status hr_store_open(struct hr_store **out, const char *path) HR_WARN_UNUSED;
enum hr_status hr_store_open_memory(struct hr_store **out, const void *data, size_t size,
                                    const char *name) HR_WARN_UNUSED;
enum hr_format hr_store_format(const struct hr_store *store);
void hr_store_set_format(struct hr_store *store, enum hr_format format);

/* Adds a tensor whose bytes the caller keeps alive as long as the store.  A name that exists is
 * HR_E_FORMAT.  The name is copied. */
enum hr_status hr_store_add(struct hr_store *store, const char *name,
                            const struct hr_tensor *tensor) HR_WARN_UNUSED;
/* Adds a contiguous tensor of store-owned memory for the caller to fill through *data. */
enum hr_status hr_store_add_owned(struct hr_store *store, const char *name, enum hr_dtype dtype,
                                  const struct hr_shape *shape, void **data) HR_WARN_UNUSED;
/* Memory of the store, of any content, until it dies. */
enum hr_status hr_store_alloc(struct hr_store *store, size_t bytes, void **block) HR_WARN_UNUSED;
/* Gives the store a block (of hr_mem_alloc) or a mapping to free when it dies. */
enum hr_status hr_store_take_block(struct hr_store *store, void *block) HR_WARN_UNUSED;
enum hr_status hr_store_take_map(struct hr_store *store, struct hr_map *map) HR_WARN_UNUSED;

/* Moves all mappings and blocks of `from` to `to`; afterwards `from` may only be destroyed.  Its
 * tensors' bytes live on as views of `to`. */
enum hr_status hr_store_take_memory(struct hr_store *to, struct hr_store *from) HR_WARN_UNUSED;

size_t hr_store_count(const struct hr_store *store);
const char *hr_store_name(const struct hr_store *store, size_t index);
const struct hr_tensor *hr_store_tensor(const struct hr_store *store, size_t index);
/* NULL if there is none; hashed.  Valid until the store changes. */
const struct hr_tensor *hr_store_find(const struct hr_store *store, const char *name);
/* The index under that name; false if there is none. */
bool hr_store_index(const struct hr_store *store, const char *name, size_t *index);

/* The tensor's bytes will not be read again soon: lets mapped pages leave memory. */
void hr_store_forget(const struct hr_store *store, const struct hr_tensor *tensor);

/* String metadata (safetensors __metadata__); set replaces.  get: NULL if absent. */
enum hr_status hr_store_set_meta(struct hr_store *store, const char *key,
                                 const char *value) HR_WARN_UNUSED;
const char *hr_store_meta(const struct hr_store *store, const char *key);
/* Copies all metadata of `from` to `to`, replacing. */
enum hr_status hr_store_copy_meta(struct hr_store *to, const struct hr_store *from) HR_WARN_UNUSED;
size_t hr_store_meta_count(const struct hr_store *store);
const char *hr_store_meta_key(const struct hr_store *store, size_t index);

/* Writes every tensor, in order, atomically.  HR_FORMAT_PADDLE writes pickle protocol 4 with the
 * structured-name table if metadata "paddle.names" is absent too (static names are generated);
 * HR_FORMAT_TORCH writes a stored zip that torch.load(weights_only=True) reads. */
enum hr_status hr_store_save(const struct hr_store *store, const char *path,
                             enum hr_format format) HR_WARN_UNUSED;

#endif
