/* Sending through a handle.

   Rule: no send raises SIGPIPE. */
#ifndef UDS_SEND_C
#define UDS_SEND_C
#include "control.c"

UDS_FUNCTION ssize_t uds_handle_send(struct uds_handle *handle, const void *data, size_t size, int flags)
{
    UDS_HELD(handle, ssize_t, uds_send(fd, data, size, flags | MSG_NOSIGNAL));
}

UDS_FUNCTION ssize_t uds_handle_sendto(struct uds_handle *handle, const void *data, size_t size, int flags,
                                       const struct sockaddr_un *address, socklen_t length)
{
    UDS_HELD(handle, ssize_t, uds_sendto(fd, data, size, flags | MSG_NOSIGNAL, address, length));
}

UDS_FUNCTION ssize_t uds_handle_sendmsg(struct uds_handle *handle, const struct msghdr *message, int flags)
{
    UDS_HELD(handle, ssize_t, uds_sendmsg(fd, message, flags | MSG_NOSIGNAL));
}

/* One SCM_RIGHTS item, with msg_controllen exactly its space: the form that every system accepts. */
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
    return uds_sendmsg(fd, &message, flags | MSG_NOSIGNAL);
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
