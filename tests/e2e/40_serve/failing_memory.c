/* SPDX-License-Identifier: Apache-2.0
 * LD_PRELOAD: from SIGUSR1 on, until the next, one allocation of FAIL_EVERY fails, whoever asks; at
 * random, and the same each time. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define FAIL_EVERY 500

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t align, size_t size);

static atomic_uint asked;
static atomic_bool failing;

static bool fails_now(void)
{
    if (!atomic_load(&failing))
        return false;
    unsigned x = atomic_fetch_add(&asked, 1) * 2654435761u; /* mixed as MurmurHash3 ends */
    x = (x ^ x >> 15) * 2246822519u;
    x ^= x >> 13;
    if (x % FAIL_EVERY != 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails_now() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return fails_now() ? NULL : __libc_realloc(block, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    void *block = fails_now() ? NULL : __libc_memalign(align, size);
    if (!block)
        return ENOMEM;
    *out = block;
    return 0;
}

static void turn(int number)
{
    (void)number;
    atomic_store(&failing, !atomic_load(&failing));
}

__attribute__((constructor)) static void begin(void)
{
    (void)sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = turn, .sa_flags = SA_RESTART },
                    NULL);
}
