/* SPDX-License-Identifier: Apache-2.0
 * A network as a picture: its branches side by side, depth from left to right, a box a step,
 * coloured by the time it takes. */
#ifndef HR_CLI_DIAGRAM_H
#define HR_CLI_DIAGRAM_H

#include <stdint.h>
#include <stdio.h>

#include "hrnet/hrnet.h"

struct hr_diagram {
    const char *title;
    const struct hrnet_step_info *steps;
    const uint64_t *ns; /* of each step */
    size_t count;
    int height; /* of the network's input, px: tells the branch a step is in */
};

/* Writes SVG; HRNET_E_MEMORY is all that can happen. */
hrnet_status hr_diagram_svg(FILE *out, const struct hr_diagram *diagram);

#endif
