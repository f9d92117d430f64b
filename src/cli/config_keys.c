/* SPDX-License-Identifier: Apache-2.0
 * The table of known keys, and the functions of those that become more than one word. */
#include "cli/config_keys.h"

#include <string.h>

#include "base/os.h"

/* ---- Global and Arch ---- */

static enum hr_status take_device(const struct hr_config_sink *sink, const struct hr_value *value,
                                  const struct hr_value *root)
{
    (void)root;
    if (value->kind == HR_VALUE_TEXT && strcmp(value->text, "cpu") != 0)
        sink->tell(sink->context, value,
                   hr_arena_printf(sink->arena, "device %s: computed on the CPU", value->text));
    return HR_OK;
}

static bool is_true(const struct hr_value *value)
{
    return value->kind == HR_VALUE_BOOL && value->integer;
}

static enum hr_status not_a_switch(const struct hr_value *value, const char *key)
{
    return value->kind == HR_VALUE_BOOL || value->kind == HR_VALUE_NULL
               ? HR_OK
               : hr_config_refuse(HR_E_FORMAT, value, "%s is True or False", key);
}

static enum hr_status take_dali(const struct hr_config_sink *sink, const struct hr_value *value,
                                const struct hr_value *root)
{
    (void)root;
    HR_TRY(not_a_switch(value, "use_dali"));
    if (is_true(value))
        sink->tell(sink->context, value,
                   "use_dali: pictures are decoded and cropped on the CPU, as without it");
    return HR_OK;
}

static enum hr_status take_train_mode(const struct hr_config_sink *sink,
                                      const struct hr_value *value, const struct hr_value *root)
{
    (void)sink;
    (void)root;
    if (value->kind == HR_VALUE_NULL)
        return HR_OK;
    return hr_config_refuse(HR_E_UNSUPPORTED, value,
                            "train_mode '%.80s' is a way to train that is not there: leave it out "
                            "(None) to train on labelled pictures of one size",
                            value->text ? value->text : "...");
}

static enum hr_status take_old_file(const struct hr_config_sink *sink, const struct hr_value *value,
                                    const struct hr_value *root)
{
    (void)sink;
    (void)root;
    return hr_config_refuse(
        HR_E_UNSUPPORTED, value,
        "this is a file of PaddleClas before 2.1 (mode, ARCHITECTURE, TRAIN ...): "
        "take the newer file of the network, whose keys are Global, Arch, "
        "Optimizer and DataLoader, and set what differs with -o");
}

/* Theirs counts from 0. */
static enum hr_status take_first_evaluation(const struct hr_config_sink *sink,
                                            const struct hr_value *value,
                                            const struct hr_value *root)
{
    (void)root;
    if (sink->evaluates || (value->kind == HR_VALUE_INT && value->integer == 0))
        return HR_OK;
    return hr_config_give(sink, "eval-from", value);
}

static enum hr_status take_shuffle(const struct hr_config_sink *sink, const struct hr_value *value,
                                   const struct hr_value *root)
{
    (void)root;
    HR_TRY(not_a_switch(value, "shuffle"));
    if (sink->evaluates || value->kind != HR_VALUE_BOOL || value->integer)
        return HR_OK;
    return sink->give(sink->context, "in-order", "1", value);
}

static enum hr_status take_eval_drop_last(const struct hr_config_sink *sink,
                                          const struct hr_value *value, const struct hr_value *root)
{
    (void)root;
    HR_TRY(not_a_switch(value, "drop_last"));
    if (is_true(value))
        sink->tell(sink->context, value,
                   "drop_last: all pictures are evaluated, those of the last batch, too");
    return HR_OK;
}

/* Files as PaddleClas writes them, but for those of every epoch. */
static enum hr_status take_save_interval(const struct hr_config_sink *sink,
                                         const struct hr_value *value, const struct hr_value *root)
{
    (void)root;
    return sink->evaluates ? HR_OK : sink->give(sink->context, "paddle", "1", value);
}

static const char *weights_flag(const struct hr_config_sink *sink)
{
    return sink->evaluates ? "model" : "weights";
}

/* Mixed precision.  PaddleClas's is fp16's; level O2 keeps weights in it, too, and evaluates so. */
static enum hr_status take_amp(const struct hr_config_sink *sink, const struct hr_value *value,
                               const struct hr_value *root)
{
    static const char *const keys[] = { "use_amp",       "scale_loss", "use_dynamic_loss_scaling",
                                        "use_fp16_test", "level",      "use_promote" };
    (void)root;
    if (value->kind == HR_VALUE_NULL)
        return HR_OK;
    if (value->kind != HR_VALUE_MAP)
        return hr_config_refuse(HR_E_FORMAT, value, "AMP has keys below it, not a single value");
    for (size_t i = 0; i < value->count; i++) {
        size_t k = 0;
        while (k < HR_COUNT(keys) && strcmp(keys[k], value->keys[i]) != 0)
            k++;
        if (k == HR_COUNT(keys))
            return hr_config_unknown_word(value->items[i], "AMP", value->keys[i], keys, k);
    }
    const struct hr_value *const use = hr_value_get(value, "use_amp");
    const struct hr_value *const level = hr_value_get(value, "level");
    const struct hr_value *const scale = hr_value_get(value, "scale_loss");
    const struct hr_value *const moves = hr_value_get(value, "use_dynamic_loss_scaling");
    if (use && !hr_config_is_word(use, "True|False|None"))
        return hr_config_refuse(HR_E_FORMAT, use, "AMP.use_amp is True or False");
    if (level && !hr_config_is_word(level, "O1|O2|None"))
        return hr_config_refuse(HR_E_UNSUPPORTED, level, "AMP.level can only be O1 or O2 here");
    if (moves && !hr_config_is_word(moves, "True|False|None"))
        return hr_config_refuse(HR_E_FORMAT, moves,
                                "AMP.use_dynamic_loss_scaling is True or False");
    if (scale && scale->kind != HR_VALUE_INT && scale->kind != HR_VALUE_REAL)
        return hr_config_refuse(HR_E_FORMAT, scale, "AMP.scale_loss is a number");
    if (sink->evaluates || (use && !hr_config_is_word(use, "True")))
        return HR_OK;
    if (level && hr_config_is_word(level, "O2"))
        sink->tell(sink->context, level, "AMP.level O2: weights and evaluation stay in fp32");
    HR_TRY(sink->give(sink->context, "precision", "fp16", use ? use : value));
    const char *const words = hr_arena_printf(
        sink->arena, "%s:scale=%s", moves && hr_config_is_word(moves, "True") ? "dynamic" : "fixed",
        scale ? scale->text : "1");
    return words ? sink->give(sink->context, "loss-scale", words, scale ? scale : value)
                 : HR_E_MEMORY;
}

/* A path with or without its .pdparams, as PaddleClas takes it. */
static enum hr_status give_weights(const struct hr_config_sink *sink, const char *flag,
                                   const struct hr_value *value)
{
    if (value->kind != HR_VALUE_TEXT)
        return hr_config_refuse(HR_E_FORMAT, value, "a path of weights is wanted");
    if (strstr(value->text, "://"))
        return hr_config_refuse(HR_E_UNSUPPORTED, value,
                                "nothing is fetched while training: fetch '%.200s' first and name "
                                "the file",
                                value->text);
    const char *const longer = hr_arena_printf(sink->arena, "%s.pdparams", value->text);
    if (!longer)
        return HR_E_MEMORY;
    return sink->give(sink->context, flag,
                      hr_os_kind(value->text) != HR_OS_FILE && hr_os_kind(longer) == HR_OS_FILE
                          ? longer
                          : value->text,
                      value);
}

static enum hr_status take_pretrained_model(const struct hr_config_sink *sink,
                                            const struct hr_value *value,
                                            const struct hr_value *root)
{
    (void)root;
    return value->kind == HR_VALUE_NULL ? HR_OK : give_weights(sink, weights_flag(sink), value);
}

/* A network's `pretrained`: a path, or True for the published weights of its name, which must have
 * been fetched. */
static enum hr_status give_pretrained(const struct hr_config_sink *sink, const char *flag,
                                      const struct hr_value *network)
{
    const struct hr_value *const value = hr_value_get(network, "pretrained");
    const struct hr_value *const name = hr_value_get(network, "name");
    const struct hr_value *const ssld = hr_value_get(network, "use_ssld");
    if (!value || value->kind == HR_VALUE_NULL || (value->kind == HR_VALUE_BOOL && !value->integer))
        return HR_OK;
    if (value->kind != HR_VALUE_BOOL)
        return give_weights(sink, flag, value);
    const char *const published =
        hr_arena_printf(sink->arena, "%s%s", name && name->text ? name->text : "",
                        ssld && ssld->integer ? "_ssld" : "");
    return published ? sink->give(sink->context, flag, published, value) : HR_E_MEMORY;
}

static enum hr_status take_arch_pretrained(const struct hr_config_sink *sink,
                                           const struct hr_value *value,
                                           const struct hr_value *root)
{
    const struct hr_value *const over = hr_config_at(root, "Global.pretrained_model");
    (void)value;
    if (over && over->kind == HR_VALUE_TEXT)
        return HR_OK;
    return give_pretrained(sink, weights_flag(sink), hr_config_at(root, "Arch"));
}

static enum hr_status take_sync_norms(const struct hr_config_sink *sink,
                                      const struct hr_value *value, const struct hr_value *root)
{
    (void)root;
    if (sink->evaluates || value->kind != HR_VALUE_BOOL || !value->integer)
        return HR_OK;
    return sink->give(sink->context, "sync-batch-norm", "1", value);
}

/* A network of a DistillationModel: its weights, and its name as a flag where one takes it. */
static enum hr_status take_network(const struct hr_config_sink *sink,
                                   const struct hr_value *network, const char *weights,
                                   const char *name)
{
    static const char *const keys[] = { "name",     "class_num",   "pretrained",
                                        "use_ssld", "use_sync_bn", "return_patterns" };
    if (network->kind != HR_VALUE_MAP)
        return hr_config_refuse(HR_E_FORMAT, network, "a network has a name");
    for (size_t i = 0; i < network->count; i++) {
        size_t k = 0;
        while (k < HR_COUNT(keys) && strcmp(keys[k], network->keys[i]) != 0)
            k++;
        if (k == HR_COUNT(keys))
            return hr_config_unknown_word(network->items[i], "the network", network->keys[i], keys,
                                          k);
    }
    if (sink->evaluates)
        return HR_OK;
    const struct hr_value *const value = hr_value_get(network, "name");
    const struct hr_value *const classes = hr_value_get(network, "class_num");
    if (name && value)
        HR_TRY(hr_config_give(sink, name, value));
    if (name && classes)
        HR_TRY(hr_config_give(sink, "classes", classes));
    return give_pretrained(sink, weights, network);
}

static enum hr_status take_validation(const struct hr_config_sink *sink,
                                      const struct hr_value *value, const struct hr_value *root)
{
    const struct hr_value *const during = hr_config_at(root, "Global.eval_during_train");
    if (!sink->evaluates && during && during->kind == HR_VALUE_BOOL && !during->integer)
        return HR_OK;
    return hr_config_give(sink, sink->evaluates ? HR_CONFIG_PICTURES : "val", value);
}

/* ---- Distillation ---- */

/* PaddleClas's DistillationModel: [{Teacher: {...}}, {Student: {...}}]. */
static enum hr_status take_models(const struct hr_config_sink *sink, const struct hr_value *value,
                                  const struct hr_value *root)
{
    const struct hr_value *teacher = NULL, *student = NULL;
    (void)root;
    for (size_t i = 0; value->kind == HR_VALUE_LIST && i < value->count; i++) {
        const struct hr_value *const t = hr_value_get(value->items[i], "Teacher");
        const struct hr_value *const s = hr_value_get(value->items[i], "Student");
        teacher = t ? t : teacher;
        student = s ? s : student;
    }
    if (!teacher || !student || value->count != 2)
        return hr_config_refuse(HR_E_UNSUPPORTED, value, "one Teacher and one Student are wanted");
    HR_TRY(take_network(sink, teacher, "teacher", NULL));
    HR_TRY(take_network(sink, student, weights_flag(sink), "arch"));
    return sink->evaluates ? HR_OK : sink->give(sink->context, "teacher-norms", "batch", value);
}

/* The teacher stays, the student learns. */
static enum hr_status take_freeze(const struct hr_config_sink *sink, const struct hr_value *value,
                                  const struct hr_value *root)
{
    (void)sink;
    (void)root;
    if (value->kind != HR_VALUE_LIST || value->count != 2 ||
        !hr_config_is_word(value->items[0], "True") || !hr_config_is_word(value->items[1], "False"))
        return hr_config_refuse(HR_E_UNSUPPORTED, value, "it can only be [True, False] here");
    return HR_OK;
}

static enum hr_status take_arch_name(const struct hr_config_sink *sink,
                                     const struct hr_value *value, const struct hr_value *root)
{
    (void)root;
    if (sink->evaluates || hr_config_is_word(value, "DistillationModel"))
        return HR_OK;
    return hr_config_give(sink, "arch", value);
}

/* ---- All ---- */

#define METRICS(part)                                                        \
    { "Metric." part ".#.TopkAcc.topk", NULL, NULL, "", NULL },              \
        { "Metric." part ".#.DistillationTopkAcc.*", NULL, NULL, "", NULL }, \
        { "Metric." part ".#.GoogLeNetTopkAcc.*", NULL, NULL, "", NULL },    \
        { "Metric." part ".#.HammingDistance.*", NULL, NULL, "", NULL },     \
        { "Metric." part ".#.AccuracyScore.*", NULL, NULL, "", NULL },       \
    {                                                                        \
        "Metric." part ".#.MultiLabelMAP.*", NULL, NULL, "", NULL            \
    }

#define LOADER(part)                                                                               \
    { "DataLoader." part ".dataset.name", NULL, NULL, "ImageNetDataset|MultiLabelDataset", NULL }, \
        { "DataLoader." part ".dataset.delimiter", NULL, NULL, "None| |\t", NULL },                \
        { "DataLoader." part ".dataset.relabel", NULL, NULL, "False|None", NULL },                 \
        { "DataLoader." part ".sampler.name", NULL, NULL, "DistributedBatchSampler|BatchSampler",  \
          NULL },                                                                                  \
        { "DataLoader." part ".loader.use_shared_memory", NULL, NULL, "", NULL },                  \
    {                                                                                              \
        "DataLoader." part ".loader.collate_fn", NULL, NULL, "None", NULL                          \
    }

const struct hr_config_key hr_config_keys[] = {
    { "Global.checkpoints", "checkpoint", NULL, NULL, NULL },
    { "Global.pretrained_model", NULL, NULL, NULL, take_pretrained_model },
    { "Global.output_dir", "output", NULL, NULL, NULL },
    { "Global.device", NULL, NULL, NULL, take_device },
    { "Global.save_interval", NULL, NULL, NULL, take_save_interval },
    { "Global.eval_during_train", NULL, NULL, "True|False|None", NULL },
    { "Global.eval_interval", "eval-every", NULL, NULL, NULL },
    { "Global.start_eval_epoch", NULL, NULL, NULL, take_first_evaluation },
    { "Global.epochs", "epochs", NULL, NULL, NULL },
    { "Global.print_batch_step", "log-every", NULL, NULL, NULL },
    { "Global.use_visualdl", "tensorboard", NULL, NULL, NULL },
    { "Global.image_shape", NULL, NULL, "", NULL },
    { "Global.save_inference_dir", NULL, NULL, "", NULL },
    { "Global.seed", "seed", NULL, NULL, NULL },
    { "Global.eval_mode", NULL, NULL, "classification|None", NULL },
    { "Global.train_mode", NULL, NULL, NULL, take_train_mode },
    { "Global.log_ranks", NULL, NULL, "", NULL },
    { "Global.use_dali", NULL, NULL, NULL, take_dali },
    { "Global.to_static", NULL, NULL, "", NULL },
    { "Global.update_freq", "accumulate", NULL, NULL, NULL },
    { "Global.iter_per_epoch", NULL, NULL, "None", NULL },
    { "Global.use_multilabel", NULL, NULL, "", NULL },
    { "Global.print_mem_info", NULL, NULL, "", NULL },
    { "Global.uniform_output_enabled", NULL, NULL, "", NULL },
    { "Global.export_for_fd", NULL, NULL, "", NULL },
    { "Global.hpi_config_path", NULL, NULL, "", NULL },
    { "Global.pdx_model_name", NULL, NULL, "", NULL },
    { "Global.class_num", "classes", "classes", NULL, NULL },
    { "mode", NULL, NULL, NULL, take_old_file },
    { "ARCHITECTURE", NULL, NULL, NULL, take_old_file },
    { "AMP", NULL, NULL, NULL, take_amp },
    { "EMA.decay", "ema", NULL, NULL, NULL },
    { "Arch.name", NULL, NULL, NULL, take_arch_name },
    { "Arch.models", NULL, NULL, NULL, take_models },
    { "Arch.freeze_params_list", NULL, NULL, NULL, take_freeze },
    { "Arch.pretrained_list", NULL, NULL, "None", NULL },
    { "Arch.infer_model_name", NULL, NULL, "Student", NULL },
    { "Arch.class_num", "classes", "classes", NULL, NULL },
    { "Arch.pretrained", NULL, NULL, NULL, take_arch_pretrained },
    { "Arch.use_ssld", NULL, NULL, "True|False|None", NULL },
    { "Arch.use_sync_bn", NULL, NULL, NULL, take_sync_norms },
    { "Arch.use_ml_decoder", NULL, NULL, "False|None", NULL },
    { "Arch.return_patterns", NULL, NULL, "None", NULL },
    { "Arch.infer_output_key", NULL, NULL, "None|logits", NULL },
    { "Arch.infer_add_softmax", NULL, NULL, "True|False|None", NULL }, /* of their export */
    { "Loss.Train", NULL, NULL, NULL, hr_config_take_loss },
    { "Loss.Eval.*", NULL, NULL, "", NULL },
    { "Optimizer", NULL, NULL, NULL, hr_config_take_optimizer },
    { "DataLoader.Train.dataset.image_root", "root", NULL, NULL, NULL },
    { "DataLoader.Train.dataset.cls_label_path", HR_CONFIG_PICTURES, NULL, NULL, NULL },
    { "DataLoader.Train.dataset.transform_ops", NULL, NULL, NULL, hr_config_take_train_ops },
    { "DataLoader.Train.dataset.batch_transform_ops", NULL, NULL, "", NULL },
    { "DataLoader.Train.sampler.batch_size", "batch", NULL, NULL, NULL },
    { "DataLoader.Train.sampler.drop_last", "drop-last", NULL, NULL, NULL },
    { "DataLoader.Train.sampler.shuffle", NULL, NULL, NULL, take_shuffle },
    { "DataLoader.Train.loader.num_workers", "loaders", NULL, NULL, NULL },
    LOADER("Train"),
    { "DataLoader.Eval.dataset.image_root", "val-root", "root", NULL, NULL },
    { "DataLoader.Eval.dataset.cls_label_path", NULL, NULL, NULL, take_validation },
    { "DataLoader.Eval.dataset.transform_ops", NULL, NULL, NULL, hr_config_take_eval_ops },
    { "DataLoader.Eval.sampler.batch_size", NULL, "batch", NULL, NULL },
    { "DataLoader.Eval.sampler.drop_last", NULL, NULL, NULL, take_eval_drop_last },
    { "DataLoader.Eval.sampler.shuffle", NULL, NULL, "", NULL },
    { "DataLoader.Eval.loader.num_workers", NULL, "loaders", NULL, NULL },
    LOADER("Eval"),
    METRICS("Train"),
    METRICS("Eval"),
    { "Infer.*", NULL, NULL, "", NULL },
};
const size_t hr_config_key_count = HR_COUNT(hr_config_keys);
