/* SPDX-License-Identifier: Apache-2.0
 * Failures: the table of statuses, this thread's one message, and the log callback.
 * The one idea: the sentence is written where the fault is seen, into memory that always exists,
 * so that even "out of memory" can be told. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES 1024 /* the header promises this cut */

static _Thread_local char thread_message[MESSAGE_BYTES];

static hr_log_fn *log_fn;
static void *log_context;

static const struct hr_status_info infos[] = {
#define STATUS_ROW(id, value, http, grpc, exit, text) [value] = { #id, text, http, grpc, exit },
    HR_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

const struct hr_status_info *hr_status_info(enum hr_status status)
{
    const unsigned row = (unsigned)status;
    return &infos[row < HR_COUNT(infos) ? row : (unsigned)HR_E_INTERNAL];
}

/* A message is one sentence on one line: control characters of hostile names become '?'. */
static void keep_one_line(char *text)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            *text = '?';
        }
    }
}

/* A cut must not leave half a UTF-8 character at the end of a full buffer. */
static void trim_cut_character(char *text, size_t capacity)
{
    size_t size = strlen(text);
    if (size + 1 < capacity) {
        return;
    }
    size_t lead = size;
    while (lead > 0 && size - lead < 4) {
        const unsigned char c = (unsigned char)text[--lead];
        if ((c & 0xc0) == 0x80) {
            continue;
        }
        const size_t want = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (size - lead < want) {
            text[lead] = '\0';
        }
        return;
    }
}

/* Formatted aside first: an argument may be this thread's old message. */
HR_PRINTF(1, 0) static void set_message(const char *format, va_list args)
{
    char text[MESSAGE_BYTES];
    if (vsnprintf(text, sizeof text, format, args) < 0) {
        text[0] = '\0';
    }
    keep_one_line(text);
    trim_cut_character(text, sizeof text);
    memcpy(thread_message, text, strlen(text) + 1);
}

void hr_message_set(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_message(format, args);
    va_end(args);
}

enum hr_status hr_fail_context(enum hr_status status, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    const int printed = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (printed < 0) {
        return status;
    }
    size_t used = strlen(text);
    const char *parts[] = { ": ", thread_message };
    for (size_t i = 0; i < HR_COUNT(parts); i++) {
        size_t size = strlen(parts[i]);
        if (size > sizeof text - 1 - used) {
            size = sizeof text - 1 - used;
        }
        memcpy(text + used, parts[i], size);
        used += size;
    }
    text[used] = '\0';
    keep_one_line(text);
    trim_cut_character(text, sizeof text);
    memcpy(thread_message, text, strlen(text) + 1);
    return status;
}

const char *hr_last_message(void)
{
    return thread_message;
}

void hr_log_set(hr_log_fn *fn, void *context)
{
    log_fn = fn;
    log_context = context;
}

void hr_log(enum hr_log_level level, const char *format, ...)
{
    if (!log_fn) {
        return;
    }
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    const int printed = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (printed < 0) {
        return;
    }
    keep_one_line(text);
    trim_cut_character(text, sizeof text);
    log_fn(log_context, level, text);
}
