/* SPDX-License-Identifier: Apache-2.0
 * Data sets.  Everything that can be wrong with them is found here, before hours are lost. */
#include "train/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/rng.h"
#include "base/text.h"

#define MAX_CLASSES    (1 << 20)
#define MAX_LIST_BYTES ((size_t)1 << 30)

void hr_dataset_fini(struct hr_dataset *set)
{
    hr_names_fini(&set->paths);
    hr_names_fini(&set->classes);
    hr_mem_free(set->labels);
    *set = (struct hr_dataset){ 0 };
}

static enum hr_status add(struct hr_dataset *set, const char *path, int32_t label)
{
    HR_TRY(hr_mem_grow((void **)&set->labels, &set->label_capacity, set->paths.count + 1,
                       sizeof *set->labels));
    HR_TRY(hr_names_add(&set->paths, path));
    set->labels[set->paths.count - 1] = label;
    if (label >= set->class_count)
        set->class_count = label + 1;
    return HR_OK;
}

/* ---- Folders ---- */

static enum hr_status joined(char **out, const char *folder, const char *name, size_t length)
{
    struct hr_text text = { 0 };
    hr_text_printf(&text, "%s/", folder);
    hr_text_add_bytes(&text, name, length);
    return hr_text_take(&text, out);
}

static enum hr_status class_folders(struct hr_names *out, const char *folder)
{
    DIR *const stream = opendir(folder);
    enum hr_status status = HR_OK;
    if (!stream)
        return hr_fail(HR_E_IO, "%s: cannot read the folder: %s", folder, strerror(errno));
    for (struct dirent *entry; status == HR_OK && (entry = readdir(stream));) {
        char *path = NULL;
        if (entry->d_name[0] == '.')
            continue;
        status = joined(&path, folder, entry->d_name, strlen(entry->d_name));
        if (status == HR_OK && hr_os_kind(path) == HR_OS_FOLDER)
            status = hr_names_add(out, entry->d_name);
        hr_mem_free(path);
    }
    closedir(stream);
    hr_names_sort_natural(out);
    return status;
}

static enum hr_status add_class(struct hr_dataset *set, const char *folder, int32_t label)
{
    struct hr_names files = { 0 };
    char *path = NULL;
    const char *const name = set->classes.items[label];
    enum hr_status status = joined(&path, folder, name, strlen(name));
    if (status == HR_OK)
        status = hr_os_walk(&files, path, true);
    for (size_t i = 0; status == HR_OK && i < files.count; i++)
        status = add(set, files.items[i], label);
    if (status == HR_OK && files.count == 0)
        status = hr_fail(HR_E_NOT_FOUND, "%s: the class has no pictures", path);
    hr_mem_free(path);
    hr_names_fini(&files);
    return status;
}

static enum hr_status open_folder(struct hr_dataset *set, const char *folder)
{
    HR_TRY(class_folders(&set->classes, folder));
    if (set->classes.count < 2 || set->classes.count > MAX_CLASSES)
        return hr_fail(HR_E_NOT_FOUND,
                       "%s holds %zu folders: a data set has a folder for each class, at least two",
                       folder, set->classes.count);
    for (size_t i = 0; i < set->classes.count; i++)
        HR_TRY(add_class(set, folder, (int32_t)i));
    return HR_OK;
}

/* ---- Lists ---- */

/* "path label": PaddleClas reads the first two words of a line; a path with blanks is refused. */
static enum hr_status add_line(struct hr_dataset *set, const char *root, const char *list,
                               const char *line, size_t length, size_t number)
{
    char digits[24];
    int64_t label;
    const char *const blank = memchr(line, ' ', length);
    const size_t path_length = blank ? (size_t)(blank - line) : 0;
    const size_t rest = blank ? length - path_length - 1 : 0;
    char *path = NULL;
    if (path_length == 0 || rest == 0 || rest >= sizeof digits)
        return hr_fail(HR_E_FORMAT, "%s: line %zu is not 'path label'", list, number);
    memcpy(digits, blank + 1, rest);
    digits[rest] = '\0';
    if (hr_parse_i64(digits, &label) != HR_OK || label < 0 || label >= MAX_CLASSES)
        return hr_fail(HR_E_FORMAT, "%s: line %zu: label '%s' is not a number from 0 to %d", list,
                       number, digits, MAX_CLASSES - 1);
    HR_TRY(joined(&path, root, line, path_length));
    const enum hr_status status = add(set, path, (int32_t)label);
    hr_mem_free(path);
    return status;
}

static enum hr_status add_lines(struct hr_dataset *set, const char *root, const char *list,
                                const char *text, size_t size)
{
    size_t number = 0;
    for (size_t at = 0; at < size;) {
        const char *const line = text + at;
        const char *const end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        at += length + 1;
        number++;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        if (memchr(line, '\0', length))
            return hr_fail(HR_E_FORMAT, "%s: line %zu holds a zero byte", list, number);
        if (length > 0)
            HR_TRY(add_line(set, root, list, line, length, number));
    }
    return HR_OK;
}

static enum hr_status check_files(const struct hr_dataset *set, const char *list)
{
    size_t missing = 0, first = 0;
    for (size_t i = set->paths.count; i-- > 0;)
        if (hr_os_kind(set->paths.items[i]) != HR_OS_FILE) {
            missing++;
            first = i;
        }
    if (missing == 0)
        return HR_OK;
    return hr_fail(HR_E_NOT_FOUND, "%s: %zu of %zu pictures are not there, the first is %s", list,
                   missing, set->paths.count, set->paths.items[first]);
}

static enum hr_status open_list(struct hr_dataset *set, const char *list, const char *root)
{
    struct hr_text own = { 0 };
    const char *const base = hr_os_base_name(list);
    uint8_t *data = NULL;
    size_t size = 0;
    hr_text_add_bytes(&own, list, (size_t)(base - list));
    hr_text_add(&own, ".");
    enum hr_status status = own.status;
    if (status == HR_OK)
        status = hr_file_read(list, MAX_LIST_BYTES, &data, &size);
    if (status == HR_OK)
        status = add_lines(set, root ? root : hr_text_str(&own), list, (const char *)data, size);
    if (status == HR_OK && set->paths.count == 0)
        status = hr_fail(HR_E_FORMAT, "%s lists no pictures", list);
    if (status == HR_OK)
        status = check_files(set, list);
    hr_text_fini(&own);
    hr_mem_free(data);
    return status;
}

/* ---- All ---- */

enum hr_status hr_dataset_open(struct hr_dataset *out, const char *path, const char *root)
{
    struct hr_dataset set = { 0 };
    const enum hr_os_kind kind = hr_os_kind(path);
    enum hr_status status;
    if (kind == HR_OS_FOLDER)
        status = open_folder(&set, path);
    else if (kind == HR_OS_NONE)
        status = hr_fail(HR_E_NOT_FOUND, "%s: there is no such folder or list", path);
    else
        status = open_list(&set, path, root);
    if (status == HR_OK)
        *out = set;
    else
        hr_dataset_fini(&set);
    return status;
}

enum hr_status hr_dataset_relabel(struct hr_dataset *set, const struct hr_dataset *like)
{
    if (set->classes.count == 0 || like->classes.count == 0) {
        if (set->class_count > like->class_count)
            return hr_fail(HR_E_MISMATCH, "label %d occurs, but the training data has %d classes",
                           set->class_count - 1, like->class_count);
        return HR_OK;
    }
    int32_t *const map = hr_mem_alloc(set->classes.count, sizeof *map);
    if (!map)
        return HR_E_MEMORY;
    for (size_t i = 0; i < set->classes.count; i++) {
        size_t j = 0;
        while (j < like->classes.count &&
               strcmp(like->classes.items[j], set->classes.items[i]) != 0)
            j++;
        if (j == like->classes.count) {
            hr_mem_free(map);
            return hr_fail(HR_E_MISMATCH, "class '%s' is not in the training data",
                           set->classes.items[i]);
        }
        map[i] = (int32_t)j;
    }
    for (size_t i = 0; i < set->paths.count; i++)
        set->labels[i] = map[set->labels[i]];
    set->class_count = like->class_count;
    hr_mem_free(map);
    return HR_OK;
}

/* Fisher and Yates, from a stream of its own. */
void hr_dataset_shuffle(size_t *order, size_t count, uint64_t seed, uint64_t epoch)
{
    struct hr_random random = hr_random_of(seed, epoch << 8 | 1);
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--) {
        const size_t j = hr_random_below(&random, i), keep = order[j];
        order[j] = order[i - 1];
        order[i - 1] = keep;
    }
}
