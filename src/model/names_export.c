/* SPDX-License-Identifier: Apache-2.0
 * Canonical tensors under another scheme's names, with what that scheme has besides. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/names.h"

static enum hr_status export_counter(struct hr_store *out, const char *variance_name)
{
    static const struct hr_shape scalar = { 0 };
    char name[HR_NAME_BYTES];
    void *zero;
    const size_t layer = strlen(variance_name) - strlen("running_var");
    snprintf(name, sizeof name, "%.*snum_batches_tracked", (int)layer, variance_name);
    return hr_store_add_owned(out, name, HR_DTYPE_I64, &scalar, &zero);
}

static enum hr_status export_tensor(struct hr_store *out, const char *canonical,
                                    const struct hr_tensor *tensor, enum hr_scheme scheme)
{
    char name[HR_NAME_BYTES], bias[HR_NAME_BYTES];
    struct hr_tensor t = *tensor;
    void *zeros;
    HR_TRY(hr_name_of(name, scheme, canonical));
    if (!name[0])
        return hr_fail(HR_E_UNSUPPORTED,
                       "the %s scheme has no name for %s: squeeze-and-excitation models exist in "
                       "Paddle's schemes only",
                       hr_scheme_name(scheme), canonical);
    if (t.shape.rank == 2 && hr_scheme_is_torch(scheme))
        hr_tensor_transpose(&t);
    HR_TRY(hr_store_add(out, name, &t));
    if (!hr_scheme_is_torch(scheme))
        return HR_OK;
    HR_TRY(hr_name_of_head_bias(bias, scheme, canonical));
    if (bias[0])
        HR_TRY(hr_store_add_owned(out, bias, HR_DTYPE_F32, &t.shape, &zeros));
    return hr_text_ends(name, "running_var") ? export_counter(out, name) : HR_OK;
}

enum hr_status hr_names_export(struct hr_store **out, const struct hr_store *canonical,
                               enum hr_scheme scheme)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_create(&store));
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < hr_store_count(canonical) && status == HR_OK; i++)
        status = export_tensor(store, hr_store_name(canonical, i), hr_store_tensor(canonical, i),
                               scheme);
    if (status == HR_OK && scheme == HR_SCHEME_TIMM)
        status = hr_store_set_meta(store, "format", "pt");
    if (status == HR_OK)
        *out = store;
    else
        hr_store_destroy(store);
    return status;
}
