/* SPDX-License-Identifier: Apache-2.0
 * The link over MPI, the only file that knows it (MPI 3.1: non-blocking collectives; an error comes
 * back instead of ending the process).  All calls come from one thread, that which initialised it:
 * MPI_THREAD_FUNNELED is enough. */
#include "train/reduce.h"

#if HRNET_MPI

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/launch.h"
#include "base/mem.h"

enum kind { PARTS, WHOLES, RECORDS, KINDS }; /* each has its own order of transfers */

struct mpi {
    struct hr_link link;
    MPI_Comm comms[KINDS];
    MPI_Request requests[HR_LINK_TICKETS];
    int *
        counts; /* [tickets][4][ranks]: of a transfer under way, which MPI reads until it is done */
};

static bool ours;   /* MPI was initialised here and is to be finalised */
static bool broken; /* but not where ranks may be gone: that would wait for them */

static enum hr_status check(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int size = 0, kind = MPI_SUCCESS;
    if (code == MPI_SUCCESS)
        return HR_OK;
    (void)MPI_Error_class(code, &kind);
    (void)MPI_Error_string(kind, text, &size);
    text[strcspn(text, "\n")] = '\0';
    return hr_fail(HR_E_IO, "MPI cannot %s, a process may be lost: %s", what, text);
}

/* The four lists of a ticket. */
static int *list_of(const struct mpi *m, size_t ticket, size_t list)
{
    return m->counts + (ticket * 4 + list) * (size_t)m->link.ranks;
}

static enum hr_status scatter(struct hr_link *link, size_t ticket, const float *data,
                              const size_t *parts, float *into)
{
    struct mpi *const m = link->context;
    int *const counts = list_of(m, ticket, 0), *const places = list_of(m, ticket, 1);
    int *const own_counts = list_of(m, ticket, 2), *const own_places = list_of(m, ticket, 3);
    const size_t own = parts[link->rank + 1] - parts[link->rank];
    for (int i = 0; i < link->ranks; i++) {
        counts[i] = (int)(parts[i + 1] - parts[i]);
        places[i] = (int)parts[i];
        own_counts[i] = (int)own;
        own_places[i] = i * (int)own;
    }
    return check(MPI_Ialltoallv(data, counts, places, MPI_FLOAT, into, own_counts, own_places,
                                MPI_FLOAT, m->comms[PARTS], &m->requests[ticket]),
                 "send gradients");
}

static enum hr_status gather(struct hr_link *link, size_t ticket, float *data, const size_t *parts)
{
    struct mpi *const m = link->context;
    int *const counts = list_of(m, ticket, 0), *const places = list_of(m, ticket, 1);
    for (int i = 0; i < link->ranks; i++) {
        counts[i] = (int)(parts[i + 1] - parts[i]);
        places[i] = (int)parts[i];
    }
    return check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, counts, places,
                                 MPI_FLOAT, m->comms[WHOLES], &m->requests[ticket]),
                 "send sums of gradients");
}

static enum hr_status share(struct hr_link *link, size_t ticket, const void *mine, void *all,
                            size_t bytes)
{
    struct mpi *const m = link->context;
    if (bytes > INT_MAX)
        return hr_fail(HR_E_LIMIT, "%zu bytes a process are too many to share", bytes);
    return check(MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE,
                                m->comms[RECORDS], &m->requests[ticket]),
                 "share a record");
}

static enum hr_status tell(struct hr_link *link, size_t ticket, void *data, size_t bytes)
{
    struct mpi *const m = link->context;
    return check(MPI_Ibcast(data, (int)bytes, MPI_BYTE, 0, m->comms[RECORDS], &m->requests[ticket]),
                 "send the state");
}

static enum hr_status test(struct hr_link *link, size_t ticket, bool *done)
{
    struct mpi *const m = link->context;
    int flag = 0;
    HR_TRY(check(MPI_Test(&m->requests[ticket], &flag, MPI_STATUS_IGNORE), "go on"));
    *done = flag != 0;
    return HR_OK;
}

/* Communicators stay where processes may be gone: freeing them waits for these. */
static void close_link(struct hr_link *link, bool in_order)
{
    struct mpi *const m = link->context;
    broken |= !in_order;
    for (int i = 0; in_order && i < KINDS; i++)
        if (m->comms[i] != MPI_COMM_NULL)
            (void)MPI_Comm_free(&m->comms[i]);
    hr_mem_free(m->counts);
    hr_mem_free(m);
}

static void end(void)
{
    int over = 0;
    if (ours && !broken && MPI_Finalized(&over) == MPI_SUCCESS && !over)
        (void)MPI_Finalize();
}

static enum hr_status initialise(void)
{
    int is = 0, over = 0, level = 0;
    HR_TRY(check(MPI_Finalized(&over), "start"));
    if (over)
        return hr_fail(HR_E_UNSUPPORTED, "MPI was finalised in this process: train before that");
    HR_TRY(check(MPI_Initialized(&is), "start"));
    if (is)
        return HR_OK;
    HR_TRY(check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "start"));
    if (level < MPI_THREAD_FUNNELED)
        return hr_fail(HR_E_UNSUPPORTED, "this MPI does not work in a process of several threads");
    ours = atexit(end) == 0;
    return HR_OK;
}

/* The launcher of one MPI and the library of another do not know each other: each process would be
 * alone. */
static enum hr_status check_ranks(const struct mpi *m)
{
    char library[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
    int size = 0;
    const struct hr_launch launch = hr_launch_get();
    if (m->link.ranks == launch.ranks)
        return HR_OK;
    if (launch.rank > 0) /* the first process says it */
        return hr_fail(HR_E_UNSUPPORTED, "%s", "");
    HR_TRY(check(MPI_Get_library_version(library, &size), "start"));
    library[strcspn(library, ",\n")] = '\0';
    for (char *at = library; (at = strchr(at, '\t'));)
        *at = ' ';
    return hr_fail(HR_E_UNSUPPORTED,
                   "%d processes were started together, but this build's MPI (%s) sees %d: start "
                   "them with its own mpirun",
                   launch.ranks, library, m->link.ranks);
}

static enum hr_status fill(struct mpi *m)
{
    for (int i = 0; i < KINDS; i++)
        m->comms[i] = MPI_COMM_NULL;
    HR_TRY(initialise());
    HR_TRY(check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "start"));
    HR_TRY(check(MPI_Comm_rank(MPI_COMM_WORLD, &m->link.rank), "count its processes"));
    HR_TRY(check(MPI_Comm_size(MPI_COMM_WORLD, &m->link.ranks), "count its processes"));
    HR_TRY(check_ranks(m));
    for (int i = 0; i < KINDS; i++) {
        HR_TRY(check(MPI_Comm_dup(MPI_COMM_WORLD, &m->comms[i]), "start"));
        HR_TRY(check(MPI_Comm_set_errhandler(m->comms[i], MPI_ERRORS_RETURN), "start"));
    }
    for (size_t i = 0; i < HR_LINK_TICKETS; i++)
        m->requests[i] = MPI_REQUEST_NULL;
    m->counts = hr_mem_alloc(HR_LINK_TICKETS * 4, (size_t)m->link.ranks * sizeof *m->counts);
    return m->counts ? HR_OK : HR_E_MEMORY;
}

enum hr_status hr_link_open_mpi(struct hr_link **out)
{
    struct mpi *const m = hr_mem_alloc(1, sizeof *m);
    if (!m)
        return HR_E_MEMORY;
    m->link = (struct hr_link){ .context = m,
                                .scatter = scatter,
                                .gather = gather,
                                .share = share,
                                .tell = tell,
                                .test = test,
                                .close = close_link };
    const enum hr_status status = fill(m);
    if (status == HR_OK)
        *out = &m->link;
    else
        close_link(&m->link, false);
    return status;
}

#else

#include "base/launch.h"

enum hr_status hr_link_open_mpi(struct hr_link **out)
{
    *out = NULL;
    if (hr_launch_get().rank > 0) /* the first process says it */
        return hr_fail(HR_E_UNSUPPORTED, "%s", "");
    return hr_fail(HR_E_UNSUPPORTED,
                   "%d processes were started together, but this build is without MPI and would "
                   "train as many copies: build it with -DHRNET_MPI=ON (Debian: libopenmpi-dev or "
                   "libmpich-dev), or start one process",
                   hr_launch_get().ranks);
}

#endif
