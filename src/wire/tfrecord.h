/* SPDX-License-Identifier: Apache-2.0
 * The framing of TensorFlow's record files: length, its checksum, bytes, their checksum. */
#ifndef HR_WIRE_TFRECORD_H
#define HR_WIRE_TFRECORD_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* The checksum as records hold it: a CRC-32C, turned and moved, so that a checksum of data that
 * holds checksums stays one (tensorflow/core/lib/hash/crc32c.h). */
uint32_t hr_tfrecord_mask(uint32_t crc);

/* Appends a message as a record.  Errors of the stream stick to it. */
enum hr_status hr_tfrecord_write(const ProtobufCMessage *message, FILE *file) HR_WARN_UNUSED;

#endif
