/* SPDX-License-Identifier: Apache-2.0
 * Configurations: what scalars mean, what is refused and how it is named, and what the flags get.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cli/config.h"
#include "cli/literal.h"
#include "cli/yaml.h"
#include "hostile.h"

/* ---- Values ---- */

static void check_literal(const char *text, const char *printed)
{
    struct hr_arena arena = { 0 };
    struct hr_text out = { 0 };
    struct hr_value value = { .text = text, .origin = "test" };
    assert_int_equal(hr_literal_parse(&value, &arena, 0), HR_OK);
    hr_value_print(&out, &value);
    assert_string_equal(hr_text_str(&out), printed);
    hr_text_fini(&out);
    hr_arena_fini(&arena);
}

static void test_literals(void **state)
{
    static const char *const pairs[][2] = {
        { "None", "None" },
        { "True", "True" },
        { "Truex", "'Truex'" },
        { "12", "12" },
        { "-0x1F", "-31" },
        { "0b101", "5" },
        { "1_000", "1000" },
        { "1__0", "'1__0'" },
        { "007", "'007'" },
        { "0", "0" },
        { "0.1", "0.1" },
        { "1e-4", "0.0001" },
        { "1.", "1.0" },
        { ".5", "0.5" },
        { ".", "'.'" },
        { "1e999", "'1e999'" },
        { "99999999999999999999", "1e+20" },
        { "1.0/255.0", "'1.0/255.0'" },
        { "__import__('os').system('x')", "'__import__(\\'os\\').system(\\'x\\')'" },
        { "'a\\n\\x41\\u00e9'", "'a\\nA\xc3\xa9'" },
        { "'\\U0001F600'", "'\xf0\x9f\x98\x80'" },
        { "'\\ud800'", "'\\'\\\\ud800\\''" },
        { "[1, 'b', (2,), (3), {'k': [None]}]", "'[1, \\'b\\', (2,), (3), {\\'k\\': [None]}]'" },
        { "[1, 'b', (2,), {'k': [None]},]", "[1, 'b', [2], {'k': [None]}]" },
        { "[1, 2", "'[1, 2'" },
        { "[,]", "'[,]'" },
        { "()", "[]" },
        { " [ ] ", "[]" },
        { "", "''" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(pairs); i++)
        check_literal(pairs[i][0], pairs[i][1]);
}

static void test_arithmetic(void **state)
{
    double value = -1.0;
    (void)state;
    assert_true(hr_literal_arithmetic("1.0/255.0", &value));
    assert_true(value == 1.0 / 255.0);
    assert_true(hr_literal_arithmetic(" -(1 + 2) * 3 / 2 - 1", &value));
    assert_true(value == -5.5);
    assert_false(hr_literal_arithmetic("1/0", &value));
    assert_false(hr_literal_arithmetic("1 +", &value));
    assert_false(hr_literal_arithmetic("x", &value));
    assert_false(hr_literal_arithmetic("", &value));
    char deep[200];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_false(hr_literal_arithmetic(deep, &value));
    assert_true(value == -5.5);
}

static void check_yaml(const char *text, const char *printed)
{
    struct hr_arena arena = { 0 };
    struct hr_text out = { 0 };
    struct hr_value *root = NULL;
    const enum hr_status status = hr_yaml_parse(&root, &arena, text, strlen(text), "f.yaml");
    if (status == HR_OK)
        hr_value_print(&out, root);
    if (strcmp(status == HR_OK ? hr_text_str(&out) : hr_last_message(), printed) != 0)
        fail_msg("%s gives %s, not %s", text,
                 status == HR_OK ? hr_text_str(&out) : hr_last_message(), printed);
    hr_text_fini(&out);
    hr_arena_fini(&arena);
}

static void test_yaml(void **state)
{
    (void)state;
    check_yaml("a: yes\nb: 'yes'\nc: null # no\nd:\ne: ''\n",
               "{'a': True, 'b': 'yes', 'c': None, 'd': None, 'e': ''}");
    check_yaml("a: '0.5'\nb: !!str 5\n5: 1e-3\n", "{'a': 0.5, 'b': '5', '5': 0.001}");
    check_yaml("a: &x [1, 2]\nb: *x\n", "{'a': [1, 2], 'b': [1, 2]}");
    check_yaml("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n",
               "{'a': {'p': 1, 'q': 2}, 'b': {'q': 3, 'p': 1}}");
    check_yaml("- ToCHWImage:\n- x: 1.0/255.0\n", "[{'ToCHWImage': None}, {'x': '1.0/255.0'}]");
    check_yaml("a: 1\na: 2\n", "{'a': 2}");
}

static void test_yaml_that_is_refused(void **state)
{
    (void)state;
    check_yaml("", "f.yaml: there is nothing in it");
    check_yaml("a: *x\n", "f.yaml:1: there is no anchor &x");
    check_yaml("\na: &x [*x]\n", "f.yaml:2: *x is inside of itself");
    check_yaml("a: !!python/object/apply:os.system ['x']\n",
               "f.yaml:1: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is refused: "
               "only plain values are read");
    check_yaml("a: 1\n---\nb: 2\n", "f.yaml:2: a second document begins");
    check_yaml("[a]: 1\n", "f.yaml:1: a list or map cannot be a key");
    check_yaml("<<: 3\n", "f.yaml:1: '<<' takes one map");
    check_yaml("a: \"\\0\"\n", "f.yaml:1: the value holds a zero byte");
    check_yaml("a: [1\nb: 2\n", "f.yaml:2: no YAML: did not find expected ',' or ']', while "
                                "parsing a flow sequence");
}

static void test_bounds(void **state)
{
    char deep[400] = "a: ";
    (void)state;
    memset(deep + 3, '[', 40);
    memset(deep + 43, ']', 40);
    check_yaml(deep, "f.yaml:1: lists and maps nest deeper than 32");
    memset(deep, '[', 40);
    struct hr_arena arena = { 0 };
    struct hr_value value = { .text = deep, .origin = "-o a" };
    assert_int_equal(hr_literal_parse(&value, &arena, 0), HR_E_LIMIT);
    hr_arena_fini(&arena);
    check_yaml("a: &a [x,x,x,x,x,x,x,x,x,x]\n"
               "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
               "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
               "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
               "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
               "f.yaml:5: more than 65536 values, with the copies of aliases");
}

/* ---- Keys ---- */

struct seen {
    struct hr_text text;
};

static enum hr_status give(void *context, const char *flag, const char *text,
                           const struct hr_value *from)
{
    struct seen *seen = context;
    hr_text_printf(&seen->text, "%s=%s@%d ", flag, text, from->line);
    return seen->text.status;
}

static void tell(void *context, const struct hr_value *from, const char *message)
{
    struct seen *seen = context;
    hr_text_printf(&seen->text, "(%s@%d) ", message, from->line);
}

static void check_config(const char *text, const char *setting, bool evaluates, const char *wanted)
{
    struct hr_arena arena = { 0 };
    struct seen seen = { { 0 } };
    const struct hr_config_sink sink = {
        .give = give, .tell = tell, .context = &seen, .arena = &arena, .evaluates = evaluates
    };
    const enum hr_status status =
        hr_config_read(&sink, text, strlen(text), "f.yaml", &setting, setting != NULL);
    const char *const got = status == HR_OK ? hr_text_str(&seen.text) : hr_last_message();
    if (strcmp(got, wanted) != 0)
        fail_msg("%s gives\n%s, not\n%s", text, got, wanted);
    hr_text_fini(&seen.text);
    hr_arena_fini(&arena);
}

static void test_keys(void **state)
{
    (void)state;
    check_config("Global:\n  device: gpu\n  epochs: 3\n", NULL, false,
                 "(device gpu: computed on the CPU@2) epochs=3@3 ");
    check_config("Global: {epochs: 3}", "Global.epochs=4", false, "epochs=4@0 ");
    check_config("Global: {epochs: 3}", "Global.epochs=None", false, "");
    check_config("Global: {seed: 3}", "Global.output_dir=run", false, "seed=3@1 output=run@0 ");
    check_config("Arch: {name: HRNet_W18_C, pretrained: True, use_ssld: True}", NULL, true,
                 "model=HRNet_W18_C_ssld@1 ");
    check_config("Loss:\n  Train:\n    - CELoss: {epsilon: 0.1, weight: 1.0}\n", NULL, false,
                 "smoothing=0.1@3 ");
    check_config("Loss: {Train: [{MultiLabelLoss: {weight: 1.0}}]}", NULL, false, "");
    check_config("Loss: {Train: [{MultiLabelLoss: {epsilon: 0.1}}]}", NULL, false,
                 "f.yaml:1: MultiLabelLoss has no 'epsilon'");
    check_config("Global: {print_batch_step: 5, use_visualdl: True}", NULL, false,
                 "log-every=5@1 tensorboard=True@1 ");
}

static void test_keys_that_are_refused(void **state)
{
    (void)state;
    check_config("Global:\n\n  epoch: 3\n", NULL, false,
                 "f.yaml:3: the key 'Global.epoch' is not known: did you mean 'Global.epochs'?");
    check_config("Globl: {}", NULL, false,
                 "f.yaml:1: the key 'Globl' is not known: did you mean 'Global'?");
    check_config("Global: {}", "Global.x.y=1", false, "f.yaml:1: the key 'Global.x' is not known");
    check_config("Global: 3", NULL, false,
                 "f.yaml:1: Global has keys below it, not a single value");
    check_config("AMP: {use_amp: 3}", NULL, false, "f.yaml:1: AMP.use_amp is True or False");
    check_config("AMP: {scale_loss: big}", NULL, false, "f.yaml:1: AMP.scale_loss is a number");
    check_config("Global: {}", "epochs", false, "-o epochs: Key.Sub=Value is wanted");
    check_config("Metric: {Train: [{TopkAcc: {topk: 1}}]}", "Metric.Train.1.TopkAcc.topk=2", false,
                 "-o Metric.Train.1.TopkAcc.topk=2: '1' is no place in a list of 1 (from 0)");
    check_config("Global: {epochs: 3}", "Global.epochs.x=2", false,
                 "-o Global.epochs.x=2: 'x' is below a single value");
    check_config("Loss: {Train: [{DMLLoss: {weight: 1}}]}", NULL, false,
                 "f.yaml:1: the loss 'DMLLoss' is not known: one CELoss or MultiLabelLoss is, or "
                 "Distillation...");
    check_config("[1]", NULL, false, "f.yaml:1: a configuration is a map of sections");
}

#define RATE(words) "Optimizer: {name: Momentum, momentum: 0.9, lr: {" words "}}"

static void test_schedules(void **state)
{
    (void)state;
    check_config(
        RATE("name: Piecewise, learning_rate: 0.1, decay_epochs: [30, 60], values: [1, 2, 3]"),
        NULL, false,
        "lr=0.1@1 schedule=piecewise:paddle,at=30/60,values=1/2/3@1 l2=0@1 "
        "optimizer=momentum:momentum=0.9@1 ");
    check_config(RATE("name: Piecewise, decay_epochs: [30], values: [1.0, 2.0]"), NULL, false,
                 "schedule=piecewise:at=30,values=1.0/2.0@1 l2=0@1 "
                 "optimizer=momentum:momentum=0.9@1 ");
    check_config(RATE("name: Cosine, learning_rate: 0.2, warmup_epoch: 5, eta_min: 1e-6, by_epoch: "
                      "True"),
                 NULL, false,
                 "lr=0.2@1 warmup=5@1 schedule=cosine:end=1e-06,by-epoch@1 l2=0@1 "
                 "optimizer=momentum:momentum=0.9@1 ");
    check_config("Optimizer: {name: AdamW, weight_decay: 0.05, beta1: 0.8, "
                 "lr: {name: OneCycleLR, max_learning_rate: 0.5, phase_pct: 0.2}}",
                 NULL, false,
                 "lr=0.5@1 schedule=one-cycle:end=1e-10,phase=0.2@1 l2=0@1 "
                 "optimizer=adamw:decay=0.05,beta1=0.8@1 ");
    check_config("Optimizer: {name: Momentum, use_nesterov: True, regularizer: {name: L1, coeff: "
                 "0.5}, lr: {name: ConstLR, learning_rate: 1}}",
                 NULL, false, "lr=1@1 schedule=constant@1 l2=0@1 l1=0.5@1 optimizer=nesterov@1 ");
    check_config(RATE("name: Cosin"), NULL, false,
                 "f.yaml:1: the schedule 'Cosin' is not known: did you mean 'Cosine'?");
    check_config(RATE("name: Cosine, gamma: 2"), NULL, false, "f.yaml:1: Cosine has no 'gamma'");
    check_config(RATE("name: Step, step_sise: 2"), NULL, false,
                 "f.yaml:1: Step has no 'step_sise': did you mean 'step_size'?");
    check_config("Optimizer: {name: Momentum}", NULL, false,
                 "f.yaml:1: the optimizer has no 'lr' with a schedule");
}

#define TRAIN_OPS(ops) "DataLoader: {Train: {dataset: {transform_ops: [" ops "]}}}"
#define EVAL_OPS(ops)  "DataLoader: {Eval: {dataset: {transform_ops: [" ops "]}}}"

static void test_operations(void **state)
{
    (void)state;
    check_config(TRAIN_OPS("RandCropImage: {size: 160, scale: [0.2, 1.0]}, RandFlipImage: "), NULL,
                 false, "size=160@1 augment=crop:area=0.2,most=1.0@1 flip=0.5@1 ");
    check_config(TRAIN_OPS("ResizeImage: {size: 32}, ToCHWImage: "), NULL, false,
                 "resize-short=0@1 size=32@1 whole=1@1 flip=0@1 ");
    check_config(EVAL_OPS("CropImage: {size: [320, 240]}"), NULL, true, "size=240x320@1 ");
    check_config(EVAL_OPS("NormalizeImage: {scale: 1.0/255.0, mean: [0, 0, 0], order: ''}"), NULL,
                 true, "scale=0.00392156862745098@1 mean=0,0,0@1 ");
    check_config(EVAL_OPS("NormaliseImage: {}"), NULL, true,
                 "f.yaml:1: the operation 'NormaliseImage' is not known: did you mean "
                 "'NormalizeImage'?");
    check_config(EVAL_OPS("CropImage: {sise: 3}"), NULL, true,
                 "f.yaml:1: CropImage has no 'sise': did you mean 'size'?");
    check_config(EVAL_OPS("NormalizeImage: {scale: system('x')}"), NULL, true,
                 "f.yaml:1: a number is wanted, not 'system('x')'");
    check_config(TRAIN_OPS("RandCropImage: {size: 8}"),
                 "DataLoader.Train.dataset.transform_ops.0."
                 "RandCropImage.size=9",
                 false, "size=9@0 flip=0@1 ");
}

#define BATCH_OPS(ops)                                                                          \
    "DataLoader: {Train: {dataset: {transform_ops: [RandCropImage: {size: 8}, AutoAugment: ], " \
    "batch_transform_ops: [" ops "]}}}"

static void test_augmentations(void **state)
{
    (void)state;
    check_config(TRAIN_OPS("RandCropImage: {size: 8}, TimmAutoAugment: {prob: 0.5, config_str: "
                           "rand-m9-mstd0.5-inc1, interpolation: bicubic, img_size: 224}, "
                           "RandomErasing: {EPSILON: 0.25, sl: 0.02, sh: 1.0/3.0, r1: 0.3, "
                           "attempt: 10, use_log_aspect: True, mode: pixel}"),
                 NULL, false,
                 "size=8@1 augment=timm:rand-m9-mstd0.5-inc1,p=0.5,filter=bicubic;erasing:p=0.25,"
                 "least=0.02,most=0.3333333333333333,aspect=0.3,tries=10.0,log=1.0,mode=pixel@1 "
                 "flip=0@1 ");
    check_config(
        TRAIN_OPS("RandomResizedCrop: {size: 8, ratio: [0.5, 2]}, RandomHorizontalFlip: "
                  "{prob: 0.3}, RandAugment: {num_layers: 2, magnitude: 9}, HideAndSeek: "),
        NULL, false,
        "size=8@1 augment=resizedcrop:low=0.5,high=2.0;flip:p=0.3;randaugment:n=2.0,m=9.0;"
        "hide@1 flip=0@1 ");
    check_config(BATCH_OPS("MixupOperator: {alpha: 0.2}"), NULL, false,
                 "size=8@1 augment=autoaugment;mixup:alpha=0.2@1 flip=0@1 ");
    check_config(BATCH_OPS("OpSampler: {MixupOperator: {alpha: 0.8, prob: 0.5}, CutmixOperator: "
                           "{alpha: 1.0, prob: 0.5}}"),
                 NULL, false,
                 "size=8@1 augment=autoaugment;mixup:alpha=0.8,p=0.5;cutmix:alpha=1.0,p=0.5@1 "
                 "flip=0@1 ");
    check_config(BATCH_OPS("MixUpOperator: {alpha: 0.2}"), NULL, false,
                 "f.yaml:1: the operation 'MixUpOperator' is not known: did you mean "
                 "'MixupOperator'?");
    check_config(BATCH_OPS("OpSampler: {MixupOperator: {alfa: 0.2}}"), NULL, false,
                 "f.yaml:1: MixupOperator has no 'alfa': did you mean 'alpha'?");
}

#define MODELS(teacher, student)                                                            \
    "Arch: {name: DistillationModel, freeze_params_list: [True, False], infer_model_name: " \
    "Student, models: [{Teacher: {" teacher "}}, {Student: {" student "}}]}\n"
#define LOSSES(losses) "Loss: {Train: [" losses "]}"

static void test_distillation(void **state)
{
    (void)state;
    check_config(MODELS("name: HRNet_W48_C, class_num: 1000, pretrained: True, use_ssld: True",
                        "name: HRNet_W18_C, class_num: 1000, pretrained: False")
                     LOSSES("DistillationDMLLoss: {weight: 1.0, model_name_pairs: [[Student, "
                            "Teacher]]}"),
                 NULL, false,
                 "teacher=HRNet_W48_C_ssld@1 arch=HRNet_W18_C@1 classes=1000@1 "
                 "teacher-norms=batch@1 distill=dml:weight=1.0@2 ");
    check_config(
        LOSSES("DistillationGTCELoss: {weight: 0.5, epsilon: 0.1, model_names: [Student]}, "
               "DistillationKLDivLoss: {weight: 2, temperature: 4}"),
        NULL, false, "smoothing=0.1@1 distill=kl:labels=0.5,weight=2,temperature=4@1 ");
    check_config(LOSSES("DistillationCELoss: {weight: 1.0}, DistillationDMLLoss: {weight: 1}"),
                 NULL, false,
                 "f.yaml:1: one of DistillationDMLLoss, DistillationKLDivLoss and "
                 "DistillationCELoss is possible, and DistillationGTCELoss");
    check_config(MODELS("name: A", "nam: B"), NULL, false,
                 "f.yaml:1: the network has no 'nam': did you mean 'name'?");
    check_config("Arch: {freeze_params_list: [False, False]}", NULL, false,
                 "f.yaml:1: it can only be [True, False] here");
}

/* The whole of a real file, with every allocation failing once. */
static enum hr_status read_file(const struct hr_map *map)
{
    struct hr_arena arena = { 0 };
    struct seen seen = { { 0 } };
    const struct hr_config_sink sink = {
        .give = give, .tell = tell, .context = &seen, .arena = &arena
    };
    const char *const setting =
        "DataLoader.Train.dataset.transform_ops.1.RandCropImage.size=[64, 64]";
    enum hr_status status = hr_config_read(&sink, map->data, map->size, "f", &setting, 1);
    status = status == HR_OK ? seen.text.status : status;
    hr_text_fini(&seen.text);
    hr_arena_fini(&arena);
    return status;
}

static void test_out_of_memory(void **state)
{
    struct hr_map map = { 0 };
    unsigned n = 0;
    (void)state;
    assert_int_equal(hr_map_open(&map, HRNET_TESTS_DIR "/data/config/hrnet_w18.yaml"), HR_OK);
    for (bool failed = true; failed; n++) {
        hostile_memory_fail(n);
        const enum hr_status status = read_file(&map);
        failed = hostile_memory_restore();
        assert_int_equal(status, failed ? HR_E_MEMORY : HR_OK);
    }
    assert_true(n > 3);
    hr_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_yaml_that_is_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keys_that_are_refused),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_augmentations),
        cmocka_unit_test(test_distillation),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
