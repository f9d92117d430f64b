/* SPDX-License-Identifier: Apache-2.0
 * Ends connections that take too long: whose head or body trickles in, or whose answer is not
 * taken; and tells when a client has left that waits for an answer.  One thread looks at all
 * of them: were each connection's own to look, computing would be interrupted hundreds of times a
 * second. */
#ifndef HR_SERVE_WATCH_H
#define HR_SERVE_WATCH_H

#include <stddef.h>

#include "base/status.h"

enum hr_watch_phase {
    HR_WATCH_HEAD,    /* idle, or its head is being read */
    HR_WATCH_BODY,    /* its body is being read */
    HR_WATCH_COMPUTE, /* no limit here: requests have deadlines */
    HR_WATCH_SEND,    /* its answer is being sent */
    HR_WATCH_PHASES
};

struct hr_watch;
struct hr_watched;

enum hr_status hr_watch_create(struct hr_watch **out, double head_seconds,
                               double body_seconds) HR_WARN_UNUSED;
/* When no connection is watched any more.  NULL is allowed. */
void hr_watch_destroy(struct hr_watch *watch);

/* Watches a socket from now on, in its head; NULL without memory, which the others allow. */
struct hr_watched *hr_watch_add(struct hr_watch *watch, int socket);
void hr_watch_phase(struct hr_watch *watch, struct hr_watched *connection,
                    enum hr_watch_phase phase);
/* From now on left(context) is called at every look that finds the connection closed, or half
 * closed, by its peer.  It may not call the watch.  left NULL: no more of that, and none is under
 * way any more. */
void hr_watch_attend(struct hr_watch *watch, struct hr_watched *connection,
                     void (*left)(void *context), void *context);
/* Before the socket is closed. */
void hr_watch_remove(struct hr_watch *watch, struct hr_watched *connection);
size_t hr_watch_count(struct hr_watch *watch);

#endif
