/* SPDX-License-Identifier: Apache-2.0
 * Data sets.  Everything that can be wrong with them is found here, before hours are lost. */
#include "train/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
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
    hr_mem_free(set->lines);
    hr_mem_free(set->several);
    *set = (struct hr_dataset){ 0 };
}

static enum hr_status add(struct hr_dataset *set, const char *path, int32_t label, size_t line)
{
    HR_TRY(hr_mem_grow((void **)&set->labels, &set->label_capacity, set->paths.count + 1,
                       sizeof *set->labels));
    HR_TRY(hr_mem_grow((void **)&set->lines, &set->line_capacity, set->paths.count + 1,
                       sizeof *set->lines));
    HR_TRY(hr_names_add(&set->paths, path));
    set->labels[set->paths.count - 1] = label;
    set->lines[set->paths.count - 1] = line;
    set->unlabelled += label < 0;
    if (label >= set->class_count)
        set->class_count = label + 1;
    return HR_OK;
}

/* What is read, into what, and who is told. */
struct reader {
    struct hr_dataset *set;
    const char *path, *root; /* of the list or folder; below which a list's paths are */
    hr_dataset_told *told;   /* or NULL: the first problem is a failure */
    void *context;
    size_t line;
};

/* A problem with the data: a failure, or told. */
static enum hr_status problem(const struct reader *r, enum hr_status status)
{
    if (status == HR_OK || status == HR_E_MEMORY || !r->told)
        return status;
    r->told(r->context, status, hr_last_message());
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

static enum hr_status add_class(const struct reader *r, int32_t label)
{
    struct hr_names files = { 0 };
    char *path = NULL;
    const char *const name = r->set->classes.items[label];
    enum hr_status status = joined(&path, r->path, name, strlen(name));
    if (status == HR_OK)
        status = hr_os_walk(&files, path, true);
    for (size_t i = 0; status == HR_OK && i < files.count; i++)
        status = add(r->set, files.items[i], label, 0);
    if (status == HR_OK && files.count == 0)
        status = problem(r, hr_fail(HR_E_FORMAT, "%s: the class has no pictures", path));
    hr_mem_free(path);
    hr_names_fini(&files);
    return status;
}

static enum hr_status open_folder(const struct reader *r)
{
    struct hr_dataset *const set = r->set;
    HR_TRY(class_folders(&set->classes, r->path));
    if (set->classes.count < 2 || set->classes.count > MAX_CLASSES)
        return hr_fail(HR_E_NOT_FOUND,
                       "%s holds %zu folders: a data set has a folder for each class, at least two",
                       r->path, set->classes.count);
    for (size_t i = 0; i < set->classes.count; i++)
        HR_TRY(add_class(r, (int32_t)i));
    set->class_count = (int32_t)set->classes.count;
    return HR_OK;
}

/* ---- Lists ---- */

/* "0,1,0": one digit a class, as many on every line. */
static enum hr_status add_several(const struct reader *r, const char *path, const char *digits)
{
    struct hr_dataset *const set = r->set;
    const size_t classes = (strlen(digits) + 1) / 2, row = set->paths.count;
    if (row > 0 && (!set->several || classes != (size_t)set->class_count))
        return hr_fail(HR_E_FORMAT, "%s: line %zu has %zu labels, the lines before it %d", r->path,
                       r->line, classes, set->several ? set->class_count : 1);
    HR_TRY(hr_mem_grow((void **)&set->several, &set->several_capacity, (row + 1) * classes, 1));
    int32_t first = -1;
    for (size_t k = 0; k < classes; k++) {
        const char digit = digits[2 * k], then = digits[2 * k + 1];
        if ((digit != '0' && digit != '1') || then != (k + 1 < classes ? ',' : '\0'))
            return hr_fail(HR_E_FORMAT, "%s: line %zu: '%.40s' is not a row of 0 and 1 with commas",
                           r->path, r->line, digits);
        set->several[row * classes + k] = digit == '1';
        first = first < 0 && digit == '1' ? (int32_t)k : first;
    }
    HR_TRY(add(set, path, first < 0 ? 0 : first, r->line));
    set->class_count = (int32_t)classes;
    return HR_OK;
}

static enum hr_status add_label(const struct reader *r, const char *path, const char *digits)
{
    int64_t label;
    if (strchr(digits, ','))
        return add_several(r, path, digits);
    if (r->set->several)
        return hr_fail(HR_E_FORMAT, "%s: line %zu has 1 label, the lines before it %d", r->path,
                       r->line, r->set->class_count);
    if (hr_parse_i64(digits, &label) != HR_OK || label < (r->set->takes_unlabelled ? -1 : 0) ||
        label >= MAX_CLASSES)
        return hr_fail(HR_E_FORMAT, "%s: line %zu: label '%.40s' is not a number from 0 to %d",
                       r->path, r->line, digits, MAX_CLASSES - 1);
    return add(r->set, path, (int32_t)label, r->line);
}

/* "path label", a blank or a tab between: the last of them, so that paths may have blanks. */
static enum hr_status add_line(const struct reader *r, const char *line, size_t length)
{
    size_t end = length, from;
    while (end > 0 && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    for (from = end; from > 0 && line[from - 1] != ' ' && line[from - 1] != '\t'; from--)
        ;
    if (end == 0)
        return HR_OK;
    if (memchr(line, '\0', length))
        return hr_fail(HR_E_FORMAT, "%s: line %zu holds a zero byte", r->path, r->line);
    if (from <= 1)
        return hr_fail(HR_E_FORMAT, "%s: line %zu is not 'path label'", r->path, r->line);
    char *path = NULL, *const label = hr_mem_strndup(line + from, end - from);
    enum hr_status status = label ? joined(&path, r->root, line, from - 1) : HR_E_MEMORY;
    if (status == HR_OK)
        status = add_label(r, path, label);
    hr_mem_free(path);
    hr_mem_free(label);
    return status;
}

static enum hr_status add_lines(struct reader *r, const char *text, size_t size)
{
    const size_t mark = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    for (size_t at = mark; at < size;) {
        const char *const line = text + at;
        const char *const end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        at += length + 1;
        r->line++;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        HR_TRY(problem(r, add_line(r, line, length)));
    }
    return HR_OK;
}

/* Picture i becomes picture `to`, which is not behind it. */
static void move_picture(struct hr_dataset *set, size_t to, size_t i)
{
    const size_t classes = (size_t)set->class_count;
    if (to == i)
        return;
    set->paths.items[to] = set->paths.items[i];
    set->paths.items[i] = NULL;
    set->labels[to] = set->labels[i];
    set->lines[to] = set->lines[i];
    if (set->several)
        memcpy(set->several + to * classes, set->several + i * classes, classes);
}

/* Tells of every file that is not there, and takes it out. */
static enum hr_status drop_missing(const struct reader *r)
{
    struct hr_dataset *const set = r->set;
    size_t kept = 0;
    for (size_t i = 0; i < set->paths.count; i++) {
        if (hr_os_kind(set->paths.items[i]) == HR_OS_FILE) {
            move_picture(set, kept++, i);
            continue;
        }
        HR_TRY(problem(r, hr_fail(HR_E_NOT_FOUND, "%s: line %zu: there is no file %s", r->path,
                                  set->lines[i], set->paths.items[i])));
        hr_mem_free(set->paths.items[i]);
        set->paths.items[i] = NULL;
    }
    set->paths.count = kept;
    return HR_OK;
}

static enum hr_status check_files(const struct reader *r)
{
    struct hr_dataset *const set = r->set;
    const size_t all = set->paths.count;
    size_t missing = 0, first = 0;
    for (size_t i = all; i-- > 0;)
        if (hr_os_kind(set->paths.items[i]) != HR_OS_FILE) {
            missing++;
            first = i;
        }
    if (missing == 0)
        return HR_OK;
    if (!r->told)
        return hr_fail(HR_E_NOT_FOUND, "%s: %zu of %zu pictures are not there, the first is %s",
                       r->path, missing, all, set->paths.items[first]);
    return drop_missing(r);
}

static enum hr_status open_list(struct reader *r)
{
    struct hr_text own = { 0 };
    const char *const base = hr_os_base_name(r->path);
    uint8_t *data = NULL;
    size_t size = 0;
    hr_text_add_bytes(&own, r->path, (size_t)(base - r->path));
    hr_text_add(&own, ".");
    enum hr_status status = own.status;
    if (status == HR_OK)
        status = hr_file_read(r->path, MAX_LIST_BYTES, &data, &size);
    if (status == HR_OK) {
        r->root = r->root ? r->root : hr_text_str(&own);
        status = add_lines(r, (const char *)data, size);
    }
    if (status == HR_OK && r->set->paths.count == 0)
        status = hr_fail(HR_E_FORMAT, "%s lists no pictures", r->path);
    if (status == HR_OK)
        status = check_files(r);
    hr_text_fini(&own);
    hr_mem_free(data);
    return status;
}

/* ---- All ---- */

static enum hr_status open_any(struct hr_dataset *out, struct reader *r, bool unlabelled)
{
    struct hr_dataset set = { .takes_unlabelled = unlabelled };
    const char *const path = r->path;
    r->set = &set;
    const enum hr_os_kind kind = hr_os_kind(path);
    enum hr_status status;
    if (kind == HR_OS_FOLDER)
        status = open_folder(r);
    else if (kind == HR_OS_NONE)
        status = hr_fail(HR_E_NOT_FOUND, "%s: there is no such folder or list", path);
    else
        status = open_list(r);
    if (status == HR_OK)
        *out = set;
    else
        hr_dataset_fini(&set);
    return status;
}

enum hr_status hr_dataset_open_told(struct hr_dataset *out, const char *path, const char *root,
                                    hr_dataset_told *told, void *context)
{
    struct reader r = { .path = path, .root = root, .told = told, .context = context };
    return open_any(out, &r, false);
}

enum hr_status hr_dataset_open_unlabelled(struct hr_dataset *out, const char *path,
                                          const char *root)
{
    struct reader r = { .path = path, .root = root };
    return open_any(out, &r, true);
}

enum hr_status hr_dataset_open(struct hr_dataset *out, const char *path, const char *root)
{
    return hr_dataset_open_told(out, path, root, NULL, NULL);
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

/* From a stream of its own. */
void hr_dataset_shuffle(size_t *order, size_t count, uint64_t seed, uint64_t epoch)
{
    struct hr_random random = hr_random_of(seed, epoch << 8 | 1);
    hr_random_permute(&random, order, count);
}

void hr_dataset_targets(const struct hr_dataset *set, size_t index, float *targets)
{
    for (size_t k = 0; k < (size_t)set->class_count; k++)
        targets[k] = set->several ? (float)set->several[index * (size_t)set->class_count + k]
                                  : (float)((size_t)set->labels[index] == k);
}

/* ---- Classes ---- */

/* The pictures of each class together: those of class k are sorted[start[k]] up to start[k + 1], in
 * the set's order.  All of `several` are one class. */
struct groups {
    size_t *start, *sorted, count;
};

static void groups_fini(struct groups *g)
{
    hr_mem_free(g->start);
    hr_mem_free(g->sorted);
}

static enum hr_status groups_init(struct groups *g, const struct hr_dataset *set)
{
    g->count = set->several ? 1 : (size_t)set->class_count;
    g->start = hr_mem_alloc(g->count + 2, sizeof *g->start);
    g->sorted = hr_mem_alloc(set->paths.count, sizeof *g->sorted);
    if (!g->start || !g->sorted) {
        groups_fini(g);
        return HR_E_MEMORY;
    }
    for (size_t i = 0; i < set->paths.count; i++)
        g->start[(set->several ? 0 : (size_t)set->labels[i]) + 2]++;
    for (size_t k = 2; k < g->count + 2; k++)
        g->start[k] += g->start[k - 1];
    for (size_t i = 0; i < set->paths.count; i++)
        g->sorted[g->start[(set->several ? 0 : (size_t)set->labels[i]) + 1]++] = i;
    return HR_OK;
}

/* Puts the pictures of each class into an order of its own. */
static enum hr_status groups_shuffle(struct groups *g, uint64_t seed, uint64_t use)
{
    const size_t all = g->start[g->count];
    size_t *const order = hr_mem_alloc(all, sizeof *order);
    size_t *const copy = hr_mem_alloc(all, sizeof *copy);
    if (order && copy) {
        memcpy(copy, g->sorted, all * sizeof *copy);
        for (size_t k = 0; k < g->count; k++) {
            struct hr_random random = hr_random_of(seed, use);
            random = hr_random_of(hr_random_next(&random), k);
            const size_t from = g->start[k], count = g->start[k + 1] - from;
            hr_random_permute(&random, order, count);
            for (size_t i = 0; i < count; i++)
                g->sorted[from + i] = copy[from + order[i]];
        }
    }
    const bool enough = order && copy;
    hr_mem_free(copy);
    hr_mem_free(order);
    return enough ? HR_OK : HR_E_MEMORY;
}

/* How many of `count` pictures `share` is. */
static size_t part_of(size_t count, double share)
{
    const size_t part = (size_t)lround((double)count * share);
    if (count < 2 || share <= 0.0)
        return 0;
    return part < 1 ? 1 : part > count - 1 ? count - 1 : part;
}

static enum hr_status copy_picture(struct hr_dataset *to, const struct hr_dataset *set, size_t i)
{
    const size_t classes = (size_t)set->class_count, row = to->paths.count;
    if (set->several) {
        HR_TRY(hr_mem_grow((void **)&to->several, &to->several_capacity, (row + 1) * classes, 1));
        memcpy(to->several + row * classes, set->several + i * classes, classes);
    }
    return add(to, set->paths.items[i], set->labels[i], set->lines[i]);
}

/* taken[i]: picture i goes to `out`, else to `rest`; the order stays. */
static enum hr_status part(const struct hr_dataset *set, const bool *taken, struct hr_dataset *rest,
                           struct hr_dataset *out)
{
    for (size_t i = 0; i < set->paths.count; i++)
        HR_TRY(copy_picture(taken[i] ? out : rest, set, i));
    for (size_t k = 0; k < set->classes.count; k++) {
        HR_TRY(hr_names_add(&rest->classes, set->classes.items[k]));
        HR_TRY(hr_names_add(&out->classes, set->classes.items[k]));
    }
    rest->class_count = out->class_count = set->class_count;
    return HR_OK;
}

enum hr_status hr_dataset_split(struct hr_dataset *set, double share, uint64_t seed,
                                struct hr_dataset *out)
{
    struct groups g = { 0 };
    struct hr_dataset rest = { 0 }, moved = { 0 };
    HR_TRY(groups_init(&g, set));
    bool *const taken = hr_mem_alloc(set->paths.count, sizeof *taken);
    enum hr_status status = taken ? groups_shuffle(&g, seed, 5) : HR_E_MEMORY;
    for (size_t k = 0; status == HR_OK && k < g.count; k++)
        for (size_t i = 0; i < part_of(g.start[k + 1] - g.start[k], share); i++)
            taken[g.sorted[g.start[k] + i]] = true;
    if (status == HR_OK)
        status = part(set, taken, &rest, &moved);
    if (status == HR_OK && moved.paths.count == 0)
        status = hr_fail(HR_E_ARGUMENT, "no class has two pictures: none can be held back");
    if (status == HR_OK) {
        hr_dataset_fini(set);
        *set = rest;
        *out = moved;
    } else {
        hr_dataset_fini(&rest);
        hr_dataset_fini(&moved);
    }
    hr_mem_free(taken);
    groups_fini(&g);
    return status;
}

enum hr_status hr_dataset_balance(size_t *order, const struct hr_dataset *set, uint64_t seed,
                                  uint64_t epoch)
{
    const size_t count = set->paths.count;
    struct groups g = { 0 };
    HR_TRY(groups_init(&g, set));
    size_t *const places = hr_mem_alloc(count, sizeof *places);
    enum hr_status status = places ? groups_shuffle(&g, seed, epoch << 8 | 6) : HR_E_MEMORY;
    if (status == HR_OK) {
        hr_dataset_shuffle(places, count, seed, epoch);
        size_t used = 0;
        for (size_t round = 0; used < count; round++) /* one of every class a round */
            for (size_t k = 0; k < g.count && used < count; k++) {
                const size_t own = g.start[k + 1] - g.start[k];
                if (own > 0)
                    order[places[used++]] = g.sorted[g.start[k] + round % own];
            }
    }
    hr_mem_free(places);
    groups_fini(&g);
    return status;
}
