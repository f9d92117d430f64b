/* SPDX-License-Identifier: Apache-2.0
 * A service for fuzz targets without threads and sockets: one model, "m" in version 1, whose
 * answers come at once from the inputs' bytes, every one of which is read.  service.c stands in for
 * serve/registry.h, serve/batcher.h and serve/heat.h. */
#ifndef FUZZ_SERVICE_H
#define FUZZ_SERVICE_H

#include "serve/service.h"

/* Made at the first call, and kept. */
struct hr_service *fuzz_service(void);
/* Every reference to the model was given back? */
bool fuzz_service_is_free(void);

#endif
