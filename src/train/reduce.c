/* SPDX-License-Identifier: Apache-2.0
 * Sums over ranks.  The one idea: a bucket is scattered by parts, each rank adds up the part that
 * is its own, in the order of the ranks, and gathers the sums; both halves travel while the
 * backward half of the tape runs, which calls now and then.  As many bytes as a ring moves, and a
 * fixed order.  Knows no MPI. */
#include "train/reduce.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/launch.h"
#include "base/mem.h"
#include "base/os.h"

/* Bytes of a bucket: larger ones start later, smaller ones cost a round trip each.  A small model
 * has as many buckets all the same. */
#define MOST_BYTES     ((size_t)25 << 20)
#define WANTED_BUCKETS 8
#define LEAST_FLOATS   4096
#define TELL_BYTES     ((size_t)64 << 20) /* at once: MPI counts bytes in an int */
#define ALIGNMENT      16                 /* floats: parts begin with a cache line */

#define RECORD           (HR_LINK_TICKETS - 1) /* the ticket of small records */
#define PATIENCE_SECONDS 1800.0 /* a rank that is stopped or swaps is slow, not lost */
#define SPIN_NS          200000 /* of waiting before the CPU is given to others in naps */
#define NAP_NS           50000

enum bucket_state { WAITING, SCATTERED, GATHERED, DONE };

struct bucket {
    size_t first, count;
    enum bucket_state state;
    size_t *parts; /* [ranks + 1] */
};

struct hr_reduce {
    struct hr_link *link;
    enum hr_status status; /* the first failure, and its words */
    char message[512];
    bool agreed;
    hr_reduce_idle *idle;
    void *idle_context;
    double patience_seconds;
    void *records;                       /* [ranks][HR_REDUCE_RECORD] */
    struct bucket *buckets;              /* from the end of the vector to its beginning */
    size_t bucket_count, started, moved; /* moved: of the started ones, those being gathered */
    size_t *parts;
    float *scratch; /* [floats]: the parts of other ranks, in the bucket's place */
    size_t scratch_floats;
    float *values;
    size_t sums, floats;
    uint64_t first_ns, last_ns, travel_ns, waited_ns;
};

size_t hr_reduce_rank(const struct hr_reduce *r)
{
    return r ? (size_t)r->link->rank : 0;
}

size_t hr_reduce_ranks(const struct hr_reduce *r)
{
    return r ? (size_t)r->link->ranks : 1;
}

/* Keeps the first failure. */
static enum hr_status keep(struct hr_reduce *r, enum hr_status status)
{
    if (r->status != HR_OK)
        return hr_fail(r->status, "%s", r->message);
    if (status == HR_OK)
        return HR_OK;
    r->status = status;
    snprintf(r->message, sizeof r->message, "%s", hr_last_message());
    return status;
}

enum hr_status hr_reduce_status(const struct hr_reduce *r)
{
    return r && r->status != HR_OK ? hr_fail(r->status, "%s", r->message) : HR_OK;
}

/* ---- Coming and going ---- */

enum hr_status hr_reduce_create(struct hr_reduce **out, struct hr_link *link)
{
    struct hr_reduce *const r = hr_mem_alloc(1, sizeof *r);
    if (!r) {
        link->close(link, true);
        return HR_E_MEMORY;
    }
    r->link = link;
    r->patience_seconds = PATIENCE_SECONDS;
    r->records = hr_mem_alloc(hr_reduce_ranks(r), HR_REDUCE_RECORD);
    if (!r->records) {
        hr_reduce_destroy(r, true);
        return HR_E_MEMORY;
    }
    *out = r;
    return HR_OK;
}

enum hr_status hr_reduce_open(struct hr_reduce **out)
{
    struct hr_link *link = NULL;
    *out = NULL;
    if (hr_launch_get().ranks < 2)
        return HR_OK;
    HR_TRY(hr_link_open_mpi(&link));
    return hr_reduce_create(out, link);
}

static void forget_plan(struct hr_reduce *r)
{
    hr_mem_free(r->buckets);
    hr_mem_free(r->parts);
    hr_mem_free(r->scratch);
    r->buckets = NULL;
    r->parts = NULL;
    r->scratch = NULL;
}

bool hr_reduce_agreed(const struct hr_reduce *r)
{
    return r && r->agreed;
}

void hr_reduce_destroy(struct hr_reduce *r, bool together)
{
    if (!r)
        return;
    r->link->close(r->link, r->status == HR_OK && (together || r->agreed));
    forget_plan(r);
    hr_mem_free(r->records);
    hr_mem_free(r);
}

void hr_reduce_watch(struct hr_reduce *r, hr_reduce_idle *idle, void *context)
{
    if (!r)
        return;
    r->idle = idle;
    r->idle_context = context;
}

void hr_reduce_patience(struct hr_reduce *r, double seconds)
{
    if (r)
        r->patience_seconds = seconds;
}

/* ---- Waiting ---- */

/* Between two looks: first at once, then in naps, so that a rank that waits leaves the CPU to those
 * that it waits for. */
static void rest(const struct hr_reduce *r, uint64_t since_ns)
{
    if (r->idle)
        r->idle(r->idle_context);
    if (hr_os_now_ns() - since_ns < SPIN_NS) {
        sched_yield();
        return;
    }
    (void)nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
}

static enum hr_status lost(const struct hr_reduce *r)
{
    return hr_fail(HR_E_DEADLINE, "a process of the %zu did not answer for %g s",
                   hr_reduce_ranks(r), r->patience_seconds);
}

static enum hr_status wait_for(struct hr_reduce *r, size_t ticket)
{
    const uint64_t start_ns = hr_os_now_ns();
    for (;;) {
        bool done;
        HR_TRY(r->link->test(r->link, ticket, &done));
        if (done)
            return HR_OK;
        if ((double)(hr_os_now_ns() - start_ns) > r->patience_seconds * 1e9)
            return lost(r);
        rest(r, start_ns);
    }
}

/* ---- Records ---- */

void *hr_reduce_records(struct hr_reduce *r)
{
    return r->records;
}

enum hr_status hr_reduce_share(struct hr_reduce *r, const void *mine, void *all, size_t bytes)
{
    if (!r) {
        memcpy(all, mine, bytes);
        return HR_OK;
    }
    HR_TRY(keep(r, HR_OK));
    enum hr_status status = r->link->share(r->link, RECORD, mine, all, bytes);
    if (status == HR_OK)
        status = wait_for(r, RECORD);
    return keep(r, status);
}

enum hr_status hr_reduce_tell(struct hr_reduce *r, void *data, size_t bytes)
{
    uint8_t *const at = data;
    for (size_t i = 0; r && i < bytes; i += TELL_BYTES) {
        HR_TRY(keep(r, HR_OK));
        const size_t piece = bytes - i < TELL_BYTES ? bytes - i : TELL_BYTES;
        enum hr_status status = r->link->tell(r->link, RECORD, at + i, piece);
        if (status == HR_OK)
            status = wait_for(r, RECORD);
        HR_TRY(keep(r, status));
    }
    return HR_OK;
}

struct verdict {
    int32_t status;
    char message[HR_REDUCE_RECORD - sizeof(int32_t)];
};

enum hr_status hr_reduce_agree(struct hr_reduce *r, enum hr_status status)
{
    struct verdict mine = { .status = status }, *all = NULL;
    if (!r)
        return status;
    if (r->status != HR_OK) /* nobody can be asked */
        return status != HR_OK ? status : keep(r, HR_OK);
    if (status != HR_OK)
        snprintf(mine.message, sizeof mine.message, "%s", hr_last_message());
    all = hr_reduce_records(r);
    status = hr_reduce_share(r, &mine, all, sizeof mine);
    for (size_t i = 0; status == HR_OK && i < hr_reduce_ranks(r); i++) {
        all[i].message[sizeof all[i].message - 1] = '\0';
        if (all[i].status == HR_OK)
            continue;
        r->agreed = true;
        status = hr_fail((enum hr_status)all[i].status, "process %zu of %zu: %s", i,
                         hr_reduce_ranks(r), all[i].message);
    }
    return status;
}

/* ---- Buckets ---- */

static size_t bucket_floats(size_t floats)
{
    size_t count = hr_round_up(floats / WANTED_BUCKETS + 1, ALIGNMENT);
    count = count < LEAST_FLOATS ? LEAST_FLOATS : count;
    if (count > MOST_BYTES / sizeof(float))
        count = MOST_BYTES / sizeof(float);
    const size_t least = hr_round_up(floats / (HR_LINK_TICKETS - 1) + 1, ALIGNMENT);
    return count < least ? least : count;
}

static void cut(const struct hr_reduce *r, struct bucket *b)
{
    const size_t ranks = hr_reduce_ranks(r);
    for (size_t i = 0; i < ranks; i++)
        b->parts[i] = b->count * i / ranks / ALIGNMENT * ALIGNMENT;
    b->parts[ranks] = b->count;
}

enum hr_status hr_reduce_plan(struct hr_reduce *r, size_t floats)
{
    if (!r)
        return HR_OK;
    const size_t each = bucket_floats(floats), ranks = hr_reduce_ranks(r);
    forget_plan(r);
    r->floats = floats;
    r->bucket_count = (floats + each - 1) / each;
    r->buckets = hr_mem_alloc(r->bucket_count, sizeof *r->buckets);
    r->parts = hr_mem_alloc(r->bucket_count, (ranks + 1) * sizeof *r->parts);
    /* Parts are rounded, so a rank's part of all may be a little more than a bucket. */
    r->scratch_floats = each + ranks * ALIGNMENT;
    r->scratch = hr_mem_alloc(r->bucket_count, r->scratch_floats * sizeof *r->scratch);
    if (!r->buckets || !r->parts || !r->scratch)
        return HR_E_MEMORY;
    for (size_t i = 0; i < r->bucket_count; i++) {
        struct bucket *const b = &r->buckets[i];
        const size_t end = floats - i * each;
        b->first = end > each ? end - each : 0;
        b->count = end - b->first;
        b->parts = r->parts + i * (ranks + 1);
        cut(r, b);
    }
    return HR_OK;
}

static float *scratch_of(const struct hr_reduce *r, size_t bucket)
{
    return r->scratch + bucket * r->scratch_floats;
}

/* This rank's part: of all ranks, in their order, in double. */
static void add_up(const struct hr_reduce *r, size_t bucket)
{
    const struct bucket *const b = &r->buckets[bucket];
    const size_t rank = hr_reduce_rank(r), ranks = hr_reduce_ranks(r);
    const size_t count = b->parts[rank + 1] - b->parts[rank];
    const float *const from = scratch_of(r, bucket);
    float *const to = r->values + b->first + b->parts[rank];
    /* Denormals count as zero whenever this runs, inside a tape's run or behind it. */
    const uint32_t fp = hr_fp_enter();
    for (size_t i = 0; i < count; i++) {
        double sum = (double)from[i];
        for (size_t j = 1; j < ranks; j++)
            sum += (double)from[j * count + i];
        to[i] = (float)sum;
    }
    hr_fp_leave(fp);
}

/* Does what can be done at once.  Buckets are gathered in their order on every rank. */
static enum hr_status move_on(struct hr_reduce *r)
{
    bool done = true;
    while (r->moved < r->started && done) {
        struct bucket *const b = &r->buckets[r->moved];
        HR_TRY(r->link->test(r->link, r->moved, &done));
        if (!done)
            break;
        add_up(r, r->moved);
        HR_TRY(r->link->gather(r->link, r->moved, r->values + b->first, b->parts));
        b->state = GATHERED;
        r->moved++;
    }
    for (size_t i = 0; i < r->moved; i++) {
        if (r->buckets[i].state != GATHERED)
            continue;
        HR_TRY(r->link->test(r->link, i, &done));
        if (done) {
            r->buckets[i].state = DONE;
            r->last_ns = hr_os_now_ns();
        }
    }
    return HR_OK;
}

static enum hr_status start_from(struct hr_reduce *r, size_t from)
{
    while (r->started < r->bucket_count && r->buckets[r->started].first >= from) {
        struct bucket *const b = &r->buckets[r->started];
        if (r->started == 0)
            r->first_ns = hr_os_now_ns();
        HR_TRY(r->link->scatter(r->link, r->started, r->values + b->first, b->parts,
                                scratch_of(r, r->started)));
        b->state = SCATTERED;
        r->started++;
    }
    return move_on(r);
}

void hr_reduce_begin(struct hr_reduce *r, float *values)
{
    if (!r)
        return;
    r->values = values;
    r->started = r->moved = 0;
    for (size_t i = 0; i < r->bucket_count; i++)
        r->buckets[i].state = WAITING;
}

void hr_reduce_ready(struct hr_reduce *r, size_t from)
{
    if (!r)
        return;
    if (r->idle)
        r->idle(r->idle_context);
    if (r->status == HR_OK)
        (void)keep(r, start_from(r, from));
}

static bool all_done(const struct hr_reduce *r)
{
    for (size_t i = 0; i < r->bucket_count; i++)
        if (r->buckets[i].state != DONE)
            return false;
    return true;
}

enum hr_status hr_reduce_end(struct hr_reduce *r)
{
    if (!r)
        return HR_OK;
    const uint64_t start_ns = hr_os_now_ns();
    HR_TRY(keep(r, HR_OK));
    HR_TRY(keep(r, start_from(r, 0)));
    while (!all_done(r)) {
        if ((double)(hr_os_now_ns() - start_ns) > r->patience_seconds * 1e9)
            return keep(r, lost(r));
        rest(r, start_ns);
        HR_TRY(keep(r, move_on(r)));
    }
    r->sums++;
    r->travel_ns += r->last_ns - r->first_ns;
    r->waited_ns += r->last_ns > start_ns ? r->last_ns - start_ns : 0;
    return HR_OK;
}

struct hr_reduce_times hr_reduce_times(const struct hr_reduce *r)
{
    const double sums = r && r->sums ? (double)r->sums * 1e9 : 1e9;
    if (!r)
        return (struct hr_reduce_times){ 0 };
    return (struct hr_reduce_times){ .sums = r->sums,
                                     .buckets = r->bucket_count,
                                     .bytes = r->floats * sizeof(float),
                                     .travel_seconds = (double)r->travel_ns / sums,
                                     .waited_seconds = (double)r->waited_ns / sums };
}
