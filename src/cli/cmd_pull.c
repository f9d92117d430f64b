/* SPDX-License-Identifier: Apache-2.0
 * hrnet pull: published weights into the cache.  A file appears under its name only when it is
 * whole and right: fetched beside, checked, renamed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/os.h"
#include "base/text.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/progress.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "offline", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "never use the network" },
    { "force", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "fetch again, and forget the recorded hash" },
    { "mirror", 0, HR_FLAG_TEXT, "URL", NULL, 0, 0,
      "take files from URL/FILE instead of the published address" },
    { "retry-wait", 0, HR_FLAG_REAL, "SECONDS", "1", 0, 3600,
      "before the second try; twice that before the third and last" },
    { "progress", 0, HR_FLAG_CHOICE, "bar|plain|json|none", NULL, 0, 0, "progress on stderr" },
    { 0 },
};

struct pull {
    const struct hr_args *args;
    struct hrnet_zoo_entry entry;
    struct hr_text path, part, note, sidecar, url;
    struct hr_progress progress;
};

static enum hr_status make_paths(struct pull *p)
{
    const char *mirror = hr_arg_text(p->args, "mirror");
    HR_TRY(hr_cache_path(&p->path, p->entry.file));
    hr_text_printf(&p->part, "%s.part", p->path.data);
    hr_text_printf(&p->note, "%s%s", p->part.data, HR_FETCH_NOTE);
    hr_text_printf(&p->sidecar, "%s.sha256", p->path.data);
    if (mirror)
        hr_text_printf(&p->url, "%s%s%s", mirror, hr_text_ends(mirror, "/") ? "" : "/",
                       p->entry.file);
    else
        hr_text_add(&p->url, p->entry.url);
    if (p->url.status == HR_OK && !hr_fetch_is_address(p->url.data))
        return hr_fail(HR_E_ARGUMENT, "--mirror is '%s': an address http:// or https:// is wanted",
                       mirror);
    HR_TRY(p->part.status);
    HR_TRY(p->note.status);
    HR_TRY(p->sidecar.status);
    return p->url.status;
}

static void show(void *context, uint64_t done, uint64_t total)
{
    struct pull *p = context;
    hr_progress_show(&p->progress, done, total);
}

static enum hr_status hash_file(const char *path, char hex[65])
{
    struct hr_map map = { 0 };
    struct hr_sha256 h;
    uint8_t digest[32];
    HR_TRY(hr_map_open(&map, path));
    hr_sha256_init(&h);
    hr_sha256_update(&h, map.data, map.size);
    hr_sha256_final(&h, digest);
    hr_hex(hex, digest);
    hr_map_close(&map);
    return HR_OK;
}

/* The hash must start as published, or equal the one of the first download. */
static enum hr_status check_hash(const struct pull *p, const char *hex)
{
    const char *prefix = p->entry.sha256_prefix;
    uint8_t *recorded = NULL;
    size_t size = 0;
    if (prefix && strncmp(hex, prefix, strlen(prefix)) != 0)
        return hr_fail(HR_E_FORMAT,
                       "%s: its SHA-256 begins %.8s, the published one %s: the file is not what it "
                       "should be and was thrown away",
                       p->url.data, hex, prefix);
    if (hr_arg_switch(p->args, "force") || hr_os_kind(p->sidecar.data) != HR_OS_FILE)
        return HR_OK;
    HR_TRY(hr_file_read(p->sidecar.data, 4096, &recorded, &size));
    const bool same = size >= 64 && memcmp(recorded, hex, 64) == 0;
    hrnet_free(recorded);
    if (!same)
        return hr_fail(HR_E_FORMAT,
                       "%s: the file has changed since it was first fetched (SHA-256 %.16s...): if "
                       "that is expected, use --force",
                       p->url.data, hex);
    return HR_OK;
}

/* Only a whole weight file of the right architecture is worth a name. */
static enum hr_status check_content(const struct pull *p)
{
    struct hrnet_model_options options;
    hrnet_model *model = NULL;
    hrnet_model_options_init(&options, sizeof options);
    options.architecture = p->entry.architecture;
    const hrnet_status status = hrnet_model_open(&model, p->part.data, &options);
    hrnet_model_release(model);
    if (status != HRNET_OK)
        return hr_fail(HR_E_FORMAT, "%s: what came is not the weights of %s: %s", p->url.data,
                       p->entry.architecture, hrnet_last_error());
    return HR_OK;
}

static enum hr_status record_hash(const struct pull *p, const char *hex)
{
    struct hr_replace replace = { 0 };
    HR_TRY(hr_replace_begin(&replace, p->sidecar.data));
    fprintf(replace.file, "%s  %s\n", hex, p->entry.file);
    return hr_replace_commit(&replace);
}

static enum hr_status fetch_and_check(struct pull *p)
{
    char hex[65];
    const struct hr_fetch_options options = { .progress = show,
                                              .context = p,
                                              .retry_seconds = hr_arg_real(p->args, "retry-wait") };
    hr_progress_start(&p->progress, hr_arg_text(p->args, "progress"), p->entry.name, "B");
    enum hr_status status = hr_fetch_file(p->url.data, p->part.data, &options);
    hr_progress_end(&p->progress);
    HR_TRY(status); /* the part stays, to be gone on with */
    status = hash_file(p->part.data, hex);
    if (status == HR_OK)
        status = check_content(p);
    if (status == HR_OK)
        status = check_hash(p, hex);
    if (status != HR_OK) {
        unlink(p->part.data);
        unlink(p->note.data);
        return status;
    }
    HR_TRY(record_hash(p, hex));
    if (rename(p->part.data, p->path.data) != 0)
        return hr_fail(HR_E_IO, "%s: cannot rename: %s", p->path.data, strerror(errno));
    unlink(p->note.data);
    printf("%s  %s\n", p->path.data, hex);
    return HR_OK;
}

/* Two pulls of one file wait for each other; the second finds it done. */
static enum hr_status pull_locked(struct pull *p)
{
    struct hr_text lock = { 0 };
    hr_text_printf(&lock, "%s.lock", p->path.data);
    HR_TRY(lock.status);
    const int fd = open(lock.data, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    enum hr_status status = HR_OK;
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        status = hr_fail(HR_E_IO, "%s: cannot lock: %s", lock.data, strerror(errno));
    else if (hr_os_kind(p->path.data) == HR_OS_FILE && !hr_arg_switch(p->args, "force"))
        printf("%s  already there\n", p->path.data);
    else if (hr_arg_switch(p->args, "offline"))
        status = hr_fail(HR_E_NOT_FOUND, "%s is not cached, and --offline forbids fetching it",
                         p->entry.name);
    else
        status = fetch_and_check(p);
    if (fd >= 0)
        close(fd);
    hr_text_fini(&lock);
    return status;
}

static enum hr_status pull_one(const struct hr_args *args, const char *name)
{
    struct pull p = { .args = args };
    struct hr_text folder = { 0 };
    enum hr_status status = (enum hr_status)hrnet_zoo_find(name, &p.entry);
    if (status == HR_OK && !p.entry.url && p.entry.file)
        status = hr_fail(HR_E_NOT_FOUND,
                         "%s cannot be fetched by a program (%s): fetch %s with a browser and give "
                         "it with -m",
                         p.entry.name, p.entry.note, p.entry.file);
    else if (status == HR_OK && !p.entry.url)
        status = hr_fail(HR_E_NOT_FOUND,
                         "no weights of %s are published; `hrnet models` lists "
                         "those that are",
                         p.entry.name);
    if (status == HR_OK)
        status = hr_cache_folder(&folder);
    if (status == HR_OK)
        status = hr_os_make_folders(folder.data);
    if (status == HR_OK)
        status = make_paths(&p);
    if (status == HR_OK)
        status = pull_locked(&p);
    hr_text_fini(&folder);
    hr_text_fini(&p.path);
    hr_text_fini(&p.part);
    hr_text_fini(&p.note);
    hr_text_fini(&p.sidecar);
    hr_text_fini(&p.url);
    return status;
}

static int pull(const struct hr_args *args)
{
    for (int i = 0; i < args->operand_count; i++) {
        const enum hr_status status = pull_one(args, args->operands[i]);
        if (status != HR_OK)
            return hr_report((int)status);
    }
    return 0;
}

static const struct hr_flag *const groups[] = { flags, NULL };

const struct hr_command hr_command_pull = {
    .name = "pull",
    .operands = "NAME...",
    .takes = HR_FLAG_WEIGHTS,
    .summary = "fetch published weights into the cache",
    .examples = "hrnet pull HRNet_W18_C_ssld\nhrnet pull hrnet_w32.ms_in1k --progress plain",
    .groups = groups,
    .least_operands = 1,
    .most_operands = -1,
    .run = pull,
};
