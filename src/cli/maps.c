/* SPDX-License-Identifier: Apache-2.0
 * The session hands out the maps of a whole batch; one picture's part is kept. */
#include "cli/maps.h"

#include <string.h>

#include "base/mem.h"

static enum hr_status add_map(struct hr_store *store, const hrnet_session *session,
                              const char *name, size_t at, size_t count)
{
    struct hr_shape shape = { .rank = 4 };
    void *one;
    HR_TRY((enum hr_status)hrnet_session_feature_shape(session, name, shape.dim));
    shape.rank = shape.dim[2] ? 4 : 2;
    shape.dim[0] = 1;
    size_t floats;
    HR_TRY(hr_shape_elements(&shape, &floats));
    float *all = hr_mem_alloc(count, floats * sizeof *all);
    enum hr_status status =
        all ? hr_store_add_owned(store, name, HR_DTYPE_F32, &shape, &one) : HR_E_MEMORY;
    if (status == HR_OK)
        status = (enum hr_status)hrnet_session_feature(session, name, all);
    if (status == HR_OK)
        memcpy(one, all + at * floats, floats * sizeof *all);
    hr_mem_free(all);
    return status;
}

enum hr_status hr_maps_add(struct hr_store *store, const hrnet_session *session,
                           const char *const *names, size_t at, size_t count)
{
    for (size_t i = 0; names[i]; i++)
        HR_TRY(add_map(store, session, names[i], at, count));
    return HR_OK;
}
