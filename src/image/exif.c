/* SPDX-License-Identifier: Apache-2.0
 * The one tag of Exif that matters here. */
#include <stdbool.h>
#include <string.h>

#include "image/decoders.h"

#define TAG_ORIENTATION 0x0112
#define ENTRY_BYTES     12

int hr_exif_orientation(const uint8_t *tiff, size_t size)
{
    if (size < 8 || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0))
        return 1;
    const bool little = tiff[0] == 'I';
    const size_t folder = little ? hr_load_u32le(tiff + 4) : hr_load_u32be(tiff + 4);
    if (folder > size - 2)
        return 1;
    const unsigned count = little ? hr_load_u16le(tiff + folder) : hr_load_u16be(tiff + folder);
    for (unsigned i = 0; i < count; i++) {
        const size_t at = folder + 2 + (size_t)i * ENTRY_BYTES;
        if (at > size || size - at < ENTRY_BYTES)
            return 1;
        const unsigned tag = little ? hr_load_u16le(tiff + at) : hr_load_u16be(tiff + at);
        if (tag == TAG_ORIENTATION) {
            const int value = little ? hr_load_u16le(tiff + at + 8) : hr_load_u16be(tiff + at + 8);
            return value >= 1 && value <= 8 ? value : 1;
        }
    }
    return 1;
}
