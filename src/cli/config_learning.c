/* SPDX-License-Identifier: Apache-2.0
 * Schedules, optimizers and losses of PaddleClas's files: a map of a name and its arguments becomes
 * a flag's "name:word=number,...", by tables of words. */
#include <stdio.h>
#include <string.h>

#include "cli/config_keys.h"

enum hr_status hr_config_unknown_word(const struct hr_value *value, const char *what,
                                      const char *key, const char *const *names, size_t count)
{
    const char *const near = hr_nearest_name(key, names, count);
    return hr_config_refuse(HR_E_FORMAT, value, "%s has no '%.80s'%s%s%s", what, key,
                            near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

struct word {
    const char *key, *word; /* word "": known, of no effect; "--x": a flag of its own */
    const char *of;         /* names that it belongs to, "|Step|MultiStepDecay|"; NULL: all */
};

static bool is_of(const struct word *w, const char *name)
{
    const char *const at = w->of ? strstr(w->of, name) : NULL;
    return !w->of || (at && at > w->of && at[-1] == '|' && at[strlen(name)] == '|');
}

/* Adds ",word=value", a list's items with '/' between. */
static void add_word(struct hr_text *out, const char *word, const struct hr_value *value)
{
    const size_t count = value->kind == HR_VALUE_LIST ? value->count : 1;
    if (value->kind == HR_VALUE_BOOL) {
        if (value->integer)
            hr_text_printf(out, ",%s", word);
        return;
    }
    hr_text_printf(out, ",%s=", word);
    for (size_t i = 0; i < count; i++) {
        hr_text_add(out, i ? "/" : "");
        hr_value_print(out, value->kind == HR_VALUE_LIST ? value->items[i] : value);
    }
}

/* Every key of the map by the table; what is not in it is an error with the nearest. */
static enum hr_status take_words(struct hr_text *out, const struct hr_config_sink *sink,
                                 const struct hr_value *map, const struct word *words,
                                 size_t word_count, const char *name)
{
    const char *names[64];
    for (size_t i = 0; i < map->count; i++) {
        const struct hr_value *const value = map->items[i];
        const struct word *found = NULL;
        size_t known = 0;
        for (size_t k = 0; k < word_count; k++) {
            if (!is_of(&words[k], name))
                continue;
            names[known++] = words[k].key;
            if (strcmp(words[k].key, map->keys[i]) == 0)
                found = &words[k];
        }
        if (!found)
            return hr_config_unknown_word(value, name, map->keys[i], names, known);
        if (value->kind == HR_VALUE_NULL || found->word[0] == '\0')
            continue;
        if (found->word[0] == '-')
            HR_TRY(hr_config_give(sink, found->word + 2, value));
        else
            add_word(out, found->word, value);
    }
    return out->status;
}

/* "kind" and the words behind it as one flag, with the place of `from`. */
static enum hr_status give_words(const struct hr_config_sink *sink, const char *flag,
                                 const char *kind, const struct hr_text *words,
                                 const struct hr_value *from)
{
    const char *const behind = hr_text_str(words);
    const char *const text = hr_arena_printf(sink->arena, "%s%s%s", kind, behind[0] ? ":" : "",
                                             behind[0] ? behind + 1 : "");
    return text ? sink->give(sink->context, flag, text, from) : HR_E_MEMORY;
}

/* The map's "name", among pairs of names: theirs and ours. */
static enum hr_status choose(const char **theirs, const char **ours, const struct hr_value *map,
                             const char *const (*pairs)[2], size_t count, const char *what)
{
    const char *names[32];
    const struct hr_value *const name = hr_value_get(map, "name");
    if (!name || name->kind != HR_VALUE_TEXT)
        return hr_config_refuse(HR_E_FORMAT, name ? name : map, "the %s has no name", what);
    for (size_t i = 0; i < count; i++) {
        names[i] = pairs[i][0];
        if (strcmp(name->text, pairs[i][0]) == 0) {
            *theirs = pairs[i][0];
            *ours = pairs[i][1];
            return HR_OK;
        }
    }
    const char *const near = hr_nearest_name(name->text, names, count);
    return hr_config_refuse(HR_E_UNSUPPORTED, name, "the %s '%.80s' is not known%s%s%s", what,
                            name->text, near ? ": did you mean '" : "", near ? near : "",
                            near ? "'?" : "");
}

static const char *const schedules[][2] = {
    { "Constant", "constant" },       { "ConstLR", "constant" },
    { "Linear", "linear" },           { "Cosine", "cosine" },
    { "Cyclic", "cyclic" },           { "Step", "step" },
    { "Piecewise", "piecewise" },     { "MultiStepDecay", "multi-step" },
    { "ReduceOnPlateau", "plateau" }, { "CosineFixmatch", "cosine-fixmatch" },
    { "OneCycleLR", "one-cycle" }
};
static const struct word schedule_words[] = {
    { "name", "", NULL },
    { "learning_rate", "--lr", NULL },
    { "base_learning_rate", "--lr", "|Cyclic|" },
    { "max_learning_rate", "peak", "|Cyclic|" },
    { "max_learning_rate", "--lr", "|OneCycleLR|" },
    { "warmup_epoch", "--warmup", NULL },
    { "warmup_start_lr", "start", NULL },
    { "by_epoch", "by-epoch", NULL },
    { "last_epoch", "", NULL },
    { "verbose", "", NULL },
    { "end_lr", "end", "|Linear|" },
    { "power", "power", "|Linear|" },
    { "cycle", "", "|Linear|" },
    { "eta_min", "end", "|Cosine|" },
    { "step_size_up", "up", "|Cyclic|" },
    { "step_size_down", "down", "|Cyclic|" },
    { "mode", "", "|Cyclic|" },
    { "exp_gamma", "", "|Cyclic|" },
    { "scale_mode", "", "|Cyclic|" },
    { "step_size", "every", "|Step|" },
    { "gamma", "gamma", "|Step|MultiStepDecay|" },
    { "decay_epochs", "at", "|Piecewise|" },
    { "values", "values", "|Piecewise|" },
    { "milestones", "at", "|MultiStepDecay|" },
    { "num_cycles", "cycles", "|CosineFixmatch|" },
    { "num_warmup_steps", "warmup-steps", "|CosineFixmatch|" },
    { "divide_factor", "divide", "|OneCycleLR|" },
    { "end_learning_rate", "end", "|OneCycleLR|" },
    { "phase_pct", "phase", "|OneCycleLR|" },
    { "anneal_strategy", "", "|OneCycleLR|" },
    { "three_phase", "three-phases", "|OneCycleLR|" },
    { "mode", "", "|ReduceOnPlateau|" },
    { "factor", "factor", "|ReduceOnPlateau|" },
    { "patience", "patience", "|ReduceOnPlateau|" },
    { "threshold", "threshold", "|ReduceOnPlateau|" },
    { "threshold_mode", "", "|ReduceOnPlateau|" },
    { "epsilon", "epsilon", "|ReduceOnPlateau|" },
    { "cooldown", "cooldown", "|ReduceOnPlateau|" },
    { "min_lr", "least", "|ReduceOnPlateau|" },
};

/* The word of a mode among pairs "mode", "word"; the first pair's is that of a key that is missing.
 */
static enum hr_status take_mode(struct hr_text *words, const struct hr_value *map, const char *key,
                                const char *const (*pairs)[2], size_t count)
{
    const struct hr_value *const value = hr_value_get(map, key);
    char names[80] = "";
    for (size_t i = 0; i < count; i++) {
        if (value ? hr_config_is_word(value, pairs[i][0]) : i == 0) {
            hr_text_add(words, pairs[i][1]);
            return words->status;
        }
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 pairs[i][0]);
    }
    return hr_config_refuse(HR_E_FORMAT, value, "%s can be %s", key, names);
}

/* Theirs counts steps, or epochs with by_epoch, and not both in epochs as here. */
static enum hr_status take_cyclic(struct hr_text *words, const struct hr_value *map)
{
    static const char *const modes[][2] = { { "triangular", ",steps" },
                                            { "triangular2", ",steps,halving" },
                                            { "exp_range", ",steps" } };
    const struct hr_value *const mode = hr_value_get(map, "mode");
    const struct hr_value *const gamma = hr_value_get(map, "exp_gamma");
    HR_TRY(take_mode(words, map, "mode", modes, HR_COUNT(modes)));
    if (mode && gamma && hr_config_is_word(mode, "exp_range"))
        add_word(words, "gamma", gamma);
    return words->status;
}

static enum hr_status take_one_cycle(struct hr_text *words, const struct hr_value *map)
{
    static const char *const strategies[][2] = { { "cos", "" }, { "linear", ",lines" } };
    if (!hr_value_get(map, "end_learning_rate"))
        hr_text_add(words, ",end=1e-10");
    return take_mode(words, map, "anneal_strategy", strategies, HR_COUNT(strategies));
}

/* Theirs is told the accuracy, and in its usual mode waits for one that falls. */
static enum hr_status take_plateau(struct hr_text *words, const struct hr_config_sink *sink,
                                   const struct hr_value *map)
{
    static const char *const modes[][2] = { { "min", "" }, { "max", "" } };
    static const char *const thresholds[][2] = { { "rel", "" }, { "abs", ",absolute" } };
    const struct hr_value *const mode = hr_value_get(map, "mode");
    HR_TRY(take_mode(words, map, "mode", modes, HR_COUNT(modes)));
    if (!mode || hr_config_is_word(mode, "min"))
        sink->tell(sink->context, mode ? mode : map,
                   "ReduceOnPlateau with mode min would lower the rate while the accuracy grows: "
                   "taken as mode max, which lowers it when it no longer does");
    return take_mode(words, map, "threshold_mode", thresholds, HR_COUNT(thresholds));
}

/* What the table of words cannot say. */
static enum hr_status take_own_words(struct hr_text *words, const struct hr_config_sink *sink,
                                     const struct hr_value *map, const char *name)
{
    if (strcmp(name, "Cyclic") == 0)
        return take_cyclic(words, map);
    if (strcmp(name, "OneCycleLR") == 0)
        return take_one_cycle(words, map);
    if (strcmp(name, "ReduceOnPlateau") == 0)
        return take_plateau(words, sink, map);
    /* Its boundaries and values do not count there either. */
    if (strcmp(name, "Piecewise") == 0 && hr_value_get(map, "learning_rate"))
        hr_text_add(words, ",paddle");
    return words->status;
}

static enum hr_status take_schedule(const struct hr_config_sink *sink, const struct hr_value *value,
                                    const struct hr_value *root)
{
    const char *theirs = NULL, *ours = NULL;
    struct hr_text words = { 0 };
    (void)root;
    HR_TRY(choose(&theirs, &ours, value, schedules, HR_COUNT(schedules), "schedule"));
    enum hr_status status = take_own_words(&words, sink, value, theirs);
    if (status == HR_OK)
        status = take_words(&words, sink, value, schedule_words, HR_COUNT(schedule_words), theirs);
    if (status == HR_OK)
        status = give_words(sink, "schedule", ours, &words, value);
    hr_text_fini(&words);
    return status;
}

static const char *const optimizers[][2] = { { "Momentum", "momentum" },
                                             { "SGD", "sgd" },
                                             { "Adam", "adam" },
                                             { "AdamW", "adamw" },
                                             { "RMSProp", "rmsprop" } };
static const struct word optimizer_words[] = {
    { "name", "", NULL },
    { "lr", "", NULL },
    { "regularizer", "", NULL },
    { "use_nesterov", "", "|Momentum|" },
    { "multi_precision", "", NULL },
    { "use_multi_tensor", "", NULL },
    { "momentum", "momentum", "|Momentum|RMSProp|" },
    { "beta1", "beta1", "|Adam|AdamW|" },
    { "beta2", "beta2", "|Adam|AdamW|" },
    { "epsilon", "epsilon", "|Adam|AdamW|RMSProp|" },
    { "rho", "rho", "|RMSProp|" },
    { "weight_decay", "decay", "|AdamW|" },
    { "weight_decay", "--l2", "|SGD|Momentum|Adam|RMSProp|" },
    { "clip_norm", "--clip", NULL },
    { "no_weight_decay_name", "--no-decay", "|AdamW|SGD|Momentum|Adam|RMSProp|" },
    { "one_dim_param_no_weight_decay", "--no-decay-1d", NULL },
};

static enum hr_status take_regularizer(const struct hr_config_sink *sink,
                                       const struct hr_value *value)
{
    static const char *const kinds[][2] = { { "L1", "l1" }, { "L2", "l2" } };
    const struct word words[] = { { "name", "", NULL },
                                  { "coeff", "--l1", "|L1|" },
                                  { "coeff", "--l2", "|L2|" } };
    const char *theirs = NULL, *ours = NULL;
    struct hr_text none = { 0 };
    HR_TRY(choose(&theirs, &ours, value, kinds, HR_COUNT(kinds), "regularizer"));
    if (ours[1] == '1')
        HR_TRY(sink->give(sink->context, "l2", "0", value));
    return take_words(&none, sink, value, words, HR_COUNT(words), theirs);
}

/* Paddle adds no decay of its own: what the file does not say is 0. */
enum hr_status hr_config_take_optimizer(const struct hr_config_sink *sink,
                                        const struct hr_value *value, const struct hr_value *root)
{
    const char *theirs = NULL, *ours = NULL;
    const struct hr_value *const nesterov = hr_value_get(value, "use_nesterov");
    const struct hr_value *const regularizer = hr_value_get(value, "regularizer");
    const struct hr_value *const rate = hr_value_get(value, "lr");
    struct hr_text words = { 0 };
    if (sink->evaluates)
        return HR_OK;
    HR_TRY(choose(&theirs, &ours, value, optimizers, HR_COUNT(optimizers), "optimizer"));
    if (!rate || rate->kind != HR_VALUE_MAP)
        return hr_config_refuse(HR_E_FORMAT, value, "the optimizer has no 'lr' with a schedule");
    HR_TRY(take_schedule(sink, rate, root));
    if (regularizer && regularizer->kind != HR_VALUE_NULL)
        HR_TRY(take_regularizer(sink, regularizer));
    else if (!hr_value_get(value, "weight_decay") || strcmp(theirs, "AdamW") == 0)
        HR_TRY(sink->give(sink->context, "l2", "0", value));
    enum hr_status status =
        take_words(&words, sink, value, optimizer_words, HR_COUNT(optimizer_words), theirs);
    if (status == HR_OK)
        status = give_words(sink, "optimizer", nesterov && nesterov->integer ? "nesterov" : ours,
                            &words, value);
    hr_text_fini(&words);
    return status;
}

/* ---- Loss ---- */

static const char *const distillations[][2] = { { "DistillationDMLLoss", "dml" },
                                                { "DistillationKLDivLoss", "kl" },
                                                { "DistillationCELoss", "ce" },
                                                { "DistillationGTCELoss", "" } };
static const struct word distillation_words[] = {
    { "weight", "weight", "|DistillationDMLLoss|DistillationKLDivLoss|DistillationCELoss|" },
    { "weight", "labels", "|DistillationGTCELoss|" },
    { "temperature", "temperature", "|DistillationKLDivLoss|" },
    { "epsilon", "--smoothing", "|DistillationGTCELoss|" },
    { "model_name_pairs", "", "|DistillationDMLLoss|DistillationKLDivLoss|DistillationCELoss|" },
    { "model_names", "", "|DistillationGTCELoss|" },
    { "key", "", NULL },
    { "act", "", "|DistillationDMLLoss|" },
    { "name", "", NULL },
};

/* Of the teacher, and maybe of the labels: weighted and summed, as PaddleClas does. */
static enum hr_status take_distillation(const struct hr_config_sink *sink,
                                        const struct hr_value *losses, struct hr_text *words)
{
    const char *kind = NULL;
    for (size_t i = 0; i < losses->count; i++) {
        const struct hr_value *const loss = losses->items[i];
        size_t k = 0;
        while (k < HR_COUNT(distillations) && !(loss->kind == HR_VALUE_MAP && loss->count == 1 &&
                                                strcmp(loss->keys[0], distillations[k][0]) == 0))
            k++;
        if (k == HR_COUNT(distillations) || (kind && distillations[k][1][0]))
            return hr_config_refuse(HR_E_UNSUPPORTED, loss,
                                    "one of DistillationDMLLoss, DistillationKLDivLoss and "
                                    "DistillationCELoss is possible, and DistillationGTCELoss");
        HR_TRY(take_words(words, sink, loss->items[0], distillation_words,
                          HR_COUNT(distillation_words), distillations[k][0]));
        kind = distillations[k][1][0] ? distillations[k][1] : kind;
    }
    if (!kind)
        return hr_config_refuse(HR_E_UNSUPPORTED, losses, "the teacher's loss is missing");
    return give_words(sink, "distill", kind, words, losses);
}

enum hr_status hr_config_take_loss(const struct hr_config_sink *sink, const struct hr_value *value,
                                   const struct hr_value *root)
{
    static const struct word words[] = { { "weight", "", NULL },
                                         { "epsilon", "--smoothing", "|CELoss|" } };
    struct hr_text text = { 0 };
    (void)root;
    if (sink->evaluates)
        return HR_OK;
    if (value->kind != HR_VALUE_LIST || value->count == 0 ||
        value->items[0]->kind != HR_VALUE_MAP || value->items[0]->count != 1)
        return hr_config_refuse(HR_E_UNSUPPORTED, value, "a list of losses is wanted, '- CELoss:'");
    const struct hr_value *const loss = value->items[0];
    if (hr_text_starts(loss->keys[0], "Distillation")) {
        const enum hr_status status = take_distillation(sink, value, &text);
        hr_text_fini(&text);
        return status;
    }
    /* Which of the two it is, the list of pictures says. */
    if (value->count != 1 ||
        (strcmp(loss->keys[0], "CELoss") != 0 && strcmp(loss->keys[0], "MultiLabelLoss") != 0))
        return hr_config_refuse(HR_E_UNSUPPORTED, loss,
                                "the loss '%.80s' is not known: one CELoss or MultiLabelLoss is, "
                                "or Distillation...",
                                loss->keys[0]);
    return take_words(&text, sink, loss->items[0], words, HR_COUNT(words), loss->keys[0]);
}
