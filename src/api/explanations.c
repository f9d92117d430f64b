/* SPDX-License-Identifier: Apache-2.0
 * The public API, part six: where in a picture an answer comes from. */
#include "api/api.h"

#include "base/cpu.h"
#include "base/mem.h"
#include "session/occlusion.h"
#include "train/explain.h"

/* ---- From gradients ---- */

struct hrnet_explainer {
    struct hrnet_model *model;
    struct hr_explainer *explainer;
    char **features;
    size_t feature_count;
    int classes;
    int ran;
};

void hrnet_explainer_options_init(struct hrnet_explainer_options *options, size_t struct_size)
{
    HR_API_OPTIONS_INIT(struct hrnet_explainer_options, { 0 });
}

static enum hr_status copy_names(hrnet_explainer *e, const char *const *features)
{
    static const char *const last[] = { "last", NULL };
    size_t count = 0;
    features = features && features[0] ? features : last;
    while (features[count])
        count++;
    e->features = hr_mem_alloc(count, sizeof *e->features);
    if (!e->features)
        return HR_E_MEMORY;
    for (; e->feature_count < count; e->feature_count++)
        if (!(e->features[e->feature_count] = hr_mem_strdup(features[e->feature_count])))
            return HR_E_MEMORY;
    return HR_OK;
}

static enum hr_status fill(hrnet_explainer *e, const struct hrnet_explainer_options *o)
{
    const struct hr_recipe *recipe = hr_model_recipe(e->model->model);
    const unsigned have = hr_cpu_count();
    struct hr_explainer_options inner = { .threads =
                                              o->threads && o->threads < have ? o->threads : have,
                                          .height = o->height ? o->height : recipe->crop_height,
                                          .width = o->width ? o->width : recipe->crop_width };
    HR_TRY(copy_names(e, o->features));
    inner.features = (const char *const *)e->features;
    inner.feature_count = e->feature_count;
    HR_TRY(hr_api_cpu_flags(o->cpu, &inner.cpu_flags));
    return hr_explainer_create(&e->explainer, e->model->model, &inner);
}

hrnet_status hrnet_explainer_create(hrnet_explainer **out, hrnet_model *model,
                                    const struct hrnet_explainer_options *options)
{
    struct hrnet_explainer_options o = { 0 };
    if (!out || !model)
        return hr_api_missing_argument(__func__);
    enum hr_status status = HR_OK;
    if (options)
        status = hr_api_options_copy(&o, sizeof o, options, "hrnet_explainer_options");
    if (status == HR_OK && (o.threads > HRNET_MAX_THREADS || o.height < 0 || o.width < 0))
        status = hr_fail(HR_E_ARGUMENT, "threads %u or input size %dx%d is out of range", o.threads,
                         o.height, o.width);
    if (status == HR_OK)
        status = hr_api_head_check(model->model);
    if (status != HR_OK)
        return PUBLIC(status);
    hrnet_explainer *e = hr_mem_alloc(1, sizeof *e);
    if (!e)
        return HRNET_E_MEMORY;
    __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED);
    e->model = model;
    e->classes = hr_model_classes(model->model);
    status = fill(e, &o);
    if (status == HR_OK) {
        *out = e;
        e = NULL;
    }
    hrnet_explainer_destroy(e);
    return PUBLIC(status);
}

void hrnet_explainer_destroy(hrnet_explainer *explainer)
{
    if (!explainer)
        return;
    hr_explainer_destroy(explainer->explainer);
    hrnet_model_release(explainer->model);
    for (size_t i = 0; i < explainer->feature_count; i++)
        hr_mem_free(explainer->features[i]);
    hr_mem_free(explainer->features);
    hr_mem_free(explainer);
}

static enum hr_status check_class(int class_index, int classes)
{
    if (class_index < -1 || class_index >= classes)
        return hr_fail(HR_E_ARGUMENT, "class %d is out of range: there are %d, from 0", class_index,
                       classes);
    return HR_OK;
}

hrnet_status hrnet_explainer_run(hrnet_explainer *explainer, const float *x, int class_index,
                                 float *logits, int *chosen)
{
    if (!explainer || !x || !logits || !chosen)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = check_class(class_index, explainer->classes);
    if (status == HR_OK) {
        *chosen = (int)hr_explainer_run(explainer->explainer, x, class_index, logits);
        explainer->ran = 1;
    }
    return PUBLIC(status);
}

static enum hr_status find_feature(const hrnet_explainer *e, const char *name, size_t *out)
{
    for (size_t i = 0; i < e->feature_count; i++)
        if (strcmp(e->features[i], name) == 0) {
            *out = i;
            return HR_OK;
        }
    return hr_fail(HR_E_NOT_FOUND, "feature '%s' was not kept: name it in the explainer's options",
                   name);
}

hrnet_status hrnet_explainer_map_size(const hrnet_explainer *explainer, const char *feature,
                                      int64_t *rows, int64_t *columns)
{
    size_t index = 0;
    if (!explainer || !feature || !rows || !columns)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = find_feature(explainer, feature, &index);
    if (status == HR_OK) {
        const struct hr_shape s = hr_explainer_shape(explainer->explainer, index);
        *rows = s.dim[2];
        *columns = s.dim[3];
    }
    return PUBLIC(status);
}

hrnet_status hrnet_explainer_map(hrnet_explainer *explainer, hrnet_explain_method method,
                                 const char *feature, float *map)
{
    size_t index = 0;
    if (!explainer || !feature || !map)
        return hr_api_missing_argument(__func__);
    if ((unsigned)method > HRNET_EXPLAIN_LAYER_CAM)
        return hr_api_out_of_range("method", (size_t)method, HRNET_EXPLAIN_LAYER_CAM + 1);
    enum hr_status status = find_feature(explainer, feature, &index);
    if (status == HR_OK && method == HRNET_EXPLAIN_CAM && strcmp(feature, "last") != 0)
        status = hr_fail(HR_E_ARGUMENT,
                         "a class activation map is of feature 'last', which the head pools, not "
                         "of '%s': Grad-CAM and LayerCAM take any",
                         feature);
    if (status == HR_OK && !explainer->ran)
        status = hr_fail(HR_E_ARGUMENT, "feature '%s': nothing was run yet", feature);
    if (status == HR_OK)
        hr_explainer_map(explainer->explainer, (enum hr_explain_method)method, index, map);
    return PUBLIC(status);
}

/* ---- Occlusion ---- */

void hrnet_occlusion_options_init(struct hrnet_occlusion_options *options, size_t struct_size)
{
    const struct hrnet_occlusion_options defaults = { .class_index = -1, .side = 32, .step = 16 };
    HR_API_OPTIONS_INIT(struct hrnet_occlusion_options, defaults);
}

static enum hr_status occlusion_options(struct hrnet_occlusion_options *o,
                                        const struct hrnet_occlusion_options *options)
{
    hrnet_occlusion_options_init(o, sizeof *o);
    if (options)
        HR_TRY(hr_api_options_copy(o, sizeof *o, options, "hrnet_occlusion_options"));
    if (o->side < 1 || o->step < 1 || o->side > HRNET_MAX_SIDE || o->step > HRNET_MAX_SIDE)
        return hr_fail(HR_E_ARGUMENT, "side %d and step %d must be 1 to %d", o->side, o->step,
                       HRNET_MAX_SIDE);
    return HR_OK;
}

static bool observe(void *context, size_t done, size_t all)
{
    const struct hrnet_occlusion_options *o = context;
    return !o->progress || o->progress(o->context, done, all) == 0;
}

hrnet_status hrnet_occlusion_map_size(const hrnet_session *session,
                                      const struct hrnet_occlusion_options *options, int64_t *rows,
                                      int64_t *columns)
{
    struct hrnet_occlusion_options o;
    if (!session || !rows || !columns)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = occlusion_options(&o, options);
    if (status == HR_OK) {
        const struct hr_shape *in = hr_plan_input_shape(hr_session_plan(session->session));
        *rows = hr_occlusion_places(in->dim[2], o.step);
        *columns = hr_occlusion_places(in->dim[3], o.step);
    }
    return PUBLIC(status);
}

hrnet_status hrnet_occlusion_map(hrnet_session *session, const float *x,
                                 const struct hrnet_occlusion_options *options, float *map,
                                 float *logits, int *chosen)
{
    struct hrnet_occlusion_options o;
    size_t class;
    if (!session || !x || !map || !logits || !chosen)
        return hr_api_missing_argument(__func__);
    enum hr_status status = occlusion_options(&o, options);
    if (status == HR_OK)
        status = check_class(o.class_index, hr_model_classes(session->model->model));
    const struct hr_occlusion inner = { .class_index = o.class_index,
                                        .side = o.side,
                                        .step = o.step,
                                        .observer = observe,
                                        .context = &o };
    if (status == HR_OK)
        status = hr_occlusion_run(session->session, x, &inner, map, logits, &class);
    if (status == HR_OK)
        *chosen = (int)class;
    return PUBLIC(status);
}
