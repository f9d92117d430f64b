/* SPDX-License-Identifier: Apache-2.0
 * The public API, part one: errors, log, memory, the CPU, the zoo, recipes.  Each function checks
 * its arguments and calls one thing below; what it means is said in hrnet.h. */
#include "api/api.h"

#include "base/cpu.h"
#include "base/mem.h"
#include "kernel/kernel.h"
#include "model/zoo.h"

#define HRNET_CHECK_STATUS(id, value, http, grpc, exit, text) \
    _Static_assert((int)HRNET_##id == (int)HR_##id, "public and inner status must agree");
HR_STATUS_LIST(HRNET_CHECK_STATUS)

/* ---- What the other parts use ---- */

hrnet_status hr_api_out_of_range(const char *what, size_t index, size_t count)
{
    return PUBLIC(
        hr_fail(HR_E_ARGUMENT, "%s %zu is out of range: there are %zu", what, index, count));
}

hrnet_status hr_api_missing_argument(const char *function)
{
    return PUBLIC(hr_fail(HR_E_ARGUMENT, "%s: a required pointer is NULL", function));
}

/* Flags that leave just the rungs up to `isa` (NULL: all). */
enum hr_status hr_api_cpu_flags(const char *isa, uint32_t *flags)
{
    *flags = ~0u;
    if (!isa)
        return HR_OK;
    uint32_t sum = 0;
    for (size_t i = 0; i < hr_isa_count; i++) {
        sum |= hr_isa_ladder[i].need;
        if (strcmp(isa, hr_isa_ladder[i].name) == 0) {
            *flags = sum;
            return HR_OK;
        }
    }
    return hr_fail(HR_E_ARGUMENT, "cpu '%s' is not known: use baseline, avx2 or avx512", isa);
}

static struct hr_recipe hr_api_recipe_inner(const struct hrnet_recipe *r)
{
    struct hr_recipe out = { .resize = (enum hr_resize)r->resize,
                             .resize_short = r->resize_short,
                             .crop_width = r->crop_width,
                             .crop_height = r->crop_height,
                             .scale = r->scale };
    _Static_assert(sizeof out.name == sizeof r->name, "recipe names must be of equal length");
    memcpy(out.name, r->name, sizeof out.name);
    out.name[sizeof out.name - 1] = '\0';
    memcpy(out.mean, r->mean, sizeof out.mean);
    memcpy(out.deviation, r->deviation, sizeof out.deviation);
    return out;
}

struct hrnet_recipe hr_api_recipe_outer(const struct hr_recipe *r)
{
    struct hrnet_recipe out = { .resize = (hrnet_resize)r->resize,
                                .resize_short = r->resize_short,
                                .crop_width = r->crop_width,
                                .crop_height = r->crop_height,
                                .scale = r->scale };
    memcpy(out.name, r->name, sizeof out.name);
    memcpy(out.mean, r->mean, sizeof out.mean);
    memcpy(out.deviation, r->deviation, sizeof out.deviation);
    return out;
}

enum hr_status hr_api_recipe_checked(struct hr_recipe *out, const struct hrnet_recipe *recipe)
{
    *out = hr_api_recipe_inner(recipe);
    return hr_recipe_check(out);
}

/* Room for the options of versions to come; a larger size was never set. */
#define MOST_OPTION_BYTES 4096

enum hr_status hr_api_options_copy(void *full, size_t full_size, const void *options,
                                   const char *name)
{
    const uint8_t *bytes = options;
    size_t size;
    memcpy(&size, options, sizeof size);
    if (size < sizeof size || size > MOST_OPTION_BYTES)
        return hr_fail(HR_E_ARGUMENT,
                       "struct %s: struct_size is %zu, which no version has: call %s_init() before "
                       "setting options",
                       name, size, name);
    for (size_t at = full_size; at < size; at++)
        if (bytes[at])
            return hr_fail(
                HR_E_UNSUPPORTED,
                "struct %s: an option of a later version is set (byte %zu of %zu), which "
                "hrnet %s does not know",
                name, at, size, hrnet_version());
    memcpy(full, options, size < full_size ? size : full_size);
    return HR_OK;
}

/* ---- Errors, log, memory ---- */

const char *hrnet_status_text(hrnet_status status)
{
    return hr_status_info((enum hr_status)status)->text;
}

int hrnet_status_exit_code(hrnet_status status)
{
    return hr_status_info((enum hr_status)status)->exit;
}

const char *hrnet_last_error(void)
{
    return hr_last_message();
}

/* The inner log calls through this pair, because the two function types differ. */
static struct {
    hrnet_log_fn *fn;
    void *context;
} public_log;

static void forward_log(void *context, enum hr_log_level level, const char *message)
{
    (void)context;
    public_log.fn(public_log.context, level == HR_LOG_WARNING, message);
}

void hrnet_set_log(hrnet_log_fn *fn, void *context)
{
    public_log.fn = fn;
    public_log.context = context;
    hr_log_set(fn ? forward_log : NULL, NULL);
}

void hrnet_set_allocator(hrnet_allocate_fn *allocate, hrnet_release_fn *release, void *context)
{
    const struct hr_allocator chosen = { allocate, release, context };
    hr_mem_set_allocator(allocate && release ? &chosen : NULL);
}

void hrnet_free(void *block)
{
    hr_mem_free(block);
}

#define TEXT_OF(value) #value
#define TEXT(value)    TEXT_OF(value)
#define VERSION_TEXT \
    TEXT(HRNET_VERSION_MAJOR) "." TEXT(HRNET_VERSION_MINOR) "." TEXT(HRNET_VERSION_PATCH)

const char *hrnet_version(void)
{
    return VERSION_TEXT;
}

const char *hrnet_build_info(void)
{
    return "hrnet " VERSION_TEXT ", compiler " __VERSION__
#if HRNET_REF_ONLY
           ", plain C kernels"
#else
           ", avx2 and avx512 kernels"
#endif
#if HRNET_WEBP
           ", WebP"
#endif
        ;
}

const char *hrnet_cpu_name(void)
{
    return hr_cpu_get()->name;
}

const char *hrnet_cpu_isa(void)
{
    struct hr_kernels kernels;
    hr_kernels_init(&kernels, hr_cpu_get()->flags);
    return kernels.isa;
}

unsigned hrnet_cpu_count(void)
{
    return hr_cpu_count();
}

/* ---- The zoo ---- */

static void describe_row(struct hrnet_zoo_entry *out, const struct hr_zoo_row *row)
{
    *out = (struct hrnet_zoo_entry){ .name = row->name,
                                     .architecture = row->name,
                                     .parameters = row->parameters,
                                     .multiply_adds = row->multiply_adds };
}

static hrnet_status describe_weights(struct hrnet_zoo_entry *out, const struct hr_zoo_weights *w)
{
    const struct hr_zoo_row *row;
    const enum hr_status status = hr_zoo_find(&row, w->architecture);
    if (status != HR_OK)
        return PUBLIC(status);
    *out = (struct hrnet_zoo_entry){ .name = w->name,
                                     .architecture = row->name,
                                     .parameters = row->parameters,
                                     .multiply_adds = row->multiply_adds,
                                     .url = w->url,
                                     .file = w->file,
                                     .sha256_prefix = w->sha256_prefix,
                                     .recipe = w->recipe,
                                     .top1 = w->top1,
                                     .top5 = w->top5,
                                     .flops_printed = w->flops_printed,
                                     .parameters_printed = w->parameters_printed,
                                     .note = w->note,
                                     .licence = w->licence };
    return HRNET_OK;
}

size_t hrnet_zoo_architecture_count(void)
{
    return hr_zoo_count();
}

size_t hrnet_zoo_weights_count(void)
{
    return hr_zoo_weights_count();
}

hrnet_status hrnet_zoo_architecture(size_t index, struct hrnet_zoo_entry *out)
{
    if (!out)
        return hr_api_missing_argument(__func__);
    if (index >= hr_zoo_count())
        return hr_api_out_of_range("architecture", index, hr_zoo_count());
    describe_row(out, hr_zoo_row(index));
    return HRNET_OK;
}

hrnet_status hrnet_zoo_weights(size_t index, struct hrnet_zoo_entry *out)
{
    if (!out)
        return hr_api_missing_argument(__func__);
    if (index >= hr_zoo_weights_count())
        return hr_api_out_of_range("weights", index, hr_zoo_weights_count());
    return describe_weights(out, hr_zoo_weights(index));
}

hrnet_status hrnet_zoo_find(const char *name, struct hrnet_zoo_entry *out)
{
    if (!name || !out)
        return hr_api_missing_argument(__func__);
    const struct hr_zoo_weights *weights = hr_zoo_weights_find(name);
    if (weights)
        return describe_weights(out, weights);
    const struct hr_zoo_row *row;
    const enum hr_status status = hr_zoo_find(&row, name);
    if (status != HR_OK)
        return PUBLIC(status);
    describe_row(out, row);
    return HRNET_OK;
}

/* ---- Recipes ---- */

hrnet_status hrnet_recipe_named(const char *name, struct hrnet_recipe *out)
{
    if (!name || !out)
        return hr_api_missing_argument(__func__);
    struct hr_recipe recipe;
    const enum hr_status status = hr_recipe_named(&recipe, name);
    if (status == HR_OK)
        *out = hr_api_recipe_outer(&recipe);
    return PUBLIC(status);
}
