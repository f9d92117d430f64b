/* SPDX-License-Identifier: Apache-2.0
 * JPEG through libjpeg-turbo's classic API with its default inverse DCT and upsampling.  libjpeg
 * leaves errors by longjmp, so one function holds the jump and owns nothing else. */
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "image/decoders.h"

/* Progressive pictures need about ten scans; each costs a pass over all coefficients, so a small
 * file of many empty scans would cost minutes. */
#define MOST_SCANS 500

/* No complete JPEG has over 256 pixels a byte: a block of 64 pixels takes two bits at least.  A
 * file far beyond that is a bomb, not a picture that was cut off. */
#define MOST_PIXELS_A_BYTE 8192

struct errors {
    struct jpeg_error_mgr base; /* first: libjpeg hands it back as this type */
    jmp_buf jump;
    bool truncated;
    char text[JMSG_LENGTH_MAX];
};

static void leave(j_common_ptr info)
{
    struct errors *errors = (struct errors *)(void *)info->err;
    info->err->format_message(info, errors->text);
    longjmp(errors->jump, 1);
}

/* Keeps the first warning's text; printing is not for libraries. */
static void note_warning(j_common_ptr info, int level)
{
    struct errors *errors = (struct errors *)(void *)info->err;
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF)
        errors->truncated = true;
    if (level < 0 && info->err->num_warnings++ == 0)
        info->err->format_message(info, errors->text);
}

static void drop_message(j_common_ptr info)
{
    (void)info;
}

static void count_scans(j_common_ptr info)
{
    struct errors *errors = (struct errors *)(void *)info->err;
    if (((j_decompress_ptr)info)->input_scan_number > MOST_SCANS) {
        snprintf(errors->text, sizeof errors->text, "more than %d scans", MOST_SCANS);
        longjmp(errors->jump, 1);
    }
}

static int find_orientation(const struct jpeg_decompress_struct *info)
{
    for (jpeg_saved_marker_ptr m = info->marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            return hr_exif_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

/* OpenCV's rule, made for the inverted inks of Adobe files and used without their marker too:
 * 4 bytes a pixel to 3. */
static void inks_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int k = cmyk[4 * i + 3];
        for (int c = 0; c < 3; c++)
            rgb[3 * i + (size_t)c] = (uint8_t)(k - (((255 - cmyk[4 * i + (size_t)c]) * k) >> 8));
    }
}

static void read_rows(struct jpeg_decompress_struct *info, struct hr_image *image, uint8_t *inks)
{
    const size_t width = (size_t)image->width;
    while (info->output_scanline < info->output_height) {
        uint8_t *row = image->pixels + info->output_scanline * width * 3;
        JSAMPROW target = inks ? inks : row;
        (void)jpeg_read_scanlines(info, &target, 1);
        if (inks)
            inks_to_rgb(row, inks, width);
    }
}

/* Everything that may jump.  *inks is a row of four-channel pixels, freed by the caller. */
static enum hr_status decode(struct jpeg_decompress_struct *info, struct hr_image *image,
                             const struct hr_picture *picture, uint8_t **inks)
{
    struct jpeg_progress_mgr progress = { .progress_monitor = count_scans };
    jpeg_mem_src(info, picture->bytes.data, (unsigned long)picture->bytes.size);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    (void)jpeg_read_header(info, TRUE);
    picture->report->orientation = find_orientation(info);
    HR_TRY(hr_image_allowed(picture, info->image_width, info->image_height));
    if ((uint64_t)info->image_width * info->image_height / MOST_PIXELS_A_BYTE > picture->bytes.size)
        return hr_fail(HR_E_FORMAT, "%s: JPEG: %zu bytes cannot hold %ux%u pixels", picture->name,
                       picture->bytes.size, info->image_width, info->image_height);
    HR_TRY(hr_image_start(image, picture, info->image_width, info->image_height));
    info->progress = &progress;
    if (info->num_components == 4) {
        info->out_color_space = JCS_CMYK;
        *inks = hr_mem_alloc_raw(info->image_width, 4);
        if (!*inks)
            return HR_E_MEMORY;
    } else {
        info->out_color_space = JCS_RGB;
    }
    (void)jpeg_start_decompress(info);
    read_rows(info, image, *inks);
    (void)jpeg_finish_decompress(info);
    info->progress = NULL;
    return HR_OK;
}

enum hr_status hr_decode_jpeg(struct hr_image *image, const struct hr_picture *picture)
{
    struct jpeg_decompress_struct info;
    struct errors errors;
    uint8_t *inks = NULL;
    uint8_t **volatile inks_of = &inks; /* kept across the jump */
    volatile enum hr_status status;
    memset(&info, 0, sizeof info);
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = leave;
    errors.base.emit_message = note_warning;
    errors.base.output_message = drop_message;
    errors.text[0] = '\0';
    errors.truncated = false;
    if (setjmp(errors.jump)) {
        status = hr_fail(errors.base.msg_code == JERR_OUT_OF_MEMORY ? HR_E_MEMORY : HR_E_FORMAT,
                         "%s: JPEG: %s", picture->name, errors.text);
    } else {
        jpeg_create_decompress(&info);
        status = decode(&info, image, picture, inks_of);
    }
    jpeg_destroy_decompress(&info);
    hr_mem_free(*inks_of);
    if (status == HR_OK && errors.base.num_warnings > 0) {
        picture->report->truncated = errors.truncated;
        snprintf(picture->report->warning, sizeof picture->report->warning, "JPEG: %.150s",
                 errors.text);
    }
    return status;
}
