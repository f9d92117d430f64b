/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a configuration: what it becomes is text with an origin, and a tree prints as a
 * literal that reads back as the same tree. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"
#include "cli/literal.h"
#include "cli/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hr_status give(void *context, const char *flag, const char *text,
                           const struct hr_value *from)
{
    (void)context;
    if (!flag[0] || !text || !from->origin)
        abort();
    return HR_OK;
}

static void tell(void *context, const struct hr_value *from, const char *message)
{
    (void)context;
    if (!from->origin || !message)
        abort();
}

static void print_and_read(struct hr_arena *arena, const struct hr_value *root)
{
    struct hr_text first = { 0 }, second = { 0 };
    struct hr_value again = { .kind = HR_VALUE_TEXT, .origin = "again" };
    hr_value_print(&first, root);
    again.text = hr_text_str(&first);
    if (hr_literal_parse(&again, arena, 0) != HR_OK)
        abort();
    hr_value_print(&second, &again);
    if (strcmp(hr_text_str(&first), hr_text_str(&second)) != 0)
        abort();
    hr_text_fini(&first);
    hr_text_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const settings[] = { "Global.epochs=2", "Arch.0=[1, {'a': None}]" };
    struct hr_arena arena = { 0 };
    struct hr_config_sink sink = { .give = give, .tell = tell, .arena = &arena };
    struct hr_value *root = NULL;
    if (hr_yaml_parse(&root, &arena, data, size, "fuzz") == HR_OK)
        print_and_read(&arena, root);
    for (int i = 0; i < 2; i++) {
        sink.evaluates = i == 1;
        (void)!hr_config_read(&sink, data, size, "fuzz", settings, i ? 1 : 2);
    }
    hr_arena_fini(&arena);
    return 0;
}
