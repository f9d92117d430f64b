/* SPDX-License-Identifier: Apache-2.0
 * Every block of jansson's has a head, by which the blocks of an unfinished parse are a list. */
#include "serve/json_memory.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* What values may take: a string is up to four times its length while its buffer grows, and is then
 * copied; small texts of small parts need more.  Ten thousands of empty arrays are over it. */
#define TIMES_SIZE 8
#define AT_LEAST   ((size_t)8 << 20)
#define OF_EACH    (sizeof(struct block) + HR_PAD_BYTES + HR_ALIGN_BYTES)

struct block {
    alignas(max_align_t) struct block *next; /* of a parse; NULL: of none */
    struct block *previous;
};

struct parse {
    jmp_buf end;
    struct block blocks; /* the list's head */
    size_t left;         /* bytes of the budget */
    bool over;
};

static _Thread_local struct parse *parsing;
static _Thread_local bool failed;

static void unlink_block(struct block *b)
{
    if (!b->next)
        return;
    b->next->previous = b->previous;
    b->previous->next = b->next;
    b->next = b->previous = NULL;
}

static void *allocate(size_t size)
{
    struct parse *p = parsing;
    struct block *b = NULL;
    size_t bytes;
    const bool over = p && (size > p->left || p->left - size < OF_EACH);
    if (!over && hr_size_add(&bytes, size, sizeof *b))
        b = hr_mem_alloc_raw(bytes, 1);
    if (!b) {
        failed = true;
        if (!p)
            return NULL;
        p->over = over;
        longjmp(p->end, 1);
    }
    *b = (struct block){ .next = NULL };
    if (p) {
        p->left -= size + OF_EACH;
        b->next = p->blocks.next;
        b->previous = &p->blocks;
        b->next->previous = b;
        p->blocks.next = b;
    }
    return b + 1;
}

static void release(void *memory)
{
    if (!memory)
        return;
    struct block *b = (struct block *)memory - 1;
    unlink_block(b);
    hr_mem_free(b);
}

void hr_json_memory_install(void)
{
    json_set_alloc_funcs(allocate, release);
    json_object_seed(0); /* once, not while memory may fail */
}

void hr_json_memory_note(void)
{
    failed = true;
}

bool hr_json_memory_failed(void)
{
    return failed;
}

void hr_json_memory_forget(void)
{
    failed = false;
}

/* False: it was left in the middle. */
static bool load(struct parse *p, const char *text, size_t size, json_t **out, json_error_t *error)
{
    if (setjmp(p->end) != 0)
        return false;
    parsing = p;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, error);
    return true;
}

enum hr_status hr_json_parse(json_t **out, const char *text, size_t size)
{
    struct parse p = { .left = SIZE_MAX };
    json_t *value = NULL;
    json_error_t error;
    if (size < (SIZE_MAX - AT_LEAST) / TIMES_SIZE)
        p.left = TIMES_SIZE * size + AT_LEAST;
    p.blocks.next = p.blocks.previous = &p.blocks;
    const bool whole = load(&p, text, size, &value, &error);
    parsing = NULL;
    while (p.blocks.next != &p.blocks) { /* no list any more: values live on, or all is freed */
        struct block *b = p.blocks.next;
        unlink_block(b);
        if (!whole)
            hr_mem_free(b);
    }
    if (!whole)
        return p.over ? hr_fail(HR_E_LIMIT, "the JSON has far more parts than its length allows")
                      : hr_fail(HR_E_MEMORY, "out of memory");
    if (!value)
        return hr_fail(HR_E_FORMAT, "the body is no JSON: %.120s (line %d)", error.text,
                       error.line);
    *out = value;
    return HR_OK;
}

char *hr_json_dump(const json_t *value)
{
    return value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
}

void hr_json_release(char *text)
{
    json_malloc_t unused;
    json_free_t release_text;
    json_get_alloc_funcs(&unused, &release_text);
    release_text(text);
}
