/* SPDX-License-Identifier: Apache-2.0
 * hrnet explain: which pixels an answer comes from, as an overlay, a sheet, and numbers. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/setup.h"
#include "cli/subject.h"

static const struct hr_flag flags[] = {
    { "method", 0, HR_FLAG_CHOICE, "layercam|gradcam|cam|occlusion", "layercam", 0, 0,
      "how the map is made" },
    { "feature", 0, HR_FLAG_TEXT, "NAME", NULL, 0, 0,
      "of layercam and gradcam: stem, layer1, stage2.0 to stage4.3, incre.0 to incre.3, last "
      "(default stage4.0, the branch of full resolution)" },
    { "class", 0, HR_FLAG_COUNT, "N", NULL, 0, 16777215,
      "explain this class, not the best answer" },
    { "output", 'o', HR_FLAG_FILE, "FILE.png", NULL, 0, 0,
      "the picture with the map laid over it" },
    { "sheet", 0, HR_FLAG_FILE, "FILE.png", NULL, 0, 0,
      "the picture and the maps of other methods and branches, side by side" },
    { "npy", 0, HR_FLAG_FILE, "FILE.npy", NULL, 0, 0,
      "the map as numbers, float32 [rows,columns], or - for stdout" },
    { "side", 0, HR_FLAG_COUNT, "N", "32", 1, 16384, "of the square that occlusion covers, px" },
    { "step", 0, HR_FLAG_COUNT, "N", "16", 1, 16384, "from one square to the next, px" },
    { "batch", 'b', HR_FLAG_COUNT, "N", "8", 1, 1024, "covered pictures computed at once" },
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "print JSON" },
    { "progress", 0, HR_FLAG_CHOICE, "bar|plain|json|none", NULL, 0, 0, "of occlusion, on stderr" },
    { 0 },
};

struct map {
    float *values; /* owned */
    int64_t rows, columns;
};

struct job {
    const struct hr_args *args;
    hrnet_model *model;
    struct hr_subject subject;
    hrnet_explainer *explainer; /* NULL where occlusion alone is wanted */
    const char *method, *feature;
    int class_index; /* -1 until the best answer is known */
    size_t classes;
    bool foreign; /* a graph that is no network of ours: it has the feature "last" alone */
    float *logits;
    struct map map; /* the one that was asked for */
};

/* ---- Maps ---- */

static hrnet_status new_map(struct map *map)
{
    map->values = hr_mem_alloc((size_t)(map->rows * map->columns), sizeof *map->values);
    return map->values ? HRNET_OK : HRNET_E_MEMORY;
}

static hrnet_explain_method method_of(const char *word)
{
    return strcmp(word, "cam") == 0       ? HRNET_EXPLAIN_CAM
           : strcmp(word, "gradcam") == 0 ? HRNET_EXPLAIN_GRAD_CAM
                                          : HRNET_EXPLAIN_LAYER_CAM;
}

static hrnet_status gradient_map(const struct job *job, const char *method, const char *feature,
                                 struct map *out)
{
    struct map map = { 0 };
    hrnet_status status =
        hrnet_explainer_map_size(job->explainer, feature, &map.rows, &map.columns);
    if (status == HRNET_OK)
        status = new_map(&map);
    if (status == HRNET_OK)
        status = hrnet_explainer_map(job->explainer, method_of(method), feature, map.values);
    if (status == HRNET_OK)
        *out = map;
    else
        hr_mem_free(map.values);
    return status;
}

static int show(void *context, uint64_t done, uint64_t all)
{
    hr_progress_show(context, done, all);
    return hr_interrupted();
}

static hrnet_status occlude(struct job *job, hrnet_session *session)
{
    struct hrnet_occlusion_options options;
    struct hr_progress progress;
    hrnet_occlusion_options_init(&options, sizeof options);
    options.class_index = job->class_index;
    options.side = (int)hr_arg_count(job->args, "side");
    options.step = (int)hr_arg_count(job->args, "step");
    options.progress = show;
    options.context = &progress;
    hrnet_status status =
        hrnet_occlusion_map_size(session, &options, &job->map.rows, &job->map.columns);
    if (status == HRNET_OK)
        status = new_map(&job->map);
    hr_interrupt_watch();
    hr_progress_start(&progress, hr_arg_text(job->args, "progress"), "explain", "places");
    if (status == HRNET_OK)
        status = hrnet_occlusion_map(session, job->subject.x, &options, job->map.values,
                                     job->logits, &job->class_index);
    hr_progress_end(&progress);
    return status;
}

static int occlusion_map(struct job *job)
{
    hrnet_session *session = NULL;
    int code =
        hr_setup_session(&session, job->model, job->args, (size_t)hr_arg_count(job->args, "batch"),
                         job->subject.height, job->subject.width, NULL);
    if (code < 0) {
        const hrnet_status status = occlude(job, session);
        code = status == HRNET_OK ? -1 : hr_report((int)status);
    }
    hrnet_session_destroy(session);
    return code;
}

/* ---- Pictures ---- */

/* Looked at side by side with the map that was asked for. */
static const struct {
    const char *method, *feature;
} others[] = { { "cam", "last" },          { "gradcam", "stage4.0" },  { "layercam", "stage4.0" },
               { "layercam", "stage4.1" }, { "layercam", "stage4.2" }, { "layercam", "stage4.3" } };
#define TILES         (2 + HR_COUNT(others))
#define SHEET_COLUMNS 4

/* The picture with the map over it, [height][width][3]; NULL without memory. */
static uint8_t *overlay(const struct job *job, const struct map *map)
{
    const struct hr_subject *s = &job->subject;
    const size_t bytes = (size_t)s->width * (size_t)s->height * 3;
    uint8_t *rgb = hr_mem_alloc(bytes, 1);
    if (!rgb)
        return NULL;
    memcpy(rgb, s->rgb, bytes);
    hrnet_draw_overlay(rgb, s->width, s->height, map->values, map->rows, map->columns);
    return rgb;
}

static bool offered(const struct job *job, size_t i)
{
    return !job->foreign || strcmp(others[i].feature, "last") == 0;
}

struct sheet {
    struct hrnet_tile tiles[TILES];
    uint8_t *pixels[TILES]; /* owned */
    char captions[TILES][128];
    size_t count;
};

static hrnet_status add_tile(struct sheet *sheet, const struct job *job, const struct map *map,
                             const char *method, const char *feature)
{
    const size_t i = sheet->count;
    sheet->pixels[i] = overlay(job, map);
    if (!sheet->pixels[i])
        return HRNET_E_MEMORY;
    snprintf(sheet->captions[i], sizeof sheet->captions[i], "%s%s%s\n%lldx%lld", method,
             feature[0] ? " " : "", feature, (long long)map->columns, (long long)map->rows);
    sheet->tiles[i] = (struct hrnet_tile){ sheet->pixels[i], job->subject.width,
                                           job->subject.height, sheet->captions[i] };
    sheet->count++;
    return HRNET_OK;
}

static hrnet_status fill_sheet(struct sheet *sheet, const struct job *job)
{
    snprintf(sheet->captions[0], sizeof sheet->captions[0], "%d %s", job->class_index,
             hrnet_model_label(job->model, job->class_index));
    sheet->tiles[0] = (struct hrnet_tile){ job->subject.rgb, job->subject.width,
                                           job->subject.height, sheet->captions[0] };
    sheet->count = 1;
    hrnet_status status = add_tile(sheet, job, &job->map, job->method, job->feature);
    for (size_t i = 0; i < HR_COUNT(others) && status == HRNET_OK; i++) {
        struct map map = { 0 };
        if (!offered(job, i) || (strcmp(others[i].method, job->method) == 0 &&
                                 strcmp(others[i].feature, job->feature) == 0))
            continue;
        status = gradient_map(job, others[i].method, others[i].feature, &map);
        if (status == HRNET_OK)
            status = add_tile(sheet, job, &map, others[i].method, others[i].feature);
        hr_mem_free(map.values);
    }
    return status;
}

static hrnet_status write_sheet(const struct job *job, const char *path)
{
    struct sheet sheet = { 0 };
    uint8_t *rgb = NULL;
    int64_t width, height;
    hrnet_status status = fill_sheet(&sheet, job);
    if (status == HRNET_OK)
        status = hrnet_draw_sheet(sheet.tiles, sheet.count, SHEET_COLUMNS, &rgb, &width, &height);
    if (status == HRNET_OK)
        status = (hrnet_status)hr_output_png(path, rgb, width, height);
    hrnet_free(rgb);
    for (size_t i = 0; i < TILES; i++)
        hr_mem_free(sheet.pixels[i]);
    return status;
}

/* ---- Telling ---- */

struct summary {
    float least, most;
    int64_t x, y; /* px: the middle of the strongest place */
    double score;
};

static struct summary summarise(const struct job *job, float *p)
{
    const struct map *map = &job->map;
    struct summary s = { map->values[0], map->values[0], 0, 0, 0 };
    int64_t strongest = 0;
    for (int64_t i = 1; i < map->rows * map->columns; i++) {
        s.least = map->values[i] < s.least ? map->values[i] : s.least;
        if (map->values[i] > s.most) {
            s.most = map->values[i];
            strongest = i;
        }
    }
    s.x = (2 * (strongest % map->columns) + 1) * job->subject.width / (2 * map->columns);
    s.y = (2 * (strongest / map->columns) + 1) * job->subject.height / (2 * map->rows);
    hrnet_model_scores(job->model, job->logits, p);
    s.score = (double)p[job->class_index];
    return s;
}

static void print_text(const struct job *job, const struct summary *s)
{
    printf("%s\n  %7.3f %%  %4d  %s\n", job->subject.name, 100 * s->score, job->class_index,
           hrnet_model_label(job->model, job->class_index));
    printf("%s%s%s: %lldx%lld, %.4g to %.4g, strongest around x %lld, y %lld of %dx%d\n",
           job->method, job->feature[0] ? " of " : "", job->feature, (long long)job->map.columns,
           (long long)job->map.rows, (double)s->least, (double)s->most, (long long)s->x,
           (long long)s->y, job->subject.width, job->subject.height);
}

static void print_json(const struct job *job, const struct summary *s)
{
    json_t *all =
        json_pack("{s:i, s:s, s:i, s:f, s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:i, s:i, s:{s:I, s:I}}",
                  "schema", 1, "filename", job->subject.name, "class_id", job->class_index, "score",
                  s->score, "label_name", hrnet_model_label(job->model, job->class_index), "method",
                  job->method, "feature", job->feature, "rows", (json_int_t)job->map.rows,
                  "columns", (json_int_t)job->map.columns, "least", (double)s->least, "most",
                  (double)s->most, "width", job->subject.width, "height", job->subject.height,
                  "strongest", "x", (json_int_t)s->x, "y", (json_int_t)s->y);
    char *text = all ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) : NULL;
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(all);
}

static hrnet_status write_results(const struct job *job)
{
    const char *output = hr_arg_text(job->args, "output"), *npy = hr_arg_text(job->args, "npy");
    const char *sheet = hr_arg_text(job->args, "sheet");
    hrnet_status status = HRNET_OK;
    if (output) {
        uint8_t *rgb = overlay(job, &job->map);
        status =
            rgb ? (hrnet_status)hr_output_png(output, rgb, job->subject.width, job->subject.height)
                : HRNET_E_MEMORY;
        hr_mem_free(rgb);
    }
    if (status == HRNET_OK && npy) {
        const struct hr_shape shape = { 2, { job->map.rows, job->map.columns } };
        status = (hrnet_status)hr_output_npy(npy, job->map.values, &shape);
    }
    if (status == HRNET_OK && sheet)
        status = write_sheet(job, sheet);
    return status;
}

static int tell(const struct job *job)
{
    float *p = hr_mem_alloc(job->classes, sizeof *p);
    hrnet_status status = p ? write_results(job) : HRNET_E_MEMORY;
    if (status == HRNET_OK) {
        const struct summary s = summarise(job, p);
        const char *npy = hr_arg_text(job->args, "npy"), *output = hr_arg_text(job->args, "output");
        const bool taken = (npy && strcmp(npy, "-") == 0) || (output && strcmp(output, "-") == 0);
        if (hr_arg_switch(job->args, "json") && !taken)
            print_json(job, &s);
        else if (!taken)
            print_text(job, &s);
    }
    hr_mem_free(p);
    return status == HRNET_OK ? 0 : hr_report((int)status);
}

/* ---- Setting up ---- */

static int choose_map(struct job *job)
{
    const char *feature = hr_arg_text(job->args, "feature");
    job->method = hr_arg_text(job->args, "method");
    job->class_index = hr_arg_text(job->args, "class") ? (int)hr_arg_count(job->args, "class") : -1;
    const bool cam = strcmp(job->method, "cam") == 0;
    if (feature && (strcmp(job->method, "occlusion") == 0 || (cam && strcmp(feature, "last") != 0)))
        return hr_usage_error("explain", "--feature is of layercam and gradcam, not of %s",
                              job->method);
    job->feature = strcmp(job->method, "occlusion") == 0 ? "" : cam ? "last" : feature;
    if (!hr_arg_text(job->args, "output") && !hr_arg_text(job->args, "sheet") &&
        !hr_arg_text(job->args, "npy") && !hr_arg_switch(job->args, "json"))
        return hr_usage_error("explain", "explain needs --output overlay.png, --sheet sheet.png, "
                                         "--npy map.npy or --json");
    return -1;
}

static hrnet_status make_explainer(struct job *job)
{
    const char *features[2 + HR_COUNT(others)] = { NULL };
    struct hrnet_explainer_options options;
    size_t count = 0;
    if (job->feature[0])
        features[count++] = job->feature;
    for (size_t i = 0; i < HR_COUNT(others) && hr_arg_text(job->args, "sheet"); i++) {
        bool known = !offered(job, i);
        for (size_t j = 0; j < count; j++)
            known = known || strcmp(features[j], others[i].feature) == 0;
        if (!known)
            features[count++] = others[i].feature;
    }
    if (count == 0)
        return HRNET_OK;
    hrnet_explainer_options_init(&options, sizeof options);
    options.height = job->subject.height;
    options.width = job->subject.width;
    options.threads = (unsigned)hr_arg_count(job->args, "threads");
    options.cpu = hr_arg_text(job->args, "cpu");
    options.features = features;
    hrnet_status status = hrnet_explainer_create(&job->explainer, job->model, &options);
    if (status == HRNET_OK)
        status = hrnet_explainer_run(job->explainer, job->subject.x, job->class_index, job->logits,
                                     &job->class_index);
    if (status == HRNET_OK && job->feature[0])
        status = gradient_map(job, job->method, job->feature, &job->map);
    return status;
}

static int make_map(struct job *job)
{
    struct hrnet_model_info info;
    hrnet_status status = hrnet_model_describe(job->model, &info);
    job->classes = (size_t)info.classes;
    job->foreign = strcmp(info.architecture, "graph") == 0;
    if (!job->feature)
        job->feature = job->foreign ? "last" : "stage4.0";
    job->logits = hr_mem_alloc(job->classes, sizeof *job->logits);
    if (status == HRNET_OK)
        status = job->logits ? make_explainer(job) : HRNET_E_MEMORY;
    if (status != HRNET_OK)
        return hr_report((int)status);
    return job->feature[0] ? -1 : occlusion_map(job);
}

static int explain(const struct hr_args *args)
{
    struct job job = { .args = args };
    int code = choose_map(&job);
    if (code < 0)
        code = hr_setup_model(&job.model, args, NULL, false);
    if (code < 0)
        code = hr_subject_open(&job.subject, job.model, args, args->operands[0]);
    if (code < 0)
        code = make_map(&job);
    if (code < 0)
        code = tell(&job);
    hrnet_explainer_destroy(job.explainer);
    hr_subject_close(&job.subject);
    hrnet_model_release(job.model);
    hr_mem_free(job.logits);
    hr_mem_free(job.map.values);
    return code;
}

static const struct hr_flag *const groups[] = {
    hr_model_flag, hr_model_flags, flags, hr_recipe_flags, hr_decode_flags, hr_session_flags, NULL
};

const struct hr_command hr_command_explain = {
    .name = "explain",
    .operands = "PICTURE",
    .takes = HR_FLAG_FILE,
    .summary = "show which pixels an answer comes from",
    .examples =
        "hrnet explain cat.jpg -m w18.safetensors -o overlay.png          # LayerCAM at 56x56\n"
        "hrnet explain cat.jpg -m w18.safetensors --method cam --class 281 --npy cam.npy\n"
        "hrnet explain cat.jpg -m w18.safetensors --sheet sheet.png --json\n"
        "hrnet explain cat.jpg -m w18.safetensors --method occlusion --side 48 -o covered.png",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = explain,
};
