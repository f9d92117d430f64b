/* SPDX-License-Identifier: Apache-2.0
 * The file of winners, text of at most LIMIT bytes:
 *   hrnet-tuning 1
 *   machine AMD EPYC; hrnet 0.1.0, ...
 *   3 1 1 144 144 7 7 conv_winograd_f4_avx512     kernel stride pad c k h w name; one line a shape
 *   sum 0123456789abcdef                          FNV-1a of all before
 * Every byte of it is hostile. */
#include "plan/tuning.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

#define LIMIT ((size_t)1 << 20) /* 10,000 shapes; networks have 50 */
#define FIRST "hrnet-tuning 1\n"

void hr_tuning_fini(struct hr_tuning *t)
{
    hr_mem_free(t->rows);
    *t = (struct hr_tuning){ 0 };
}

struct hr_tuning_row hr_tuning_row(const struct hr_conv_shape *s, const char *name)
{
    struct hr_tuning_row row = { { s->kernel, s->stride, s->pad, (int64_t)s->c, (int64_t)s->k,
                                   (int64_t)s->h, (int64_t)s->w },
                                 "" };
    strncpy(row.name, name, sizeof row.name - 1);
    return row;
}

/* "avx2" of "conv_direct_avx2". */
static const char *isa_of(const char *name)
{
    const char *last = strrchr(name, '_');
    return last ? last + 1 : name;
}

static struct hr_tuning_row *find(const struct hr_tuning *t, const struct hr_tuning_row *like,
                                  const char *isa)
{
    for (size_t i = 0; i < t->count; i++)
        if (memcmp(t->rows[i].shape, like->shape, sizeof like->shape) == 0 &&
            strcmp(isa_of(t->rows[i].name), isa) == 0)
            return &t->rows[i];
    return NULL;
}

enum hr_status hr_tuning_put(struct hr_tuning *t, const struct hr_tuning_row *row)
{
    struct hr_tuning_row *old = find(t, row, isa_of(row->name));
    if (!old) {
        HR_TRY(hr_mem_grow((void **)&t->rows, &t->capacity, t->count + 1, sizeof *t->rows));
        old = &t->rows[t->count++];
    }
    *old = *row;
    return HR_OK;
}

const char *hr_tuning_find(const struct hr_tuning *t, const struct hr_conv_shape *shape,
                           const char *isa)
{
    const struct hr_tuning_row like = hr_tuning_row(shape, "");
    const struct hr_tuning_row *row = find(t, &like, isa);
    return row ? row->name : NULL;
}

/* ---- Text ---------------------------------------------------------------------------------- */

static enum hr_status print(const struct hr_tuning *t, const char *machine, struct hr_text *out)
{
    hr_text_printf(out, FIRST "machine %s\n", machine);
    for (size_t i = 0; i < t->count; i++) {
        for (size_t j = 0; j < HR_COUNT(t->rows[i].shape); j++)
            hr_text_printf(out, "%lld ", (long long)t->rows[i].shape[j]);
        hr_text_printf(out, "%s\n", t->rows[i].name);
    }
    if (out->status == HR_OK)
        hr_text_printf(out, "sum %016llx\n", (unsigned long long)hr_hash_text(out->data));
    return out->status;
}

/* The next line of *at, which is moved behind it, as a string; NULL at the end. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = '\0';
    *at = end + 1;
    return line;
}

static bool parse_row(struct hr_tuning_row *row, char *line)
{
    *row = (struct hr_tuning_row){ 0 };
    for (size_t i = 0; i < HR_COUNT(row->shape); i++) {
        char *blank = strchr(line, ' ');
        if (!blank)
            return false;
        *blank = '\0';
        if (hr_parse_i64(line, &row->shape[i]) != HR_OK)
            return false;
        line = blank + 1;
    }
    if (!line[0] || strlen(line) >= sizeof row->name || strchr(line, ' '))
        return false;
    memcpy(row->name, line, strlen(line));
    return true;
}

/* Cuts off the last line, whose sum must be that of the lines before. */
static bool sum_is_right(char *text)
{
    const size_t size = strlen(text), tail = strlen("sum 0123456789abcdef\n");
    char want[24];
    if (size < tail)
        return false;
    char *last = text + size - tail;
    char kept[24];
    memcpy(kept, last, tail + 1);
    *last = '\0';
    snprintf(want, sizeof want, "sum %016llx\n", (unsigned long long)hr_hash_text(text));
    return strcmp(kept, want) == 0;
}

/* Rows of a file's text, which is taken apart.  HR_E_FORMAT when it is damaged; of another version
 * or machine it is empty. */
static enum hr_status parse(struct hr_tuning *out, char *text, const char *machine)
{
    struct hr_tuning_row row;
    if (!sum_is_right(text))
        return HR_E_FORMAT;
    char *at = text;
    const char *first = next_line(&at), *owner = next_line(&at);
    if (!first || !owner || strcmp(first, "hrnet-tuning 1") != 0 ||
        strncmp(owner, "machine ", 8) != 0 || strcmp(owner + 8, machine) != 0)
        return HR_OK;
    for (char *line = next_line(&at); line; line = next_line(&at)) {
        if (!parse_row(&row, line))
            return HR_E_FORMAT;
        HR_TRY(hr_tuning_put(out, &row));
    }
    return HR_OK;
}

/* ---- Files --------------------------------------------------------------------------------- */

enum hr_status hr_tuning_read(struct hr_tuning *out, const char *path, const char *machine)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (hr_os_kind(path) == HR_OS_NONE)
        return HR_OK;
    struct hr_tuning read = { 0 };
    struct hr_text text = { 0 };
    enum hr_status status = hr_file_read(path, LIMIT, &bytes, &size);
    if (status == HR_OK && memchr(bytes, '\0', size))
        status = HR_E_FORMAT;
    if (status == HR_OK) {
        hr_text_add_bytes(&text, (const char *)bytes, size);
        hr_text_add(&text, "");
        status = text.status;
    }
    if (status == HR_OK)
        status = text.data ? parse(&read, text.data, machine) : HR_E_FORMAT;
    if (status == HR_OK) {
        *out = read;
        read = (struct hr_tuning){ 0 };
    } else if (status != HR_E_MEMORY) {
        hr_log(HR_LOG_WARNING,
               "%s cannot be read as a file of tuning and is not used: `hrnet tune` makes it anew",
               path);
        status = HR_OK;
    }
    hr_tuning_fini(&read);
    hr_text_fini(&text);
    hr_mem_free(bytes);
    return status;
}

static enum hr_status write_over(const char *path, const char *machine,
                                 const struct hr_tuning *news)
{
    struct hr_tuning all = { 0 };
    struct hr_text text = { 0 };
    struct hr_replace replace = { 0 };
    enum hr_status status = hr_tuning_read(&all, path, machine);
    for (size_t i = 0; status == HR_OK && i < news->count; i++)
        status = hr_tuning_put(&all, &news->rows[i]);
    if (status == HR_OK)
        status = print(&all, machine, &text);
    if (status == HR_OK)
        status = hr_replace_begin(&replace, path);
    if (status == HR_OK) {
        fwrite(text.data, 1, text.size, replace.file); /* commit sees a failure */
        status = hr_replace_commit(&replace);
    }
    hr_replace_abort(&replace);
    hr_text_fini(&text);
    hr_tuning_fini(&all);
    return status;
}

enum hr_status hr_tuning_add(const char *path, const char *machine, const struct hr_tuning *news)
{
    struct hr_text lock = { 0 };
    hr_text_printf(&lock, "%s.lock", path);
    enum hr_status status = lock.status;
    const int fd = status == HR_OK ? open(lock.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (status == HR_OK && (fd < 0 || flock(fd, LOCK_EX) != 0))
        status = hr_fail(HR_E_IO, "%s: cannot be locked", lock.data);
    if (status == HR_OK)
        status = write_over(path, machine, news);
    if (fd >= 0)
        close(fd);
    hr_text_fini(&lock);
    return status;
}
