/* SPDX-License-Identifier: Apache-2.0
 * Three bytes as four letters, and back. */
#include "base/base64.h"

#include "base/mem.h"

static const char letters[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void hr_base64_encode(struct hr_text *out, const void *data, size_t size)
{
    const uint8_t *p = data;
    char code[4096];
    size_t n = 0;
    for (size_t at = 0; at < size; at += 3) {
        const size_t left = size - at;
        const uint32_t bits = (uint32_t)p[at] << 16 | (left > 1 ? (uint32_t)p[at + 1] << 8 : 0) |
                              (left > 2 ? p[at + 2] : 0);
        for (size_t i = 0; i < 4; i++)
            code[n++] = i <= left ? letters[bits >> (18 - 6 * i) & 63] : '=';
        if (n == sizeof code) {
            hr_text_add_bytes(out, code, n);
            n = 0;
        }
    }
    hr_text_add_bytes(out, code, n);
}

#define BLANK 64
#define WRONG 65

static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0' + 52);
    if (c == '+' || c == '/')
        return c == '+' ? 62 : 63;
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' ? BLANK : WRONG;
}

/* Behind the first '=' only another and blanks may come. */
static bool is_padding(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '=')
            count++;
        else if (value_of(text[i]) != BLANK)
            return false;
    }
    return count <= 2;
}

enum hr_status hr_base64_decode(struct hr_buffer *out, const char *text, size_t size)
{
    uint32_t bits = 0;
    unsigned have = 0; /* letters in bits */
    void *block = NULL;
    HR_TRY(hr_mem_grow(&block, &out->capacity, size / 4 * 3 + 3, 1));
    out->data = block;
    for (size_t i = 0; i < size; i++) {
        const unsigned value = value_of(text[i]);
        if (value == BLANK)
            continue;
        if (value == WRONG && text[i] == '=' && have >= 2 && is_padding(text + i, size - i))
            break;
        if (value == WRONG)
            return hr_fail(HR_E_FORMAT, "byte %zu is no base64", i);
        bits = bits << 6 | value;
        if (++have == 4) {
            for (int shift = 16; shift >= 0; shift -= 8)
                out->data[out->size++] = (uint8_t)(bits >> shift);
            have = 0;
        }
    }
    if (have == 1)
        return hr_fail(HR_E_FORMAT, "the base64 text is cut");
    for (unsigned i = 1; i < have; i++)
        out->data[out->size++] = (uint8_t)(bits << (6 * (4 - have)) >> (24 - 8 * i));
    return HR_OK;
}
