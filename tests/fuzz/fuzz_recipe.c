/* SPDX-License-Identifier: Apache-2.0
 * Any text as a recipe: what is accepted is printed and read back as the same recipe. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "image/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_recipe first, second;
    struct hr_text printed = { 0 };
    char *text = hr_mem_strndup((const char *)data, size);
    if (text && hr_recipe_parse(&first, text) == HR_OK) {
        hr_recipe_print(&first, &printed);
        if (hr_recipe_check(&first) != HR_OK ||
            hr_recipe_parse(&second, hr_text_str(&printed)) != HR_OK ||
            strcmp(first.name, second.name) != 0 || first.resize != second.resize ||
            memcmp(&first.resize_short, &second.resize_short, 3 * sizeof first.resize_short) != 0 ||
            memcmp(&first.scale, &second.scale, 7 * sizeof first.scale) != 0)
            abort();
    }
    hr_text_fini(&printed);
    hr_mem_free(text);
    return 0;
}
