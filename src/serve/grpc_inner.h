/* SPDX-License-Identifier: Apache-2.0
 * What the three files of the gRPC server share: the server's loop (grpc.c), connections
 * (grpc_connection.c), calls (grpc_call.c).  Nobody else includes this. */
#ifndef HR_SERVE_GRPC_INNER_H
#define HR_SERVE_GRPC_INNER_H

#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/text.h"
#include "serve/frame.h"
#include "serve/grpc.h"

#define HR_GRPC_MESSAGE  512                 /* of grpc-message, percent-coded */
#define HR_GRPC_PIECE    ((size_t)256 << 10) /* read at once */
#define HR_GRPC_SWEEP_NS UINT64_C(250000000) /* how late a limit of seconds may be noticed */

struct hr_grpc_connection;

struct hr_grpc_call {
    struct hr_grpc *server;
    struct hr_grpc_connection *connection; /* NULL: over */
    int32_t stream;
    unsigned references;
    const struct hr_grpc_method *method; /* NULL: unknown, or headers not whole */
    void *state;

    struct hr_text headers; /* name, zero, value, zero; ... */
    size_t header_bytes;
    bool headers_whole, too_long;

    struct hr_frames frames;  /* of the client */
    struct hr_buffer message; /* not a stream: waits for the client's end */
    bool has_message, remote_end, paused;
    size_t held_back; /* bytes whose window was not given back: paused */
    size_t counted;   /* of server->message_bytes */
    uint64_t begin_ns, deadline_ns, bytes_in, bytes_out;
    uint64_t message_ns; /* the message that is coming began; 0: none is coming */

    struct hr_buffer out; /* to the client */
    size_t out_sent;
    uint64_t out_ns; /* the client last took something */
    bool answered;   /* the response's headers are on their way */
    bool finished;
    int code;
    char text[HR_GRPC_MESSAGE];

    struct hr_grpc_call *next, *previous; /* of the connection */
};

struct hr_grpc_connection {
    struct hr_grpc *server;
    struct hr_link link;
    nghttp2_session *session;
    char peer[64];
    struct sockaddr_storage address;
    struct hr_grpc_call *calls;
    unsigned call_count;
    struct hr_buffer out; /* bytes of HTTP/2 that the socket did not take yet */
    size_t out_sent;
    uint64_t begin_ns, read_ns, write_ns, calls_ns; /* calls_ns: the last call ended */
    uint64_t ping_ns;                               /* a ping without answer; 0: none */
    uint32_t events;                                /* what epoll waits for */
    bool greeted;                                   /* the client's settings came */
    bool leaving;                                   /* GOAWAY is sent */
    bool dirty; /* in the server's list of those with something to send */
    bool dead;  /* in the list of those to free */
    struct hr_grpc_connection *next, *previous, *next_dirty, *next_dead;
};

struct hr_grpc {
    struct hr_grpc_options options;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *http;
    int listener, poll, wake;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t empty;  /* no connection is left */
    struct hr_grpc_post *posts, **posts_end;
    pthread_cond_t posted;
    struct hr_credentials *credentials;
    bool drain, stop;
    atomic_uint_least64_t connection_count, call_count;

    /* The thread's. */
    struct hr_grpc_connection *connections, *dirty, *dead;
    size_t message_bytes;  /* of unfinished messages */
    size_t expected;       /* posts */
    uint64_t sweep_ns;     /* when deadlines must be looked at next */
    bool draining, paused; /* paused: accepts nothing for a while, descriptors ran out */
    uint8_t *piece;        /* what is read at once */
};

/* ---- grpc_connection.c ---- */
enum hr_status hr_grpc_callbacks_create(struct hr_grpc *server) HR_WARN_UNUSED;
/* Takes the socket. */
enum hr_status hr_grpc_connection_open(struct hr_grpc *server, int fd, const char *peer,
                                       const struct sockaddr_storage *address) HR_WARN_UNUSED;
void hr_grpc_connection_read(struct hr_grpc_connection *c);
void hr_grpc_connection_write(struct hr_grpc_connection *c);
/* Will be written before the loop sleeps. */
void hr_grpc_connection_touch(struct hr_grpc_connection *c);
/* GOAWAY: accepted calls are finished. */
void hr_grpc_connection_leave(struct hr_grpc_connection *c);
/* Ends its calls; freed when the loop comes around. */
void hr_grpc_connection_kill(struct hr_grpc_connection *c);
/* After a call of nghttp2, with what it returned: what it had no memory for it forgets, and a
 * client would wait for good.  The connection ends, which its client hears. */
void hr_grpc_connection_check(struct hr_grpc_connection *c, int code);
void hr_grpc_connection_free(struct hr_grpc_connection *c);
/* Looks at every time limit; returns when to look again at the latest. */
uint64_t hr_grpc_connection_sweep(struct hr_grpc_connection *c, uint64_t now_ns);

/* ---- grpc_call.c ---- */
struct hr_grpc_call *hr_grpc_call_create(struct hr_grpc_connection *c, int32_t stream);
void hr_grpc_call_add_header(struct hr_grpc_call *call, const char *name, size_t name_size,
                             const char *value, size_t value_size);
/* The request's headers are whole: finds the method. */
void hr_grpc_call_begin(struct hr_grpc_call *call);
void hr_grpc_call_data(struct hr_grpc_call *call, const uint8_t *data, size_t size);
void hr_grpc_call_remote_end(struct hr_grpc_call *call);
/* The stream is closed. */
void hr_grpc_call_close(struct hr_grpc_call *call);
uint64_t hr_grpc_call_sweep(struct hr_grpc_call *call, uint64_t now_ns);
/* The response's body: as the callback of an nghttp2_data_provider whose source is the call. */
ssize_t hr_grpc_call_read(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                          uint32_t *flags, nghttp2_data_source *source, void *context);

/* A time limit of `seconds` from `since`, 0: none; brings *next forward. True when it has passed.
 */
HR_INLINE bool hr_grpc_passed(uint64_t since_ns, double seconds, uint64_t now_ns, uint64_t *next)
{
    const uint64_t at = since_ns + (uint64_t)(1e9 * seconds);
    if (now_ns >= at)
        return true;
    *next = at < *next ? at : *next;
    return false;
}

#endif
