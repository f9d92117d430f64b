/* SPDX-License-Identifier: Apache-2.0
 * From a numeric address to a socket. */
#include "serve/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum hr_status hr_listen(int *out, const char *host, uint16_t port)
{
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *address;
    char service[8];
    const int one = 1;
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &address) != 0)
        return hr_fail(HR_E_ARGUMENT, "'%s' is no numeric address of this machine", host);
    const int s = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    enum hr_status status = HR_OK;
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(s, address->ai_addr, address->ai_addrlen) != 0 || listen(s, 511) != 0) {
        status = hr_fail(HR_E_IO, "cannot listen at %s, port %u: %s", host, port, strerror(errno));
        if (s >= 0)
            close(s);
    } else {
        *out = s;
    }
    freeaddrinfo(address);
    return status;
}

uint16_t hr_listen_port(int s)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char service[8];
    if (getsockname(s, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, service, sizeof service,
                    NI_NUMERICSERV) != 0)
        return 0;
    return (uint16_t)atoi(service);
}
