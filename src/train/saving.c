/* SPDX-License-Identifier: Apache-2.0
 * Files of a run.  Each is written whole beside its place, synced and renamed, so that a full disk
 * or a killed process leaves what was there. */
#include "train/saving.h"

#include <stdio.h>
#include <unistd.h>

#include "base/os.h"
#include "train/paddle_run.h"

#define NAME         80
#define BAD_PICTURES "bad_pictures.csv"

static enum hr_status save_model(const struct hr_running *r, const struct hr_model *model,
                                 const char *name)
{
    char *path = NULL;
    char file[NAME];
    snprintf(file, sizeof file, "%s.safetensors", name);
    HR_TRY(hr_running_path(&path, r, file));
    const enum hr_status status =
        hr_model_save(model, path, HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE, NULL);
    hr_mem_free(path);
    return status;
}

static enum hr_status write_text(const struct hr_running *r, const char *name, const char *text)
{
    struct hr_replace file = { 0 };
    char *path = NULL;
    HR_TRY(hr_running_path(&path, r, name));
    enum hr_status status = hr_replace_begin(&file, path);
    if (status == HR_OK) {
        (void)fputs(text, file.file); /* commit sees the stream's error */
        status = hr_replace_commit(&file);
    }
    hr_mem_free(path);
    return status;
}

enum hr_status hr_saving_bad(struct hr_running *r)
{
    const struct hr_running_bad bad = hr_running_bad_sets(r);
    struct hr_text text = { 0 };
    if (!r->bad.list.changed && !r->bad_validation.list.changed)
        return HR_OK;
    hr_bad_print(&text, bad.sets, HR_COUNT(bad.sets));
    enum hr_status status = text.status;
    if (status == HR_OK)
        status = write_text(r, BAD_PICTURES, hr_text_str(&text));
    if (status == HR_OK)
        r->bad.list.changed = r->bad_validation.list.changed = false;
    hr_text_fini(&text);
    return status;
}

enum hr_status hr_saving_state(struct hr_running *r)
{
    const struct hr_running_bad bad = hr_running_bad_sets(r);
    struct hr_checkpoint_vectors vectors = hr_running_vectors(r);
    struct hr_text table = { 0 };
    hr_bad_print(&table, bad.sets, HR_COUNT(bad.sets));
    vectors.bad = &table;
    enum hr_status status = table.status;
    if (status == HR_OK)
        status = hr_checkpoint_save(&r->at, r->state, hr_text_str(&r->what), &vectors);
    hr_text_fini(&table);
    return status;
}

enum hr_status hr_saving_start(struct hr_running *r)
{
    char *path = NULL;
    if (hr_os_kind(r->state) == HR_OS_FILE) { /* written again: it may be of later steps */
        r->bad.list.changed |= r->bad.list.count > 0;
        r->bad_validation.list.changed |= r->bad_validation.list.count > 0;
        return hr_saving_bad(r);
    }
    HR_TRY(hr_running_path(&path, r, BAD_PICTURES));
    (void)unlink(path);
    hr_mem_free(path);
    return HR_OK;
}

static void epoch_name(char out[NAME], uint64_t epoch, const char *suffix)
{
    snprintf(out, NAME, "epoch-%llu%s.safetensors", (unsigned long long)epoch, suffix);
}

/* A second name of a file, so that it costs no space while both are the same; where the file system
 * has no such thing, a copy. */
static enum hr_status keep_as(const struct hr_running *r, const char *name, const char *kept)
{
    char *from = NULL, *to = NULL, *between = NULL;
    uint8_t *data = NULL;
    size_t size = 0;
    struct hr_replace file = { 0 };
    enum hr_status status = hr_running_path(&from, r, name);
    if (status == HR_OK)
        status = hr_running_path(&to, r, kept);
    if (status == HR_OK)
        status = hr_running_path(&between, r, ".kept.tmp");
    if (status != HR_OK)
        goto out;
    (void)unlink(between);
    if (link(from, between) == 0 && rename(between, to) == 0) {
        (void)unlink(between); /* rename leaves it where both were the same file already */
        goto out;
    }
    status = hr_file_read(from, SIZE_MAX, &data, &size);
    if (status == HR_OK)
        status = hr_replace_begin(&file, to);
    if (status == HR_OK) {
        (void)fwrite(data, 1, size, file.file); /* commit sees the stream's error */
        status = hr_replace_commit(&file);
    }
out:
    hr_mem_free(data);
    hr_mem_free(between);
    hr_mem_free(to);
    hr_mem_free(from);
    return status;
}

static bool let_go(const struct hr_running *r, uint64_t epoch, const char *suffix)
{
    char name[NAME];
    char *path = NULL;
    epoch_name(name, epoch, suffix);
    if (hr_running_path(&path, r, name) != HR_OK)
        return false;
    const bool there = unlink(path) == 0;
    hr_mem_free(path);
    return there;
}

static enum hr_status keep_epoch(const struct hr_running *r)
{
    const uint64_t epoch = r->at.epoch, keep = r->options->keep;
    char name[NAME];
    if (keep == 0)
        return HR_OK;
    epoch_name(name, epoch, "");
    HR_TRY(keep_as(r, "latest.safetensors", name));
    epoch_name(name, epoch, ".state");
    HR_TRY(keep_as(r, "state.safetensors", name));
    for (uint64_t old = epoch > keep ? epoch - keep : 0; old > 0; old--) {
        const bool model = let_go(r, old, ""), state = let_go(r, old, ".state");
        if (!model && !state)
            break;
    }
    return HR_OK;
}

/* As PaddleClas names them: of all that is trained, of the average where there is one. */
static enum hr_status save_paddle(const struct hr_running *r, bool is_best)
{
    static const char *const names[] = { "latest", "best_model" };
    const struct hr_checkpoint_vectors vectors = hr_running_vectors(r);
    const struct hr_paddle_run run = { &vectors, &r->schedule.schedule, &r->options->optim };
    for (size_t i = 0; i < (is_best ? 2 : 1); i++) {
        char *prefix = NULL;
        HR_TRY(hr_running_path(&prefix, r, names[i]));
        const enum hr_status status = hr_paddle_run_save(&run, &r->at, prefix);
        hr_mem_free(prefix);
        HR_TRY(status);
    }
    return HR_OK;
}

enum hr_status hr_saving_within(struct hr_running *r)
{
    HR_TRY(hr_saving_bad(r));
    return hr_saving_state(r);
}

enum hr_status hr_saving_latest(const struct hr_running *r, const struct hr_model *model,
                                const struct hr_model *average)
{
    HR_TRY(save_model(r, model, "latest"));
    return average ? save_model(r, average, "average") : HR_OK;
}

enum hr_status hr_saving_epoch(struct hr_running *r, const struct hr_saved *saved, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        HR_TRY(save_model(r, saved[i].model, saved[i].latest));
        if (saved[i].is_best)
            HR_TRY(save_model(r, saved[i].model, saved[i].best));
    }
    if (r->options->paddle)
        HR_TRY(save_paddle(r, saved[count - 1].is_best));
    HR_TRY(hr_saving_bad(r));
    HR_TRY(hr_saving_state(r));
    return keep_epoch(r);
}
