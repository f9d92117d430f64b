/* SPDX-License-Identifier: Apache-2.0
 * Records of event files: the bytes of one, and that what comes back is what went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "wire/event.pb-c.h"
#include "wire/message.h"
#include "wire/tfrecord.h"

static size_t record_of(const Hr__Event *event, uint8_t *out, size_t size)
{
    FILE *const file = fmemopen(out, size, "wb");
    assert_non_null(file);
    assert_int_equal(hr_tfrecord_write(&event->base, file), HR_OK);
    const long end = ftell(file);
    assert_int_equal(fclose(file), 0);
    return (size_t)end;
}

/* The first record of every event file, as TensorFlow writes it: 9 bytes wall time, 15 version. */
static void the_first_record(void **state)
{
    Hr__Event event = HR__EVENT__INIT;
    char version[] = "brain.Event:2";
    uint8_t bytes[128];
    (void)state;
    event.has_wall_time = 1;
    event.wall_time = 1.0;
    event.file_version = version;
    const size_t size = record_of(&event, bytes, sizeof bytes);
    assert_int_equal(size, 12 + 24 + 4);
    assert_int_equal(hr_load_u64le(bytes), 24);
    /* CRC-32C of the length's eight bytes, masked: the same in any event file of such a record. */
    assert_int_equal(hr_load_u32le(bytes + 8), hr_tfrecord_mask(hr_crc32c(bytes, 8)));
    assert_int_equal(hr_load_u32le(bytes + 8), 0x224b7fa3);
    assert_memory_equal(bytes + 12,
                        "\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0d"
                        "brain.Event:2",
                        24);
    assert_int_equal(hr_load_u32le(bytes + 36), hr_tfrecord_mask(hr_crc32c(bytes + 12, 24)));
}

static void a_scalar_comes_back(void **state)
{
    Hr__Event event = HR__EVENT__INIT;
    Hr__EventSummary summary = HR__EVENT_SUMMARY__INIT;
    Hr__EventValue value = HR__EVENT_VALUE__INIT, *values[] = { &value };
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *read = NULL;
    char tag[] = "train/loss";
    uint8_t bytes[128];
    (void)state;
    event.has_step = 1;
    event.step = 70000;
    event.summary = &summary;
    summary.n_value = 1;
    summary.value = values;
    value.tag = tag;
    value.has_simple_value = 1;
    value.simple_value = 0.25f;
    const size_t size = record_of(&event, bytes, sizeof bytes);
    assert_int_equal(
        hr_message_read(&read, &memory, &hr__event__descriptor, bytes + 12, size - 16, "record"),
        HR_OK);
    const Hr__Event *const back = (const Hr__Event *)read;
    assert_int_equal(back->step, 70000);
    assert_string_equal(back->summary->value[0]->tag, "train/loss");
    assert_true(back->summary->value[0]->simple_value > 0.24f);
    hr_message_memory_fini(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_record),
        cmocka_unit_test(a_scalar_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
