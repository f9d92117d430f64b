/* SPDX-License-Identifier: Apache-2.0
 * The models by name, and the rule of legal input sizes.  Counts are those of the published network
 * with 1000 classes (paddleclas.md 1.4, 1.5); a test builds each and compares. */
#include "model/zoo.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"

#define WIDE(name, w, se, parameters, multiply_adds)                                           \
    {                                                                                          \
        name, { w, 2 * w, 4 * w, 8 * w }, 4, 64, { 1, 4, 3 }, 4, se, parameters, multiply_adds \
    }

static const struct hr_zoo_row rows[] = {
    WIDE("HRNet_W18_C", 18, false, 21295164, 4283537072),
    WIDE("HRNet_W30_C", 30, false, 37708380, 8105781680),
    WIDE("HRNet_W32_C", 32, false, 41228840, 8921133056),
    WIDE("HRNet_W40_C", 40, false, 57553320, 12691997440),
    WIDE("HRNet_W44_C", 44, false, 67061144, 14883104960),
    WIDE("HRNet_W48_C", 48, false, 77466024, 17277996032),
    WIDE("HRNet_W60_C", 60, false, 114063000, 25685370560),
    WIDE("HRNet_W64_C", 64, false, 128056104, 28895395840),
    WIDE("SE_HRNet_W18_C", 18, true, 21563920, 4283796912),
    WIDE("SE_HRNet_W30_C", 30, true, 38074860, 8106135408),
    WIDE("SE_HRNet_W32_C", 32, true, 41625280, 8921516032),
    WIDE("SE_HRNet_W40_C", 40, true, 58050120, 12692478208),
    WIDE("SE_HRNet_W44_C", 44, true, 67613356, 14883639872),
    WIDE("SE_HRNet_W48_C", 48, true, 78087792, 17278599168),
    WIDE("SE_HRNet_W60_C", 60, true, 114904796, 25686189888),
    WIDE("SE_HRNet_W64_C", 64, true, 128991264, 28896307200),
    { "hrnet_w18_small",
      { 16, 32, 64, 128 },
      1,
      32,
      { 1, 1, 1 },
      2,
      false,
      13183624, /* the published 13,187,464 counts 3,840 head biases */
      1601508352 },
    { "hrnet_w18_small_v2",
      { 18, 36, 72, 144 },
      2,
      64,
      { 1, 3, 2 },
      2,
      false,
      15593624, /* 15,597,464 with head biases */
      2595712864 },
};

size_t hr_zoo_count(void)
{
    return HR_COUNT(rows);
}

const struct hr_zoo_row *hr_zoo_row(size_t index)
{
    return &rows[index];
}

#define NAME_BYTES 64

/* Takes an ending away; false if the name has another. */
static bool peel(char *name, const char *ending)
{
    const size_t length = strlen(name), end = strlen(ending);
    if (length <= end || strcmp(name + length - end, ending) != 0)
        return false;
    name[length - end] = '\0';
    return true;
}

/* Replaces the first `from` by `to`, which is no longer. */
static void respell(char *name, const char *from, const char *to)
{
    char *at = strstr(name, from);
    if (!at)
        return;
    const size_t shorter = strlen(to);
    memcpy(at, to, shorter);
    memmove(at + shorter, at + strlen(from), strlen(at + strlen(from)) + 1);
}

/* "_ssld" is an ending of these only: distilled weights exist for no other network. */
static void peel_ssld(char *name)
{
    static const char *const distilled[] = { "hrnet_w18", "hrnet_w48", "se_hrnet_w64" };
    char plain[NAME_BYTES];
    memcpy(plain, name, sizeof plain);
    if (!peel(plain, "_ssld"))
        return;
    (void)peel(plain, "_c");
    for (size_t i = 0; i < HR_COUNT(distilled); i++)
        if (strcmp(plain, distilled[i]) == 0)
            memcpy(name, plain, sizeof plain);
}

/* Names as people write them: no folder, tag or suffix, lower case, one separator, one spelling.
 * "hrnetv2_w18_imagenet_pretrained.pth", "HRNet-W18-C", "timm/hrnet_w18.ms_in1k" and
 * "HRNet_W18_C_ssld" all become "hrnet_w18".  "" if there is nothing of the kind. */
static void plain_name(char out[NAME_BYTES], const char *name)
{
    static const char *const endings[] = { "_pretrained", "_imagenet",
                                           "_cosinelr_cutmix_300epoch" };
    const char *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    const size_t size = strcspn(name, ".");
    memset(out, 0, NAME_BYTES);
    if (size >= NAME_BYTES)
        return;
    for (size_t i = 0; i < size; i++)
        out[i] = name[i] == '-' ? '_' : (char)tolower((unsigned char)name[i]);
    for (size_t i = 0; i < HR_COUNT(endings); i++)
        (void)peel(out, endings[i]);
    if (strncmp(out, "hrnetv2_", 8) == 0)
        respell(out, "hrnetv2_", "hrnet_");
    respell(out, "_small_model", "_small");
    respell(out, "_c_small", "_small");
    if (hr_text_ends(out, "_small_v1"))
        (void)peel(out, "_v1");
    peel_ssld(out);
    (void)peel(out, "_c");
}

enum hr_status hr_zoo_find(const struct hr_zoo_row **out, const char *name)
{
    const char *names[HR_COUNT(rows)];
    char wanted[NAME_BYTES], have[NAME_BYTES];
    plain_name(wanted, name);
    for (size_t i = 0; i < HR_COUNT(rows); i++) {
        plain_name(have, rows[i].name);
        if (strcmp(wanted, have) == 0) {
            *out = &rows[i];
            return HR_OK;
        }
        names[i] = rows[i].name;
    }
    const char *near = hr_nearest_name(name, names, HR_COUNT(names));
    return hr_fail(HR_E_NOT_FOUND, "model '%.80s' is not known%s%s%s; `hrnet models` lists them",
                   name, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

/* ---- Input sizes ---- */

bool hr_size_legal(int64_t size)
{
    return size >= 29 && (size % 32 == 0 || size % 32 >= 29);
}

/* Nearest legal size below (29 at least) and above. */
static int64_t legal_below(int64_t size)
{
    while (size > 29 && !hr_size_legal(size))
        size--;
    return size < 29 ? 29 : size;
}

static int64_t legal_above(int64_t size)
{
    while (!hr_size_legal(size))
        size++;
    return size;
}

static enum hr_status check_side(const char *side, int64_t size)
{
    if (size > 65536 || size < 1)
        return hr_fail(HR_E_SHAPE, "%s %" PRId64 " is not a picture's: use 29 to 65536", side,
                       size);
    if (hr_size_legal(size))
        return HR_OK;
    const int64_t below = legal_below(size), above = legal_above(size);
    if (below > size || below == above)
        return hr_fail(HR_E_SHAPE,
                       "%s %" PRId64 " does not fit the network: sizes modulo 32 must be 29, 30, "
                       "31 or 0; the nearest is %" PRId64,
                       side, size, above);
    return hr_fail(HR_E_SHAPE,
                   "%s %" PRId64 " does not fit the network: sizes modulo 32 must be 29, 30, 31 or "
                   "0; the nearest are %" PRId64 " and %" PRId64,
                   side, size, below, above);
}

enum hr_status hr_size_check(int64_t height, int64_t width)
{
    HR_TRY(check_side("height", height));
    return check_side("width", width);
}
