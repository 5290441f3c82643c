/* Making, naming and connecting sockets.

   Rules:
   - connect(2) never waits: a backlog that is full is ECONNREFUSED.  AF_UNSPEC ends an association and is an error.
   - accept(2) takes no notice of SO_RCVTIMEO, and the new socket has the listener's O_NONBLOCK and its wish for
     credentials. */
#define _GNU_SOURCE
#include "kernel.h"

#include <fcntl.h>
#include <stdlib.h>

static int result_of(int result)
{
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}

/* The type with Linux's flags, or -errno. */
static int type_to_ours(int domain, int theirs, int protocol, const char *call)
{
    int type = theirs & 0xf;

    if (IS_NOBODYS(domain))
        return -EAFNOSUPPORT;
    if (domain != AF_UNIX)
        foreign_stop(call, "unknown domain", domain);
    if (protocol != 0)
        return -EPROTONOSUPPORT;
    if (type == NOBODYS_TYPE)
        return -EPROTONOSUPPORT;
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
        foreign_stop(call, "unknown type", type);
    if (type == SOCK_SEQPACKET && !kernel.has_seqpacket)
        return -EPROTONOSUPPORT;
    return type | to_ours(kernel.type_flags, theirs & ~0xf, call, "unknown flag of a type");
}

int foreign_socket(int domain, int theirs, int protocol)
{
    int type = type_to_ours(domain, theirs, protocol, "socket");
    return type < 0 ? result_of(type) : socket(AF_UNIX, type, 0);
}

int foreign_socketpair(int domain, int theirs, int protocol, int *fds)
{
    int result, type = type_to_ours(domain, theirs, protocol, "socketpair");
    if (type < 0)
        return result_of(type);
    result = socketpair(AF_UNIX, type, 0, fds);
    if (result == 0) {
        foreign_set_state(fds[0], IS_PAIR, 1);
        foreign_set_state(fds[1], IS_PAIR, 1);
    }
    return result;
}

/* --- Names --- */

static int bind_in(int directory, int fd, const void *theirs, uint32_t length)
{
    struct way way = {.binds = 1};
    int result = find_way(directory, theirs, length, &way);
    if (result == 0)
        result = bind(fd, (struct sockaddr *)&way.ours, way.size) < 0 ? -errno : end_detour(&way);
    return result_of(result);
}

/* Linux waits for a place in a backlog when the socket may wait. */
static int connect_at_once(int fd, const struct sockaddr_un *name, socklen_t size)
{
    int flags = fcntl(fd, F_GETFL), result, saved;
    if (flags < 0)
        return -1;
    if (!(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    result = connect(fd, (const struct sockaddr *)name, size);
    saved = errno;
    if (!(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags);
    errno = result < 0 && saved == EAGAIN ? ECONNREFUSED : saved;
    return result;
}

static int connect_in(int directory, int fd, const void *theirs, uint32_t length)
{
    struct way way = {.binds = 0};
    int result = find_way(directory, theirs, length, &way);

    if (result == -EAFNOSUPPORT && foreign_type(fd) == SOCK_DGRAM) {
        struct sockaddr nobody = {.sa_family = AF_UNSPEC};
        connect(fd, &nobody, sizeof nobody);
    }
    return result < 0 ? result_of(result) : connect_at_once(fd, &way.ours, way.size);
}

int foreign_bind(int fd, const void *name, uint32_t length)
{
    return bind_in(AT_FDCWD, fd, name, length);
}

int foreign_connect(int fd, const void *name, uint32_t length)
{
    return connect_in(AT_FDCWD, fd, name, length);
}

int foreign_bindat(int directory, int fd, const void *name, uint32_t length)
{
    return bind_in(directory == kernel.at_cwd ? AT_FDCWD : directory, fd, name, length);
}

int foreign_connectat(int directory, int fd, const void *name, uint32_t length)
{
    return connect_in(directory == kernel.at_cwd ? AT_FDCWD : directory, fd, name, length);
}

static int report(int (*call)(int, struct sockaddr *, socklen_t *), int fd, void *theirs, uint32_t *length)
{
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    int result = call(fd, (struct sockaddr *)&name, &size);
    if (result == 0)
        *length = name_to_theirs(&name, size, theirs, *length);
    return result;
}

int foreign_getsockname(int fd, void *theirs, uint32_t *length)
{
    return report(getsockname, fd, theirs, length);
}

int foreign_getpeername(int fd, void *theirs, uint32_t *length)
{
    return report(getpeername, fd, theirs, length);
}

/* --- Accept --- */

static int accept_from(int listener, void *theirs, uint32_t *length, int type)
{
    struct sockaddr_un name;
    socklen_t size;
    static const int on = 1;
    int fd, waits = !(fcntl(listener, F_GETFL) & O_NONBLOCK);
    unsigned state;

    do {
        size = sizeof name;
        fd = accept4(listener, (struct sockaddr *)&name, &size, type);
        /* Linux ends the call after SO_RCVTIMEO. */
    } while (fd < 0 && errno == EAGAIN && waits);
    if (fd < 0)
        return fd;
    state = foreign_state(listener) & (WANTS_EACH | WANTS_ONCE);
    if (state)
        set_flag(fd, state, &on, sizeof on);
    if (theirs != NULL)
        *length = name_to_theirs(&name, size, theirs, *length);
    return fd;
}

int foreign_accept(int listener, void *name, uint32_t *length)
{
    int flags = fcntl(listener, F_GETFL);
    return accept_from(listener, name, length, flags >= 0 && (flags & O_NONBLOCK) ? SOCK_NONBLOCK : 0);
}

int foreign_accept4(int listener, void *name, uint32_t *length, int flags)
{
    return accept_from(listener, name, length, to_ours(kernel.type_flags, flags, "accept4", "unknown flag"));
}
