/* SPDX-License-Identifier: Apache-2.0
 * gRPC server reflection, v1 and v1alpha (their messages are the same): grpcurl and its like ask
 * which services there are and how their messages look. */
#ifndef HR_SERVE_REFLECT_H
#define HR_SERVE_REFLECT_H

#include "base/bytes.h"
#include "base/compiler.h"
#include "serve/grpc.h"

/* A table for hr_grpc_options; the services that are told are those of the same server's tables. */
extern const struct hr_grpc_method hr_reflection_methods[];

/* The serialised FileDescriptorProto of a file ("oip.proto") or of the file that defines a symbol
 * ("inference.ModelInferRequest"); static memory.  HR_E_NOT_FOUND. */
enum hr_status hr_reflect_file(struct hr_span *out, const char *file_name) HR_WARN_UNUSED;
enum hr_status hr_reflect_symbol(struct hr_span *out, const char *symbol) HR_WARN_UNUSED;

#endif
