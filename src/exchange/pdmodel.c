/* SPDX-License-Identifier: Apache-2.0
 * Paddle's .pdmodel (ProgramDesc, a protobuf message) as a program. */
#include <string.h>

#include "exchange/program.h"
#include "wire/message.h"
#include "wire/paddle.pb-c.h"

/* Kinds of variables (VarType.Type) that are no parameters, though they persist. */
enum { FEED_LIST = 9, FETCH_LIST = 10, READER = 15, RAW = 17 };

static const char *copy(struct hr_program *p, const char *text)
{
    return hr_arena_printf(&p->arena, "%s", text ? text : "");
}

/* The first value of each slot that has one. */
static enum hr_status read_slots(struct hr_program *p, struct hr_program_slot *to, size_t *count,
                                 Hr__PaddleSlot *const *slots, size_t slot_count)
{
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i]->n_arguments == 0)
            continue;
        to[*count].name = copy(p, slots[i]->parameter);
        to[*count].value = copy(p, slots[i]->arguments[0]);
        if (!to[*count].name || !to[*count].value)
            return HR_E_MEMORY;
        ++*count;
    }
    return HR_OK;
}

#define READ_LIST(field)                                              \
    do {                                                              \
        to->count = a->n_##field;                                     \
        for (size_t k = 0; k < to->count && k < HR_MOST_NUMBERS; k++) \
            to->number[k] = (double)a->field[k];                      \
    } while (0)

/* AttrType; kinds that no operator of ours looks at are left out. */
static bool read_value(struct hr_program *p, struct hr_program_attribute *to,
                       const Hr__PaddleAttr *a)
{
    to->count = 1;
    switch (a->type) {
    case 0:
        to->kind = HR_ATTRIBUTE_INT;
        to->number[0] = (double)a->i;
        return true;
    case 1:
        to->kind = HR_ATTRIBUTE_FLOAT;
        to->number[0] = (double)a->f;
        return true;
    case 2:
        to->kind = HR_ATTRIBUTE_TEXT;
        to->text = copy(p, a->s);
        return true;
    case 3:
        to->kind = HR_ATTRIBUTE_INTS;
        READ_LIST(ints);
        return true;
    case 4:
        to->kind = HR_ATTRIBUTE_FLOATS;
        READ_LIST(floats);
        return true;
    case 6:
        to->kind = HR_ATTRIBUTE_BOOL;
        to->number[0] = a->b;
        return true;
    case 9:
        to->kind = HR_ATTRIBUTE_LONG;
        to->number[0] = (double)a->l;
        return true;
    case 11:
        to->kind = HR_ATTRIBUTE_LONGS;
        READ_LIST(longs);
        return true;
    default:
        return false;
    }
}

static enum hr_status read_op(struct hr_program *p, const Hr__PaddleOp *from)
{
    struct hr_program_op *op;
    HR_TRY(hr_program_add(p, from->type, from->n_inputs, from->n_outputs, from->n_attrs, &op));
    HR_TRY(read_slots(p, op->in, &op->in_count, from->inputs, from->n_inputs));
    HR_TRY(read_slots(p, op->out, &op->out_count, from->outputs, from->n_outputs));
    for (size_t i = 0; i < from->n_attrs; i++) {
        struct hr_program_attribute *to = &op->attributes[op->attribute_count];
        if (!read_value(p, to, from->attrs[i]))
            continue;
        to->name = copy(p, from->attrs[i]->name);
        if (!to->name || (to->kind == HR_ATTRIBUTE_TEXT && !to->text))
            return HR_E_MEMORY;
        op->attribute_count++;
    }
    return HR_OK;
}

static enum hr_status read_params(struct hr_program *p, const Hr__PaddleBlock *block)
{
    for (size_t i = 0; i < block->n_vars; i++) {
        const Hr__PaddleVar *v = block->vars[i];
        const int type = v->type->type;
        if (v->persistable && type != FEED_LIST && type != FETCH_LIST && type != READER &&
            type != RAW)
            HR_TRY(hr_program_add_param(p, v->name, v->name));
    }
    hr_program_sort_params(p);
    return HR_OK;
}

static enum hr_status read_input(struct hr_program *p, const Hr__PaddleBlock *block)
{
    const char *fed = NULL;
    for (size_t i = 0; i < p->op_count && !fed; i++)
        if (strcmp(p->ops[i].type, "feed") == 0)
            fed = hr_program_out(&p->ops[i], "Out");
    for (size_t i = 0; i < block->n_vars && fed; i++) {
        const Hr__PaddleVar *v = block->vars[i];
        if (strcmp(v->name, fed) != 0)
            continue;
        const Hr__PaddleLodTensor *t = v->type->lod_tensor;
        if (!t || t->tensor->n_dims != 4)
            return hr_fail(HR_E_UNSUPPORTED, "its input '%.100s' has no shape of 4 dimensions",
                           fed);
        memcpy(p->input, t->tensor->dims, sizeof p->input);
        return HR_OK;
    }
    return hr_fail(HR_E_FORMAT, "the program has no input");
}

static enum hr_status read_program(struct hr_program *p, const Hr__PaddleProgram *from)
{
    if (from->n_blocks != 1)
        return hr_fail(HR_E_UNSUPPORTED, "the program has %zu blocks: one is supported",
                       from->n_blocks);
    const Hr__PaddleBlock *block = from->blocks[0];
    HR_TRY(read_params(p, block));
    for (size_t i = 0; i < block->n_ops; i++)
        HR_TRY(read_op(p, block->ops[i]));
    return read_input(p, block);
}

enum hr_status hr_pdmodel_read(struct hr_program *program, const void *data, size_t size,
                               const char *name)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *message = NULL;
    enum hr_status status =
        hr_message_read(&message, &memory, &hr__paddle_program__descriptor, data, size, name);
    if (status == HR_OK)
        status = read_program(program, (const Hr__PaddleProgram *)(const void *)message);
    hr_message_memory_fini(&memory);
    return status;
}
