/* SPDX-License-Identifier: Apache-2.0
 * bench/shapes/MODEL.txt: the layers of each network at 224x224, each once, with how often it
 * occurs, counted in the graph that the engine runs.
 *   shapes FOLDER            the files are what they should be, and so is layers.c
 *   shapes FOLDER --write    writes them */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "check.h"
#include "model/hrnet.h"

enum { MAX_SHAPES = 96 };

/* One line of a file: a convolution, or a linear layer (kernel 0). */
struct line {
    int64_t kernel, stride, c, k, h, w;
    int64_t count;
};
struct lines {
    struct line line[MAX_SHAPES];
    size_t count;
};

static void add_line(struct lines *lines, const struct line *line)
{
    for (size_t i = 0; i < lines->count; i++)
        if (memcmp(&lines->line[i], line, offsetof(struct line, count)) == 0) {
            lines->line[i].count += line->count;
            return;
        }
    if (lines->count == MAX_SHAPES) {
        fprintf(stderr, "shapes: more than %d shapes\n", MAX_SHAPES);
        exit(2);
    }
    lines->line[lines->count++] = *line;
}

static int compare_lines(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    const int64_t left[] = { x->kernel, x->stride, x->c, x->k, x->h, x->w };
    const int64_t right[] = { y->kernel, y->stride, y->c, y->k, y->h, y->w };
    for (size_t i = 0; i < HR_COUNT(left); i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

/* The layers of a network, in order of kernel, stride and size. */
static enum hr_status lines_of(struct lines *lines, const struct hr_zoo_row *row)
{
    const struct hr_hrnet_options options = { 1, 224, 224, 1000, HR_FUSE_PADDLE };
    struct hr_graph *g;
    HR_TRY(hr_hrnet_build(&g, row, &options));
    *lines = (struct lines){ .count = 0 };
    for (size_t i = 0; i < g->node_count; i++) {
        const struct hr_node *node = &g->nodes[i];
        if (node->op != HR_OP_CONV && node->op != HR_OP_LINEAR)
            continue;
        const int64_t *x = g->values[node->in[0]].shape.dim;
        struct line line = {
            node->attr.kernel, node->attr.stride, x[1], node->attr.channels, 0, 0, 1
        };
        if (node->op == HR_OP_CONV) {
            line.h = x[2];
            line.w = x[3];
        }
        add_line(lines, &line);
    }
    hr_graph_destroy(g);
    qsort(lines->line, lines->count, sizeof *lines->line, compare_lines);
    return HR_OK;
}

static void print(struct hr_text *out, const struct hr_zoo_row *row, const struct lines *lines)
{
    hr_text_printf(
        out,
        "# Layers of %s, 224x224, 1000 classes.  Made by tests/kernel/shapes.c.\n"
        "# kernel stride channels-in channels-out height width times; kernel 0: linear\n",
        row->name);
    for (size_t i = 0; i < lines->count; i++) {
        const struct line *l = &lines->line[i];
        const int64_t column[] = { l->kernel, l->stride, l->c, l->k, l->h, l->w, l->count };
        for (size_t k = 0; k < HR_COUNT(column); k++)
            hr_text_printf(out, "%s%lld", k ? " " : "", (long long)column[k]);
        hr_text_add(out, "\n");
    }
}

static bool write_file(const char *path, const struct hr_text *text)
{
    FILE *file = fopen(path, "wb");
    const bool wrote = file && fwrite(text->data, 1, text->size, file) == text->size;
    return file && fclose(file) == 0 && wrote;
}

static bool same_file(const char *path, const struct hr_text *text)
{
    static char is[1 << 16];
    FILE *file = fopen(path, "rb");
    const size_t size = file ? fread(is, 1, sizeof is, file) : 0;
    if (file)
        fclose(file);
    return size == text->size && memcmp(is, text->data, size) == 0;
}

/* layers.c, which the kernel checks use, lists the same convolutions. */
static bool same_layers(const struct hr_zoo_row *row, const struct lines *lines)
{
    struct layer layers[MAX_SHAPES];
    struct lines conv = { .count = 0 }, other = { .count = 0 };
    for (size_t i = 0; i < lines->count; i++)
        if (lines->line[i].kernel)
            add_line(&conv, &lines->line[i]);
    const size_t count = layers_of(layers, MAX_SHAPES, row->width[0], 1);
    for (size_t i = 0; i < count; i++) {
        const struct hr_conv_shape *s = &layers[i].shape;
        const struct line line = { s->kernel,     s->stride,     (int64_t)s->c,  (int64_t)s->k,
                                   (int64_t)s->h, (int64_t)s->w, layers[i].count };
        add_line(&other, &line);
    }
    qsort(other.line, other.count, sizeof *other.line, compare_lines);
    return conv.count == other.count &&
           memcmp(conv.line, other.line, conv.count * sizeof *conv.line) == 0;
}

int main(int argc, char **argv)
{
    const bool writing = argc == 3 && strcmp(argv[2], "--write") == 0;
    int bad = 0;
    if (argc != 2 && !writing) {
        fprintf(stderr, "usage: shapes FOLDER [--write]\n");
        return 2;
    }
    for (size_t i = 0; i < hr_zoo_count(); i++) {
        const struct hr_zoo_row *row = hr_zoo_row(i);
        struct lines lines;
        struct hr_text text = { 0 }, path = { 0 };
        if (row->squeeze) /* the convolutions of the model without */
            continue;
        if (lines_of(&lines, row) != HR_OK) {
            fprintf(stderr, "shapes: %s\n", hr_last_message());
            return 2;
        }
        print(&text, row, &lines);
        hr_text_printf(&path, "%s/%s.txt", argv[1], row->name);
        if (writing ? !write_file(path.data, &text) : !same_file(path.data, &text)) {
            fprintf(stderr,
                    "shapes: %s is not what the network has; write it with: %s %s --write\n",
                    path.data, argv[0], argv[1]);
            bad = 1;
        }
        if (strstr(row->name, "_C") && !same_layers(row, &lines)) {
            fprintf(stderr, "shapes: tests/kernel/layers.c does not list the layers of %s\n",
                    row->name);
            bad = 1;
        }
        hr_text_fini(&text);
        hr_text_fini(&path);
    }
    return bad;
}
