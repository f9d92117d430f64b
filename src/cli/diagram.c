/* SPDX-License-Identifier: Apache-2.0
 * Steps fall into groups (a module, a transition, the head) by their layer's name, and into lanes
 * by the size of their result; within a group each lane goes from left to right on its own, so that
 * what runs side by side stands side by side. */
#include "cli/diagram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/svg.h"

#define LANES      5  /* of the strides 2, 4, 8, 16 and 32; vectors are in the last */
#define BOX        9  /* px: wide */
#define BOX_HIGH   30 /* px */
#define LANE_HIGH  46
#define LEFT       96
#define TOP        86
#define GROUP_GAP  16
#define MOST_LABEL 24

enum phase { BLOCKS, FUSE, PHASES };

struct group {
    char label[MOST_LABEL];
    size_t used[PHASES][LANES]; /* boxes in a lane */
    uint64_t ns;
    double x; /* px: the left edge */
};

struct place {
    size_t group, lane, at; /* at: boxes left of it in its phase */
    enum phase phase;
};

struct layout {
    const struct hr_diagram *d;
    struct group *groups;
    struct place *places; /* of each step */
    size_t group_count;
    uint64_t most_ns, all_ns, lane_ns[LANES];
    double width;
};

/* ---- Where things stand ---- */

static void label_of(char out[MOST_LABEL], const char *name)
{
    int stage, module;
    if (sscanf(name, "st%d.stage_func_list.%d.", &stage, &module) == 2)
        snprintf(out, MOST_LABEL, "stage %d.%d", stage, module);
    else if (strncmp(name, "conv_layer1", 11) == 0)
        snprintf(out, MOST_LABEL, "stem");
    else if (strncmp(name, "layer1.", 7) == 0)
        snprintf(out, MOST_LABEL, "layer1");
    else if (strncmp(name, "conv_tr", 7) == 0)
        snprintf(out, MOST_LABEL, "tr%c", name[7]);
    else if (strncmp(name, "last_cls.", 9) == 0)
        snprintf(out, MOST_LABEL, "incre");
    else if (strncmp(name, "cls_head", 8) == 0 || strcmp(name, "conv_last") == 0 ||
             strcmp(name, "pool") == 0 || strcmp(name, "fc") == 0)
        snprintf(out, MOST_LABEL, "head");
    else
        snprintf(out, MOST_LABEL, "graph");
}

static size_t lane_of(const struct hrnet_step_info *step, int height)
{
    size_t lane = 0;
    if (step->out[2] < 1)
        return LANES - 1;
    while (lane + 1 < LANES && (step->out[2] << (lane + 1)) < height)
        lane++;
    return lane;
}

static size_t group_of(struct layout *l, const char *name)
{
    char label[MOST_LABEL];
    label_of(label, name);
    for (size_t g = 0; g < l->group_count; g++)
        if (strcmp(l->groups[g].label, label) == 0)
            return g;
    memcpy(l->groups[l->group_count].label, label, sizeof label);
    return l->group_count++;
}

static void place_step(struct layout *l, size_t i)
{
    const struct hrnet_step_info *step = &l->d->steps[i];
    struct place *p = &l->places[i];
    p->group = group_of(l, step->name);
    p->lane = lane_of(step, l->d->height);
    p->phase = strstr(step->name, ".fuse_func.") ? FUSE : BLOCKS;
    struct group *g = &l->groups[p->group];
    p->at = g->used[p->phase][p->lane]++;
    g->ns += l->d->ns[i];
    l->lane_ns[p->lane] += l->d->ns[i];
    l->all_ns += l->d->ns[i];
    l->most_ns = l->d->ns[i] > l->most_ns ? l->d->ns[i] : l->most_ns;
}

static size_t longest(const struct group *g, enum phase phase)
{
    size_t most = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        most = g->used[phase][lane] > most ? g->used[phase][lane] : most;
    return most;
}

static double group_width(const struct group *g)
{
    const size_t boxes = longest(g, BLOCKS) + longest(g, FUSE);
    const double least = 6.5 * (double)strlen(g->label); /* the label has room */
    const double width = (double)boxes * (BOX + 1) + (longest(g, FUSE) ? GROUP_GAP : 0);
    return width > least ? width : least;
}

static hrnet_status lay_out(struct layout *l, const struct hr_diagram *d)
{
    *l = (struct layout){ .d = d };
    l->groups = hr_mem_alloc(d->count + 1, sizeof *l->groups);
    l->places = hr_mem_alloc(d->count + 1, sizeof *l->places);
    if (!l->groups || !l->places)
        return HRNET_E_MEMORY;
    for (size_t i = 0; i < d->count; i++)
        place_step(l, i);
    double x = LEFT;
    for (size_t g = 0; g < l->group_count; g++) {
        l->groups[g].x = x;
        x += group_width(&l->groups[g]) + GROUP_GAP;
    }
    l->width = x + 70;
    return HRNET_OK;
}

static double lane_y(size_t lane)
{
    return TOP + (double)lane * LANE_HIGH;
}

static double fuse_x(const struct group *g)
{
    return g->x + (double)longest(g, BLOCKS) * (BOX + 1) + GROUP_GAP;
}

static double box_x(const struct layout *l, const struct place *p)
{
    const struct group *g = &l->groups[p->group];
    return (p->phase == FUSE ? fuse_x(g) : g->x) + (double)p->at * (BOX + 1);
}

/* ---- Drawing ---- */

/* Colour of a share of the longest time, by its root, so that short steps differ too. */
static void print_colour(FILE *out, double share)
{
    static const double stops[][3] = {
        { 222, 235, 247 }, { 107, 174, 214 }, { 244, 176, 74 }, { 200, 40, 40 }
    };
    const double place = 3 * sqrt(share < 1 ? share : 1);
    const int i = place < 2 ? (int)place : 2;
    fputc('#', out);
    for (int c = 0; c < 3; c++)
        fprintf(out, "%02x",
                (unsigned)lrint(stops[i][c] + (place - i) * (stops[i + 1][c] - stops[i][c])));
}

static void print_head(FILE *out, const struct layout *l)
{
    const double height = lane_y(LANES) + 74;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"11\">\n"
            "<style>.paper{fill:#fff}text{fill:#222}.faint{fill:#777}.lane{stroke:#ccc}"
            ".exchange{stroke:#bbb;fill:none}.bar{fill:#6baed6}"
            "@media (prefers-color-scheme:dark){.paper{fill:#16181c}text{fill:#ddd}"
            ".faint{fill:#999}.lane{stroke:#444}.exchange{stroke:#555}}</style>\n"
            "<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n"
            "<text x=\"12\" y=\"26\" font-size=\"15\">",
            l->width, height, l->width, height);
    hr_svg_text(out, l->d->title);
    fputs("</text>\n", out);
}

static void print_legend(FILE *out, const struct layout *l)
{
    const double most_us = (double)l->most_ns / 1e3;
    for (int i = 0; i < 60; i++) {
        fprintf(out, "<rect x=\"%d\" y=\"38\" width=\"4\" height=\"10\" fill=\"", 12 + 4 * i);
        print_colour(out, (double)(i * i) / (59.0 * 59.0));
        fputs("\"/>", out);
    }
    for (int i = 0; i <= 3; i++)
        fprintf(out, "\n<text class=\"faint\" x=\"%d\" y=\"62\" text-anchor=\"%s\">%.*f%s</text>",
                12 + 80 * i, i == 0 ? "start" : "middle", most_us < 10, most_us * i * i / 9,
                i == 3 ? " us" : "");
    fputc('\n', out);
}

/* A lane's name, its line from the first to the last group that has it, its time. */
static void print_lane(FILE *out, const struct layout *l, size_t lane)
{
    const double y = lane_y(lane) + BOX_HIGH / 2.0;
    const struct group *first = NULL, *last = NULL;
    for (size_t g = 0; g < l->group_count; g++)
        if (l->groups[g].used[BLOCKS][lane] + l->groups[g].used[FUSE][lane]) {
            first = first ? first : &l->groups[g];
            last = &l->groups[g];
        }
    if (!first)
        return;
    fprintf(out,
            "<line class=\"lane\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
            "<text x=\"12\" y=\"%.1f\">stride %d</text>"
            "<text class=\"faint\" x=\"12\" y=\"%.1f\">%.2f ms</text>\n",
            first->x - GROUP_GAP / 2.0, y, last->x + group_width(last) + GROUP_GAP / 2.0, y, y - 2,
            2 << lane, y + 11, (double)l->lane_ns[lane] / 1e6);
}

/* Every branch hears every other. */
static void print_exchange(FILE *out, const struct group *g)
{
    const double from = fuse_x(g) - GROUP_GAP, to = g->x + group_width(g) + GROUP_GAP;
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < LANES; j++) {
            const double a = lane_y(j) + BOX_HIGH / 2.0, b = lane_y(i) + BOX_HIGH / 2.0;
            if (i == j || !g->used[BLOCKS][i] || !g->used[BLOCKS][j])
                continue;
            fprintf(out,
                    "<path class=\"exchange\" d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\"/>\n",
                    from, a, (from + to) / 2, a, (from + to) / 2, b, to, b);
        }
}

static void print_group(FILE *out, const struct layout *l, const struct group *g)
{
    const double bottom = lane_y(LANES) + 8;
    const double share = l->all_ns ? (double)g->ns / (double)l->all_ns : 0;
    if (longest(g, FUSE))
        print_exchange(out, g);
    fprintf(out, "<text x=\"%.1f\" y=\"%d\">", g->x, TOP - 8);
    hr_svg_text(out, g->label);
    fprintf(out,
            "</text><rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
            "<text class=\"faint\" x=\"%.1f\" y=\"%.1f\">%.2f</text>\n",
            g->x, bottom, group_width(g), 120 * share, g->x, bottom + 120 * share + 12,
            (double)g->ns / 1e6);
}

static void print_step(FILE *out, const struct layout *l, size_t i)
{
    const struct hrnet_step_info *s = &l->d->steps[i];
    const struct place *p = &l->places[i];
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" rx=\"1.5\" fill=\"",
            box_x(l, p), lane_y(p->lane), BOX, BOX_HIGH);
    print_colour(out, l->most_ns ? (double)l->d->ns[i] / (double)l->most_ns : 0);
    fputs("\"><title>", out);
    hr_svg_text(out, s->name);
    fprintf(out, "\n%s\n%lldx%lldx%lld to %lldx%lldx%lld\n%.1f us</title></rect>\n", s->kernel,
            (long long)s->in[1], (long long)s->in[2], (long long)s->in[3], (long long)s->out[1],
            (long long)s->out[2], (long long)s->out[3], (double)l->d->ns[i] / 1e3);
}

hrnet_status hr_diagram_svg(FILE *out, const struct hr_diagram *diagram)
{
    struct layout l;
    const hrnet_status status = lay_out(&l, diagram);
    if (status == HRNET_OK) {
        print_head(out, &l);
        print_legend(out, &l);
        for (size_t lane = 0; lane < LANES; lane++)
            print_lane(out, &l, lane);
        for (size_t g = 0; g < l.group_count; g++)
            print_group(out, &l, &l.groups[g]);
        for (size_t i = 0; i < diagram->count; i++)
            print_step(out, &l, i);
        fprintf(out, "<text class=\"faint\" x=\"12\" y=\"%.1f\">ms a group</text>\n</svg>\n",
                lane_y(LANES) + 20);
    }
    hr_mem_free(l.groups);
    hr_mem_free(l.places);
    return status;
}
