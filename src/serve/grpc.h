/* SPDX-License-Identifier: Apache-2.0
 * A gRPC server: HTTP/2 on nghttp2, one thread that turns bytes into calls of methods, and answers
 * into bytes.  Source: "gRPC over HTTP2"; RFC 9113.
 *
 * Every function of a method runs on that thread, and so must everything that answers; other
 * threads hand over with hr_grpc_post().  Handlers must not block: what takes long goes to another
 * thread, which posts when it is done. */
#ifndef HR_SERVE_GRPC_H
#define HR_SERVE_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "serve/link.h"
#include "serve/time_limits.h"

/* Codes of gRPC that no status of ours has. */
#define HR_GRPC_UNKNOWN           2
#define HR_GRPC_PERMISSION_DENIED 7
#define HR_GRPC_EXHAUSTED         8
#define HR_GRPC_UNIMPLEMENTED     12
#define HR_GRPC_UNAVAILABLE       14
#define HR_GRPC_UNAUTHENTICATED   16

struct hr_grpc;      /* a running server */
struct hr_grpc_call; /* one request, or one stream of them */

enum hr_grpc_flags {
    HR_GRPC_STREAM =
        1,            /* any number of messages in; else exactly one, told after the client's end */
    HR_GRPC_OPEN = 2, /* this and the next are for options.admit(): needs no token */
    HR_GRPC_EARLY = 4, /* answers while models are loading */
};

struct hr_grpc_method {
    const char *path; /* "/grpc.health.v1.Health/Check" */
    unsigned flags;
    /* A message, which may be moved out (and zeroed). */
    void (*message)(struct hr_grpc_call *call, struct hr_buffer *message);
    /* Streams: the client sends no more.  NULL: finishes the call. */
    void (*end)(struct hr_grpc_call *call);
    /* The call is over before it was finished: reset, deadline, lost connection.  The last function
     * that is called for it, if any was; may be NULL. */
    void (*gone)(struct hr_grpc_call *call);
    /* Some four times a second while the call is unfinished; may be NULL. */
    void (*look)(struct hr_grpc_call *call);
};

struct hr_grpc_options {
    const struct hr_grpc_method *const *tables; /* NULL-terminated, of tables that end with path
                                                   NULL */
    void *context;                              /* hr_grpc_call_context() */
    /* Asked when a call's headers are there; other than HR_OK refuses it.  May be NULL. */
    enum hr_status (*admit)(struct hr_grpc_call *call);
    /* Told when a call has ended, with its gRPC status.  May be NULL. */
    void (*ended)(struct hr_grpc_call *call, int grpc_status);
    struct hr_credentials *credentials;       /* held; NULL: cleartext */
    size_t message_bytes;                     /* largest message, after decompression */
    size_t all_bytes;                         /* of unfinished messages of all calls together */
    size_t header_bytes;                      /* of one call's headers */
    unsigned connections, connections_of_one; /* in all; of one address, 0: no limit */
    unsigned streams;                         /* calls of one connection at a time */
    double idle_seconds;                      /* without calls, before a connection is let go */
    double send_seconds;        /* for a client to send its headers, a message, to read answers */
    double keepalive_seconds;   /* of silence, before a connection is asked whether it lives */
    struct hr_time_limits time; /* longest life of a call that is no stream, by its path */
};
/* Sensible values for all limits; the rest is zero. */
void hr_grpc_options_init(struct hr_grpc_options *options);

/* Takes the listening socket, on failure too.  Options are copied, tables borrowed. */
enum hr_status hr_grpc_start(struct hr_grpc **out, int listener,
                             const struct hr_grpc_options *options) HR_WARN_UNUSED;
/* New credentials for connections from now on; held.  Any thread. */
void hr_grpc_set_credentials(struct hr_grpc *server, struct hr_credentials *credentials);
/* No more connections; those that are there are told to go elsewhere (GOAWAY) and closed when their
 * calls are finished.  Any thread, returns at once. */
void hr_grpc_drain(struct hr_grpc *server);
/* Waits until no connection is left, after drain; false if some are after `seconds`. */
bool hr_grpc_wait(struct hr_grpc *server, double seconds);
/* Ends what is there: calls get their gone(); waits for the posts that are expected.  NULL is
 * allowed. */
void hr_grpc_stop(struct hr_grpc *server);

struct hr_grpc_counts {
    uint64_t connections, calls; /* now */
};
struct hr_grpc_counts hr_grpc_count(struct hr_grpc *server); /* any thread */

/* ---- Handing over to the server's thread ---- */

struct hr_grpc_post {
    void (*run)(struct hr_grpc_post *post);
    struct hr_grpc_post *next; /* the server's */
};
/* On the server's thread, before another is given work that ends with a post: one is to be
 * expected; or, when that came to nothing, none. */
void hr_grpc_post_expect(struct hr_grpc *server);
void hr_grpc_post_forget(struct hr_grpc *server);
/* run() will be called on the server's thread.  The post must live until then.  Any thread. */
void hr_grpc_post(struct hr_grpc *server, struct hr_grpc_post *post);

/* ---- Calls; all on the server's thread ---- */

/* A call lives until it is over and nobody holds it. */
struct hr_grpc_call *hr_grpc_call_hold(struct hr_grpc_call *call);
void hr_grpc_call_release(struct hr_grpc_call *call);

struct hr_grpc *hr_grpc_call_server(struct hr_grpc_call *call);
const struct hr_grpc_method *const *hr_grpc_tables(const struct hr_grpc *server); /* the options' */
bool hr_grpc_is_draining(const struct hr_grpc *server);      /* calls had better end */
void *hr_grpc_call_context(const struct hr_grpc_call *call); /* of the options */
/* What the methods keep with a call; NULL at first. */
void **hr_grpc_call_state(struct hr_grpc_call *call);
const char *hr_grpc_call_path(const struct hr_grpc_call *call);
/* A header's value ("authorization"), or NULL.  Names are lower case. */
const char *hr_grpc_call_header(const struct hr_grpc_call *call, const char *name);
const char *hr_grpc_call_peer(const struct hr_grpc_call *call);               /* "192.0.2.1" */
const struct sockaddr *hr_grpc_call_address(const struct hr_grpc_call *call); /* NULL: it is over */
unsigned hr_grpc_call_flags(const struct hr_grpc_call *call);                 /* of its method */
uint64_t hr_grpc_call_bytes_in(const struct hr_grpc_call *call);
uint64_t hr_grpc_call_bytes_out(const struct hr_grpc_call *call);
/* Of grpc-timeout and the server's own limit, on hr_os_now_ns(); 0: none. */
uint64_t hr_grpc_call_deadline_ns(const struct hr_grpc_call *call);
/* The server's own limit at its path, for each request of a stream; 0: none. */
double hr_grpc_call_seconds(const struct hr_grpc_call *call);
uint64_t hr_grpc_call_begin_ns(const struct hr_grpc_call *call);
bool hr_grpc_call_over(const struct hr_grpc_call *call); /* answers go nowhere */
/* Streams: while `on`, the client is not allowed to send more than what is on its way. */
void hr_grpc_call_pause(struct hr_grpc_call *call, bool on);

/* Sends one message: `data` is copied. */
void hr_grpc_send(struct hr_grpc_call *call, const void *data, size_t size);
/* Ends the call with the gRPC code of the status and, unless HR_OK, this thread's message. */
void hr_grpc_finish(struct hr_grpc_call *call, enum hr_status status);
void hr_grpc_finish_code(struct hr_grpc_call *call, int code, const char *message);

#endif
