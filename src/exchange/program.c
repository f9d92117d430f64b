/* SPDX-License-Identifier: Apache-2.0
 * The program as data: growing it, looking things up in it. */
#include "exchange/program.h"

#include <stdlib.h>
#include <string.h>

void hr_program_fini(struct hr_program *program)
{
    hr_mem_free(program->ops);
    hr_mem_free(program->params);
    hr_arena_fini(&program->arena);
    hr_store_destroy(program->folded);
    *program = (struct hr_program){ 0 };
}

enum hr_status hr_program_add(struct hr_program *program, const char *type, size_t in_count,
                              size_t out_count, size_t attribute_count, struct hr_program_op **out)
{
    HR_TRY(hr_mem_grow((void **)&program->ops, &program->op_capacity, program->op_count + 1,
                       sizeof *program->ops));
    struct hr_arena *arena = &program->arena;
    struct hr_program_op op = { .type = hr_arena_printf(arena, "%s", type),
                                .in = hr_arena_alloc(arena, in_count, sizeof *op.in),
                                .out = hr_arena_alloc(arena, out_count, sizeof *op.out),
                                .attributes =
                                    hr_arena_alloc(arena, attribute_count, sizeof *op.attributes) };
    if (!op.type || !op.in || !op.out || !op.attributes)
        return HR_E_MEMORY;
    program->ops[program->op_count] = op;
    *out = &program->ops[program->op_count++];
    return HR_OK;
}

enum hr_status hr_program_add_param(struct hr_program *program, const char *name, const char *value)
{
    HR_TRY(hr_mem_grow((void **)&program->params, &program->param_capacity,
                       program->param_count + 1, sizeof *program->params));
    struct hr_program_param *p = &program->params[program->param_count];
    p->name = hr_arena_printf(&program->arena, "%s", name);
    p->value = hr_arena_printf(&program->arena, "%s", value);
    if (!p->name || !p->value)
        return HR_E_MEMORY;
    program->param_count++;
    return HR_OK;
}

static int compare_params(const void *a, const void *b)
{
    return strcmp(((const struct hr_program_param *)a)->name,
                  ((const struct hr_program_param *)b)->name);
}

void hr_program_sort_params(struct hr_program *program)
{
    if (program->param_count > 1)
        qsort(program->params, program->param_count, sizeof *program->params, compare_params);
}

static const char *find_slot(const struct hr_program_slot *slots, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(slots[i].name, name) == 0)
            return slots[i].value;
    return NULL;
}

const char *hr_program_in(const struct hr_program_op *op, const char *slot)
{
    return find_slot(op->in, op->in_count, slot);
}

const char *hr_program_out(const struct hr_program_op *op, const char *slot)
{
    return find_slot(op->out, op->out_count, slot);
}

const struct hr_program_attribute *hr_program_attribute(const struct hr_program_op *op,
                                                        const char *name)
{
    for (size_t i = 0; i < op->attribute_count; i++)
        if (strcmp(op->attributes[i].name, name) == 0)
            return &op->attributes[i];
    return NULL;
}
