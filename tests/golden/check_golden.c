/* SPDX-License-Identifier: Apache-2.0
 * check_golden FILE...: runs the network that a golden file describes, with the weights and the
 * input that its recipe makes from names alone, and compares logits and every probe along the way;
 * or trains it, where the file is a training run (golden_training.c).  One line a file; exit 1 if
 * any differs or cannot be read.
 *
 * Tolerances: logits within LOGIT_TOLERANCE of the largest logit; a probe's values and its mean and
 * deviation within PROBE_TOLERANCE of its largest value. */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/os.h"
#include "golden_training.h"
#include "network.h"

#define LOGIT_TOLERANCE 1e-4 /* float32 direct convolution is within 2e-6 */
#define PROBE_TOLERANCE 1e-4
#define FAST_FACTOR     5.0 /* what Winograd may lose on top */
#define MAX_PROBES      32

struct settings {
    struct hr_kernels kernels;
    unsigned threads;
    bool fast;         /* kernels that reorder sums (Winograd) too */
    bool wide, narrow; /* training: only in double, only in float32 */
};

struct golden {
    json_t *json; /* owns what follows */
    const char *model;
    int64_t n, height, width;
    int classes;
    json_t *probes, *logits;
    const struct hr_zoo_row *row;
};

struct outcome {
    struct hr_store *weights;
    struct test_network net;
    float *x, *logits;
};

struct errors {
    double logits, probes; /* largest, relative to the largest value */
    double largest_logit;
    char where[80]; /* probe of the largest error */
};

/* ---- Reading a golden file ----------------------------------------------------------------- */

static enum hr_status read_whole(const json_t *value, const char *what, int64_t min, int64_t max,
                                 int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return hr_fail(HR_E_FORMAT, "%s is missing, or not a whole number from %lld to %lld", what,
                       (long long)min, (long long)max);
    *out = json_integer_value(value);
    return HR_OK;
}

/* Every element of `array` a number, `count` of them. */
static enum hr_status check_numbers(const json_t *array, const char *what, size_t count)
{
    if (!json_is_array(array) || json_array_size(array) != count)
        return hr_fail(HR_E_FORMAT, "%s is not a list of %zu numbers", what, count);
    for (size_t i = 0; i < count; i++)
        if (!json_is_number(json_array_get(array, i)))
            return hr_fail(HR_E_FORMAT, "%s[%zu] is not a number", what, i);
    return HR_OK;
}

static enum hr_status check_probe(const char *name, const json_t *probe)
{
    char what[120];
    const json_t *index = json_object_get(probe, "index");
    snprintf(what, sizeof what, "probes.%s.index", name);
    HR_TRY(check_numbers(index, what, json_array_size(index)));
    snprintf(what, sizeof what, "probes.%s.value", name);
    HR_TRY(check_numbers(json_object_get(probe, "value"), what, json_array_size(index)));
    const json_t *shape = json_object_get(probe, "shape");
    snprintf(what, sizeof what, "probes.%s.shape", name);
    HR_TRY(check_numbers(shape, what, json_array_size(shape)));
    if (!json_is_number(json_object_get(probe, "mean")) ||
        !json_is_number(json_object_get(probe, "std")))
        return hr_fail(HR_E_FORMAT, "probes.%s has no mean and std", name);
    return HR_OK;
}

static enum hr_status parse(struct golden *g, const char *path)
{
    json_error_t error;
    g->json = json_load_file(path, 0, &error);
    if (!g->json)
        return hr_fail(HR_E_FORMAT, "%s (line %d)", error.text, error.line);
    g->model = json_string_value(json_object_get(g->json, "model"));
    if (!g->model)
        return hr_fail(HR_E_FORMAT, "it has no model name: it is no golden network file");
    HR_TRY(hr_zoo_find(&g->row, g->model));

    const json_t *input = json_object_get(g->json, "input");
    int64_t channels, classes;
    HR_TRY(check_numbers(input, "input", 4));
    HR_TRY(read_whole(json_array_get(input, 0), "input[0]", 1, 64, &g->n));
    HR_TRY(read_whole(json_array_get(input, 1), "input[1]", 3, 3, &channels));
    HR_TRY(read_whole(json_array_get(input, 2), "input[2]", 1, 2048, &g->height));
    HR_TRY(read_whole(json_array_get(input, 3), "input[3]", 1, 2048, &g->width));
    HR_TRY(hr_size_check(g->height, g->width));
    HR_TRY(read_whole(json_object_get(g->json, "classes"), "classes", 1, 1 << 20, &classes));
    g->classes = (int)classes;

    g->logits = json_object_get(g->json, "logits");
    if (json_array_size(g->logits) != (size_t)g->n)
        return hr_fail(HR_E_FORMAT, "it has %zu rows of logits for %lld images",
                       json_array_size(g->logits), (long long)g->n);
    for (size_t i = 0; i < (size_t)g->n; i++)
        HR_TRY(check_numbers(json_array_get(g->logits, i), "a row of logits", (size_t)classes));

    g->probes = json_object_get(g->json, "probes");
    if (g->probes && json_object_size(g->probes) > MAX_PROBES)
        return hr_fail(HR_E_FORMAT, "it has %zu probes, more than %d", json_object_size(g->probes),
                       MAX_PROBES);
    const char *name;
    json_t *probe;
    json_object_foreach(g->probes, name, probe) HR_TRY(check_probe(name, probe));
    return HR_OK;
}

/* "st3.1" is our feature "stage3.1"; the others have equal names. */
static enum hr_status feature_names(const struct golden *g, char names[MAX_PROBES][64])
{
    const char *name;
    json_t *probe;
    size_t i = 0;
    json_object_foreach(g->probes, name, probe)
    {
        const bool stage = strncmp(name, "st", 2) == 0 && name[2] >= '0' && name[2] <= '9';
        const int length = stage ? snprintf(names[i], 64, "stage%s", name + 2)
                                 : snprintf(names[i], 64, "%s", name);
        if (length >= 64)
            return hr_fail(HR_E_FORMAT, "a probe's name is longer than 63 bytes");
        i++;
    }
    return HR_OK;
}

/* ---- Running it ---------------------------------------------------------------------------- */

static enum hr_status run(struct outcome *o, const struct golden *g,
                          const struct settings *settings, const char *const *features,
                          size_t feature_count)
{
    HR_TRY(hr_synthetic_weights(&o->weights, g->row, g->classes));
    const struct test_network_options options = {
        .row = g->row,
        .hrnet = { g->n, g->height, g->width, g->classes, HR_FUSE_PADDLE },
        .weights = o->weights,
        .plan = { .kernels = &settings->kernels,
                  .threads = settings->threads,
                  .exact = !settings->fast,
                  .features = features,
                  .feature_count = feature_count },
    };
    HR_TRY(test_network_init(&o->net, &options));
    const json_t *tensors = json_object_get(g->json, "tensors");
    if (tensors && json_integer_value(tensors) != (json_int_t)o->net.graph->param_count)
        return hr_fail(HR_E_MISMATCH, "it counts %lld tensors, the network has %zu",
                       (long long)json_integer_value(tensors), o->net.graph->param_count);

    char name[80];
    const size_t floats = (size_t)(g->n * 3 * g->height * g->width);
    snprintf(name, sizeof name, "input:%lldx%lldx%lld", (long long)g->n, (long long)g->height,
             (long long)g->width);
    o->x = hr_mem_alloc(floats, sizeof(float));
    o->logits = hr_mem_alloc((size_t)g->n * (size_t)g->classes, sizeof(float));
    if (!o->x || !o->logits)
        return HR_E_MEMORY;
    hr_synthetic_fill(o->x, floats, name);
    test_network_run(&o->net, (size_t)g->n, o->x, o->logits);
    return HR_OK;
}

static void outcome_fini(struct outcome *o)
{
    hr_mem_free(o->logits);
    hr_mem_free(o->x);
    test_network_fini(&o->net);
    hr_store_destroy(o->weights);
}

/* ---- Comparing ----------------------------------------------------------------------------- */

/* |a - b|, infinite when either is no number: such a difference must not pass. */
static double distance(double a, double b)
{
    const double d = fabs(a - b);
    return isnan(d) ? INFINITY : d;
}

static void compare_logits(struct errors *e, const struct golden *g, const float *logits)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < (size_t)g->n; i++) {
        const json_t *row = json_array_get(g->logits, i);
        for (size_t k = 0; k < (size_t)g->classes; k++) {
            const double want = json_number_value(json_array_get(row, k));
            worst = fmax(worst, distance((double)logits[i * (size_t)g->classes + k], want));
            largest = fmax(largest, fabs(want));
        }
    }
    e->logits = worst / largest;
    e->largest_logit = largest;
}

/* Largest error of a probe, over the largest value of the map. */
static double probe_error(const json_t *probe, const float *map, size_t count)
{
    double sum = 0, squares = 0, largest = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)map[i];
        largest = fmax(largest, fabs((double)map[i]));
    }
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += ((double)map[i] - mean) * ((double)map[i] - mean);
    worst = fmax(worst, distance(mean, json_number_value(json_object_get(probe, "mean"))));
    worst = fmax(worst, distance(sqrt(squares / (double)count),
                                 json_number_value(json_object_get(probe, "std"))));
    const json_t *index = json_object_get(probe, "index"), *value = json_object_get(probe, "value");
    for (size_t i = 0; i < json_array_size(index); i++) {
        const json_int_t at = json_integer_value(json_array_get(index, i));
        if (at < 0 || (size_t)at >= count)
            return INFINITY;
        worst = fmax(worst, distance((double)map[at], json_number_value(json_array_get(value, i))));
    }
    return worst / largest;
}

/* Shape of the map in the file equals ours? */
static bool same_shape(const json_t *probe, const struct hr_shape *shape)
{
    const json_t *want = json_object_get(probe, "shape");
    if (json_array_size(want) != (size_t)shape->rank)
        return false;
    for (int i = 0; i < shape->rank; i++)
        if (json_integer_value(json_array_get(want, (size_t)i)) != shape->dim[i])
            return false;
    return true;
}

static enum hr_status compare_probes(struct errors *e, const struct golden *g,
                                     const struct test_network *net)
{
    const char *name;
    json_t *probe;
    size_t i = 0;
    json_object_foreach(g->probes, name, probe)
    {
        const struct hr_shape *shape = hr_plan_feature_shape(net->plan, i);
        size_t count;
        if (!same_shape(probe, shape))
            return hr_fail(HR_E_SHAPE, "probe %s: the network's shape is %s", name,
                           hr_shape_str(shape).s);
        HR_TRY(hr_shape_elements(shape, &count));
        float *map = hr_mem_alloc(count, sizeof *map);
        if (!map)
            return HR_E_MEMORY;
        hr_plan_feature(net->plan, net->arena, (size_t)g->n, i++, map);
        const double error = probe_error(probe, map, count);
        hr_mem_free(map);
        if (!(error <= e->probes)) {
            e->probes = error;
            snprintf(e->where, sizeof e->where, "%s", name);
        }
    }
    return HR_OK;
}

static enum hr_status check(struct errors *e, struct golden *g, struct outcome *o,
                            const struct settings *settings, const char *path)
{
    char names[MAX_PROBES][64];
    const char *features[MAX_PROBES];
    HR_TRY(parse(g, path));
    HR_TRY(feature_names(g, names));
    for (size_t i = 0; i < MAX_PROBES; i++)
        features[i] = names[i];
    HR_TRY(run(o, g, settings, features, json_object_size(g->probes)));
    compare_logits(e, g, o->logits);
    return compare_probes(e, g, &o->net);
}

static bool check_file(const struct settings *settings, const char *path)
{
    struct golden g = { 0 };
    struct outcome o = { 0 };
    struct errors e = { 0 };
    const uint64_t start = hr_os_now_ns();
    json_t *const json = json_load_file(path, 0, NULL);
    if (json && golden_is_training(json)) {
        const struct golden_training_settings training = { &settings->kernels, settings->threads,
                                                           settings->fast, !settings->wide,
                                                           !settings->narrow };
        const bool same = golden_training_check(json, hr_os_base_name(path), &training);
        json_decref(json);
        return same;
    }
    json_decref(json);
    const enum hr_status status = check(&e, &g, &o, settings, path);
    const double factor = settings->fast ? FAST_FACTOR : 1.0;
    const bool good = status == HR_OK && e.logits <= LOGIT_TOLERANCE * factor &&
                      e.probes <= PROBE_TOLERANCE * factor;
    const char *name = hr_os_base_name(path);
    if (status != HR_OK)
        printf("%s: cannot check: %s\n", name, hr_last_message());
    else
        printf("%s: %s: logits differ by %.2e of the largest (%.2f), probes by at most %.2e (%s); "
               "%s, %.2f s\n",
               name, good ? "ok" : "FAILED", e.logits, e.largest_logit, e.probes,
               e.where[0] ? e.where : "none", settings->kernels.isa,
               (double)(hr_os_now_ns() - start) * 1e-9);
    fflush(stdout);
    outcome_fini(&o);
    json_decref(g.json);
    return good;
}

/* ---- The command line ---------------------------------------------------------------------- */

static const char usage[] =
    "usage: check_golden [--cpu baseline|avx2|avx512] [--threads N] [--fast] [--double|--float]\n"
    "                    FILE...\n"
    "Compares networks with golden files (tests/golden/network or training, or any of that form).\n"
    "--fast: with kernels that reorder sums, as a session runs them; tolerances are 5 times "
    "wider.\n"
    "--double, --float: training runs only with activations in double, or only in float32.\n";

int main(int argc, char **argv)
{
    static const struct option options[] = { { "cpu", required_argument, NULL, 'c' },
                                             { "threads", required_argument, NULL, 't' },
                                             { "fast", no_argument, NULL, 'f' },
                                             { "double", no_argument, NULL, 'd' },
                                             { "float", no_argument, NULL, 'n' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    struct settings settings = { .threads = hr_cpu_count() };
    int64_t threads;
    hr_kernels_init(&settings.kernels, hr_cpu_get()->flags);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == 'f' || c == 'd' || c == 'n') {
            settings.fast = settings.fast || c == 'f';
            settings.wide = settings.wide || c == 'd';
            settings.narrow = settings.narrow || c == 'n';
            continue;
        }
        if (c == 'c' && test_kernels_up_to(&settings.kernels, optarg))
            continue;
        if (c == 'c')
            fprintf(stderr, "check_golden: --cpu %s: this CPU or build has no such rung\n", optarg);
        if (c == 't' && hr_parse_i64(optarg, &threads) == HR_OK && threads >= 1 && threads <= 256) {
            settings.threads = (unsigned)threads;
            continue;
        }
        fputs(usage, stderr);
        return 2;
    }
    if (optind == argc) {
        fputs(usage, stderr);
        return 2;
    }
    int bad = 0;
    for (int i = optind; i < argc; i++)
        bad += !check_file(&settings, argv[i]);
    return bad > 0;
}
