/* SPDX-License-Identifier: Apache-2.0
 * Files, folders and clocks.  Every failure names the path and the system's reason. */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

/* Folders inside folders; deeper trees are a mistake or an attack. */
#define WALK_DEPTH 64

static enum hr_status fail_errno(const char *path, const char *what)
{
    const int code = errno;
    const enum hr_status status = code == ENOENT || code == ENOTDIR ? HR_E_NOT_FOUND : HR_E_IO;
    return hr_fail(status, "%s: %s: %s", path, what, strerror(code));
}

enum hr_status hr_map_open(struct hr_map *map, const char *path)
{
    struct stat info;
    enum hr_status status = HR_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang here */
    if (fd < 0)
        return fail_errno(path, "cannot open");
    if (fstat(fd, &info) != 0) {
        status = fail_errno(path, "cannot look at");
    } else if (S_ISDIR(info.st_mode)) {
        status = hr_fail(HR_E_IO, "%s: is a folder, a file is wanted", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = hr_fail(HR_E_IO, "%s: is not a regular file", path);
    } else if (info.st_size == 0) {
        *map = (struct hr_map){ (const uint8_t *)"", 0 };
    } else {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = fail_errno(path, "cannot map");
        else
            *map = (struct hr_map){ data, (size_t)info.st_size };
    }
    close(fd);
    return status;
}

void hr_map_close(struct hr_map *map)
{
    if (map->size > 0)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct hr_map){ 0 };
}

void hr_map_forget(const void *data, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* Only whole pages inside: their neighbours may still be in use. */
    const uintptr_t begin = ((uintptr_t)data + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)data + size) / page * page;
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static enum hr_status read_stream(FILE *file, const char *path, size_t limit, uint8_t **out,
                                  size_t *size)
{
    uint8_t *data = NULL;
    size_t used = 0, capacity = 0;
    enum hr_status status;
    for (;;) {
        if ((status = hr_mem_grow((void **)&data, &capacity, used + 65536, 1)) != HR_OK)
            break;
        const size_t got = fread(data + used, 1, capacity - used, file);
        used += got;
        if (used > limit) {
            status = hr_fail(HR_E_LIMIT, "%s: longer than the limit of %zu bytes", path, limit);
            break;
        }
        if (got == 0) {
            status = ferror(file) ? fail_errno(path, "cannot read") : HR_OK;
            break;
        }
    }
    if (status == HR_OK) {
        *out = data;
        *size = used;
        data = NULL;
    }
    hr_mem_free(data);
    return status;
}

enum hr_status hr_file_read(const char *path, size_t limit, uint8_t **out, size_t *size)
{
    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "standard input", limit, out, size);
    FILE *file = fopen(path, "rbe");
    if (!file)
        return fail_errno(path, "cannot open");
    const enum hr_status status = read_stream(file, path, limit, out, size);
    fclose(file);
    return status;
}

/* ---- Folders ---- */

enum hr_os_kind hr_os_kind(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return HR_OS_NONE;
    return S_ISREG(info.st_mode) ? HR_OS_FILE : S_ISDIR(info.st_mode) ? HR_OS_FOLDER : HR_OS_OTHER;
}

uint64_t hr_os_file_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
}

enum hr_status hr_names_add(struct hr_names *names, const char *name)
{
    HR_TRY(hr_mem_grow((void **)&names->items, &names->capacity, names->count + 1,
                       sizeof *names->items));
    char *copy = hr_mem_strdup(name);
    if (!copy)
        return HR_E_MEMORY;
    names->items[names->count++] = copy;
    return HR_OK;
}

static int compare_items(const void *a, const void *b)
{
    return hr_natural_compare(*(char *const *)a, *(char *const *)b);
}

void hr_names_sort_natural(struct hr_names *names)
{
    if (names->count > 1)
        qsort(names->items, names->count, sizeof *names->items, compare_items);
}

void hr_names_fini(struct hr_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        hr_mem_free(names->items[i]);
    hr_mem_free(names->items);
    *names = (struct hr_names){ 0 };
}

static enum hr_status walk(struct hr_names *out, const char *folder, bool recursive, int depth);

static enum hr_status walk_entry(struct hr_names *out, const char *path, bool recursive, int depth)
{
    struct stat link, target;
    if (lstat(path, &link) != 0 || stat(path, &target) != 0)
        return HR_OK; /* vanished, or a link to nowhere */
    if (S_ISREG(target.st_mode))
        return hr_names_add(out, path);
    if (S_ISDIR(link.st_mode) && recursive)
        return walk(out, path, recursive, depth + 1);
    return HR_OK;
}

static enum hr_status walk(struct hr_names *out, const char *folder, bool recursive, int depth)
{
    if (depth > WALK_DEPTH)
        return hr_fail(HR_E_LIMIT, "%s: folders nest deeper than %d", folder, WALK_DEPTH);
    DIR *dir = opendir(folder);
    if (!dir)
        return fail_errno(folder, "cannot read the folder");
    const size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    enum hr_status status = HR_OK;
    for (const struct dirent *entry; status == HR_OK && (entry = readdir(dir));) {
        struct hr_text path = { 0 };
        if (entry->d_name[0] == '.')
            continue;
        hr_text_printf(&path, "%s%s%s", folder, slash, entry->d_name);
        status = path.status;
        if (status == HR_OK)
            status = walk_entry(out, path.data, recursive, depth);
        hr_text_fini(&path);
    }
    closedir(dir);
    return status;
}

enum hr_status hr_os_walk(struct hr_names *out, const char *folder, bool recursive)
{
    struct hr_names found = { 0 };
    enum hr_status status = walk(&found, folder, recursive, 0);
    hr_names_sort_natural(&found);
    for (size_t i = 0; i < found.count && status == HR_OK; i++)
        status = hr_names_add(out, found.items[i]);
    hr_names_fini(&found);
    return status;
}

enum hr_status hr_os_make_folders(const char *path)
{
    char *part = hr_mem_strdup(path);
    enum hr_status status = HR_OK;
    if (!part)
        return HR_E_MEMORY;
    for (char *at = part + 1; status == HR_OK && *part; at++) {
        const char held = *at;
        if (held != '/' && held != '\0')
            continue;
        *at = '\0';
        if (mkdir(part, 0777) != 0 && !(errno == EEXIST && hr_os_kind(part) == HR_OS_FOLDER))
            status = fail_errno(part, "cannot create the folder");
        *at = held;
        if (held == '\0')
            break;
    }
    hr_mem_free(part);
    return status;
}

char *hr_os_folder(const char *path)
{
    const size_t length = (size_t)(hr_os_base_name(path) - path);
    return length ? hr_mem_strndup(path, length) : hr_mem_strdup(".");
}

const char *hr_os_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *hr_os_program(void)
{
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || (size_t)length >= sizeof path - 1)
        return NULL;
    path[length] = '\0';
    return hr_mem_strdup(path);
}

uint64_t hr_os_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
