/* SPDX-License-Identifier: Apache-2.0
 * Zip archives, in place.  The end record is searched from the back, as the format wants; every
 * offset is checked against the bytes that are there. */
#include "wire/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/os.h"

#define LOCAL_MAGIC     0x04034b50u
#define CENTRAL_MAGIC   0x02014b50u
#define END_MAGIC       0x06054b50u
#define END64_MAGIC     0x06064b50u
#define LOCATOR64_MAGIC 0x07064b50u
#define LOCAL_BYTES     30
#define CENTRAL_BYTES   46
#define END_BYTES       22
#define END64_BYTES     56
#define LOCATOR64_BYTES 20
#define LONGEST_COMMENT 65535
#define DEFLATE_MOST    1032   /* bytes out for a byte in (zlib's technical notes) */
#define PADDING_ID      0x4246 /* "FB", PyTorch's id of a padding field */

struct archive {
    const uint8_t *data;
    size_t size;
    const char *name;
    struct hr_arena *arena;
};

static enum hr_status fail_zip(const struct archive *a, const char *what)
{
    return hr_fail(HR_E_FORMAT, "%s: zip: %s", a->name, what);
}

/* The central directory's place and entry count, from the end record or its 64-bit form. */
static enum hr_status find_directory(const struct archive *a, uint64_t *offset, uint64_t *size,
                                     uint64_t *count)
{
    if (a->size < END_BYTES)
        return fail_zip(a, "the file is too short");
    const size_t last = a->size - END_BYTES;
    const size_t first = last > LONGEST_COMMENT ? last - LONGEST_COMMENT : 0;
    size_t end = last;
    while (hr_load_u32le(a->data + end) != END_MAGIC) {
        if (end-- == first)
            return fail_zip(a, "the end record is missing: the file is cut off");
    }
    *count = hr_load_u16le(a->data + end + 10);
    *size = hr_load_u32le(a->data + end + 12);
    *offset = hr_load_u32le(a->data + end + 16);
    if (end < LOCATOR64_BYTES || hr_load_u32le(a->data + end - LOCATOR64_BYTES) != LOCATOR64_MAGIC)
        return HR_OK;
    const uint64_t end64 = hr_load_u64le(a->data + end - LOCATOR64_BYTES + 8);
    if (end64 > a->size || a->size - end64 < END64_BYTES ||
        hr_load_u32le(a->data + end64) != END64_MAGIC)
        return fail_zip(a, "the 64-bit end record is not where it should be");
    *count = hr_load_u64le(a->data + end64 + 32);
    *size = hr_load_u64le(a->data + end64 + 40);
    *offset = hr_load_u64le(a->data + end64 + 48);
    return HR_OK;
}

/* Sizes and offsets that do not fit 32 bits stand in extra field 1, those and only those. */
static enum hr_status read_extra64(const struct archive *a, const uint8_t *extra, size_t size,
                                   uint64_t *values[3])
{
    while (size >= 4) {
        const size_t field = hr_load_u16le(extra + 2);
        if (field > size - 4)
            return HR_OK; /* PyTorch's padding may be cut; only field 1 matters */
        if (hr_load_u16le(extra) == 1) {
            size_t at = 4;
            for (int i = 0; i < 3; i++) {
                if (*values[i] != UINT32_MAX)
                    continue;
                if (at + 8 > 4 + field)
                    return fail_zip(a, "a 64-bit size is missing");
                *values[i] = hr_load_u64le(extra + at);
                at += 8;
            }
            return HR_OK;
        }
        extra += 4 + field;
        size -= 4 + field;
    }
    return HR_OK;
}

static enum hr_status locate(const struct archive *a, struct hr_zip_entry *entry, uint64_t offset,
                             uint64_t packed)
{
    if (offset > a->size || a->size - offset < LOCAL_BYTES ||
        hr_load_u32le(a->data + offset) != LOCAL_MAGIC)
        return fail_zip(a, "an entry's header is not where the directory says");
    const uint64_t head = LOCAL_BYTES + (uint64_t)hr_load_u16le(a->data + offset + 26) +
                          hr_load_u16le(a->data + offset + 28);
    if (head > a->size - offset || packed > a->size - offset - head)
        return hr_fail(HR_E_FORMAT, "%s: zip: entry '%.200s' reaches past the end of the file",
                       a->name, entry->name);
    entry->packed = (struct hr_span){ a->data + offset + head, (size_t)packed };
    return HR_OK;
}

/* One record of the directory; *used is its length. */
static enum hr_status read_record(const struct archive *a, const uint8_t *record, size_t left,
                                  struct hr_zip_entry *entry, size_t *used)
{
    if (left < CENTRAL_BYTES || hr_load_u32le(record) != CENTRAL_MAGIC)
        return fail_zip(a, "the directory is damaged");
    const unsigned flags = hr_load_u16le(record + 8), method = hr_load_u16le(record + 10);
    uint64_t packed = hr_load_u32le(record + 20), offset = hr_load_u32le(record + 42);
    const size_t name_bytes = hr_load_u16le(record + 28), extra = hr_load_u16le(record + 30);
    const size_t comment = hr_load_u16le(record + 32);
    entry->size = hr_load_u32le(record + 24);
    if (name_bytes + extra + comment > left - CENTRAL_BYTES)
        return fail_zip(a, "the directory is damaged");
    uint64_t *values[3] = { &entry->size, &packed, &offset };
    HR_TRY(read_extra64(a, record + CENTRAL_BYTES + name_bytes, extra, values));
    entry->name =
        hr_arena_printf(a->arena, "%.*s", (int)name_bytes, (const char *)record + CENTRAL_BYTES);
    if (!entry->name)
        return HR_E_MEMORY;
    if (flags & 1 || (method != 0 && method != 8))
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: zip: entry '%.200s' is %s: only stored and deflated ones are read",
                       a->name, entry->name, flags & 1 ? "encrypted" : "packed by another method");
    entry->deflated = method == 8;
    if (!entry->deflated && packed != entry->size)
        return fail_zip(a, "a stored entry has two sizes");
    if (entry->deflated && entry->size / DEFLATE_MOST > packed)
        return hr_fail(HR_E_LIMIT, "%s: zip: entry '%.200s' claims more than deflate can give",
                       a->name, entry->name);
    *used = CENTRAL_BYTES + name_bytes + extra + comment;
    return locate(a, entry, offset, packed);
}

static int compare_places(const void *a, const void *b)
{
    const struct hr_zip_entry *const *x = a, *const *y = b;
    return (*x)->packed.data < (*y)->packed.data ? -1 : (*x)->packed.data > (*y)->packed.data;
}

static enum hr_status check_overlap(const struct archive *a, const struct hr_zip_entry *entries,
                                    size_t count)
{
    const struct hr_zip_entry **sorted = hr_mem_alloc(count, sizeof *sorted);
    enum hr_status status = HR_OK;
    if (!sorted)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &entries[i];
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, compare_places);
    for (size_t i = 1; i < count && status == HR_OK; i++)
        if (sorted[i]->packed.data < sorted[i - 1]->packed.data + sorted[i - 1]->packed.size)
            status = hr_fail(HR_E_FORMAT, "%s: zip: entries '%.200s' and '%.200s' overlap", a->name,
                             sorted[i - 1]->name, sorted[i]->name);
    hr_mem_free(sorted);
    return status;
}

enum hr_status hr_zip_list(struct hr_zip_entry **entries, size_t *count, struct hr_arena *arena,
                           const void *data, size_t size, const char *name)
{
    const struct archive a = { data, size, name, arena };
    uint64_t offset, bytes, records;
    HR_TRY(find_directory(&a, &offset, &bytes, &records));
    if (offset > size || bytes > size - offset || records > bytes / CENTRAL_BYTES)
        return fail_zip(&a, "the directory does not fit into the file");
    struct hr_zip_entry *list = hr_arena_alloc(arena, (size_t)records, sizeof *list);
    if (!list)
        return HR_E_MEMORY;
    const uint8_t *record = a.data + offset;
    size_t left = (size_t)bytes, used = 0;
    for (uint64_t i = 0; i < records; i++) {
        HR_TRY(read_record(&a, record, left, &list[i], &used));
        record += used;
        left -= used;
    }
    HR_TRY(check_overlap(&a, list, (size_t)records));
    *entries = list;
    *count = (size_t)records;
    return HR_OK;
}

enum hr_status hr_zip_inflate(const struct hr_zip_entry *entry, void *out, const char *name)
{
    z_stream stream = { 0 };
    uint8_t *to = out;
    uint64_t left_in = entry->packed.size, left_out = entry->size;
    int code = inflateInit2(&stream, -MAX_WBITS);
    if (code != Z_OK)
        return hr_fail(HR_E_MEMORY, "%s: zip: out of memory", name);
    stream.next_in = (Bytef *)(uintptr_t)entry->packed.data;
    stream.next_out = to;
    /* zlib counts in 32 bits. */
    do {
        const uInt in = left_in > 1u << 30 ? 1u << 30 : (uInt)left_in;
        const uInt room = left_out > 1u << 30 ? 1u << 30 : (uInt)left_out;
        stream.avail_in = in;
        stream.avail_out = room;
        code = inflate(&stream, Z_NO_FLUSH);
        left_in -= in - stream.avail_in;
        left_out -= room - stream.avail_out;
        if (in == stream.avail_in && room == stream.avail_out)
            break;
    } while (code == Z_OK);
    inflateEnd(&stream);
    if (code != Z_STREAM_END || left_out != 0)
        return hr_fail(HR_E_FORMAT,
                       "%s: zip: entry '%.200s' does not inflate to its %" PRIu64 " bytes", name,
                       entry->name, entry->size);
    return HR_OK;
}

/* ---- Writing ---- */

static void put(struct hr_zip_writer *w, const void *data, size_t size)
{
    if (size > 0)
        (void)!fwrite(data, 1, size, w->file);
    w->offset += size;
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
    uLong crc = crc32(0, NULL, 0);
    for (size_t at = 0; at < size;) {
        const size_t piece = size - at > 1u << 30 ? 1u << 30 : size - at;
        crc = crc32(crc, data + at, (uInt)piece);
        at += piece;
    }
    return (uint32_t)crc;
}

/* What local header and directory record share, from the version needed on. */
static void put_common(struct hr_buffer *b, uint32_t crc, size_t size, size_t name_bytes,
                       size_t extra_bytes)
{
    hr_buffer_put_u16le(b, 20);
    hr_buffer_put_u16le(b, 0x0800);     /* UTF-8 names */
    hr_buffer_put_u16le(b, 0);          /* stored */
    hr_buffer_put_u32le(b, 0x00210000); /* 1 January 1980: equal inputs give equal files */
    hr_buffer_put_u32le(b, crc);
    hr_buffer_put_u32le(b, (uint32_t)size);
    hr_buffer_put_u32le(b, (uint32_t)size);
    hr_buffer_put_u16le(b, (uint16_t)name_bytes);
    hr_buffer_put_u16le(b, (uint16_t)extra_bytes);
}

enum hr_status hr_zip_add(struct hr_zip_writer *w, const char *name, const void *data, size_t size,
                          size_t align)
{
    static const uint8_t zeros[4096];
    const size_t name_bytes = strlen(name);
    const uint64_t payload = w->offset + LOCAL_BYTES + name_bytes;
    size_t padding = align > 1 ? (size_t)(-(payload + 4) & (align - 1)) + 4 : 0;
    struct hr_buffer head = { 0 };
    if (size >= UINT32_MAX || w->offset + size + 8192 >= UINT32_MAX || name_bytes > 4096 ||
        w->count >= UINT16_MAX)
        return hr_fail(HR_E_LIMIT, "'%.200s': archives over 4 GiB are not written", name);
    const uint32_t crc = checksum(data, size);
    hr_buffer_put_u32le(&head, LOCAL_MAGIC);
    put_common(&head, crc, size, name_bytes, padding);
    hr_buffer_put(&head, name, name_bytes);
    if (padding) {
        hr_buffer_put_u16le(&head, PADDING_ID);
        hr_buffer_put_u16le(&head, (uint16_t)(padding - 4));
        hr_buffer_put(&head, zeros, padding - 4);
    }
    struct hr_buffer *d = &w->directory;
    hr_buffer_put_u32le(d, CENTRAL_MAGIC);
    hr_buffer_put_u16le(d, 20);
    put_common(d, crc, size, name_bytes, 0);
    hr_buffer_put(d, zeros, 10); /* no comment, first disk, no attributes */
    hr_buffer_put_u32le(d, (uint32_t)w->offset);
    hr_buffer_put(d, name, name_bytes);
    const enum hr_status status = head.status != HR_OK ? head.status : d->status;
    if (status == HR_OK) {
        put(w, head.data, head.size);
        put(w, data, size);
        w->count++;
    }
    hr_buffer_fini(&head);
    return status;
}

enum hr_status hr_zip_finish(struct hr_zip_writer *w)
{
    struct hr_buffer *d = &w->directory;
    const size_t directory_bytes = d->size;
    const uint64_t directory = w->offset;
    hr_buffer_put_u32le(d, END_MAGIC);
    hr_buffer_put_u32le(d, 0); /* this disk, first disk */
    hr_buffer_put_u16le(d, (uint16_t)w->count);
    hr_buffer_put_u16le(d, (uint16_t)w->count);
    hr_buffer_put_u32le(d, (uint32_t)directory_bytes);
    hr_buffer_put_u32le(d, (uint32_t)directory);
    hr_buffer_put_u16le(d, 0);
    const enum hr_status status = d->status;
    if (status == HR_OK)
        put(w, d->data, d->size);
    hr_buffer_fini(d);
    return status;
}

enum hr_status hr_zip_save(const char *path, hr_zip_fill_fn *fill, const void *context)
{
    struct hr_replace replace = { 0 };
    HR_TRY(hr_replace_begin(&replace, path));
    struct hr_zip_writer zip = { .file = replace.file };
    enum hr_status status = fill(&zip, context);
    if (status == HR_OK)
        status = hr_zip_finish(&zip);
    if (status == HR_OK)
        status = hr_replace_commit(&replace);
    hr_buffer_fini(&zip.directory);
    hr_replace_abort(&replace);
    return status;
}
