/* SPDX-License-Identifier: Apache-2.0
 * Copies of the picture with one square set to 0, in batches. */
#include "session/occlusion.h"

#include <string.h>

#include "base/mem.h"

struct job {
    struct hr_session *session;
    const struct hr_occlusion *options;
    const float *x; /* the picture, [3,h,w] */
    int64_t h, w, rows, columns;
    size_t floats, classes, batch, chosen;
    float *copies, *answers; /* [batch] */
};

int64_t hr_occlusion_places(int64_t pixels, int64_t step)
{
    return (pixels + step - 1) / step;
}

/* Rows or columns [*first, *last) of the square at `place`, cut at the edges. */
static void square(const struct hr_occlusion *o, int64_t place, int64_t pixels, int64_t *first,
                   int64_t *last)
{
    const int64_t from = place * o->step + o->step / 2 - o->side / 2;
    *first = from < 0 ? 0 : from;
    *last = from + o->side < pixels ? from + o->side : pixels;
}

/* Copy i of the batch, covered at `place`. */
static void cover(const struct job *j, size_t i, int64_t place)
{
    int64_t top, bottom, left, right;
    float *copy = j->copies + i * j->floats;
    square(j->options, place / j->columns, j->h, &top, &bottom);
    square(j->options, place % j->columns, j->w, &left, &right);
    memcpy(copy, j->x, j->floats * sizeof *copy);
    for (int64_t row = top; row < bottom && left < right; row++)
        for (int64_t c = 0; c < 3; c++)
            memset(copy + (c * j->h + row) * j->w + left, 0, (size_t)(right - left) * sizeof *copy);
}

static enum hr_status run_places(const struct job *j, float whole, float *map)
{
    const struct hr_occlusion *o = j->options;
    const size_t all = (size_t)(j->rows * j->columns);
    for (size_t at = 0; at < all; at += j->batch) {
        const size_t n = all - at < j->batch ? all - at : j->batch;
        for (size_t i = 0; i < n; i++)
            cover(j, i, (int64_t)(at + i));
        hr_session_run(j->session, j->copies, n, j->answers);
        for (size_t i = 0; i < n; i++)
            map[at + i] = whole - j->answers[i * j->classes + j->chosen];
        if (o->observer && !o->observer(o->context, at + n, all))
            return hr_fail(HR_E_CANCELLED, "stopped after %zu of %zu places", at + n, all);
    }
    return HR_OK;
}

enum hr_status hr_occlusion_run(struct hr_session *session, const float *x,
                                const struct hr_occlusion *occlusion, float *map, float *logits,
                                size_t *chosen)
{
    const struct hr_plan *plan = hr_session_plan(session);
    const struct hr_shape *in = hr_plan_input_shape(plan);
    struct job j = { .session = session,
                     .options = occlusion,
                     .x = x,
                     .h = in->dim[2],
                     .w = in->dim[3],
                     .rows = hr_occlusion_places(in->dim[2], occlusion->step),
                     .columns = hr_occlusion_places(in->dim[3], occlusion->step),
                     .floats = (size_t)(3 * in->dim[2] * in->dim[3]),
                     .classes = (size_t)hr_plan_output_shape(plan)->dim[1],
                     .batch = (size_t)in->dim[0],
                     .chosen = (size_t)occlusion->class_index };
    j.copies = hr_mem_alloc(j.batch, j.floats * sizeof *j.copies);
    j.answers = hr_mem_alloc(j.batch, j.classes * sizeof *j.answers);
    enum hr_status status = j.copies && j.answers ? HR_OK : HR_E_MEMORY;
    if (status == HR_OK) {
        hr_session_run(session, x, 1, logits);
        if (occlusion->class_index < 0)
            (void)hr_top_k(&j.chosen, 1, logits, j.classes);
        status = run_places(&j, logits[j.chosen], map);
    }
    if (status == HR_OK)
        *chosen = j.chosen;
    hr_mem_free(j.copies);
    hr_mem_free(j.answers);
    return status;
}
