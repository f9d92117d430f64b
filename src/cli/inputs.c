/* SPDX-License-Identifier: Apache-2.0
 * Operands to inputs, inputs to bytes. */
#include "cli/inputs.h"

#include <glob.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/fetch.h"

#define LIST_LIMIT ((size_t)1 << 30) /* bytes of a list file */

static bool is_picture_name(const char *path)
{
    static const char *const suffixes[] = {
        "jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm", "pbm"
    };
    const char *dot = strrchr(hr_os_base_name(path), '.');
    for (size_t i = 0; dot && i < HR_COUNT(suffixes); i++)
        if (hr_text_same(dot + 1, suffixes[i]))
            return true;
    return false;
}

static enum hr_status expand_folder(struct hr_names *out, const char *folder)
{
    struct hr_names found = { 0 };
    enum hr_status status = hr_os_walk(&found, folder, true);
    for (size_t i = 0; i < found.count && status == HR_OK; i++)
        if (is_picture_name(found.items[i]))
            status = hr_names_add(out, found.items[i]);
    hr_names_fini(&found);
    return status;
}

static enum hr_status expand_glob(struct hr_names *out, const char *pattern)
{
    glob_t matches;
    struct hr_names sorted = { 0 };
    enum hr_status status = HR_OK;
    if (glob(pattern, GLOB_NOSORT, NULL, &matches) != 0)
        return hr_fail(HR_E_NOT_FOUND, "%s: no file matches", pattern);
    for (size_t i = 0; i < matches.gl_pathc && status == HR_OK; i++)
        status = hr_names_add(&sorted, matches.gl_pathv[i]);
    globfree(&matches);
    hr_names_sort_natural(&sorted);
    for (size_t i = 0; i < sorted.count && status == HR_OK; i++)
        status = hr_os_kind(sorted.items[i]) == HR_OS_FOLDER ? expand_folder(out, sorted.items[i])
                                                             : hr_names_add(out, sorted.items[i]);
    hr_names_fini(&sorted);
    return status;
}

enum hr_status hr_inputs_expand(struct hr_names *out, const char *operand)
{
    if (!operand[0])
        return hr_fail(HR_E_ARGUMENT, "the name of a picture is empty");
    if (strcmp(operand, "-") == 0 || hr_fetch_is_address(operand))
        return hr_names_add(out, operand);
    if (hr_os_kind(operand) == HR_OS_FOLDER)
        return expand_folder(out, operand);
    if (hr_os_kind(operand) == HR_OS_NONE && strpbrk(operand, "*?["))
        return expand_glob(out, operand);
    return hr_names_add(out, operand);
}

enum hr_status hr_inputs_list(struct hr_names *out, const char *path, bool zero)
{
    uint8_t *data = NULL;
    size_t size = 0;
    HR_TRY(hr_file_read(path, LIST_LIMIT, &data, &size));
    enum hr_status status = HR_OK;
    for (size_t at = 0; at < size && status == HR_OK;) {
        const uint8_t *end = memchr(data + at, zero ? '\0' : '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        const size_t next = at + length + 1;
        if (!zero && length > 0 && data[at + length - 1] == '\r')
            length--;
        char *name = length ? hr_mem_strndup((const char *)data + at, length) : NULL;
        if (length)
            status = name ? hr_names_add(out, name) : HR_E_MEMORY;
        hr_mem_free(name);
        at = next;
    }
    hr_mem_free(data);
    return status;
}

enum hr_status hr_input_open(struct hr_input *input, const char *name, size_t limit)
{
    enum hr_status status;
    if (strcmp(name, "-") == 0) {
        status = hr_file_read(name, limit, &input->block, &input->size);
        input->data = input->block;
    } else if (hr_fetch_is_address(name)) {
        status = hr_fetch_memory(name, limit, &input->block, &input->size);
        input->data = input->block;
    } else {
        status = hr_map_open(&input->map, name);
        input->data = input->map.data;
        input->size = input->map.size;
    }
    return status;
}

void hr_input_close(struct hr_input *input)
{
    hr_map_close(&input->map);
    hr_mem_free(input->block);
    *input = (struct hr_input){ 0 };
}
