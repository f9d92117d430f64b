/* SPDX-License-Identifier: Apache-2.0
 * The table of models.  Opening and planning happen outside its lock, one at a time, beside what is
 * being served; then one pointer is exchanged. */
#include "serve/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "serve/heat.h"

struct entry {
    char *name, *version, *source;
    bool from_folder, present; /* present: the last look into the folder saw it */
    struct hr_served *served;
    char reason[512]; /* why it is not loaded */
};

struct hr_registry {
    struct hr_registry_options options;
    char *folder;
    pthread_mutex_t mutex;   /* of the table */
    pthread_mutex_t loading; /* held while models are opened */
    struct entry *entries;
    size_t count, capacity;
};

/* ---- Served models ---- */

void hr_served_release(struct hr_served *served)
{
    if (!served || atomic_fetch_sub(&served->references, 1) != 1)
        return;
    for (size_t i = 0; i < served->lane_count; i++)
        hr_lane_destroy(served->lanes[i]);
    hr_heat_destroy(served->heat);
    hrnet_model_release(served->model);
    hr_mem_free(served->name);
    hr_mem_free(served->version);
    hr_mem_free(served);
}

static enum hr_status open_served(struct hr_served **out, const struct hr_registry *r,
                                  const char *name, const char *version, const char *source)
{
    struct hr_served *s = hr_mem_alloc(1, sizeof *s);
    if (!s)
        return HR_E_MEMORY;
    atomic_init(&s->references, 1);
    s->lane_options = r->options.lanes;
    s->name = hr_mem_strdup(name);
    s->version = hr_mem_strdup(version);
    enum hr_status status =
        s->name && s->version
            ? (enum hr_status)r->options.open(r->options.open_context, source, &s->model)
            : HR_E_MEMORY;
    if (status == HR_OK)
        status = hr_heat_create(&s->heat);
    if (status == HR_OK)
        status = (enum hr_status)hrnet_model_describe(s->model, &s->info);
    if (status == HR_OK)
        status = (enum hr_status)hrnet_model_recipe(s->model, &s->recipe);
    if (status == HR_OK)
        status = hr_lane_create_planned(&s->lanes[0], s->model, &s->recipe, &s->lane_options);
    if (status == HR_OK) {
        s->lane_count = 1;
        *out = s;
        s = NULL;
    }
    hr_served_release(s);
    return status;
}

/* ---- The table ---- */

static void drop_entry(struct entry *e)
{
    hr_served_release(e->served);
    hr_mem_free(e->name);
    hr_mem_free(e->version);
    hr_mem_free(e->source);
    *e = (struct entry){ 0 };
}

static struct entry *find_entry(struct hr_registry *r, const char *name, const char *version)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->entries[i].name, name) == 0 && strcmp(r->entries[i].version, version) == 0)
            return &r->entries[i];
    return NULL;
}

static enum hr_status add_entry(struct hr_registry *r, const char *name, const char *version,
                                const char *source, bool from_folder)
{
    struct entry *old = find_entry(r, name, version);
    if (old && from_folder && old->from_folder) {
        old->present = true;
        return HR_OK;
    }
    if (old)
        return hr_fail(HR_E_ARGUMENT, "model %s, version %s is given twice", name, version);
    HR_TRY(hr_mem_grow((void **)&r->entries, &r->capacity, r->count + 1, sizeof *r->entries));
    struct entry e = { .name = hr_mem_strdup(name),
                       .version = hr_mem_strdup(version),
                       .source = hr_mem_strdup(source),
                       .from_folder = from_folder,
                       .present = true,
                       .reason = "not loaded" };
    if (!e.name || !e.version || !e.source) {
        drop_entry(&e);
        return HR_E_MEMORY;
    }
    r->entries[r->count++] = e;
    return HR_OK;
}

/* ---- The folder ---- */

/* MODEL/VERSION/file -> its parts, cut in place; false for what lies elsewhere. */
static bool split_path(char *path, char **model, char **version)
{
    char *slash = strchr(path, '/');
    char *second = slash ? strchr(slash + 1, '/') : NULL;
    if (!second || strchr(second + 1, '/'))
        return false;
    *slash = *second = '\0';
    *model = path;
    *version = slash + 1;
    return **model && **version && strspn(*version, "0123456789") == strlen(*version);
}

/* A version of one file is that file; of several, its folder (a Paddle program). */
static enum hr_status add_file(struct hr_registry *r, const struct hr_names *files, size_t i)
{
    const size_t skip = strlen(r->folder) + (hr_text_ends(r->folder, "/") ? 0 : 1);
    const char *path = files->items[i];
    const char *slash = strrchr(path, '/');
    const size_t length = slash ? (size_t)(slash + 1 - path) : 0;
    const bool shared = (i > 0 && strncmp(files->items[i - 1], path, length) == 0) ||
                        (i + 1 < files->count && strncmp(files->items[i + 1], path, length) == 0);
    char *model, *version, *copy = hr_mem_strdup(path + skip);
    char *folder = hr_mem_strndup(path, length ? length - 1 : 0);
    enum hr_status status = copy && folder ? HR_OK : HR_E_MEMORY;
    const bool again = i > 0 && shared && strncmp(files->items[i - 1], path, length) == 0;
    if (status == HR_OK && !again && split_path(copy, &model, &version)) {
        pthread_mutex_lock(&r->mutex);
        status = add_entry(r, model, version, shared ? folder : path, true);
        pthread_mutex_unlock(&r->mutex);
    }
    hr_mem_free(copy);
    hr_mem_free(folder);
    return status;
}

static enum hr_status look_into_folder(struct hr_registry *r)
{
    struct hr_names files = { 0 };
    if (!r->folder)
        return HR_OK;
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->count; i++)
        r->entries[i].present = !r->entries[i].from_folder;
    pthread_mutex_unlock(&r->mutex);
    enum hr_status status = hr_os_walk(&files, r->folder, true);
    for (size_t i = 0; i < files.count && status == HR_OK; i++)
        status = add_file(r, &files, i);
    hr_names_fini(&files);
    return status;
}

/* What the folder has no more. */
static void forget_absent(struct hr_registry *r)
{
    pthread_mutex_lock(&r->mutex);
    for (size_t i = r->count; i-- > 0;)
        if (!r->entries[i].present) {
            drop_entry(&r->entries[i]);
            memmove(&r->entries[i], &r->entries[i + 1], (--r->count - i) * sizeof *r->entries);
        }
    pthread_mutex_unlock(&r->mutex);
}

/* ---- Loading ---- */

/* Opens beside the one that serves and exchanges them.  Only the holder of `loading` changes the
 * entries, so that reading them here needs no lock. */
static enum hr_status load_entry(struct hr_registry *r, struct entry *e)
{
    struct hr_served *made = NULL;
    const enum hr_status status = open_served(&made, r, e->name, e->version, e->source);
    pthread_mutex_lock(&r->mutex);
    struct hr_served *old = e->served;
    if (status == HR_OK)
        e->served = made;
    else if (!old)
        snprintf(e->reason, sizeof e->reason, "%s", hr_status_info(status)->text);
    pthread_mutex_unlock(&r->mutex);
    if (status == HR_OK)
        hr_served_release(old);
    return status;
}

/* Every entry that `name` (NULL: any) means, loaded ones only if `loaded`; all are tried. */
static enum hr_status load_some(struct hr_registry *r, const char *name, bool loaded)
{
    enum hr_status first = HR_OK;
    struct hr_text message = { 0 };
    for (size_t i = 0; i < r->count; i++) {
        struct entry *e = &r->entries[i];
        if ((name && strcmp(e->name, name) != 0) || (loaded && !e->served))
            continue;
        const enum hr_status status = load_entry(r, e);
        if (status != HR_OK && first == HR_OK) {
            first = status;
            hr_text_printf(&message, "model %s: %s", e->name, hr_last_message());
        }
    }
    if (first != HR_OK)
        first = hr_fail(first, "%s", hr_text_str(&message));
    hr_text_fini(&message);
    return first;
}

enum hr_status hr_registry_load_all(struct hr_registry *r)
{
    pthread_mutex_lock(&r->loading);
    enum hr_status status = look_into_folder(r);
    if (status == HR_OK && r->count == 0)
        status = hr_fail(HR_E_NOT_FOUND, "%s: there is no FOLDER/MODEL/VERSION/file in it",
                         r->folder ? r->folder : "no model");
    if (status == HR_OK)
        status = load_some(r, NULL, false);
    pthread_mutex_unlock(&r->loading);
    return status;
}

static bool is_known(struct hr_registry *r, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->entries[i].name, name) == 0)
            return true;
    return false;
}

static enum hr_status fail_unknown(const char *name)
{
    return hr_fail(HR_E_NOT_FOUND, "model '%.100s' is not one of this server's", name);
}

enum hr_status hr_registry_load(struct hr_registry *r, const char *name)
{
    pthread_mutex_lock(&r->loading);
    enum hr_status status = look_into_folder(r);
    if (status == HR_OK)
        status = is_known(r, name) ? load_some(r, name, false) : fail_unknown(name);
    pthread_mutex_unlock(&r->loading);
    return status;
}

enum hr_status hr_registry_reload(struct hr_registry *r)
{
    pthread_mutex_lock(&r->loading);
    const size_t old_count = r->count;
    enum hr_status status = look_into_folder(r);
    if (status == HR_OK)
        forget_absent(r);
    if (status == HR_OK)
        status = load_some(r, NULL, r->count == old_count);
    pthread_mutex_unlock(&r->loading);
    return status;
}

enum hr_status hr_registry_unload(struct hr_registry *r, const char *name)
{
    enum hr_status status = HR_OK;
    pthread_mutex_lock(&r->loading);
    if (!is_known(r, name))
        status = fail_unknown(name);
    for (size_t i = 0; i < r->count && status == HR_OK; i++) {
        struct entry *e = &r->entries[i];
        if (strcmp(e->name, name) != 0)
            continue;
        pthread_mutex_lock(&r->mutex);
        struct hr_served *old = e->served;
        e->served = NULL;
        snprintf(e->reason, sizeof e->reason, "unloaded");
        pthread_mutex_unlock(&r->mutex);
        hr_served_release(old);
    }
    pthread_mutex_unlock(&r->loading);
    return status;
}

/* ---- Asking ---- */

/* Among the loaded ones: that version, or the highest. */
static struct entry *best_entry(struct hr_registry *r, const char *name, const char *version)
{
    struct entry *best = NULL;
    for (size_t i = 0; i < r->count; i++) {
        struct entry *e = &r->entries[i];
        if (strcmp(e->name, name) != 0 || !e->served)
            continue;
        if (version && *version && strcmp(e->version, version) != 0)
            continue;
        if (!best || hr_natural_compare(e->version, best->version) > 0)
            best = e;
    }
    return best;
}

static const char *first_name(struct hr_registry *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].served)
            return r->entries[i].name;
    return NULL;
}

enum hr_status hr_registry_find(struct hr_registry *r, struct hr_served **out, const char *name,
                                const char *version)
{
    enum hr_status status = HR_OK;
    pthread_mutex_lock(&r->mutex);
    const char *wanted = name && *name ? name : first_name(r);
    struct entry *e = wanted ? best_entry(r, wanted, version) : NULL;
    if (e) {
        atomic_fetch_add(&e->served->references, 1);
        *out = e->served;
    } else if (!wanted) {
        status = hr_fail(HR_E_NOT_FOUND, "no model is loaded");
    } else if (!is_known(r, wanted)) {
        status = fail_unknown(wanted);
    } else if (version && *version && !find_entry(r, wanted, version)) {
        status = hr_fail(HR_E_NOT_FOUND, "model %s has no version '%.40s'", wanted, version);
    } else {
        status = hr_fail(HR_E_NOT_FOUND, "model %s is not loaded", wanted);
    }
    pthread_mutex_unlock(&r->mutex);
    return status;
}

void hr_registry_index(struct hr_registry *r, hr_registry_each *each, void *context)
{
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->count; i++) {
        const struct entry *e = &r->entries[i];
        const struct hr_registry_entry line = { .name = e->name,
                                                .version = e->version,
                                                .state = e->served ? "READY" : "UNAVAILABLE",
                                                .reason = e->served ? "" : e->reason,
                                                .served = e->served };
        each(context, &line);
    }
    pthread_mutex_unlock(&r->mutex);
}

bool hr_registry_knows(struct hr_registry *r, const char *name)
{
    pthread_mutex_lock(&r->mutex);
    const bool known = is_known(r, name);
    pthread_mutex_unlock(&r->mutex);
    return known;
}

bool hr_registry_ready(struct hr_registry *r)
{
    bool ready = false;
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->count; i++)
        ready = ready || r->entries[i].served;
    pthread_mutex_unlock(&r->mutex);
    return ready;
}

/* ---- Its own life ---- */

enum hr_status hr_registry_create(struct hr_registry **out,
                                  const struct hr_registry_options *options)
{
    struct hr_registry *r = hr_mem_alloc(1, sizeof *r);
    if (!r)
        return HR_E_MEMORY;
    r->options = *options;
    pthread_mutex_init(&r->mutex, NULL);
    pthread_mutex_init(&r->loading, NULL);
    enum hr_status status = HR_OK;
    if (options->folder && !(r->folder = hr_mem_strdup(options->folder)))
        status = HR_E_MEMORY;
    for (size_t i = 0; i < options->source_count && status == HR_OK; i++)
        status = add_entry(r, options->sources[i].name, options->sources[i].version,
                           options->sources[i].source, false);
    if (status != HR_OK) {
        hr_registry_destroy(r);
        return status;
    }
    *out = r;
    return HR_OK;
}

void hr_registry_destroy(struct hr_registry *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        drop_entry(&r->entries[i]);
    hr_mem_free(r->entries);
    hr_mem_free(r->folder);
    pthread_mutex_destroy(&r->mutex);
    pthread_mutex_destroy(&r->loading);
    hr_mem_free(r);
}
