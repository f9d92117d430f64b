/* SPDX-License-Identifier: Apache-2.0
 * Published weights: addresses, hashes where there are any, and the figures of the PaddleClas page
 * and of timm's results (paddleclas.md 8 and 8.1, models.md). */
#include <string.h>

#include "base/compiler.h"
#include "base/text.h"
#include "model/zoo.h"

#define PADDLE "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/legendary_models/"
#define TIMM   "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-hrnet/"
#define HUB    "https://huggingface.co/timm/"
#define MS \
    "https://github.com/HRNet/HRNet-Image-Classification/releases/download/PretrainedWeights/"

#define PADDLE_ROW(name, architecture, top1, top5, flops, parameters, note)                        \
    {                                                                                              \
        name, architecture, PADDLE name "_pretrained.pdparams", name "_pretrained.pdparams", NULL, \
            "opencv", 0.875f, 224, top1, top5, flops, parameters, note, "Apache-2.0"               \
    }
/* timm's own configuration of these says bilinear. */
#define TIMM_ROW(name, architecture, file, hash, top1, top5)                                 \
    {                                                                                        \
        name, architecture, TIMM file "-" hash ".pth", file "-" hash ".pth", hash, "pillow", \
            0.875f, 224, top1, top5, 0, 0, NULL, "MIT"                                       \
    }
#define HUB_ROW(name, architecture, recipe, crop, top1, note, licence)                             \
    {                                                                                              \
        name, architecture, HUB name "/resolve/main/model.safetensors", name ".safetensors", NULL, \
            recipe, crop, 224, top1, 0, 0, 0, note, licence                                        \
    }
/* Microsoft's, by the file names that people have; the first kind lies behind pages that only a
 * browser passes. */
#define MS_ROW(name, suffix, architecture, top1, top5)                                        \
    {                                                                                         \
        name, architecture, NULL, name suffix, NULL, "pillow", 0.875f, 224, top1, top5, 0, 0, \
            "on OneDrive and Baidu: see github.com/HRNet/HRNet-Image-Classification", "MIT"   \
    }
#define MS_RELEASE(name, architecture, file)                                                    \
    {                                                                                           \
        name, architecture, MS file, file, NULL, "pillow", 0.875f, 224, 0, 0, 0, 0, NULL, "MIT" \
    }

#define W18_FLOPS                                                                         \
    "the page's 4.14 GFLOPs is near the multiply-adds (4.284 G) and fits no convention; " \
    "the other rows count twice the multiply-adds (here 8.57)"
#define OWN_WEIGHTS \
    "trained by PaddleClas; not the weights that Microsoft published under this name"

static const struct hr_zoo_weights weights[] = {
    PADDLE_ROW("HRNet_W18_C", "HRNet_W18_C", 0.7692, 0.9339, 4.14, 21.29,
               OWN_WEIGHTS "; " W18_FLOPS),
    PADDLE_ROW(
        "HRNet_W18_C_ssld", "HRNet_W18_C", 0.81162, 0.958, 4.14, 21.29,
        "the page prints top-1 0.816; the model list and the history say 0.81162; " W18_FLOPS),
    PADDLE_ROW("HRNet_W30_C", "HRNet_W30_C", 0.7804, 0.9402, 16.23, 37.71, OWN_WEIGHTS),
    PADDLE_ROW("HRNet_W32_C", "HRNet_W32_C", 0.7828, 0.9424, 17.86, 41.23, OWN_WEIGHTS),
    PADDLE_ROW("HRNet_W40_C", "HRNet_W40_C", 0.7877, 0.9447, 25.41, 57.55, OWN_WEIGHTS),
    PADDLE_ROW("HRNet_W44_C", "HRNet_W44_C", 0.7900, 0.9451, 29.79, 67.06, OWN_WEIGHTS),
    PADDLE_ROW("HRNet_W48_C", "HRNet_W48_C", 0.7895, 0.9442, 34.58, 77.47, OWN_WEIGHTS),
    PADDLE_ROW("HRNet_W48_C_ssld", "HRNet_W48_C", 0.8363, 0.968, 34.58, 77.47, NULL),
    PADDLE_ROW("HRNet_W64_C", "HRNet_W64_C", 0.7930, 0.9461, 57.83, 128.06, OWN_WEIGHTS),
    PADDLE_ROW("SE_HRNet_W64_C_ssld", "SE_HRNet_W64_C", 0.8475, 0.973, 57.83, 128.97,
               "the page's FLOPs leave squeeze-and-excitation out"),
    TIMM_ROW("hrnet_w18.ms_in1k", "HRNet_W18_C", "hrnetv2_w18", "8cb57bb9", 0.7677, 0.9345),
    TIMM_ROW("hrnet_w30.ms_in1k", "HRNet_W30_C", "hrnetv2_w30", "8d7f8dab", 0.7820, 0.9422),
    TIMM_ROW("hrnet_w32.ms_in1k", "HRNet_W32_C", "hrnetv2_w32", "90d8c5fb", 0.7845, 0.9418),
    TIMM_ROW("hrnet_w40.ms_in1k", "HRNet_W40_C", "hrnetv2_w40", "7cd397a4", 0.7893, 0.9448),
    TIMM_ROW("hrnet_w44.ms_in1k", "HRNet_W44_C", "hrnetv2_w44", "c9ac8c18", 0.7889, 0.9438),
    TIMM_ROW("hrnet_w48.ms_in1k", "HRNet_W48_C", "hrnetv2_w48", "abd2e6ab", 0.7933, 0.9452),
    TIMM_ROW("hrnet_w64.ms_in1k", "HRNet_W64_C", "hrnetv2_w64", "b47cc881", 0.7946, 0.9465),
    TIMM_ROW("hrnet_w18_small.ms_in1k", "hrnet_w18_small", "hrnet_w18_small_v1", "f460c6bc", 0.7234,
             0.9069),
    TIMM_ROW("hrnet_w18_small_v2.ms_in1k", "hrnet_w18_small_v2", "hrnet_w18_small_v2", "4c50a8cb",
             0.7509, 0.9241),
    HUB_ROW("hrnet_w18.ms_aug_in1k", "HRNet_W18_C", "pillow", 0.95f, 0.7811, NULL, "MIT"),
    HUB_ROW("hrnet_w18_small.gluon_in1k", "hrnet_w18_small", "pillow-bicubic", 0.875f, 0.7393, NULL,
            "Apache-2.0"),
    HUB_ROW("hrnet_w18_small_v2.gluon_in1k", "hrnet_w18_small_v2", "pillow-bicubic", 0.875f, 0.7820,
            NULL, "Apache-2.0"),
    HUB_ROW("hrnet_w18_ssld.paddle_in1k", "HRNet_W18_C", "pillow", 0.95f, 0.8111,
            "top-1 0.8205 with --size 288 --crop-ratio 1", "MIT"),
    HUB_ROW("hrnet_w48_ssld.paddle_in1k", "HRNet_W48_C", "pillow", 0.95f, 0.8366,
            "top-1 0.8448 with --size 288 --crop-ratio 1", "MIT"),
    MS_ROW("hrnetv2_w18_imagenet_pretrained", ".pth", "HRNet_W18_C", 0.768, 0.934),
    MS_ROW("hrnetv2_w30_imagenet_pretrained", ".pth", "HRNet_W30_C", 0.782, 0.942),
    MS_ROW("hrnetv2_w32_imagenet_pretrained", ".pth", "HRNet_W32_C", 0.785, 0.942),
    MS_ROW("hrnetv2_w40_imagenet_pretrained", ".pth", "HRNet_W40_C", 0.789, 0.945),
    MS_ROW("hrnetv2_w44_imagenet_pretrained", ".pth", "HRNet_W44_C", 0.789, 0.944),
    MS_ROW("hrnetv2_w48_imagenet_pretrained", ".pth", "HRNet_W48_C", 0.793, 0.945),
    MS_ROW("hrnetv2_w64_imagenet_pretrained", ".pth", "HRNet_W64_C", 0.795, 0.946),
    MS_ROW("hrnet_w18_small_model_v1", ".pth", "hrnet_w18_small", 0, 0),
    MS_ROW("hrnet_w18_small_model_v2", ".pth", "hrnet_w18_small_v2", 0, 0),
    MS_RELEASE("HRNet_W18_C_cosinelr_cutmix_300epoch", "HRNet_W18_C",
               "HRNet_W18_C_cosinelr_cutmix_300epoch.pth.tar"),
    MS_RELEASE("HRNet_W48_C_cosinelr_cutmix_300epoch", "HRNet_W48_C",
               "HRNet_W48_C_cosinelr_cutmix_300epoch.pth.tar"),
    MS_RELEASE("hrnet_w18_ssld.ms", "HRNet_W18_C", "HRNet_W18_C_ssld_pretrained.pth"),
    MS_RELEASE("hrnet_w48_ssld.ms", "HRNet_W48_C", "HRNet_W48_C_ssld_pretrained.pth"),
};

size_t hr_zoo_weights_count(void)
{
    return HR_COUNT(weights);
}

const struct hr_zoo_weights *hr_zoo_weights(size_t index)
{
    return &weights[index];
}

const struct hr_zoo_weights *hr_zoo_weights_find(const char *name)
{
    for (size_t i = 0; i < HR_COUNT(weights); i++)
        if (hr_text_same(name, weights[i].name) || hr_text_same(name, weights[i].file))
            return &weights[i];
    return NULL;
}
