/* SPDX-License-Identifier: Apache-2.0
 * What Paddle's services have in common whatever carries them: the Python pipeline of PaddleClas,
 * which answers with Python's text of lists, and the C++ general model. */
#ifndef HR_SERVE_PADDLE_TEXT_H
#define HR_SERVE_PADDLE_TEXT_H

#include "base/text.h"
#include "serve/picture_set.h"

/* elem_type of the general model's tensors. */
#define HR_PADDLE_FLOAT  1
#define HR_PADDLE_STRING 20

/* The err_no of a status, after the original's families: 0, 3000 no room, 3002 no such service,
 * 5000 input, 6000 timeout, 10000 unknown. */
int hr_paddle_error_number(enum hr_status status);

/* The best class of each picture and its probability, of pictures that were answered: "['daisy']"
 * without the commas inside names, "[0.9341402053833008]". */
void hr_paddle_lists(struct hr_pictures *pictures, struct hr_text *labels,
                     struct hr_text *probabilities);

/* Python's repr() of a string and of a float. */
void hr_python_string(struct hr_text *out, const char *text);
void hr_python_number(struct hr_text *out, double value);

/* The general model's request and answer as a protobuf message over HTTP (Content-Type
 * application/proto); serve/paddle_grpc.c. */
void hr_paddle_general_proto(struct hr_call *call);

#endif
