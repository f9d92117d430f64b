/* SPDX-License-Identifier: Apache-2.0
 * PNG through libspng: every colour type, depth and interlacing to 8-bit RGB; alpha and tRNS are
 * dropped, the top byte of 16-bit samples is kept, gamma is left alone. */
#include <spng.h>

#include "image/decoders.h"

#define CHUNK_LIMIT ((size_t)64 << 20) /* bytes that ancillary chunks may take */

static enum hr_status fail_png(const struct hr_picture *picture, int error)
{
    return hr_fail(error == SPNG_EMEM ? HR_E_MEMORY : HR_E_FORMAT, "%s: PNG: %s", picture->name,
                   spng_strerror(error));
}

static enum hr_status decode(spng_ctx *context, struct hr_image *image,
                             const struct hr_picture *picture)
{
    struct spng_ihdr header;
    struct spng_exif exif;
    int error;
    if ((error = spng_set_image_limits(context, 1u << 20, 1u << 20)) ||
        (error = spng_set_chunk_limits(context, CHUNK_LIMIT, CHUNK_LIMIT)) ||
        (error = spng_set_png_buffer(context, picture->bytes.data, picture->bytes.size)) ||
        (error = spng_get_ihdr(context, &header)))
        return fail_png(picture, error);
    HR_TRY(hr_image_start(image, picture, header.width, header.height));
    const size_t size = (size_t)image->width * (size_t)image->height * 3;
    if ((error = spng_decode_image(context, image->pixels, size, SPNG_FMT_RGB8, 0)))
        return fail_png(picture, error);
    /* To the end: a file that lacks it is cut off, and the orientation may stand there. */
    if ((error = spng_decode_chunks(context)))
        return fail_png(picture, error);
    if (spng_get_exif(context, &exif) == 0)
        picture->report->orientation = hr_exif_orientation((const uint8_t *)exif.data, exif.length);
    return HR_OK;
}

enum hr_status hr_decode_png(struct hr_image *image, const struct hr_picture *picture)
{
    spng_ctx *context = spng_ctx_new(0);
    if (!context)
        return fail_png(picture, SPNG_EMEM);
    const enum hr_status status = decode(context, image, picture);
    spng_ctx_free(context);
    return status;
}
