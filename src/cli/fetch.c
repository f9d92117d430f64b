/* SPDX-License-Identifier: Apache-2.0
 * The only user of libcurl. */
#include "cli/fetch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

bool hr_fetch_is_address(const char *text)
{
    return hr_text_starts(text, "http://") || hr_text_starts(text, "https://");
}

#if HRNET_CURL
#include <curl/curl.h>

#define REDIRECTS     5L
#define MEMORY_TIME_S 60L
#define STALL_TIME_S  30L
#define TRIES         3

static CURL *start(const char *url, char error[CURL_ERROR_SIZE])
{
    static bool ready;
    if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return NULL;
    ready = true;
    CURL *curl = curl_easy_init();
    if (!curl)
        return NULL;
    const char *schemes = hr_text_starts(url, "https:") ? "https" : "http,https";
    error[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, schemes);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, schemes);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "hrnet");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
    return curl;
}

static const char *reason(CURLcode code, const char *error)
{
    return error[0] ? error : curl_easy_strerror(code);
}

struct memory {
    uint8_t *data;
    size_t size, capacity, limit;
    bool over;
};

static size_t keep(char *bytes, size_t one, size_t count, void *context)
{
    struct memory *m = context;
    (void)one;
    if (count > m->limit - m->size) {
        m->over = true;
        return 0;
    }
    if (hr_mem_grow((void **)&m->data, &m->capacity, m->size + count, 1) != HR_OK)
        return 0;
    memcpy(m->data + m->size, bytes, count);
    m->size += count;
    return count;
}

enum hr_status hr_fetch_memory(const char *url, size_t limit, uint8_t **out, size_t *size)
{
    char error[CURL_ERROR_SIZE];
    struct memory m = { .limit = limit };
    CURL *curl = start(url, error);
    if (!curl)
        return hr_fail(HR_E_IO, "%s: libcurl does not start", url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, MEMORY_TIME_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &m);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK) {
        *out = m.data;
        *size = m.size;
        return HR_OK;
    }
    hr_mem_free(m.data);
    if (m.over)
        return hr_fail(HR_E_LIMIT, "%s: longer than the limit of %zu bytes", url, limit);
    return hr_fail(HR_E_IO, "%s: %s", url, reason(code, error));
}

struct download {
    CURL *curl;
    FILE *file;
    uint64_t start; /* bytes that were there */
    hr_fetch_progress *progress;
    void *context;
};

/* A server that ignores the range sends the whole again: then the file starts anew. */
static size_t append(char *bytes, size_t one, size_t count, void *context)
{
    struct download *d = context;
    long code = 0;
    (void)one;
    if (d->start > 0) {
        curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &code);
        if (code == 200) {
            if (fseek(d->file, 0, SEEK_SET) != 0 || ftruncate(fileno(d->file), 0) != 0)
                return 0;
            d->start = 0;
        }
    }
    return fwrite(bytes, 1, count, d->file);
}

static int tell(void *context, curl_off_t total, curl_off_t done, curl_off_t up, curl_off_t up_done)
{
    struct download *d = context;
    (void)up;
    (void)up_done;
    if (d->progress)
        d->progress(d->context, d->start + (uint64_t)done,
                    total > 0 ? d->start + (uint64_t)total : 0);
    return 0;
}

static CURLcode try_once(struct download *d, const char *url, char error[CURL_ERROR_SIZE],
                         long *http)
{
    *http = 0;
    d->curl = start(url, error);
    if (!d->curl)
        return CURLE_FAILED_INIT;
    fseek(d->file, 0, SEEK_END);
    d->start = (uint64_t)ftell(d->file);
    curl_easy_setopt(d->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)d->start);
    curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_TIME, STALL_TIME_S);
    curl_easy_setopt(d->curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(d->curl, CURLOPT_WRITEDATA, d);
    curl_easy_setopt(d->curl, CURLOPT_XFERINFOFUNCTION, tell);
    curl_easy_setopt(d->curl, CURLOPT_XFERINFODATA, d);
    curl_easy_setopt(d->curl, CURLOPT_NOPROGRESS, 0L);
    const CURLcode code = curl_easy_perform(d->curl);
    curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, http);
    curl_easy_cleanup(d->curl);
    return fflush(d->file) == 0 ? code : CURLE_WRITE_ERROR;
}

/* Worth another try: the line broke, or the server was busy. */
static bool may_retry(CURLcode code, long http)
{
    if (code == CURLE_HTTP_RETURNED_ERROR || code == CURLE_RANGE_ERROR)
        return http >= 500 || http == 416 || code == CURLE_RANGE_ERROR;
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING ||
           code == CURLE_OPERATION_TIMEDOUT || code == CURLE_COULDNT_CONNECT ||
           code == CURLE_HTTP2_STREAM;
}

enum hr_status hr_fetch_file(const char *url, const char *path, hr_fetch_progress *progress,
                             void *context)
{
    char error[CURL_ERROR_SIZE] = "";
    struct download d = { .progress = progress, .context = context };
    CURLcode code = CURLE_FAILED_INIT;
    long http = 0;
    if (!(d.file = fopen(path, "ab+e")))
        return hr_fail(HR_E_IO, "%s: cannot write", path);
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            sleep((unsigned)i);
        code = try_once(&d, url, error, &http);
        if (code == CURLE_OK || !may_retry(code, http))
            break;
        /* A range that the server cannot serve: the old part is no good. */
        if ((http == 416 || code == CURLE_RANGE_ERROR) && ftruncate(fileno(d.file), 0) != 0)
            break;
    }
    const bool closed = fclose(d.file) == 0;
    if (code == CURLE_WRITE_ERROR || !closed)
        return hr_fail(HR_E_IO, "%s: cannot write: is the disk full?", path);
    if (code != CURLE_OK)
        return hr_fail(HR_E_IO, "%s: %s", url, reason(code, error));
    return HR_OK;
}
#else
enum hr_status hr_fetch_memory(const char *url, size_t limit, uint8_t **out, size_t *size)
{
    (void)limit;
    (void)out;
    (void)size;
    return hr_fail(HR_E_UNSUPPORTED, "%s: this build has no libcurl and fetches nothing", url);
}

enum hr_status hr_fetch_file(const char *url, const char *path, hr_fetch_progress *progress,
                             void *context)
{
    (void)path;
    (void)progress;
    (void)context;
    return hr_fail(HR_E_UNSUPPORTED, "%s: this build has no libcurl and fetches nothing", url);
}
#endif
