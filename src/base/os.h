/* SPDX-License-Identifier: Apache-2.0
 * Files, folders and clocks of the operating system. */
#ifndef HR_BASE_OS_H
#define HR_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/status.h"

/* A read-only private mapping of a whole file.  Zero-initialised is empty and closable. */
struct hr_map {
    const uint8_t *data; /* "" for an empty file, never NULL after open */
    size_t size;
};
/* HR_E_NOT_FOUND if there is no such file, HR_E_IO otherwise (a folder, no permission, ...). */
enum hr_status hr_map_open(struct hr_map *map, const char *path) HR_WARN_UNUSED;
void hr_map_close(struct hr_map *map);
/* Tells the system that [data, data+size) of a mapping will not be read again soon, so that it no
 * longer counts as resident memory; reading it again is slow but right. */
void hr_map_forget(const void *data, size_t size);

/* Reads a whole file (path "-" is standard input) of at most `limit` bytes into memory of
 * hr_mem_alloc.  HR_E_LIMIT when it is longer. */
enum hr_status hr_file_read(const char *path, size_t limit, uint8_t **out,
                            size_t *size) HR_WARN_UNUSED;

/* Writes a file so that PATH holds either the old or the whole new content whatever happens:
 * a temporary neighbour, fsync, rename.  begin; write to ->file; commit or abort (both end it,
 * abort after commit is harmless). */
struct hr_replace {
    FILE *file;
    char *path, *temporary;
};
enum hr_status hr_replace_begin(struct hr_replace *r, const char *path) HR_WARN_UNUSED;
enum hr_status hr_replace_commit(struct hr_replace *r) HR_WARN_UNUSED;
void hr_replace_abort(struct hr_replace *r);

enum hr_os_kind { HR_OS_NONE, HR_OS_FILE, HR_OS_FOLDER, HR_OS_OTHER };
enum hr_os_kind hr_os_kind(const char *path);
uint64_t hr_os_file_bytes(const char *path); /* 0 where there is no such file */

/* Growing list of strings, owned.  Zero-initialise. */
struct hr_names {
    char **items;
    size_t count, capacity;
};
enum hr_status hr_names_add(struct hr_names *names, const char *name) HR_WARN_UNUSED;
void hr_names_sort_natural(struct hr_names *names);
void hr_names_fini(struct hr_names *names);

/* Appends every regular file below `folder`, in natural order of the whole path; hidden files
 * (leading dot) are left out; symbolic links to files are followed, to folders not (no cycles). */
enum hr_status hr_os_walk(struct hr_names *out, const char *folder, bool recursive) HR_WARN_UNUSED;

/* Creates the folder and its parents (mode 0777 & ~umask). */
enum hr_status hr_os_make_folders(const char *path) HR_WARN_UNUSED;

/* What is before the last '/', with it; "." where there is none.  Owned; NULL without memory. */
char *hr_os_folder(const char *path);
/* The part behind the last '/'. */
const char *hr_os_base_name(const char *path);

/* The running program's own file, links resolved.  Owned; NULL where the system does not tell. */
char *hr_os_program(void);

/* Monotonic clock, nanoseconds. */
uint64_t hr_os_now_ns(void);

#endif
