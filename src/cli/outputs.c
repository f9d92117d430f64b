/* SPDX-License-Identifier: Apache-2.0
 * Bytes, NumPy arrays and PNG pictures to files. */
#include "cli/outputs.h"

#include <string.h>

#include "base/bytes.h"
#include "base/os.h"
#include "cli/flags.h"
#include "hrnet/hrnet.h"
#include "tensor/npy.h"

enum hr_status hr_output_bytes(const char *path, const void *data, size_t size)
{
    struct hr_replace replace = { 0 };
    if (strcmp(path, "-") == 0) {
        hr_stdout_write(data, size);
        return HR_OK;
    }
    HR_TRY(hr_replace_begin(&replace, path));
    (void)!fwrite(data, 1, size, replace.file);
    return hr_replace_commit(&replace);
}

enum hr_status hr_output_npy(const char *path, const float *values, const struct hr_shape *shape)
{
    struct hr_tensor t = { .dtype = HR_DTYPE_F32, .shape = *shape, .data = values };
    struct hr_buffer file = { 0 };
    hr_tensor_set_contiguous(&t);
    enum hr_status status = hr_npy_write(&file, &t);
    if (status == HR_OK)
        status = hr_output_bytes(path, file.data, file.size);
    hr_buffer_fini(&file);
    return status;
}

enum hr_status hr_output_png(const char *path, const uint8_t *rgb, int64_t width, int64_t height)
{
    uint8_t *png = NULL;
    size_t size;
    enum hr_status status = (enum hr_status)hrnet_encode_png(rgb, width, height, &png, &size);
    if (status == HR_OK)
        status = hr_output_bytes(path, png, size);
    hrnet_free(png);
    return status;
}
