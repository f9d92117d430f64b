/* SPDX-License-Identifier: Apache-2.0
 * Downloads, by libcurl. */
#include "cli/fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
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
    const char *bundle = getenv("SSL_CERT_FILE"); /* libcurl does not read it by itself */
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
    if (bundle && bundle[0])
        curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
    return curl;
}

static enum hr_status fail_fetch(const char *url, CURLcode code, const char *error)
{
    const char *reason = error[0] ? error : curl_easy_strerror(code);
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return hr_fail(HR_E_IO, "%s: the server sends on to an address that is not followed: %s",
                       url, reason);
    return hr_fail(HR_E_IO, "%s: %s", url, reason);
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
    return fail_fetch(url, code, error);
}

/* What the last answer said of the file: enough to tell one version of it from another. */
struct answer {
    char etag[256], modified[64];
    uint64_t length;       /* Content-Length, 0 while unknown */
    uint64_t begin, whole; /* Content-Range, whole 0 while unknown */
    bool ranged;
};

struct download {
    CURL *curl;
    FILE *file;
    const char *url, *note; /* note: the path beside the file that keeps the validator */
    uint64_t start;         /* bytes that were there */
    uint64_t whole;         /* bytes of the whole file as this run was told, 0 unknown */
    char validator[256];    /* of the version that the bytes belong to, "" if none */
    struct answer answer;
    bool begun, stale;
    const struct hr_fetch_options *options;
};

/* A validator goes into a header of ours: printing characters only. */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

/* The strong ETag, else the date; a weak ETag does not promise the same bytes. */
static const char *validator_of(const struct answer *a)
{
    return a->etag[0] == '"' ? a->etag : a->modified;
}

/* The note holds the validator and the address it came from, a line each. */
static void read_note(struct download *d)
{
    uint8_t *data = NULL;
    size_t size = 0;
    if (hr_os_kind(d->note) != HR_OS_FILE || hr_file_read(d->note, 16384, &data, &size) != HR_OK)
        return;
    const char *text = (const char *)data;
    const char *end = memchr(text, '\n', size);
    const size_t length = end ? (size_t)(end - text) : sizeof d->validator;
    const size_t url = strlen(d->url);
    if (length < sizeof d->validator && size == length + url + 2 &&
        memcmp(end + 1, d->url, url) == 0) {
        memcpy(d->validator, text, length);
        d->validator[length] = '\0';
        if (!is_plain(d->validator))
            d->validator[0] = '\0';
    }
    hr_mem_free(data);
}

/* Without a note nothing is ever gone on with, so one that cannot be written is left out. */
static void write_note(const struct download *d)
{
    unlink(d->note);
    if (!d->validator[0])
        return;
    FILE *f = fopen(d->note, "we");
    if (!f)
        return;
    const bool written = fprintf(f, "%s\n%s\n", d->validator, d->url) > 0;
    if (fclose(f) != 0 || !written)
        unlink(d->note);
}

static bool empty(struct download *d)
{
    d->start = 0;
    d->validator[0] = '\0';
    return fflush(d->file) == 0 && ftruncate(fileno(d->file), 0) == 0;
}

/* Is the answer about the very file whose beginning is there? */
static bool same_version(const struct download *d)
{
    const struct answer *a = &d->answer;
    const char *said = validator_of(a);
    if (d->start == 0 || !a->ranged || (d->whole && a->whole && a->whole != d->whole))
        return false;
    if (d->validator[0])
        return !said[0] || strcmp(said, d->validator) == 0;
    return d->whole && a->whole;
}

/* Does the part that comes begin where what is there ends? */
static bool continues(const struct download *d)
{
    return same_version(d) && d->answer.begin == d->start;
}

/* There is no rest (416): the program was stopped after the last byte came. */
static bool is_whole(const struct download *d, long http)
{
    return http == 416 && same_version(d) && d->answer.whole == d->start;
}

/* The headers are over.  A whole file starts anew, whatever was there. */
static bool begin_body(struct download *d, long code)
{
    d->begun = true;
    if (code == 206) {
        d->stale = !continues(d);
        return !d->stale;
    }
    if (!empty(d))
        return false;
    snprintf(d->validator, sizeof d->validator, "%s", validator_of(&d->answer));
    d->whole = d->answer.length;
    write_note(d);
    return true;
}

static bool take(const char *line, const char *name, char *out, size_t room)
{
    const size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0)
        return false;
    line += length;
    line += strspn(line, " \t");
    size_t n = strcspn(line, "\r\n");
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    out[0] = '\0';
    if (n < room) {
        memcpy(out, line, n);
        out[n] = '\0';
    }
    if (!is_plain(out))
        out[0] = '\0';
    return true;
}

static size_t header(char *bytes, size_t one, size_t count, void *context)
{
    struct download *d = context;
    struct answer *a = &d->answer;
    char line[512] = "", value[128];
    long code = 0;
    (void)one;
    if (count >= sizeof line)
        return count; /* none of those that matter */
    memcpy(line, bytes, count);
    if (strncmp(line, "HTTP/", 5) == 0) {
        *a = (struct answer){ 0 };
        d->begun = false;
    } else if (take(line, "ETag:", a->etag, sizeof a->etag) ||
               take(line, "Last-Modified:", a->modified, sizeof a->modified)) {
        return count;
    } else if (take(line, "Content-Length:", value, sizeof value)) {
        a->length = strtoull(value, NULL, 10);
    } else if (take(line, "Content-Range:", value, sizeof value)) {
        char *slash = strchr(value, '/');
        a->ranged = strncasecmp(value, "bytes ", 6) == 0 && slash;
        a->begin = a->ranged ? strtoull(value + 6, NULL, 10) : 0;
        a->whole = a->ranged ? strtoull(slash + 1, NULL, 10) : 0;
    } else if (!d->begun && (line[0] == '\r' || line[0] == '\n')) {
        curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &code);
        if (code >= 200 && code < 300 && !begin_body(d, code))
            return 0;
    }
    return count;
}

static size_t append(char *bytes, size_t one, size_t count, void *context)
{
    struct download *d = context;
    (void)one;
    return fwrite(bytes, 1, count, d->file);
}

static int tell(void *context, curl_off_t total, curl_off_t done, curl_off_t up, curl_off_t up_done)
{
    struct download *d = context;
    (void)up;
    (void)up_done;
    if (d->options->progress)
        d->options->progress(d->options->context, d->start + (uint64_t)done,
                             total > 0 ? d->start + (uint64_t)total : 0);
    return 0;
}

/* Asks for the rest, if what is there can be told from another version; else for the whole.  The
 * range is set as text: libcurl's own way of resuming takes an equal length for an equal file. */
static bool ask_for_rest(struct download *d, struct curl_slist **headers)
{
    char text[320];
    *headers = NULL;
    if (fflush(d->file) != 0 || fseek(d->file, 0, SEEK_END) != 0)
        return false;
    const long at = ftell(d->file);
    if (at < 0)
        return false;
    d->start = (uint64_t)at;
    if (d->start > 0 && !d->validator[0] && !d->whole && !empty(d))
        return false;
    if (d->start == 0)
        return true;
    snprintf(text, sizeof text, "%" PRIu64 "-", d->start);
    curl_easy_setopt(d->curl, CURLOPT_RANGE, text);
    if (!d->validator[0])
        return true;
    snprintf(text, sizeof text, "If-Range: %s", d->validator);
    *headers = curl_slist_append(NULL, text);
    curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, *headers);
    return *headers != NULL;
}

static CURLcode try_once(struct download *d, char error[CURL_ERROR_SIZE], long *http)
{
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_WRITE_ERROR;
    *http = 0;
    d->stale = d->begun = false;
    d->curl = start(d->url, error);
    if (!d->curl)
        return CURLE_FAILED_INIT;
    curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_TIME, STALL_TIME_S);
    curl_easy_setopt(d->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(d->curl, CURLOPT_HEADERFUNCTION, header);
    curl_easy_setopt(d->curl, CURLOPT_HEADERDATA, d);
    curl_easy_setopt(d->curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(d->curl, CURLOPT_WRITEDATA, d);
    curl_easy_setopt(d->curl, CURLOPT_XFERINFOFUNCTION, tell);
    curl_easy_setopt(d->curl, CURLOPT_XFERINFODATA, d);
    curl_easy_setopt(d->curl, CURLOPT_NOPROGRESS, 0L);
    if (ask_for_rest(d, &headers)) {
        code = curl_easy_perform(d->curl);
        curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, http);
    }
    curl_easy_cleanup(d->curl);
    curl_slist_free_all(headers);
    if (d->stale)
        return CURLE_RANGE_ERROR;
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

static void wait_seconds(double seconds)
{
    const time_t whole = (time_t)seconds;
    const struct timespec time = { whole, (long)((seconds - (double)whole) * 1e9) };
    nanosleep(&time, NULL);
}

static enum hr_status download(struct download *d, const char *path)
{
    char error[CURL_ERROR_SIZE] = "";
    CURLcode code = CURLE_FAILED_INIT;
    long http = 0;
    if (!(d->file = fopen(path, "ab+e")))
        return hr_fail(HR_E_IO, "%s: cannot write", path);
    read_note(d);
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            wait_seconds(i * d->options->retry_seconds);
        code = try_once(d, error, &http);
        if (is_whole(d, http))
            code = CURLE_OK;
        if (code == CURLE_OK || !may_retry(code, http))
            break;
        /* A range that the server cannot serve, or one of another version: the old part is no
         * good. */
        if ((http == 416 || code == CURLE_RANGE_ERROR) && !empty(d))
            break;
    }
    const bool closed = fclose(d->file) == 0;
    if (code == CURLE_WRITE_ERROR || !closed)
        return hr_fail(HR_E_IO, "%s: cannot write: is the disk full?", path);
    if (d->stale)
        return hr_fail(HR_E_IO, "%s: the server sends another part of the file than was asked for",
                       d->url);
    if (code != CURLE_OK)
        return fail_fetch(d->url, code, error);
    return HR_OK;
}

enum hr_status hr_fetch_file(const char *url, const char *path,
                             const struct hr_fetch_options *options)
{
    struct hr_text note = { 0 };
    hr_text_printf(&note, "%s%s", path, HR_FETCH_NOTE);
    enum hr_status status = note.status;
    if (status == HR_OK) {
        struct download d = { .url = url, .note = note.data, .options = options };
        status = download(&d, path);
    }
    hr_text_fini(&note);
    return status;
}
#else
enum hr_status hr_fetch_memory(const char *url, size_t limit, uint8_t **out, size_t *size)
{
    (void)limit;
    (void)out;
    (void)size;
    return hr_fail(HR_E_UNSUPPORTED, "%s: this build has no libcurl and fetches nothing", url);
}

enum hr_status hr_fetch_file(const char *url, const char *path,
                             const struct hr_fetch_options *options)
{
    (void)path;
    (void)options;
    return hr_fail(HR_E_UNSUPPORTED, "%s: this build has no libcurl and fetches nothing", url);
}
#endif
