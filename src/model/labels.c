/* SPDX-License-Identifier: Apache-2.0
 * Label files.  The first line decides: if it begins with a number and a blank, every line is
 * "id name" and the ids are a permutation of 0..count-1; otherwise every line is a name.  A name
 * may hold commas and blanks, and may occur twice ("crane" does). */
#include "model/labels.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/imagenet_names.h"

#define MAX_LABELS 1000000 /* far above any class count; bounds the table */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Takes one line without its end; false at the end of the text. */
static bool next_line(struct hr_span *text, struct hr_span *line)
{
    const uint8_t *end;
    size_t length;

    if (text->size == 0)
        return false;
    end = memchr(text->data, '\n', text->size);
    length = end ? (size_t)(end - text->data) : text->size;
    line->data = text->data;
    line->size = length;
    text->data += end ? length + 1 : length;
    text->size -= end ? length + 1 : length;
    while (line->size > 0 &&
           (line->data[line->size - 1] == '\r' || is_blank(line->data[line->size - 1])))
        line->size--;
    while (line->size > 0 && is_blank(line->data[0])) {
        line->data++;
        line->size--;
    }
    return true;
}

/* Drops a byte-order mark and the blank lines at the end. */
static struct hr_span trim(const void *data, size_t size)
{
    struct hr_span text = { data, size };

    if (size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
        text.data += 3;
        text.size -= 3;
    }
    while (text.size > 0 && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r' ||
                             is_blank(text.data[text.size - 1])))
        text.size--;
    return text;
}

/* Splits "id name"; false if the line does not begin with a number and a blank. */
static bool split_id(struct hr_span *line, uint64_t *id)
{
    size_t digits = 0;
    uint64_t value = 0;

    while (digits < line->size && line->data[digits] >= '0' && line->data[digits] <= '9') {
        if (value < UINT64_MAX / 16) /* larger ids are out of range anyway */
            value = value * 10 + (uint64_t)(line->data[digits] - '0');
        digits++;
    }
    if (digits == 0 || digits == line->size || !is_blank(line->data[digits]))
        return false;
    while (digits < line->size && is_blank(line->data[digits]))
        digits++;
    line->data += digits;
    line->size -= digits;
    *id = value;
    return true;
}

static enum hr_status count_lines(struct hr_span text, const char *name, size_t *count)
{
    struct hr_span line;

    *count = 0;
    while (next_line(&text, &line)) {
        ++*count;
        if (*count > MAX_LABELS)
            return hr_fail(HR_E_LIMIT, "%s: more than %d label lines", name, MAX_LABELS);
        if (line.size == 0)
            return hr_fail(HR_E_FORMAT, "%s: line %zu is blank: a label file has one class a line",
                           name, *count);
        if (memchr(line.data, 0, line.size) || !hr_utf8_valid((const char *)line.data, line.size))
            return hr_fail(HR_E_FORMAT, "%s: line %zu is not UTF-8 text: convert the file to UTF-8",
                           name, *count);
    }
    if (*count == 0)
        return hr_fail(HR_E_FORMAT, "%s: the label file is empty", name);
    return HR_OK;
}

/* Fills names[count]; their text goes to `bytes`, which has room for all lines and zeros. */
static enum hr_status fill(char **names, size_t count, char *bytes, struct hr_span text,
                           const char *name)
{
    struct hr_span line;
    size_t index = 0;
    uint64_t id = 0;
    bool with_ids = false;

    for (; next_line(&text, &line); index++) {
        struct hr_span rest = line;
        bool has_id = split_id(&rest, &id);

        if (index == 0)
            with_ids = has_id;
        if (with_ids && !has_id)
            return hr_fail(HR_E_FORMAT, "%s: line %zu has no 'id name' although the first line has",
                           name, index + 1);
        if (with_ids)
            line = rest;
        else
            id = index;
        if (id >= count)
            return hr_fail(HR_E_FORMAT,
                           "%s: line %zu has id %" PRIu64 " but the file has %zu lines, so ids end "
                           "at %zu: a line is missing, or ids do not start at 0",
                           name, index + 1, id, count, count - 1);
        if (names[id])
            return hr_fail(HR_E_FORMAT, "%s: line %zu has id %" PRIu64 " for the second time", name,
                           index + 1, id);
        memcpy(bytes, line.data, line.size);
        bytes[line.size] = 0;
        names[id] = bytes;
        bytes += line.size + 1;
    }
    return HR_OK;
}

enum hr_status hr_labels_parse(struct hr_labels *out, const void *data, size_t size,
                               const char *name)
{
    struct hr_span text = trim(data, size);
    enum hr_status status;
    size_t count, bytes;
    char **names;

    HR_TRY(count_lines(text, name, &count));
    if (!hr_size_add(&bytes, text.size + 1, count * (sizeof(char *) + 1)))
        return hr_fail(HR_E_LIMIT, "%s: too large", name);
    names = hr_mem_alloc(bytes, 1);
    if (!names)
        return HR_E_MEMORY;
    status = fill(names, count, (char *)(names + count), text, name);
    if (status != HR_OK) {
        hr_mem_free(names);
        return status;
    }
    *out = (struct hr_labels){ names, count };
    return HR_OK;
}

enum hr_status hr_labels_copy(struct hr_labels *out, const char *const *source, size_t count)
{
    size_t bytes = count * sizeof(char *);
    char **names, *text;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(source[i]) + 1;
    names = hr_mem_alloc(bytes, 1);
    if (!names)
        return HR_E_MEMORY;
    text = (char *)(names + count);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(source[i]) + 1;

        memcpy(text, source[i], length);
        names[i] = text;
        text += length;
    }
    *out = (struct hr_labels){ names, count };
    return HR_OK;
}

enum hr_status hr_labels_imagenet(struct hr_labels *out)
{
    return hr_labels_copy(out, hr_imagenet_names, HR_IMAGENET_CLASSES);
}

void hr_labels_fini(struct hr_labels *labels)
{
    hr_mem_free(labels->names);
    *labels = (struct hr_labels){ 0 };
}
