/* SPDX-License-Identifier: Apache-2.0
 * ONNX files: a graph with its weights, read and written. */
#ifndef HR_EXCHANGE_ONNX_H
#define HR_EXCHANGE_ONNX_H

#include <stdio.h>

#include "exchange/import.h"

/* Does it begin as an ONNX file does? */
bool hr_onnx_sniff(const void *data, size_t size);

/* Reads a graph for one picture; the weights live in the store, with the file's metadata.  folder:
 * where external data may lie, NULL for nowhere.  HR_E_UNSUPPORTED names the node. */
enum hr_status hr_onnx_read(struct hr_graph **graph, struct hr_store **weights,
                            struct hr_foreign *is, const void *data, size_t size, const char *name,
                            const char *folder) HR_WARN_UNUSED;

#endif
