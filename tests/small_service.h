/* SPDX-License-Identifier: Apache-2.0
 * A service with small models for tests of src/serve: everything behind the protocols is real, and
 * an answer takes about a millisecond.  Requests over HTTP go to their handler without a socket. */
#ifndef TESTS_SMALL_SERVICE_H
#define TESTS_SMALL_SERVICE_H

#include <jansson.h>

#include "base/bytes.h"
#include "serve/service.h"

#define SMALL_SIDE    32 /* px, of the model's own input */
#define SMALL_FLOATS  (3 * SMALL_SIDE * SMALL_SIDE)
#define SMALL_CLASSES 5
#define SMALL_BATCH   4

/* Opens models: source is the count of classes ("5") or "bad" (HR_E_FORMAT, with a path in the
 * message); context, a text, is a file of labels or NULL. */
hrnet_status small_open(void *context, const char *source, hrnet_model **out);

/* One model, "m" in version 1 and of 5 classes; sensible limits; batches of up to 4 that wait for
 * nobody; nothing is logged. */
void small_service_options(struct hr_service_options *options);
/* The same with three: "m" in versions 1 and 2, of 5 and 6 classes, and "x", of 4; a batch waits
 * two microseconds. */
extern const struct hr_model_source small_versions[3];
void small_service_versions(struct hr_service_options *options);
/* A service whose models are loaded and which is ready.  Fails the test where there is none. */
struct hr_service *small_service_start(const struct hr_service_options *options); /* NULL: those */
/* Lets go what holds a worker before, so that a test that failed ends. */
void small_service_stop(struct hr_service *service);

/* Waits until small_let_go() was called since the round began; for who holds a worker. */
void small_hold(unsigned long round);
unsigned long small_round(void);
void small_let_go(void);

/* An input of the network (float32 [3][32][32]; the same for the same name), and what the model
 * "m" answers to it, by a session of its own. */
void small_input(const char *name, float x[SMALL_FLOATS]);
void small_logits(struct hr_service *service, const float x[SMALL_FLOATS],
                  float logits[SMALL_CLASSES]);
/* The same of an encoded picture. */
void small_picture_logits(struct hr_service *service, struct hr_span picture,
                          float logits[SMALL_CLASSES]);
/* The scores that "m" makes of such logits. */
void small_scores(struct hr_service *service, const float logits[SMALL_CLASSES],
                  float scores[SMALL_CLASSES]);

/* An answer to a request over HTTP. */
struct small_answer {
    int code;             /* 404 or 405 where no route is met */
    json_t *json;         /* of the JSON's part, or NULL */
    const char *type;     /* Content-Type, static */
    const uint8_t *bytes; /* the whole answer, and behind it a zero */
    size_t size, json_bytes;
    unsigned retry_seconds;
    struct hr_buffer buffer;
};
/* head: "METHOD /path?query", then "\nName:value" for each header. */
struct small_answer small_ask(struct hr_service *service, const char *head, const void *body,
                              size_t size);
/* The same for a client that leaves as soon as its request is in the queue. */
struct small_answer small_ask_and_leave(struct hr_service *service, const char *head,
                                        const void *body, size_t size);
void small_answer_fini(struct small_answer *answer);
/* Asks, checks the code and that the answer is {"error": "...word..."} for codes of 400 and more.
 */
void small_refuses(struct hr_service *service, const char *head, const char *body, int code,
                   const char *word);

#endif
