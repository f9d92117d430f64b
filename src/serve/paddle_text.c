/* SPDX-License-Identifier: Apache-2.0
 * Python's text of lists, and numbers of errors. */
#include "serve/paddle_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hrnet/hrnet.h"

int hr_paddle_error_number(enum hr_status status)
{
    switch (status) {
    case HR_OK:
        return 0;
    case HR_E_BUSY:
    case HR_E_MEMORY:
        return 3000;
    case HR_E_NOT_FOUND:
        return 3002;
    case HR_E_ARGUMENT:
    case HR_E_SHAPE:
    case HR_E_FORMAT:
    case HR_E_LIMIT:
    case HR_E_UNSUPPORTED:
        return 5000;
    case HR_E_DEADLINE:
        return 6000;
    default:
        return 10000;
    }
}

/* Single quotes, unless there are such in the text and no double ones. */
void hr_python_string(struct hr_text *out, const char *text)
{
    const char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    hr_text_add_bytes(out, &quote, 1);
    for (; *text; text++) {
        if (*text == quote || *text == '\\')
            hr_text_add(out, "\\");
        if ((unsigned char)*text < 0x20)
            hr_text_printf(out, "\\x%02x", (unsigned)*text);
        else
            hr_text_add_bytes(out, text, 1);
    }
    hr_text_add_bytes(out, &quote, 1);
}

/* The shortest digits that are read as the same number. */
void hr_python_number(struct hr_text *out, double value)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    hr_text_printf(out, "%s%s", digits, strpbrk(digits, ".en") ? "" : ".0");
}

static void add_label(struct hr_text *out, const char *label)
{
    struct hr_text plain = { 0 };
    for (; *label; label++)
        if (*label != ',')
            hr_text_add_bytes(&plain, label, 1);
    hr_python_string(out, hr_text_str(&plain));
    if (plain.status != HR_OK)
        out->status = plain.status;
    hr_text_fini(&plain);
}

void hr_paddle_lists(struct hr_pictures *pictures, struct hr_text *labels,
                     struct hr_text *probabilities)
{
    for (size_t i = 0; i < pictures->request.count; i++) {
        const size_t best = hr_pictures_top(pictures, i, 1)[0];
        hr_text_add(labels, i ? ", " : "[");
        hr_text_add(probabilities, i ? ", " : "[");
        add_label(labels, hrnet_model_label(pictures->served->model, (int)best));
        hr_python_number(probabilities, (double)pictures->probabilities[best]);
    }
    hr_text_add(labels, "]");
    hr_text_add(probabilities, "]");
}
