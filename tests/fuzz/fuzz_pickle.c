/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a pickle: what loads is printed as a pickle, loads again and prints the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pickle.h"

#define MOST_VALUES 4096 /* printed; shared values may seem endless */
#define MOST_DEPTH  64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const allowed[] = { "numpy.dtype",
                                       "numpy.ndarray",
                                       "numpy.core.multiarray._reconstruct",
                                       "numpy._core.multiarray._reconstruct",
                                       "numpy.core.numeric._frombuffer",
                                       "numpy._core.numeric._frombuffer",
                                       "numpy._core.multiarray.scalar",
                                       "numpy.core.multiarray.scalar",
                                       "_codecs.encode",
                                       "torch._utils._rebuild_tensor_v2",
                                       "torch.FloatStorage",
                                       "builtins.tuple",
                                       "builtins.set" };

struct printer {
    struct hr_buffer out;
    size_t left;
};

static void put_sized(struct hr_buffer *b, char code, const uint8_t *data, size_t size)
{
    hr_buffer_put_u8(b, (uint8_t)code);
    hr_buffer_put_u32le(b, (uint32_t)size);
    hr_buffer_put(b, data, size);
}

/* "module.name" as two strings and STACK_GLOBAL. */
static void put_global(struct hr_buffer *b, struct hr_span full)
{
    size_t dot = 0;
    while (full.data[dot] != '.')
        dot++;
    put_sized(b, 'X', full.data, dot);
    put_sized(b, 'X', full.data + dot + 1, full.size - dot - 1);
    hr_buffer_put_u8(b, 0x93);
}

/* False when the value is too large to print. */
static bool print(struct printer *p, const struct hr_pickle *v, int depth)
{
    static const char closes[] = {
        [HR_PICKLE_LIST] = 'l', [HR_PICKLE_TUPLE] = 't', [HR_PICKLE_DICT] = 'd'
    };
    uint64_t bits;
    if (p->left == 0 || depth > MOST_DEPTH)
        return false;
    p->left--;
    switch (v->kind) {
    case HR_PICKLE_NONE:
        hr_buffer_put_u8(&p->out, 'N');
        return true;
    case HR_PICKLE_BOOL:
        hr_buffer_put_u8(&p->out, v->integer ? 0x88 : 0x89);
        return true;
    case HR_PICKLE_INT:
        hr_buffer_put(&p->out, "\x8a\x08", 2);
        hr_buffer_put_u64le(&p->out, (uint64_t)v->integer);
        return true;
    case HR_PICKLE_FLOAT:
        memcpy(&bits, &v->real, sizeof bits);
        hr_buffer_put_u8(&p->out, 'G');
        hr_buffer_put_u64le(&p->out, __builtin_bswap64(bits));
        return true;
    case HR_PICKLE_STRING:
        put_sized(&p->out, 'X', v->bytes.data, v->bytes.size);
        return true;
    case HR_PICKLE_BYTES:
        put_sized(&p->out, 'B', v->bytes.data, v->bytes.size);
        return true;
    case HR_PICKLE_LIST:
    case HR_PICKLE_TUPLE:
    case HR_PICKLE_DICT:
        hr_buffer_put_u8(&p->out, '(');
        for (size_t i = 0; i < v->count; i++)
            if (!print(p, v->items[i], depth + 1))
                return false;
        hr_buffer_put_u8(&p->out, (uint8_t)closes[v->kind]);
        return true;
    case HR_PICKLE_GLOBAL:
        put_global(&p->out, v->bytes);
        return true;
    case HR_PICKLE_OBJECT:
        if (!print(p, v->callable, depth + 1) || !print(p, v->args, depth + 1))
            return false;
        hr_buffer_put_u8(&p->out, 'R');
        if (v->state) {
            if (!print(p, v->state, depth + 1))
                return false;
            hr_buffer_put_u8(&p->out, 'b');
        }
        return true;
    case HR_PICKLE_PERSISTENT:
        if (!print(p, v->args, depth + 1))
            return false;
        hr_buffer_put_u8(&p->out, 'Q');
        return true;
    }
    abort();
}

static enum hr_status load(struct hr_pickle **out, struct hr_arena *arena, const void *data,
                           size_t size)
{
    struct hr_reader reader = hr_reader_of(data, size, "fuzz");
    return hr_pickle_load(out, arena, &reader, allowed, HR_COUNT(allowed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_arena arena = { 0 }, again = { 0 };
    struct printer first = { .left = MOST_VALUES }, second = { .left = MOST_VALUES + 1 };
    struct hr_pickle *value, *back;
    if (load(&value, &arena, data, size) == HR_OK && print(&first, value, 0)) {
        hr_buffer_put_u8(&first.out, '.');
        if (first.out.status != HR_OK ||
            load(&back, &again, first.out.data, first.out.size) != HR_OK ||
            !print(&second, back, 0) || second.out.size + 1 != first.out.size ||
            memcmp(first.out.data, second.out.data, second.out.size) != 0)
            abort();
    }
    hr_buffer_fini(&first.out);
    hr_buffer_fini(&second.out);
    hr_arena_fini(&arena);
    hr_arena_fini(&again);
    return 0;
}
