/* SPDX-License-Identifier: Apache-2.0
 * The High-Resolution Network (Wang et al. 2019, arXiv 1908.07919, section 3) for classification,
 * as PaddleClas builds it.  The one idea: branches of falling resolution run side by side, and each
 * module lets every branch hear every other.  The order of the calls is the order of the parameters
 * in a Paddle file.  Knows nothing of weights.
 *
 * Letters: i target branch, j source branch; branch b has row->width[b] channels at stride 4 << b.
 */
#include "model/hrnet.h"

#include <stdarg.h>
#include <stdio.h>

#define BRANCHES    4
#define STEM        64        /* channels of the two stem convolutions */
#define EXPANSION   4         /* a bottleneck puts out 4 times its planes */
#define SQUEEZE     16        /* squeeze-and-excitation narrows to 1/16 of the channels */
#define HEAD_PLANES 32        /* the incre bottlenecks have 32 << b planes */
#define FINAL       2048      /* pooled features */
#define MAX_CLASSES (1 << 24) /* a head beyond this is a mistake, not a model */

struct net {
    struct hr_builder b;
    const struct hr_zoo_row *row;
    enum hr_fuse_order fuse_order;
};

struct name {
    char s[128];
};

HR_PRINTF(1, 2) static struct name name_of(const char *format, ...)
{
    struct name name;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(name.s, sizeof name.s, format, args);
    va_end(args);
    return name;
}

/* Convolution and batch norm, as layer BLOCK.part. */
static hr_value conv(struct net *net, hr_value x, int kernel, int stride, int channels,
                     const char *block, const char *part)
{
    hr_layer(&net->b, "%s%s", block, part);
    return hr_conv_bn(&net->b, x, kernel, stride, channels);
}

static hr_value conv_relu(struct net *net, hr_value x, int kernel, int stride, int channels,
                          const char *block, const char *part)
{
    return hr_relu(&net->b, conv(net, x, kernel, stride, channels, block, part));
}

/* Weighs the channels of x (Hu et al. 2018, arXiv 1709.01507); models without it pass x through. */
static hr_value squeeze_excite(struct net *net, hr_value x, int channels, const char *block)
{
    struct hr_builder *b = &net->b;
    if (!net->row->squeeze)
        return x;
    hr_layer(b, "%s.se.fc_squeeze", block);
    hr_value s = hr_relu(b, hr_linear(b, hr_global_pool(b, x), channels / SQUEEZE));
    hr_layer(b, "%s.se.fc_excitation", block);
    s = hr_sigmoid(b, hr_linear(b, s, channels));
    hr_layer(b, "%s.se", block);
    return hr_scale(b, x, s);
}

/* 1x1, 3x3, 1x1 to 4 * planes channels; `project`: the shortcut is a 1x1 convolution. */
static hr_value bottleneck(struct net *net, hr_value x, int planes, bool project, const char *block)
{
    const int channels = planes * EXPANSION;
    hr_value y = conv_relu(net, x, 1, 1, planes, block, ".conv1");
    y = conv_relu(net, y, 3, 1, planes, block, ".conv2");
    y = conv(net, y, 1, 1, channels, block, ".conv3");
    if (project)
        x = conv(net, x, 1, 1, channels, block, ".conv_down");
    y = squeeze_excite(net, y, channels, block);
    hr_layer(&net->b, "%s", block);
    return hr_relu(&net->b, hr_add(&net->b, x, y));
}

static hr_value basic_block(struct net *net, hr_value x, int channels, const char *block)
{
    hr_value y = conv_relu(net, x, 3, 1, channels, block, ".conv1");
    y = conv(net, y, 3, 1, channels, block, ".conv2");
    y = squeeze_excite(net, y, channels, block);
    hr_layer(&net->b, "%s", block);
    return hr_relu(&net->b, hr_add(&net->b, x, y));
}

/* Brings branch j to the channels and the resolution of branch i:
 *   j > i   1x1 convolution, nearest upsampling by 2^(j-i)
 *   j < i   i-j convolutions 3x3/2, of which only the last changes the channels and has no ReLU
 * *r counts the convolutions of the fuse layer, as Paddle's flat list does. */
static hr_value resample(struct net *net, hr_value x, int i, int j, const char *fuse, int *r)
{
    const int *width = net->row->width;
    if (j > i) {
        x = conv(net, x, 1, 1, width[i], fuse, name_of("%d", (*r)++).s);
        return hr_upsample(&net->b, x, 1 << (j - i));
    }
    for (int step = j + 1; step < i; step++)
        x = conv_relu(net, x, 3, 2, width[j], fuse, name_of("%d", (*r)++).s);
    return conv(net, x, 3, 2, width[i], fuse, name_of("%d", (*r)++).s);
}

/* x[i] = relu(sum over j of resample(x[j] to i)), all i at once.  Paddle adds to x[i]; Microsoft
 * adds from j = 0 up, x[i] in its place. */
static void fuse(struct net *net, hr_value x[], int n, const char *module)
{
    const struct name list = name_of("%s.fuse_func.residual_func_list.", module);
    hr_value y[BRANCHES];
    int r = 0;
    for (int i = 0; i < n; i++) {
        hr_value term[BRANCHES], sum = HR_NONE;
        for (int j = 0; j < n; j++)
            term[j] = j == i ? x[i] : resample(net, x[j], i, j, list.s, &r);
        hr_layer(&net->b, "%s.fuse_func.%d", module, i);
        if (net->fuse_order == HR_FUSE_PADDLE)
            sum = x[i];
        for (int j = 0; j < n; j++) {
            if (j == i && net->fuse_order == HR_FUSE_PADDLE)
                continue;
            sum = sum == HR_NONE ? term[j] : hr_add(&net->b, sum, term[j]);
        }
        y[i] = hr_relu(&net->b, sum);
    }
    for (int i = 0; i < n; i++)
        x[i] = y[i];
}

/* Stage s: modules of n branches. */
static void stage(struct net *net, hr_value x[], int n, int s, int modules)
{
    const struct hr_zoo_row *row = net->row;
    for (int m = 0; m < modules; m++) {
        const struct name module = name_of("st%d.stage_func_list.%d", s, m);
        for (int b = 0; b < n; b++)
            for (int k = 0; k < row->blocks; k++)
                x[b] = basic_block(net, x[b], row->width[b],
                                   name_of("%s.basic_block_list.%d.%d", module.s, b, k).s);
        fuse(net, x, n, module.s);
    }
    for (int b = 0; b < n; b++)
        hr_feature(&net->b, x[b], "stage%d.%d", s, b);
}

static hr_value stem_and_layer1(struct net *net, hr_value x)
{
    x = conv_relu(net, x, 3, 2, STEM, "conv_layer1_1", "");
    x = conv_relu(net, x, 3, 2, STEM, "conv_layer1_2", "");
    hr_feature(&net->b, x, "stem");
    for (int k = 0; k < net->row->layer1_blocks; k++)
        x = bottleneck(net, x, net->row->layer1_planes, k == 0, name_of("layer1.%d", k).s);
    hr_feature(&net->b, x, "layer1");
    return x;
}

/* Widens every branch, then walks down the resolutions, adding each to the strided last. */
static hr_value head(struct net *net, hr_value x[BRANCHES], int classes)
{
    struct hr_builder *b = &net->b;
    for (int k = 0; k < BRANCHES; k++) {
        x[k] = bottleneck(net, x[k], HEAD_PLANES << k, true, name_of("last_cls.func_list.%d", k).s);
        hr_feature(b, x[k], "incre.%d", k);
    }
    hr_value y = x[0];
    for (int k = 0; k + 1 < BRANCHES; k++) {
        y = conv_relu(net, y, 3, 2, HEAD_PLANES * EXPANSION << (k + 1),
                      name_of("cls_head_conv_list.%d", k).s, "");
        y = hr_add(b, x[k + 1], y);
    }
    y = conv_relu(net, y, 1, 1, FINAL, "conv_last", "");
    hr_feature(b, y, "last");
    hr_layer(b, "pool");
    y = hr_global_pool(b, y);
    hr_feature(b, y, "pool");
    hr_layer(b, "fc");
    y = hr_linear(b, y, classes);
    hr_feature(b, y, "logits");
    return y;
}

enum hr_status hr_hrnet_build(struct hr_graph **out, const struct hr_zoo_row *row,
                              const struct hr_hrnet_options *options)
{
    struct net net = { .row = row, .fuse_order = options->fuse_order };
    hr_value x[BRANCHES];
    if (options->classes < 1 || options->classes > MAX_CLASSES)
        return hr_fail(HR_E_ARGUMENT, "%d classes: a model has 1 to %d", options->classes,
                       MAX_CLASSES);
    HR_TRY(hr_size_check(options->height, options->width));
    HR_TRY(hr_builder_start(&net.b));
    const hr_value image = hr_input(&net.b, options->n, 3, options->height, options->width);
    const hr_value shared = stem_and_layer1(&net, image);
    x[0] = conv_relu(&net, shared, 3, 1, row->width[0], "conv_tr1_1", "");
    x[1] = conv_relu(&net, shared, 3, 2, row->width[1], "conv_tr1_2", "");
    stage(&net, x, 2, 2, row->modules[0]);
    x[2] = conv_relu(&net, x[1], 3, 2, row->width[2], "conv_tr2", "");
    stage(&net, x, 3, 3, row->modules[1]);
    x[3] = conv_relu(&net, x[2], 3, 2, row->width[3], "conv_tr3", "");
    stage(&net, x, 4, 4, row->modules[2]);
    return hr_builder_finish(&net.b, head(&net, x, options->classes), out);
}
