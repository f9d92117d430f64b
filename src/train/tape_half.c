/* SPDX-License-Identifier: Apache-2.0
 * Activations that wait for the backward half in 16 bits.  The one idea: forward computes with the
 * floats and goes on with them; only what is kept is rounded, so that the loss is that of float32
 * and gradients are off by the rounding of what they are made of.  That is little as long as ReLUs
 * let the same values pass in both halves (kernel/norm.h): a few in a thousand that do not make
 * gradients of HRNet_W18_C a sixth wrong.  To go on with what is kept would keep both halves alike,
 * too, but with another loss, whose gradients are further away. */
#include "train/tape_build.h"

struct half_detail {
    int32_t floats, halves;
    size_t count; /* of one image */
};

struct half_pass {
    const struct hr_half_kernels *kernels;
    enum hr_half half;
    float *floats;
    uint16_t *halves;
};

static struct half_pass pass_of(const struct half_detail *d, const struct hr_tape_run *run)
{
    return (struct half_pass){ .kernels = &run->tape->options.kernels->train.half,
                               .half = run->tape->options.half,
                               .floats = hr_tape_at(run, d->floats),
                               .halves = hr_tape_half_at(run, d->halves) };
}

static void pack_floats(const void *context, size_t first, size_t last)
{
    const struct half_pass *p = context;
    p->kernels->pack(p->halves + first, p->floats + first, last - first, p->half);
}

static void unpack_floats(const void *context, size_t first, size_t last)
{
    const struct half_pass *p = context;
    p->kernels->unpack(p->floats + first, p->halves + first, last - first, p->half);
}

static void run_pack(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct half_detail *d = step->detail;
    const struct half_pass p = pass_of(d, run);
    hr_tape_ranges(run, pack_floats, &p, run->n * d->count, 1);
}

static void run_unpack(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct half_detail *d = step->detail;
    const struct half_pass p = pass_of(d, run);
    hr_tape_ranges(run, unpack_floats, &p, run->n * d->count, 1);
}

uint16_t *hr_tape_half_at(const struct hr_tape_run *run, int32_t block)
{
    return (uint16_t *)(void *)hr_tape_at(run, block);
}

bool hr_tape_may_pack(const struct hr_tape_build *b, hr_value value)
{
    const struct hr_tape_value *v = &b->values[value];
    return b->tape->options.half && !b->tape->options.forward_only && !v->again && v->packed < 0 &&
           v->h * v->w > 1; /* vectors are not worth it */
}

int32_t hr_tape_half_block(struct hr_tape_build *b, hr_value value)
{
    struct hr_tape_value *v = &b->values[value];
    v->packed = hr_tape_block(b, (hr_tape_value_floats(b->tape, v) + 1) / 2);
    return v->packed;
}

int32_t hr_tape_keep(struct hr_tape_build *b, hr_value value)
{
    return b->wanted[value] && hr_tape_may_pack(b, value) ? hr_tape_half_block(b, value) : -1;
}

static enum hr_status add_step(struct hr_tape_build *b, const struct half_detail *d, bool pack)
{
    return hr_tape_step(
        b, &(struct hr_tape_step){ .name = pack ? "kept" : "taken",
                                   .kernel = hr_tape_kernel_name(b, pack ? "pack" : "unpack"),
                                   .run = pack ? run_pack : run_unpack,
                                   .detail = hr_tape_detail(b, d, sizeof *d),
                                   .writes = -1 });
}

enum hr_status hr_tape_pack(struct hr_tape_build *b, hr_value value)
{
    const struct hr_tape_value *v = &b->values[value];
    const struct half_detail d = { .floats = v->block,
                                   .halves = hr_tape_keep(b, value),
                                   .count = v->h * v->w * v->stride };
    if (d.halves < 0)
        return HR_OK;
    (void)hr_tape_use(b, v->block);
    return add_step(b, &d, true);
}

enum hr_status hr_tape_unpack(struct hr_tape_build *b, hr_value value)
{
    struct hr_tape_value *v = &b->values[value];
    v->saved = hr_tape_block(b, hr_tape_value_floats(b->tape, v));
    const struct half_detail d = { .floats = v->saved,
                                   .halves = hr_tape_use(b, v->packed),
                                   .count = v->h * v->w * v->stride };
    return add_step(b, &d, false);
}

enum hr_status hr_tape_saved_half(struct hr_tape_build *b, hr_value value, int32_t *block,
                                  bool *half)
{
    const struct hr_tape_value *v = &b->values[value];
    *half = v->saved < 0 && v->packed >= 0;
    if (!*half)
        return hr_tape_saved(b, value, block);
    *block = v->packed;
    return HR_OK;
}
