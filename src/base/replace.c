/* SPDX-License-Identifier: Apache-2.0
 * Replacing a file whole or not at all (declared in os.h).
 * The one idea: write a hidden neighbour, flush it to the disk, then rename: rename is atomic
 * within one folder (POSIX.1-2008, rename). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"

#define NAME_TRIES 100 /* leftovers of killed programs with this process id: never so many */

static enum hr_status fail_write(const char *path, int error)
{
    return hr_fail(HR_E_IO, "%s: cannot write: %s", path,
                   error == ENOENT ? "there is no such folder" : strerror(error));
}

/* Creates "folder/.name.PID.N.tmp" beside path; *fd is open for writing. */
static enum hr_status create_neighbour(const char *path, char **out, int *fd)
{
    static atomic_uint counter; /* two threads may write into one folder */
    const char *base = hr_os_base_name(path);
    for (unsigned tries = 0; tries < NAME_TRIES; tries++) {
        struct hr_text name = { 0 };
        hr_text_add_bytes(&name, path, (size_t)(base - path));
        hr_text_printf(&name, ".%.100s.%ld.%u.tmp", base, (long)getpid(),
                       atomic_fetch_add(&counter, 1));
        char *taken = NULL;
        const enum hr_status status = hr_text_take(&name, &taken);
        hr_text_fini(&name);
        if (status != HR_OK)
            return status;
        *fd = open(taken, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0) {
            *out = taken;
            return HR_OK;
        }
        const int error = errno;
        hr_mem_free(taken);
        if (error != EEXIST) {
            return fail_write(path, error);
        }
    }
    return fail_write(path, EEXIST);
}

/* A link keeps pointing where it did: its target is what is replaced. */
static char *resolve_link(const char *path)
{
    char resolved[PATH_MAX];
    struct stat st;
    const bool is_link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    return hr_mem_strdup(is_link && realpath(path, resolved) ? resolved : path);
}

enum hr_status hr_replace_begin(struct hr_replace *r, const char *path)
{
    struct hr_replace made = { 0 };
    int fd = -1;
    enum hr_status status = HR_OK;
    const enum hr_os_kind kind = hr_os_kind(path);
    if (kind == HR_OS_FOLDER || *path == '\0') {
        return hr_fail(HR_E_IO, "%s: cannot write: %s, a file is wanted", path,
                       *path ? "it is a folder" : "the name is empty");
    }
    made.path = resolve_link(path);
    if (!made.path) {
        return HR_E_MEMORY;
    }
    if (kind == HR_OS_OTHER) {
        /* A device or pipe has no old content to keep, and replacing it would destroy it. */
        fd = open(made.path, O_WRONLY | O_CLOEXEC);
        status = fd < 0 ? fail_write(path, errno) : HR_OK;
    } else {
        status = create_neighbour(made.path, &made.temporary, &fd);
    }
    struct stat st;
    if (status == HR_OK && kind == HR_OS_FILE && stat(made.path, &st) == 0) {
        /* Permissions stay, but not set-user-ID: the new file may belong to someone else. */
        (void)fchmod(fd, st.st_mode & 0777);
    }
    if (status == HR_OK) {
        made.file = fdopen(fd, "wb");
        if (!made.file) {
            status = fail_write(path, errno);
        }
    }
    if (status != HR_OK) {
        if (fd >= 0) {
            (void)close(fd);
        }
        hr_replace_abort(&made);
        return status;
    }
    *r = made;
    return HR_OK;
}

/* The rename itself reaches the disk only with the folder.  Some file systems cannot flush a
 * folder; then the rename is as safe as they make it. */
static void flush_folder(const char *path)
{
    char *folder = hr_os_folder(path);
    const int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    hr_mem_free(folder);
}

enum hr_status hr_replace_commit(struct hr_replace *r)
{
    if (!r->file) {
        return hr_fail(HR_E_INTERNAL, "a file is committed that is not open");
    }
    int error = 0;
    if (fflush(r->file) != 0 || ferror(r->file)) {
        error = errno ? errno : EIO;
    } else if (r->temporary && fsync(fileno(r->file)) != 0) {
        error = errno;
    }
    if (fclose(r->file) != 0 && !error) {
        error = errno;
    }
    r->file = NULL;
    if (!error && r->temporary && rename(r->temporary, r->path) != 0) {
        error = errno;
    }
    enum hr_status status = HR_OK;
    if (error) {
        status = fail_write(r->path, error);
    } else if (r->temporary) {
        hr_mem_free(r->temporary);
        r->temporary = NULL;
        flush_folder(r->path);
    }
    hr_replace_abort(r);
    return status;
}

void hr_replace_abort(struct hr_replace *r)
{
    if (r->file) {
        (void)fclose(r->file);
    }
    if (r->temporary) {
        (void)unlink(r->temporary);
    }
    hr_mem_free(r->temporary);
    hr_mem_free(r->path);
    *r = (struct hr_replace){ 0 };
}
