/* Sending through a handle.

   Rules:
   - No send raises SIGPIPE.
   - A datagram socket whose peer can take no more is -EAGAIN on every system.
   - A message carries one SCM_RIGHTS item, with msg_controllen exactly its space: the form that every system takes. */
#ifndef UDS_SEND_C
#define UDS_SEND_C
#include "control.c"

/* Linux alone waits for room in the peer's queue, says EAGAIN when it may not wait, and takes several SCM_RIGHTS items of
   one message for one.  The minimal build does there what other systems need. */
#if defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_ENOBUFS_IS_FULL 0
#  define UDS_UNITES_RIGHTS 0
#else
#  define UDS_ENOBUFS_IS_FULL 1
#  define UDS_UNITES_RIGHTS 1
#endif

/* Whether a datagram socket's SO_SNDTIMEO is no time that a send waits. */
#if defined(__linux__)
#  define UDS_DATAGRAMS_NEVER_WAIT 0
#else
#  define UDS_DATAGRAMS_NEVER_WAIT 1
#endif

/* The BSDs and macOS answer ENOBUFS at once, also where the socket may wait, and poll(2) finds it ready (uipc_send() in
   sys/kern/uipc_usrreq.c).  As -EAGAIN the caller meets it as he meets a socket that is ready and is not: he tries again
   after a while, within his time.  On a stream it is the system that is short of memory, and remains an error.

   FreeBSD says so of a datagram that is larger than the send buffer as well (uipc_sosend_dgram()), which would be tried
   for ever: -EMSGSIZE, as on the others.  The size is 0 where it is another's buffer that counts. */
UDS_FUNCTION ssize_t uds_sent(int fd, ssize_t result, size_t size)
{
#if UDS_ENOBUFS_IS_FULL
    if (result == -ENOBUFS) {
        int type = 0, room = 0;
        socklen_t length = sizeof type;
        if (uds_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_DGRAM)
            return result;
        length = sizeof room;
        if (uds_getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &length) == 0 && size > (size_t)room)
            return -EMSGSIZE;
        return -EAGAIN;
    }
#else
    (void)fd;
    (void)size;
#endif
    return result;
}

UDS_FUNCTION ssize_t uds_send_message(int fd, const struct msghdr *message, int flags)
{
    ssize_t result = uds_sendmsg(fd, message, flags | UDS_NOSIGNAL);
    size_t size = 0;
    uds_iovlen_t place;

    if (result == -ENOBUFS && message->msg_name == NULL)
        for (place = 0; place < message->msg_iovlen; place++)
            size += message->msg_iov[place].iov_len;
    return uds_sent(fd, result, size);
}

UDS_FUNCTION ssize_t uds_handle_send(struct uds_handle *handle, const void *data, size_t size, int flags)
{
    UDS_HELD(handle, ssize_t, uds_sent(fd, uds_send(fd, data, size, flags | UDS_NOSIGNAL), size));
}

UDS_FUNCTION ssize_t uds_handle_sendto(struct uds_handle *handle, const void *data, size_t size, int flags,
                                       const struct sockaddr_un *address, socklen_t length)
{
    UDS_HELD(handle, ssize_t, uds_sent(fd, uds_sendto(fd, data, size, flags | UDS_NOSIGNAL, address, length), 0));
}

/* Sends a message as its caller has built it, but for several SCM_RIGHTS items, which go as one. */
UDS_FUNCTION ssize_t uds_send_united(int fd, const struct msghdr *message, int flags)
{
#if UDS_UNITES_RIGHTS
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(UDS_SCM_MAX_FD * sizeof(int)) + 1024];
    } control;
    ssize_t length = uds_control_unite(message->msg_control, (size_t)message->msg_controllen, control.bytes,
                                       sizeof control.bytes);
    if (length < 0)
        return length;
    if (length > 0) {
        struct msghdr united = *message;
        united.msg_control = control.bytes;
        united.msg_controllen = (uds_controllen_t)length;
        return uds_send_message(fd, &united, flags);
    }
#endif
    return uds_send_message(fd, message, flags);
}

UDS_FUNCTION ssize_t uds_handle_sendmsg(struct uds_handle *handle, const struct msghdr *message, int flags)
{
    UDS_HELD(handle, ssize_t, uds_send_united(fd, message, flags));
}

UDS_FUNCTION ssize_t uds_send_fds(int fd, const void *data, size_t size, int flags,
                                  const struct sockaddr_un *address, socklen_t length,
                                  const int *fds, int count)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(UDS_SCM_MAX_FD * sizeof(int))];
    } control;
    struct iovec iov;
    struct msghdr message;

    memset(&message, 0, sizeof message);
    iov.iov_base = (void *)(uintptr_t)data;
    iov.iov_len = size;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_name = (void *)(uintptr_t)address;
    message.msg_namelen = length;
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = (uds_controllen_t)uds_control_add(
            control.bytes, sizeof control.bytes, 0, SOL_SOCKET, SCM_RIGHTS, fds, (size_t)count * sizeof(int));
    }
    return uds_send_message(fd, &message, flags);
}

/* Sends descriptors.  owners[i] is the handle that fds[i] comes from, or NULL for a bare number; owners itself may
   be NULL.  Each handle is entered for the time of the call, so that a number which another thread closes
   meanwhile is still the right one, and one that is closed already is -EBADF. */
UDS_FUNCTION ssize_t uds_handle_send_fds(struct uds_handle *handle, const void *data, size_t size, int flags,
                                         const struct sockaddr_un *address, socklen_t length,
                                         const int *fds, struct uds_handle **owners, int count)
{
    int numbers[UDS_SCM_MAX_FD];
    int entered = 0;
    ssize_t result = 0;

    if (count < 0 || count > UDS_SCM_MAX_FD)
        return -EINVAL;
    while (entered < count) {
        struct uds_handle *owner = owners == NULL ? NULL : owners[entered];
        int number = owner == NULL ? fds[entered] : uds_handle_enter(owner);
        if (number < 0) {
            result = -EBADF;
            break;
        }
        numbers[entered++] = number;
    }
    if (result == 0) {
        int fd = uds_handle_enter(handle);
        result = fd;
        if (fd >= 0) {
            result = uds_send_fds(fd, data, size, flags, address, length, numbers, count);
            uds_handle_leave(handle);
        }
    }
    while (owners != NULL && entered-- > 0)
        if (owners[entered] != NULL)
            uds_handle_leave(owners[entered]);
    return result;
}

/* The same for bare numbers on a connected socket; a call from Python costs by the argument. */
UDS_FUNCTION ssize_t uds_handle_send_numbers(struct uds_handle *handle, const void *data, size_t size, int flags,
                                             const int *fds, int count)
{
    return uds_handle_send_fds(handle, data, size, flags, NULL, 0, fds, NULL, count);
}

/* The same, with everything but the bytes in one piece of memory: their size (int64_t), flags, count and numbers (ints),
   as struct.pack("qii...i") writes them. */
UDS_FUNCTION ssize_t uds_handle_send_packed(struct uds_handle *handle, const void *data, const void *packed)
{
    int64_t size;
    int head[2], fds[UDS_SCM_MAX_FD];

    memcpy(&size, packed, sizeof size);
    memcpy(head, (const char *)packed + sizeof size, sizeof head);
    if (size < 0 || head[1] < 0 || head[1] > UDS_SCM_MAX_FD)
        return -EINVAL;
    memcpy(fds, (const char *)packed + sizeof size + sizeof head, (size_t)head[1] * sizeof(int));
    return uds_handle_send_fds(handle, data, (size_t)size, head[0], NULL, 0, fds, NULL, head[1]);
}

#endif
