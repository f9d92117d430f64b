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

/* ---- Writing ------------------------------------------------------------------------------- */

enum { TENSOR = 7, FLOAT32 = 5 };

struct writer {
    struct hr_arena arena;
    enum hr_status status;
    Hr__PaddleBlock block;
    size_t var_room;
};

static void *take(struct writer *w, size_t count, size_t bytes)
{
    void *block = w->status == HR_OK ? hr_arena_alloc(&w->arena, count, bytes) : NULL;
    if (!block)
        w->status = HR_E_MEMORY;
    return block;
}

/* Messages only read their texts, but have no const. */
static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

static void add_var(struct writer *w, const char *name, int type, const struct hr_shape *shape,
                    bool persistable)
{
    struct all {
        Hr__PaddleVar var;
        Hr__PaddleVarType type;
        Hr__PaddleLodTensor lod;
        Hr__PaddleTensorDesc desc;
        int64_t dims[HR_MAX_RANK];
    } *all = take(w, 1, sizeof *all);
    if (!all)
        return;
    hr__paddle_var__init(&all->var);
    hr__paddle_var_type__init(&all->type);
    all->var.name = text(name);
    all->var.type = &all->type;
    all->type.type = type;
    all->var.has_persistable = 1;
    all->var.persistable = persistable;
    if (shape) {
        hr__paddle_lod_tensor__init(&all->lod);
        hr__paddle_tensor_desc__init(&all->desc);
        all->type.lod_tensor = &all->lod;
        all->lod.tensor = &all->desc;
        all->desc.data_type = FLOAT32;
        memcpy(all->dims, shape->dim, sizeof all->dims);
        all->desc.dims = all->dims;
        all->desc.n_dims = (size_t)shape->rank;
    }
    w->block.vars[w->block.n_vars++] = &all->var;
}

static Hr__PaddleSlot **slots_of(struct writer *w, const struct hr_program_slot *from, size_t count)
{
    Hr__PaddleSlot **list = take(w, count, sizeof *list);
    for (size_t i = 0; i < count && list; i++) {
        char **argument = take(w, 1, sizeof *argument);
        if (!(list[i] = take(w, 1, sizeof **list)) || !argument)
            return NULL;
        hr__paddle_slot__init(list[i]);
        list[i]->parameter = text(from[i].name);
        argument[0] = text(from[i].value);
        list[i]->arguments = argument;
        list[i]->n_arguments = 1;
    }
    return list;
}

static void set_list(struct writer *w, Hr__PaddleAttr *a, const struct hr_program_attribute *from)
{
    int32_t *ints = take(w, from->count, sizeof *ints);
    float *floats = take(w, from->count, sizeof *floats);
    if (!ints || !floats)
        return;
    for (size_t i = 0; i < from->count; i++) {
        ints[i] = (int32_t)from->number[i];
        floats[i] = (float)from->number[i];
    }
    if (from->kind == HR_ATTRIBUTE_FLOATS) {
        a->floats = floats;
        a->n_floats = from->count;
    } else {
        a->ints = ints;
        a->n_ints = from->count;
    }
}

static void set_attribute(struct writer *w, Hr__PaddleAttr *a,
                          const struct hr_program_attribute *from)
{
    static const int types[] = {
        [HR_ATTRIBUTE_INT] = 0,   [HR_ATTRIBUTE_LONG] = 9,  [HR_ATTRIBUTE_FLOAT] = 1,
        [HR_ATTRIBUTE_BOOL] = 6,  [HR_ATTRIBUTE_TEXT] = 2,  [HR_ATTRIBUTE_INTS] = 3,
        [HR_ATTRIBUTE_LONGS] = 3, [HR_ATTRIBUTE_FLOATS] = 4
    };
    hr__paddle_attr__init(a);
    a->name = text(from->name);
    a->type = types[from->kind];
    a->has_i = from->kind == HR_ATTRIBUTE_INT;
    a->has_l = from->kind == HR_ATTRIBUTE_LONG;
    a->has_f = from->kind == HR_ATTRIBUTE_FLOAT;
    a->has_b = from->kind == HR_ATTRIBUTE_BOOL;
    if (from->kind == HR_ATTRIBUTE_TEXT)
        a->s = text(from->text);
    else if (from->kind >= HR_ATTRIBUTE_INTS)
        set_list(w, a, from);
    else if (a->has_f)
        a->f = (float)from->number[0];
    else if (a->has_b)
        a->b = from->number[0] != 0;
    else
        a->i = (int32_t)(a->l = (int64_t)from->number[0]);
}

static void add_op(struct writer *w, const struct hr_program_op *from)
{
    Hr__PaddleOp *op = take(w, 1, sizeof *op);
    Hr__PaddleAttr *attrs = take(w, from->attribute_count, sizeof *attrs);
    Hr__PaddleAttr **list = take(w, from->attribute_count, sizeof *list);
    if (!op || !attrs || !list)
        return;
    hr__paddle_op__init(op);
    op->type = text(from->type);
    op->inputs = slots_of(w, from->in, from->in_count);
    op->outputs = slots_of(w, from->out, from->out_count);
    if (!op->inputs || !op->outputs)
        return;
    op->n_inputs = from->in_count;
    op->n_outputs = from->out_count;
    for (size_t i = 0; i < from->attribute_count; i++) {
        list[i] = &attrs[i];
        set_attribute(w, list[i], &from->attributes[i]);
    }
    op->attrs = list;
    op->n_attrs = from->attribute_count;
    w->block.ops[w->block.n_ops++] = op;
}

/* feed and fetch read and write lists of their own names. */
static void add_ends(struct writer *w, const struct hr_program_op *op)
{
    struct hr_program_op end = *op;
    const bool feed = strcmp(op->type, "feed") == 0;
    struct hr_program_slot list = { feed ? "X" : "Out", op->type, { 0 } };
    if (feed)
        end.in = &list;
    else
        end.out = &list;
    end.in_count = end.out_count = 1;
    add_op(w, &end);
    add_var(w, op->type, feed ? FEED_LIST : FETCH_LIST, NULL, true);
}

static bool is_param(const struct hr_program *p, const char *value)
{
    for (size_t i = 0; i < p->param_count; i++)
        if (p->params[i].value == value)
            return true;
    return false;
}

static void add_block(struct writer *w, const struct hr_program *p)
{
    size_t results = 0;
    for (size_t i = 0; i < p->op_count; i++)
        results += p->ops[i].out_count;
    hr__paddle_block__init(&w->block);
    w->block.parent_idx = -1;
    w->block.has_forward_block_idx = 1;
    w->block.forward_block_idx = -1;
    w->block.vars = take(w, p->param_count + results + 2, sizeof *w->block.vars);
    w->block.ops = take(w, p->op_count, sizeof *w->block.ops);
    for (size_t i = 0; i < p->param_count && w->status == HR_OK; i++)
        add_var(w, p->params[i].name, TENSOR, &p->params[i].shape, true);
    for (size_t i = 0; i < p->op_count && w->status == HR_OK; i++) {
        const struct hr_program_op *op = &p->ops[i];
        const bool feed = strcmp(op->type, "feed") == 0, fetch = strcmp(op->type, "fetch") == 0;
        for (size_t k = 0; k < op->out_count && !fetch; k++)
            if (!is_param(p, op->out[k].value))
                add_var(w, op->out[k].value, TENSOR, &op->out[k].shape, false);
        if (feed || fetch)
            add_ends(w, op);
        else
            add_op(w, op);
    }
}

enum hr_status hr_pdmodel_write(const struct hr_program *program, FILE *file, const char *name)
{
    struct writer w = { 0 };
    Hr__PaddleProgram message = HR__PADDLE_PROGRAM__INIT;
    Hr__PaddleVersion version = HR__PADDLE_VERSION__INIT;
    Hr__PaddleBlock *blocks[] = { &w.block };
    add_block(&w, program);
    version.has_version = 1; /* 0: of no particular release */
    message.version = &version;
    message.blocks = blocks;
    message.n_blocks = 1;
    if (w.status == HR_OK)
        w.status = hr_message_write(&message.base, file, name);
    hr_arena_fini(&w.arena);
    return w.status;
}
