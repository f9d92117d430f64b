/* SPDX-License-Identifier: Apache-2.0
 * HTTP through libcurl: pictures into memory, weights into files.  Proxies come from libcurl's own
 * environment, certificates from SSL_CERT_FILE if it is set; redirects are followed five times,
 * never from https to http. */
#ifndef HR_CLI_FETCH_H
#define HR_CLI_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

bool hr_fetch_is_address(const char *text); /* http:// or https:// */

/* At most `limit` bytes within 60 seconds, into memory of hr_mem_alloc. */
enum hr_status hr_fetch_memory(const char *url, size_t limit, uint8_t **out,
                               size_t *size) HR_WARN_UNUSED;

/* Called about ten times a second; total 0 while unknown. */
typedef void hr_fetch_progress(void *context, uint64_t done, uint64_t total);

struct hr_fetch_options {
    hr_fetch_progress *progress; /* or NULL */
    void *context;
    double retry_seconds; /* before the second try, twice that before the third */
};

#define HR_FETCH_NOTE ".etag"

/* Appends to the file at `path` what is missing of the address, going on where an earlier try
 * stopped if the server still has the same version: its strong ETag or its date is kept beside, in
 * PATH.etag, which the caller removes with the file.  Without one the file starts anew; within one
 * call an unchanged length will do.  Tries three times.  A stalled transfer ends after 30 s. */
enum hr_status hr_fetch_file(const char *url, const char *path,
                             const struct hr_fetch_options *options) HR_WARN_UNUSED;

#endif
