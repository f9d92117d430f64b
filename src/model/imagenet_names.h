/* SPDX-License-Identifier: Apache-2.0
 * The built-in class names (a generated table). */
#ifndef HR_MODEL_IMAGENET_NAMES_H
#define HR_MODEL_IMAGENET_NAMES_H

#define HR_IMAGENET_CLASSES 1000
extern const char *const hr_imagenet_names[HR_IMAGENET_CLASSES]; /* ASCII */

#endif
