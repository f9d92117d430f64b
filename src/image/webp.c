/* SPDX-License-Identifier: Apache-2.0
 * WebP through libwebp; alpha is dropped. */
#include "image/decoders.h"

#if HRNET_WEBP
#include <webp/decode.h>

enum hr_status hr_decode_webp(struct hr_image *image, const struct hr_picture *picture)
{
    const struct hr_span bytes = picture->bytes;
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(bytes.data, bytes.size, &features) != VP8_STATUS_OK)
        return hr_fail(HR_E_FORMAT, "%s: WebP: the header is damaged", picture->name);
    if (features.has_animation)
        return hr_fail(HR_E_UNSUPPORTED, "%s: WebP: animations are not read", picture->name);
    HR_TRY(hr_image_start(image, picture, features.width, features.height));
    const size_t size = (size_t)image->width * (size_t)image->height * 3;
    if (!WebPDecodeRGBInto(bytes.data, bytes.size, image->pixels, size, (int)image->width * 3))
        return hr_fail(HR_E_FORMAT, "%s: WebP: the data is damaged or cut off", picture->name);
    return HR_OK;
}
#else
enum hr_status hr_decode_webp(struct hr_image *image, const struct hr_picture *picture)
{
    (void)image;
    return hr_fail(HR_E_UNSUPPORTED, "%s: WebP: this build has no libwebp", picture->name);
}
#endif
