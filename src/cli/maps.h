/* SPDX-License-Identifier: Apache-2.0
 * Feature maps of a run as named arrays. */
#ifndef HR_CLI_MAPS_H
#define HR_CLI_MAPS_H

#include "hrnet/hrnet.h"
#include "tensor/store.h"

/* Of a run of `count` pictures, the maps of picture `at`: float32 [1,c,h,w], or [1,c] for vectors,
 * by the names (NULL-terminated), which the session keeps. */
enum hr_status hr_maps_add(struct hr_store *store, const hrnet_session *session,
                           const char *const *names, size_t at, size_t count) HR_WARN_UNUSED;

#endif
