/* SPDX-License-Identifier: Apache-2.0
 * The pictures of a training run: opened, looked at, hashed, and the loaders over them. */
#include "train/running.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/hash.h"
#include "base/os.h"
#include "train/inspect.h"

/* As many outputs as asked for, where that many labels can be. */
static enum hr_status take_classes(struct hr_running *r)
{
    struct hr_dataset *const set = &r->train;
    const int asked = r->options->classes;
    if (asked == 0 || asked == set->class_count)
        return HR_OK;
    if (set->classes.count > 0 || set->several || asked < set->class_count)
        return hr_fail(HR_E_MISMATCH, "%s has %d classes, not %d", r->options->data,
                       set->class_count, asked);
    set->class_count = asked;
    return HR_OK;
}

/* What inspection finds: warnings are logged, the first error is kept. */
struct found {
    const struct hr_train_options *options;
    char first[1024];
    size_t errors;
};

static void take_finding(void *context, const struct hr_finding *f)
{
    struct found *const found = context;
    const char *const set = f->validation ? found->options->validation : found->options->data;
    if (f->level == HR_LEVEL_WARNING)
        hr_log(HR_LOG_WARNING, "%s: %s", set, f->message);
    if (f->level == HR_LEVEL_ERROR && found->errors++ == 0)
        snprintf(found->first, sizeof found->first, "%s: %s", set, f->message);
}

/* What can be seen of the data without opening a picture. */
static enum hr_status inspect(const struct hr_running *r)
{
    struct found found = { .options = r->options };
    HR_TRY(hr_inspect_labels(&r->train, r->options->validation ? &r->validation : NULL,
                             take_finding, &found));
    return found.errors == 0 ? HR_OK : hr_fail(HR_E_MISMATCH, "%s", found.first);
}

/* What goes by the labels of all pictures. */
static enum hr_status check_unlabelled(const struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    if (r->train.unlabelled > 0 && (o->balanced || o->held_back > 0.0 || o->class_weights))
        return hr_fail(HR_E_ARGUMENT,
                       "%s: %zu pictures have no label: classes cannot be balanced, weighted or "
                       "held back",
                       o->data, r->train.unlabelled);
    return HR_OK;
}

/* Faults of data are the input's, those of a model keep their kind. */
static enum hr_status as_input(enum hr_status status)
{
    const bool is_fault = status == HR_E_FORMAT || status == HR_E_NOT_FOUND ||
                          status == HR_E_MISMATCH || status == HR_E_LIMIT;
    return is_fault ? HR_E_IO : status;
}

static enum hr_status open_sets(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    if (o->validation && o->held_back > 0.0)
        return hr_fail(
            HR_E_ARGUMENT,
            "pictures to validate are named, %s, and a share of the training pictures is "
            "to be held back for it, %g: one of both is possible",
            o->validation, o->held_back);
    HR_TRY(o->distill.teacher ? hr_dataset_open_unlabelled(&r->train, o->data, o->root)
                              : hr_dataset_open(&r->train, o->data, o->root));
    HR_TRY(check_unlabelled(r));
    if (o->validation)
        HR_TRY(hr_dataset_open(&r->validation, o->validation,
                               o->validation_root ? o->validation_root : o->root));
    if (r->train.unlabelled == 0)
        HR_TRY(inspect(r));
    HR_TRY(take_classes(r));
    if (o->validation) {
        HR_TRY(hr_dataset_relabel(&r->validation, &r->train));
    } else if (o->held_back > 0.0) {
        HR_TRY(hr_dataset_split(&r->train, o->held_back, o->seed, &r->validation));
    }
    return hr_labels_copy(&r->labels, (const char *const *)r->train.classes.items,
                          r->train.classes.count);
}

/* What the run is about, at the cost of a look at each file: not its content. */
static void hash_data(struct hr_running *r)
{
    struct hr_sha256 hash;
    uint8_t digest[32];
    char line[64];
    hr_sha256_init(&hash);
    for (size_t i = 0; i < r->train.paths.count; i++) {
        const char *const name = hr_os_base_name(r->train.paths.items[i]);
        const long long bytes = (long long)hr_os_file_bytes(r->train.paths.items[i]);
        const int length = snprintf(line, sizeof line, " %lld %d\n", bytes, r->train.labels[i]);
        hr_sha256_update(&hash, name, strlen(name));
        hr_sha256_update(&hash, line, (size_t)length);
    }
    hr_sha256_final(&hash, digest);
    hr_hex(r->data_hash, digest);
}

/* Pictures are resized to size / ratio, rounded, or cut off as timm does it (but for what division
 * is off); PaddleClas's ratio is 224 / 256. */
static enum hr_status make_recipe(struct hr_recipe *recipe, const struct hr_train_options *o,
                                  int size)
{
    HR_TRY(hr_size_check(size, size));
    HR_TRY(hr_recipe_named(recipe, "opencv"));
    double ratio = o->crop_ratio;
    if (o->recipe) {
        *recipe = *o->recipe;
        ratio = recipe->resize_short ? (double)recipe->crop_width / recipe->resize_short : 0.0;
    }
    recipe->crop_width = recipe->crop_height = size;
    const bool cuts = recipe->resize != HR_RESIZE_OPENCV;
    const double side = ratio > 0.0 ? (double)size / ratio : 0.0;
    recipe->resize_short = (int)(cuts ? floor(side + 1e-9) : round(side));
    return hr_recipe_check(recipe);
}

static enum hr_status make_recipes(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    if (!(o->crop_ratio > 0.0 && o->crop_ratio <= 1.0))
        return hr_fail(HR_E_ARGUMENT, "crop ratio %g: more than 0, at most 1 is wanted",
                       o->crop_ratio);
    HR_TRY(make_recipe(&r->recipe, o, o->size));
    return make_recipe(&r->test, o, o->test_size ? o->test_size : o->size);
}

/* A short last batch is left out where a rank would have too few pictures of it. */
static void leave_out_rest(struct hr_running *r)
{
    const size_t rest = r->train.paths.count % hr_running_batch(r);
    if (rest == 0 || rest >= r->least * r->ranks || r->batches < 2 || r->options->drop_last)
        return;
    r->batches--;
    if (r->reduce)
        hr_log(HR_LOG_INFO,
               "the last batch of an epoch would be of %zu pictures for %zu processes, which need "
               "%zu each: it is left out",
               rest, r->ranks, r->least);
    else
        hr_log(HR_LOG_INFO, "the last batch of an epoch would be of one picture, which batch norm "
                            "cannot learn from: it is left out");
}

/* The same on request, whatever is in it. */
static enum hr_status drop_last(struct hr_running *r)
{
    const size_t pictures = r->train.paths.count, batch = hr_running_batch(r);
    if (!r->options->drop_last)
        return HR_OK;
    if (pictures < batch)
        return hr_fail(HR_E_ARGUMENT,
                       "%s: %zu pictures are no whole batch of %zu, and the last short one is to "
                       "be dropped: take a smaller batch",
                       r->options->data, pictures, batch);
    r->batches = pictures / batch;
    return HR_OK;
}

enum hr_status hr_running_make_loaders(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    /* Batch norm has nothing to say of one picture. */
    r->least = r->ranks > 1 && o->sync_norms ? 1 : 2;
    struct hr_loader_options l = {
        .set = &r->train,
        .sample = { .recipe = r->recipe,
                    .crop = o->crop,
                    .least_area = o->least_area,
                    .flip = o->flip,
                    .whole_only = true,
                    .augment = o->augment },
        .batch = o->batch,
        .share = hr_reduce_rank(r->reduce),
        .shares = r->ranks,
        .least = r->least,
        .quiet = true, /* hr_ranks_tell_bad names and counts them, of all ranks */
        .most_bad = o->most_bad > 0 ? SIZE_MAX : 0,
        .balanced = o->balanced,
        .threads = o->loader_threads ? o->loader_threads : hr_cpu_count(),
        .shuffle = !o->in_order,
        .seed = o->seed,
    };
    if (o->in_order && o->balanced)
        return hr_fail(HR_E_ARGUMENT, "pictures in their order cannot be balanced by class");
    HR_TRY(hr_loader_create(&r->loader, &l));
    r->batches = hr_loader_batches(r->loader);
    leave_out_rest(r);
    HR_TRY(drop_last(r));
    r->steps = (r->batches + o->accumulate - 1) / o->accumulate;
    if (r->validation.paths.count == 0)
        return HR_OK;
    l.set = &r->validation;
    l.sample = (struct hr_sample_options){ .recipe = r->test, .whole_only = true };
    l.shuffle = l.balanced = false;
    l.least = r->reduce ? 1 : 0;
    return hr_loader_create(&r->validator, &l);
}

enum hr_status hr_running_open_data(struct hr_running *r)
{
    HR_TRY(make_recipes(r));
    HR_TRY(as_input(open_sets(r)));
    hash_data(r);
    return HR_OK;
}
