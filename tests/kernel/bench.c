/* SPDX-License-Identifier: Apache-2.0
 * Times every candidate on every layer of a network, one thread, warm and with weights that come
 * from memory as they do in a whole network.  The least of many repeats; fraction of the
 * multiply-add peak measured around each row, since the clock of shared machines moves. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLD_BYTES (96u << 20) /* copies of the weights: more than the last cache level */
#define SECONDS    0.1         /* per row and kind */

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double measure_peak(const struct hr_kernels *kernels)
{
    float sink = 0.0f;
    double best = 0.0;
    for (int i = 0; i < 5; i++) {
        const double start = now();
        const double done = kernels->fma_peak(100000, &sink);
        const double rate = done / (now() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

struct times {
    double warm, cold; /* seconds */
};

static struct times measure(const struct hr_conv_kernel *kernel, struct hr_conv_call *call,
                            const float *w)
{
    const size_t bytes = (kernel->packed_bytes(call->shape) + 63) / 64 * 64;
    const size_t copies = COLD_BYTES / bytes + 1 < 512 ? COLD_BYTES / bytes + 1 : 512;
    char *const packed = check_bytes(copies * bytes);
    for (size_t i = 0; i < copies; i++)
        if (i == 0)
            kernel->pack(packed, call->shape, w, NULL, NULL, 0, 1);
        else
            memcpy(packed + i * bytes, packed, bytes);
    struct times best = { 1e9, 1e9 };
    for (int cold = 0; cold < 2; cold++) {
        double *const least = cold ? &best.cold : &best.warm;
        const double end = now() + SECONDS;
        for (size_t i = 0; now() < end || i < 3; i++) {
            call->packed = packed + (cold ? i % copies * bytes : 0);
            const double start = now();
            const size_t prepare =
                kernel->prepare ? kernel->prepare_tasks(call->shape, call->n, 1) : 0;
            for (size_t t = 0; t < prepare; t++)
                kernel->prepare(call, t, prepare);
            const size_t tasks = kernel->tasks(call->shape, call->n, 1);
            for (size_t t = 0; t < tasks; t++)
                kernel->run(call, t, tasks);
            const double time = now() - start;
            *least = time < *least ? time : *least;
        }
    }
    free(packed);
    return best;
}

void bench_conv(const struct hr_kernels *kernels, int width, size_t n, const char *filter)
{
    struct layer layers[96];
    const size_t count = layers_of(layers, 96, width, kernels->eltwise.vector_floats);
    double best_total = 0.0, ideal_total = 0.0;
    printf("kernel,size,stride,c,k,h,count,n,warm_us,cold_us,gflops,of_peak,of_peak_cold,"
           "estimate_kcycles\n");
    for (size_t i = 0; i < count; i++) {
        struct hr_conv_shape *const s = &layers[i].shape;
        /* Rows of HR_LAYOUT_TILES are up to four vectors longer. */
        const size_t x_count = n * s->h * (s->w + 64) * s->x_stride;
        const size_t y_count = n * s->oh * (s->ow + 64) * s->y_stride;
        const size_t w_count = s->c * s->k * (size_t)(s->kernel * s->kernel);
        float *const x = check_buffer(x_count), *const w = check_buffer(w_count);
        float *const y = check_buffer(y_count), *const residual = check_buffer(y_count);
        uint32_t seed = 1;
        check_fill(x, x_count, FILL_UNIFORM, &seed);
        check_fill(w, w_count, FILL_UNIFORM, &seed);
        check_fill(residual, y_count, FILL_UNIFORM, &seed);
        const double flops = 2.0 * (double)(n * s->oh * s->ow) * (double)w_count;
        double best = 1e9, peak = 0.0;
        for (size_t j = 0; j < kernels->conv_count; j++) {
            const struct hr_conv_kernel *const kernel = kernels->conv[j];
            if (kernel == &hr_conv_ref || !kernel->applies(s) ||
                (filter && !strstr(kernel->name, filter)))
                continue;
            void *const scratch = check_bytes(kernel->scratch_bytes(s, n, 1));
            struct hr_conv_call call = { .shape = s, .n = n, .x = x, .y = y, .scratch = scratch };
            call.residual = s->residual ? residual : NULL;
            const double before = measure_peak(kernels);
            const struct times t = measure(kernel, &call, w);
            peak = measure_peak(kernels);
            peak = before > peak ? before : peak;
            printf("%s,%d,%d,%zu,%zu,%zu,%d,%zu,%.1f,%.1f,%.1f,%.3f,%.3f,%.1f\n", kernel->name,
                   s->kernel, s->stride, s->c, s->k, s->h, layers[i].count, n, t.warm * 1e6,
                   t.cold * 1e6, flops / t.warm * 1e-9, flops / t.warm * 1e-9 / peak,
                   flops / t.cold * 1e-9 / peak, kernel->cost(s, n) * 1e-3);
            fflush(stdout);
            best = t.cold < best ? t.cold : best;
            free(scratch);
        }
        if (best < 1e9) {
            best_total += best * layers[i].count;
            ideal_total += flops / peak * 1e-9 * layers[i].count;
        }
        check_free(x);
        check_free(w);
        check_free(y);
        check_free(residual);
    }
    printf("# width %d batch %zu: best of each layer, weights from memory: %.2f ms; at the peak: "
           "%.2f ms\n",
           width, n, best_total * 1e3, ideal_total * 1e3);
}
