/* SPDX-License-Identifier: Apache-2.0
 * Names of weights to files in the cache. */
#include "cli/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hrnet/hrnet.h"

enum hr_status hr_cache_folder(struct hr_text *out)
{
    const char *own = getenv("HRNET_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own && own[0])
        hr_text_add(out, own);
    else if (xdg && xdg[0])
        hr_text_printf(out, "%s/hrnet", xdg);
    else if (home && home[0])
        hr_text_printf(out, "%s/.cache/hrnet", home);
    else
        return hr_fail(HR_E_NOT_FOUND, "no cache folder: set HRNET_CACHE or HOME");
    return out->status;
}

enum hr_status hr_cache_path(struct hr_text *out, const char *file)
{
    HR_TRY(hr_cache_folder(out));
    hr_text_printf(out, "/%s", file);
    return out->status;
}

bool hr_cache_has(const char *file)
{
    struct hr_text path = { 0 };
    const bool has = hr_cache_path(&path, file) == HR_OK && hr_os_kind(path.data) == HR_OS_FILE;
    hr_text_fini(&path);
    return has;
}

/* The model that ships with the program: beside an installed one, or in the tree it was built in.
 */
static bool shipped_model(struct hr_text *path)
{
    static const char *const places[] = { "../share/hrnet/digits.safetensors",
                                          "../../../models/digits.safetensors" };
    char *program = hr_os_program();
    char *folder = program ? hr_os_folder(program) : NULL;
    bool found = false;
    for (size_t i = 0; folder && !found && i < HR_COUNT(places); i++) {
        hr_text_fini(path);
        hr_text_printf(path, "%s%s", folder, places[i]);
        found = path->status == HR_OK && hr_os_kind(path->data) == HR_OS_FILE;
    }
    hr_mem_free(folder);
    hr_mem_free(program);
    return found;
}

/* The one cached file when there is just one, and where there is none the one that ships. */
static enum hr_status resolve_default(struct hr_text *path)
{
    struct hrnet_zoo_entry entry, only = { 0 };
    size_t found = 0;
    for (size_t i = 0; i < hrnet_zoo_weights_count(); i++)
        if (hrnet_zoo_weights(i, &entry) == HRNET_OK && hr_cache_has(entry.file)) {
            only = entry;
            found++;
        }
    if (found == 1)
        return hr_cache_path(path, only.file);
    if (found == 0 && shipped_model(path)) {
        fprintf(stderr, "hrnet: no model is named: using the one of handwritten digits that ships "
                        "with hrnet (-m MODEL chooses another)\n");
        return HR_OK;
    }
    return hr_fail(HR_E_NOT_FOUND,
                   found ? "several models are cached: choose one with -m NAME (`hrnet models` "
                           "lists them)"
                         : "no model: give a weight file with -m FILE, or fetch one with `hrnet "
                           "pull HRNet_W18_C_ssld`");
}

/* A Paddle program is meant by its folder or by the prefix of its two files.  A folder that has the
 * name of a model, and no path, is not meant. */
bool hr_cache_is_path(const char *model)
{
    static const char *const endings[] = { "", ".pdmodel", ".json" };
    struct hrnet_zoo_entry entry;
    bool found = hr_os_kind(model) == HR_OS_FOLDER &&
                 (strchr(model, '/') || hrnet_zoo_find(model, &entry) != HRNET_OK);
    for (size_t i = 0; i < HR_COUNT(endings) && !found; i++) {
        struct hr_text file = { 0 };
        hr_text_printf(&file, "%s%s", model, endings[i]);
        found = file.status == HR_OK && hr_os_kind(file.data) == HR_OS_FILE;
        hr_text_fini(&file);
    }
    return found;
}

static enum hr_status resolve_name(struct hr_text *path, const char *name)
{
    struct hrnet_zoo_entry entry;
    if (strchr(name, '/'))
        return hr_fail(HR_E_NOT_FOUND, "%s: no such file", name);
    if (hrnet_zoo_find(name, &entry) != HRNET_OK)
        return hr_fail(HR_E_NOT_FOUND, "%s: no such file, and %s", name, hrnet_last_error());
    if (!entry.file)
        return hr_fail(HR_E_NOT_FOUND,
                       "%s is an architecture without published weights: give a file with "
                       "--weights FILE",
                       entry.name);
    if (!hr_cache_has(entry.file))
        return hr_fail(HR_E_NOT_FOUND,
                       "the weights of %s are not cached: fetch them with `hrnet "
                       "pull %s`",
                       entry.name, entry.name);
    return hr_cache_path(path, entry.file);
}

enum hr_status hr_cache_resolve(struct hr_text *path, const char *model)
{
    struct hrnet_zoo_entry entry;
    if (!model)
        return resolve_default(path);
    if (!model[0])
        return hr_fail(HR_E_ARGUMENT, "the name of the model is empty");
    const enum hr_os_kind kind = hr_os_kind(model);
    /* Opening a folder or a device says what is wrong with it. */
    if (hr_cache_is_path(model) ||
        (kind != HR_OS_NONE && hrnet_zoo_find(model, &entry) != HRNET_OK)) {
        hr_text_add(path, model);
        return path->status;
    }
    return resolve_name(path, model);
}
