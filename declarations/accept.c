/* Accepting connections.

   Rule: a timeout of the listener's own (SO_RCVTIMEO) ends an accept(2) that waits, on every system. */
#ifndef UDS_ACCEPT_C
#define UDS_ACCEPT_C
#include "address.c"
#include "nonblocking.c"

UDS_FUNCTION int uds_accept_named(int fd, struct uds_name *name, int nonblocking)
{
    uds_name_prepare(name);
#if UDS_HAS_ATOMIC_CLOEXEC
    return uds_accept4(fd, &name->address, &name->length, uds_birth_type(0, nonblocking));
#else
    (void)nonblocking;
    return uds_accept(fd, &name->address, &name->length);
#endif
}

#if !UDS_ACCEPT_KEEPS_TIME
#  if UDS_HAS_POLLRDHUP
#    define UDS_HUNG_UP (POLLHUP | POLLRDHUP)
#  else
#    define UDS_HUNG_UP POLLHUP
#  endif

UDS_FUNCTION int64_t uds_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Does not wait, although the listener is one whose accept(2) waits: it has O_NONBLOCK for this one call.  Whoever is
   waiting in the kernel does not notice, or tries again.  A flag that somebody has set meanwhile is theirs to clear. */
UDS_FUNCTION int uds_accept_at_once(int fd, struct uds_name *name, int nonblocking)
{
    int result, flags, waits;
    UDS_LOCK_NONBLOCKING();
    result = flags = uds_fcntl(fd, F_GETFL, 0);
    waits = flags >= 0 && !(flags & O_NONBLOCK);
    if (waits)
        result = uds_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (result >= 0)
        result = uds_accept_named(fd, name, nonblocking);
    if (waits)
        (void)uds_fcntl(fd, F_SETFL, flags);
    UDS_UNLOCK_NONBLOCKING();
    return result;
}

/* poll(2) may wake more than one acceptor, so the accept itself must not wait. */
UDS_FUNCTION int uds_accept_timed(int fd, struct uds_name *name, int nonblocking)
{
    struct timeval limit;
    socklen_t length = sizeof limit;
    int64_t left, end;
    int result;

    memset(&limit, 0, sizeof limit);
    if (uds_get_nonblocking(fd) != 0 || uds_getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &length) < 0
        || (limit.tv_sec == 0 && limit.tv_usec == 0))
        return uds_accept_named(fd, name, nonblocking);
    left = (int64_t)limit.tv_sec * 1000000000 + (int64_t)limit.tv_usec * 1000;
    end = uds_nanoseconds() + left;
    do {
        int seen = uds_wait(fd, POLLIN, left);
        if (seen <= 0)
            return seen < 0 ? seen : -EAGAIN;
        result = uds_accept_at_once(fd, name, nonblocking);
        /* After shutdown(2) an accept(2) that waits would fail; one that does not wait says "nothing yet", for ever. */
        if (result == -EAGAIN && (seen & UDS_HUNG_UP))
            return -EINVAL;
        left = end - uds_nanoseconds();
    } while (result == -EAGAIN && left > 0);
    return result;
}
#endif

/* The accepted connection has exactly the O_NONBLOCK that was asked for: BSD would let it inherit the
   listener's.  It is in its handle before this function returns: 0 when its peer has no name, 1 when it has one. */
UDS_FUNCTION int uds_handle_accept(struct uds_handle *handle, struct uds_handle *into, struct uds_name *name,
                                   int nonblocking)
{
    int result, fd = uds_handle_enter(handle);
    if (fd < 0)
        return fd;
#if UDS_ACCEPT_KEEPS_TIME
    result = uds_accept_named(fd, name, nonblocking);
#else
    uds_name_prepare(name);
    result = uds_accept_timed(fd, name, nonblocking);
#endif
    uds_name_clamp(name);
    if (result >= 0)
        result = uds_handle_birth(into, result, nonblocking);
    if (result == 0)
        result = uds_name_is_given(name);
    uds_handle_leave(handle);
    return result;
}

#endif
