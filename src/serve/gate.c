/* SPDX-License-Identifier: Apache-2.0
 * Tokens are kept and compared as SHA-256 sums, each of them always and whole; rates are token
 * buckets in a fixed table, where a new address takes the place of the longest silent of its row.
 */
#include "serve/gate.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

#define MOST_TOKENS     64
#define TOKEN_FILE_MOST 65536
#define ROWS            1024 /* times WAYS addresses are remembered */
#define WAYS            4

struct bucket {
    uint64_t address; /* hash, 0 free */
    uint64_t last_ns;
    double tokens;
};

struct hr_gate {
    struct hr_gate_options options;
    pthread_mutex_t mutex;
    uint8_t sums[MOST_TOKENS][32];
    size_t token_count;
    struct bucket buckets[ROWS][WAYS];
};

static void sum_of(uint8_t sum[32], const char *token, size_t length)
{
    struct hr_sha256 h;
    hr_sha256_init(&h);
    hr_sha256_update(&h, token, length);
    hr_sha256_final(&h, sum);
}

/* One token a line; blanks around it and lines that begin with # are nothing. */
static enum hr_status parse_tokens(const char *text, size_t size, const char *path,
                                   uint8_t sums[MOST_TOKENS][32], size_t *count)
{
    *count = 0;
    for (size_t at = 0; at < size;) {
        const char *line = text + at;
        const char *newline = memchr(line, '\n', size - at);
        size_t length = newline ? (size_t)(newline - line) : size - at;
        at += length + 1;
        while (length > 0 && strchr(" \t\r", line[length - 1]))
            length--;
        while (length > 0 && strchr(" \t", *line)) {
            line++;
            length--;
        }
        if (length == 0 || *line == '#')
            continue;
        if (*count == MOST_TOKENS)
            return hr_fail(HR_E_LIMIT, "%s: more than %d tokens", path, MOST_TOKENS);
        sum_of(sums[(*count)++], line, length);
    }
    return *count ? HR_OK : hr_fail(HR_E_FORMAT, "%s: there is no token in it", path);
}

enum hr_status hr_gate_reload(struct hr_gate *gate)
{
    uint8_t sums[MOST_TOKENS][32], *text = NULL;
    size_t size, count;
    if (!gate->options.token_file)
        return HR_OK;
    HR_TRY(hr_file_read(gate->options.token_file, TOKEN_FILE_MOST, &text, &size));
    const enum hr_status status =
        parse_tokens((const char *)text, size, gate->options.token_file, sums, &count);
    hr_mem_free(text);
    HR_TRY(status);
    pthread_mutex_lock(&gate->mutex);
    memcpy(gate->sums, sums, sizeof sums);
    gate->token_count = count;
    pthread_mutex_unlock(&gate->mutex);
    return HR_OK;
}

bool hr_gate_may_enter(struct hr_gate *gate, const char *authorization)
{
    uint8_t sum[32];
    unsigned found = 0;
    if (!gate->options.token_file)
        return true;
    if (!authorization || strncmp(authorization, "Bearer ", 7) != 0)
        return false;
    sum_of(sum, authorization + 7, strlen(authorization + 7));
    pthread_mutex_lock(&gate->mutex);
    for (size_t i = 0; i < gate->token_count; i++) {
        unsigned differs = 0;
        for (size_t j = 0; j < sizeof sum; j++)
            differs |= (unsigned)(sum[j] ^ gate->sums[i][j]);
        found |= ((differs - 1) >> 8) & 1; /* 1 where nothing differs */
    }
    pthread_mutex_unlock(&gate->mutex);
    return found;
}

/* An IPv4 address, or the network of an IPv6 one (a client has a whole /64). */
static uint64_t hash_address(const struct sockaddr *client)
{
    uint64_t key = 1;
    if (client && client->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, client, sizeof v4);
        key = v4.sin_addr.s_addr;
    } else if (client && client->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, client, sizeof v6);
        memcpy(&key, &v6.sin6_addr, sizeof key);
    }
    const uint64_t hash = hr_hash_mix(key + HR_HASH_STEP);
    return hash ? hash : 1;
}

static struct bucket *find_bucket(struct hr_gate *gate, uint64_t address, uint64_t now_ns)
{
    struct bucket *row = gate->buckets[address % ROWS], *oldest = row;
    for (size_t i = 0; i < WAYS; i++) {
        if (row[i].address == address)
            return &row[i];
        if (row[i].last_ns < oldest->last_ns)
            oldest = &row[i];
    }
    *oldest = (struct bucket){ address, now_ns, gate->options.burst };
    return oldest;
}

unsigned hr_gate_rate(struct hr_gate *gate, const struct sockaddr *client)
{
    const double rate = gate->options.rate, burst = gate->options.burst;
    unsigned wait = 0;
    if (rate <= 0)
        return 0;
    const uint64_t now_ns = hr_os_now_ns();
    pthread_mutex_lock(&gate->mutex);
    struct bucket *b = find_bucket(gate, hash_address(client), now_ns);
    b->tokens += rate * 1e-9 * (double)(now_ns - b->last_ns);
    b->tokens = b->tokens > burst ? burst : b->tokens;
    b->last_ns = now_ns;
    if (b->tokens >= 1)
        b->tokens -= 1;
    else
        wait = 1 + (unsigned)((1 - b->tokens) / rate);
    pthread_mutex_unlock(&gate->mutex);
    return wait;
}

enum hr_status hr_gate_create(struct hr_gate **out, const struct hr_gate_options *options)
{
    struct hr_gate *gate = hr_mem_alloc(1, sizeof *gate);
    if (!gate)
        return HR_E_MEMORY;
    gate->options = *options;
    if (gate->options.burst < 1)
        gate->options.burst = gate->options.rate < 1 ? 1 : gate->options.rate;
    pthread_mutex_init(&gate->mutex, NULL);
    const enum hr_status status = hr_gate_reload(gate);
    if (status != HR_OK) {
        hr_gate_destroy(gate);
        return status;
    }
    *out = gate;
    return HR_OK;
}

void hr_gate_destroy(struct hr_gate *gate)
{
    if (!gate)
        return;
    pthread_mutex_destroy(&gate->mutex);
    hr_mem_free(gate);
}
