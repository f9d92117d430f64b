/* SPDX-License-Identifier: Apache-2.0
 * The convolutions of HRNet_W<width>_C at 224x224: the same list as performance.md, Appendix A. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct list {
    struct layer *layers;
    size_t count, capacity, vector;
};

static void add(struct list *list, int kernel, int stride, int c, int k, int h, int times)
{
    const size_t in = (size_t)h, out = (in - 1) / (size_t)stride + 1, v = list->vector;
    const struct hr_conv_shape shape = { .h = in,
                                         .w = in,
                                         .c = (size_t)c,
                                         .oh = out,
                                         .ow = out,
                                         .k = (size_t)k,
                                         .x_stride = ((size_t)c + v - 1) / v * v,
                                         .y_stride = ((size_t)k + v - 1) / v * v,
                                         .kernel = kernel,
                                         .stride = stride,
                                         .pad = kernel / 2,
                                         .residual = stride == 1 && c == k && kernel == 3,
                                         .relu = true };
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(&list->layers[i].shape, &shape, sizeof shape) == 0) {
            list->layers[i].count += times;
            return;
        }
    if (list->count == list->capacity) {
        fprintf(stderr, "layers.c: more shapes than room\n");
        exit(2);
    }
    list->layers[list->count].shape = shape;
    list->layers[list->count++].count = times;
}

/* Stage 2, 3, 4 have 1, 4, 3 modules of 2, 3, 4 branches. */
static void add_stages(struct list *list, int width)
{
    static const int modules[] = { 1, 4, 3 };
    for (int stage = 0; stage < 3; stage++)
        for (int branch = 0; branch < stage + 2; branch++) {
            const int c = width << branch, h = 56 >> branch, times = modules[stage];
            add(list, 3, 1, c, c, h, 8 * times);
            for (int to = 0; to < branch; to++) /* up: 1x1 */
                add(list, 1, 1, c, width << to, h, times);
            for (int to = branch + 1; to < stage + 2; to++) { /* down: 3x3 stride 2 */
                for (int step = branch; step < to - 1; step++)
                    add(list, 3, 2, c, c, 56 >> step, times);
                add(list, 3, 2, c, width << to, 56 >> (to - 1), times);
            }
        }
}

static void add_head(struct list *list, int width)
{
    static const int wide[] = { 32, 64, 128, 256 };
    for (int branch = 0; branch < 4; branch++) {
        const int c = width << branch, h = 56 >> branch, mid = wide[branch];
        add(list, 1, 1, c, mid, h, 1);
        add(list, 3, 1, mid, mid, h, 1);
        add(list, 1, 1, mid, 4 * mid, h, 1);
        add(list, 1, 1, c, 4 * mid, h, 1);
        if (branch < 3)
            add(list, 3, 2, 4 * mid, 8 * mid, h, 1);
    }
    add(list, 1, 1, 1024, 2048, 7, 1);
}

size_t layers_of(struct layer *layers, size_t capacity, int width, size_t vector)
{
    struct list list = { layers, 0, capacity, vector };
    memset(layers, 0, capacity * sizeof *layers);
    add(&list, 3, 2, 3, 64, 224, 1);
    add(&list, 3, 2, 64, 64, 112, 1);
    add(&list, 1, 1, 64, 64, 56, 1);
    add(&list, 3, 1, 64, 64, 56, 4);
    add(&list, 1, 1, 64, 256, 56, 5);
    add(&list, 1, 1, 256, 64, 56, 3);
    add(&list, 3, 1, 256, width, 56, 1);
    add(&list, 3, 2, 256, 2 * width, 56, 1);
    add(&list, 3, 2, 2 * width, 4 * width, 28, 1);
    add(&list, 3, 2, 4 * width, 8 * width, 14, 1);
    add_stages(&list, width);
    add_head(&list, width);
    return list.count;
}
