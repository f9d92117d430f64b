/* SPDX-License-Identifier: Apache-2.0
 * Reading a file for the first time takes longer than looking at it: so threads share the pieces,
 * and the pages that one faults in are there for all. */
#include "model/flaws.h"

#include <stdatomic.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/pool.h"

#define PIECE_ELEMENTS ((size_t)128 << 10)
#define MOST_THREADS   8  /* memory feeds no more */
#define SHARED_PIECES  16 /* below this, waking others takes longer */

struct piece {
    size_t tensor, first, count; /* elements; all of them where they must be converted */
};

struct looking {
    const struct hr_store *store;
    struct piece *pieces;
    size_t count, capacity;
    atomic_uchar *flaws; /* [tensors] */
    atomic_bool no_memory;
};

/* By their exponents, which vectorises. */
static bool all_finite(const float *values, size_t count)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

static bool any_negative(const float *values, size_t count)
{
    bool negative = false;
    for (size_t i = 0; i < count; i++)
        negative |= values[i] < 0;
    return negative;
}

static bool floating(const struct hr_tensor *t)
{
    return t->dtype == HR_DTYPE_F32 || t->dtype == HR_DTYPE_F16 || t->dtype == HR_DTYPE_BF16 ||
           t->dtype == HR_DTYPE_F64;
}

static void look(void *context, size_t task, size_t task_count)
{
    struct looking *l = context;
    const struct piece *piece = &l->pieces[task];
    const struct hr_tensor *t = hr_store_tensor(l->store, piece->tensor);
    const float *values;
    float *made;
    (void)task_count;
    if (hr_tensor_floats(&values, &made, t) != HR_OK) {
        atomic_store(&l->no_memory, true);
        return;
    }
    values += piece->first;
    const unsigned finite = all_finite(values, piece->count) ? 0 : HR_FLAW_NOT_FINITE;
    const unsigned sign =
        t->shape.rank == 1 && any_negative(values, piece->count) ? HR_FLAW_NEGATIVE : 0;
    atomic_fetch_or(&l->flaws[piece->tensor], (unsigned char)(finite | sign));
    hr_mem_free(made);
}

static enum hr_status cut(struct looking *l, size_t tensor)
{
    const struct hr_tensor *t = hr_store_tensor(l->store, tensor);
    size_t elements, size;
    if (!floating(t)) {
        atomic_store(&l->flaws[tensor], HR_FLAW_TYPE);
        return HR_OK;
    }
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    for (size_t first = 0; first < elements; first += size) {
        const size_t left = elements - first;
        size = hr_tensor_plain(t) && left > PIECE_ELEMENTS ? PIECE_ELEMENTS : left;
        HR_TRY(hr_mem_grow((void **)&l->pieces, &l->capacity, l->count + 1, sizeof *l->pieces));
        l->pieces[l->count++] = (struct piece){ tensor, first, size };
    }
    return HR_OK;
}

static enum hr_status look_at_all(struct looking *l, unsigned threads)
{
    struct hr_pool *pool;
    if (threads == 0)
        threads = hr_cpu_count() < MOST_THREADS ? hr_cpu_count() : MOST_THREADS;
    HR_TRY(hr_pool_create(&pool, l->count < SHARED_PIECES ? 1 : threads));
    hr_pool_run(pool, look, l, l->count);
    hr_pool_destroy(pool);
    return atomic_load(&l->no_memory) ? hr_fail(HR_E_MEMORY, "no memory to convert a tensor")
                                      : HR_OK;
}

enum hr_status hr_flaws_find(uint8_t *flaws, const struct hr_store *store, const bool *wanted,
                             unsigned threads)
{
    const size_t count = hr_store_count(store);
    struct looking l = { .store = store };
    if (!(l.flaws = hr_mem_alloc(count, sizeof *l.flaws)))
        return HR_E_MEMORY;
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < count && status == HR_OK; i++)
        status = wanted[i] ? cut(&l, i) : HR_OK;
    if (status == HR_OK)
        status = look_at_all(&l, threads);
    for (size_t i = 0; i < count; i++)
        flaws[i] = atomic_load(&l.flaws[i]);
    hr_mem_free(l.pieces);
    hr_mem_free(l.flaws);
    return status;
}
