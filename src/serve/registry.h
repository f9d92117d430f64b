/* SPDX-License-Identifier: Apache-2.0
 * Models by name and version.  A loaded version is counted: requests hold it, so that unloading or
 * replacing it takes it from new requests only, and the last one to let go frees it. */
#ifndef HR_SERVE_REGISTRY_H
#define HR_SERVE_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "hrnet/hrnet.h"
#include "serve/lane.h"
#include "serve/stats.h"

#define HR_MOST_LANES 8

struct hr_served {
    char *name, *version; /* "w18", "1" */
    hrnet_model *model;
    struct hrnet_model_info info;
    struct hrnet_recipe recipe; /* pictures are prepared with it */
    struct hr_model_stats stats;
    struct hr_heat *heat; /* serve/heat.h */

    atomic_size_t references; /* the registry's */
    struct hr_lane_options lane_options;
    struct hr_lane *lanes[HR_MOST_LANES]; /* [0]: the model's own size; others: the batcher's */
    size_t lane_count;
};

/* Opens what a source names; the program's, since it knows its flags and its cache. */
typedef hrnet_status hr_open_model(void *context, const char *source, hrnet_model **out);

/* What is to be served: listed ones keep their place in the index when unloaded. */
struct hr_model_source {
    const char *name, *version, *source;
};

struct hr_registry_options {
    const struct hr_model_source *sources;
    size_t source_count;
    const char *folder; /* FOLDER/MODEL/VERSION/file, or NULL */
    hr_open_model *open;
    void *open_context;
    struct hr_lane_options lanes;
};

struct hr_registry;
/* Copies the options' strings; loads nothing yet. */
enum hr_status hr_registry_create(struct hr_registry **out,
                                  const struct hr_registry_options *options) HR_WARN_UNUSED;
void hr_registry_destroy(struct hr_registry *registry);

/* Opens and plans every source; the first failure ends it. */
enum hr_status hr_registry_load_all(struct hr_registry *registry) HR_WARN_UNUSED;
/* As above for one name, all its versions.  A version that was loaded is replaced in one step; when
 * opening fails it stays.  HR_E_NOT_FOUND: the server was given no model of that name. */
enum hr_status hr_registry_load(struct hr_registry *registry, const char *name) HR_WARN_UNUSED;
/* Loads again what is loaded now, after a look for new versions; all are tried, the first failure
 * is told. */
enum hr_status hr_registry_reload(struct hr_registry *registry) HR_WARN_UNUSED;
enum hr_status hr_registry_unload(struct hr_registry *registry, const char *name) HR_WARN_UNUSED;

/* The version asked for, or the highest (version NULL or ""), or of the first model (name NULL or
 * ""), with a reference for the caller.  HR_E_NOT_FOUND tells which names there are. */
enum hr_status hr_registry_find(struct hr_registry *registry, struct hr_served **out,
                                const char *name, const char *version) HR_WARN_UNUSED;
/* NULL is allowed. */
void hr_served_release(struct hr_served *served);

/* One line of the index; valid during the call. */
struct hr_registry_entry {
    const char *name, *version, *state, *reason; /* "READY", "UNAVAILABLE"; reason: "" or text */
    struct hr_served *served;                    /* or NULL */
};
typedef void hr_registry_each(void *context, const struct hr_registry_entry *entry);
void hr_registry_index(struct hr_registry *registry, hr_registry_each *each, void *context);
/* Was the server given a model of that name, loaded or not? */
bool hr_registry_knows(struct hr_registry *registry, const char *name);
/* Is any model loaded? */
bool hr_registry_ready(struct hr_registry *registry);

#endif
