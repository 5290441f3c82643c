/* Sending and receiving.

   Rules: a send without MSG_NOSIGNAL or SO_NOSIGPIPE raises SIGPIPE; a datagram for which the peer has no room is
   ENOBUFS at once, however the socket waits; MSG_OOB is refused; the flags that a receive is given come back with those
   that it reports; the address of a stream's peer comes with no message, and that of a datagram's sender always, also
   without a name. */
#define _GNU_SOURCE
#include "kernel.h"

#include <fcntl.h>

static const struct number SEND_FLAGS[] = {{0x4, MSG_DONTROUTE}, {0x8, MSG_EOR}, {0x80, MSG_DONTWAIT}, {0, 0}};
static const struct number RECEIVE_FLAGS[] = {{0x2, MSG_PEEK}, {0x40, MSG_WAITALL}, {0x80, MSG_DONTWAIT}, {0, 0}};
static const struct number RESULT_FLAGS[] = {{0x8, MSG_EOR}, {0x10, MSG_TRUNC}, {0x20, MSG_CTRUNC}, {0, 0}};
#define THEIR_OOB 0x1

static int refused(int error)
{
    errno = error;
    return -1;
}

/* --- Send --- */

static ssize_t send_ours(int fd, struct msghdr *ours, int theirs)
{
    int flags, is_packet = foreign_type(fd) == SOCK_DGRAM;
    ssize_t sent;

    if (theirs & THEIR_OOB)
        return refused(EOPNOTSUPP);
    flags = to_ours(SEND_FLAGS, theirs & ~kernel.no_signal, "send", "unknown flag");
    if ((theirs & kernel.no_signal) || (foreign_state(fd) & NO_SIGPIPE))
        flags |= MSG_NOSIGNAL;
    sent = sendmsg(fd, ours, flags | (is_packet ? MSG_DONTWAIT : 0));
    if (sent < 0 && is_packet && errno == EAGAIN)
        return refused(ENOBUFS);
    return sent;
}

ssize_t foreign_sendmsg(int fd, const struct their_msghdr *theirs, int flags)
{
    struct items control;
    struct way way = {.binds = 0};
    struct msghdr ours = {.msg_iov = theirs->iov, .msg_iovlen = (size_t)(unsigned)theirs->iov_count};
    int file, saved;
    ssize_t sent;

    if (theirs->name != NULL) {
        int result = find_way(AT_FDCWD, theirs->name, theirs->name_length, &way);
        if (result < 0)
            return refused(-result);
        ours.msg_name = &way.ours;
        ours.msg_namelen = way.size;
    }
    file = control_to_ours(theirs->control, theirs->control == NULL ? 0 : theirs->control_length, &control);
    if (file < -1)
        return refused(-file);
    if (control.length > 0) {
        ours.msg_control = control.bytes;
        ours.msg_controllen = control.length;
    }
    sent = send_ours(fd, &ours, flags);
    saved = errno;
    if (file >= 0)
        close(file);
    errno = saved;
    return sent;
}

ssize_t foreign_sendto(int fd, const void *data, size_t size, int flags, const void *name, uint32_t length)
{
    struct iovec iov = {(void *)(uintptr_t)data, size};
    struct their_msghdr theirs = {(void *)(uintptr_t)name, length, &iov, 1, NULL, 0, 0};
    return foreign_sendmsg(fd, &theirs, flags);
}

ssize_t foreign_send(int fd, const void *data, size_t size, int flags)
{
    return foreign_sendto(fd, data, size, flags, NULL, 0);
}

/* --- Receive --- */

ssize_t foreign_recvmsg(int fd, struct their_msghdr *theirs, int flags)
{
    union {
        struct cmsghdr aligned;
        char bytes[2048];
    } control;
    struct sockaddr_un name;
    struct msghdr ours = {.msg_iov = theirs->iov, .msg_iovlen = (size_t)(unsigned)theirs->iov_count};
    int mask, result;
    ssize_t received;

    if (flags & THEIR_OOB)
        return refused(EOPNOTSUPP);
    mask = to_ours(RECEIVE_FLAGS, flags & ~kernel.close_on_exec, "recv", "unknown flag");
    if (flags & kernel.close_on_exec)
        mask |= MSG_CMSG_CLOEXEC;
    if (theirs->control != NULL && theirs->control_length > 0) {
        ours.msg_control = control.bytes;
        ours.msg_controllen = sizeof control.bytes;
    }
    if (theirs->name != NULL) {
        ours.msg_name = &name;
        ours.msg_namelen = sizeof name;
    }
    received = recvmsg(fd, &ours, mask);
    if (received < 0)
        return received;
    if (ours.msg_control != NULL) {
        result = control_to_theirs(fd, &ours, theirs, (mask & MSG_PEEK) != 0);
        if (result < 0)
            return refused(-result);
    } else {
        /* Nobody is told what was thrown away. */
        theirs->control_length = 0;
        ours.msg_flags &= ~MSG_CTRUNC;
    }
    if (theirs->name != NULL)
        theirs->name_length = foreign_type(fd) == SOCK_STREAM
            ? 0 : name_to_theirs(&name, ours.msg_namelen, theirs->name, theirs->name_length);
    theirs->flags = flags | to_theirs(RESULT_FLAGS, ours.msg_flags);
    return received;
}

ssize_t foreign_recvfrom(int fd, void *data, size_t size, int flags, void *name, uint32_t *length)
{
    struct iovec iov = {data, size};
    struct their_msghdr theirs = {name, length == NULL ? 0 : *length, &iov, 1, NULL, 0, 0};
    ssize_t received = foreign_recvmsg(fd, &theirs, flags);
    if (received >= 0 && length != NULL)
        *length = theirs.name_length;
    return received;
}

ssize_t foreign_recv(int fd, void *data, size_t size, int flags)
{
    return foreign_recvfrom(fd, data, size, flags, NULL, NULL);
}
