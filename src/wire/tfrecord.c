/* SPDX-License-Identifier: Apache-2.0
 * Records of event files (tensorflow/core/lib/io/record_writer.h): little endian. */
#include "wire/tfrecord.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"

#define MASK_DELTA 0xa282ead8u

uint32_t hr_tfrecord_mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + MASK_DELTA;
}

enum hr_status hr_tfrecord_write(const ProtobufCMessage *message, FILE *file)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *const packed = hr_mem_alloc(size, 1);
    struct hr_buffer record = { 0 };
    if (!packed)
        return HR_E_MEMORY;
    protobuf_c_message_pack(message, packed);
    hr_buffer_put_u64le(&record, size);
    hr_buffer_put_u32le(&record, hr_tfrecord_mask(hr_crc32c(record.data, record.size)));
    hr_buffer_put(&record, packed, size);
    hr_buffer_put_u32le(&record, hr_tfrecord_mask(hr_crc32c(packed, size)));
    const enum hr_status status = record.status;
    if (status == HR_OK)
        (void)fwrite(record.data, 1, record.size, file);
    hr_buffer_fini(&record);
    hr_mem_free(packed);
    return status;
}
