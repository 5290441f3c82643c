/* Packets of unknown length, and the difference between an empty packet and the end of the connection.

   recv(2) returns 0 for both.  A queued packet carries a timestamp when SO_TIMESTAMPNS is on at the time of the read
   (net/socket.c: it takes the current time for a packet that was queued before), the end of the connection
   carries nothing.  So the option is switched on for one peek and off again. */
#ifndef UDS_PACKET_C
#define UDS_PACKET_C
#include "control.c"
#include "wait.c"

#if defined(__linux__) && defined(SO_TIMESTAMP) && defined(SO_TIMESTAMPNS) && UDS_HAS_POLLRDHUP && !defined(UDS_MINIMAL)
#  define UDS_HAS_PACKET_END 1
#else
#  define UDS_HAS_PACKET_END 0
#endif

/* Switches the caller's SO_PEEK_OFF off, so that a peek in here begins at the next packet, and returns it. */
UDS_FUNCTION int uds_suspend_peek_offset(int fd)
{
    int offset = -1;
#if UDS_HAS_PEEK_OFF
    static const int off = -1;
    socklen_t length = sizeof offset;
    if (uds_getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &length) < 0)
        offset = -1;
    if (offset >= 0)
        uds_setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off);
#else
    (void)fd;
#endif
    return offset;
}

UDS_FUNCTION void uds_resume_peek_offset(int fd, int offset)
{
    if (offset >= 0)
        uds_setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset);
}

/* The length of the next packet, which stays in the queue; -ENOSYS where the system does not tell it.  While the
   caller uses SO_PEEK_OFF it is switched off only for a peek that does not wait, and poll(2) waits before it. */
UDS_FUNCTION ssize_t uds_packet_length(int fd, int flags)
{
#if UDS_HAS_TRUNC_LENGTH
    ssize_t result;
    int offset = uds_suspend_peek_offset(fd);
    if (offset < 0)
        return uds_recv(fd, NULL, 0, flags | MSG_PEEK | MSG_TRUNC);
    result = uds_recv(fd, NULL, 0, flags | MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    uds_resume_peek_offset(fd, offset);
    return result;
#else
    (void)fd;
    (void)flags;
    return -ENOSYS;
#endif
}

UDS_FUNCTION ssize_t uds_handle_packet_length(struct uds_handle *handle, int flags)
{
    UDS_HELD(handle, ssize_t, uds_packet_length(fd, flags));
}

#if UDS_HAS_PACKET_END
/* Peeks with room for one timestamp and nothing more, so that no descriptor can be installed. */
UDS_FUNCTION int uds_peek_timestamp(int fd)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(16)];
    } control;
    struct uds_control_item item;
    struct iovec iov;
    struct msghdr message;
    ssize_t result;

    memset(&message, 0, sizeof message);
    iov.iov_base = NULL;
    iov.iov_len = 0;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    result = uds_recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (result < 0)
        return (int)result;
    uds_control_claim(control.bytes, (size_t)message.msg_controllen, NULL, 0);
    item.next = 0;
    while (uds_control_next(control.bytes, (size_t)message.msg_controllen, &item))
        if (item.level == SOL_SOCKET && (item.type == SO_TIMESTAMP || item.type == SO_TIMESTAMPNS
#  ifdef SO_TIMESTAMPNS_NEW
                                         || item.type == SO_TIMESTAMP_NEW || item.type == SO_TIMESTAMPNS_NEW
#  endif
                                         ))
            return 1;
    return 0;
}

UDS_FUNCTION int uds_timestamps_are_on(int fd)
{
    static const int NAMES[] = {
        SO_TIMESTAMP,
        SO_TIMESTAMPNS,
#  ifdef SO_TIMESTAMPNS_NEW
        SO_TIMESTAMP_NEW,
        SO_TIMESTAMPNS_NEW,
#  endif
    };
    size_t index;
    for (index = 0; index < sizeof NAMES / sizeof NAMES[0]; index++) {
        int on = 0;
        socklen_t length = sizeof on;
        if (uds_getsockopt(fd, SOL_SOCKET, NAMES[index], &on, &length) == 0 && on)
            return 1;
    }
    return 0;
}
#endif

/* 1 when a packet is queued, even an empty one, 0 at the end of the connection, -EAGAIN when neither is there yet,
   -ENOSYS where the system cannot tell. */
UDS_FUNCTION int uds_packet_waiting(int fd)
{
#if UDS_HAS_PACKET_END
    static const int on = 1, off = 0;
    int result = uds_peek_timestamp(fd);
    int round, confirmed = 0;
    /* Another reader of the same queue may be switching timestamps at the same time.  So the end is believed when
       they were on before a peek that shows nothing and still are after it, when the peer has hung up, and all that
       twice.  A kernel that accepts the option and ignores it never shows one, and runs out of rounds. */
    for (round = 0; round < 64 && result == 0 && confirmed < 2; round++) {
        int were_on = uds_timestamps_are_on(fd);
        int still_on;
        if (!were_on && uds_setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0)
            return -ENOSYS;
        result = uds_peek_timestamp(fd);
        still_on = uds_timestamps_are_on(fd);
        if (!were_on)
            uds_setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &off, sizeof off);
        if (still_on && (uds_wait(fd, POLLIN, 0) & (POLLHUP | POLLRDHUP)))
            confirmed++;
    }
    return result;
#else
    (void)fd;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_packet_waits(int fd)
{
    int offset = uds_suspend_peek_offset(fd);
    int result = uds_packet_waiting(fd);
    uds_resume_peek_offset(fd, offset);
    return result;
}

UDS_FUNCTION int uds_handle_packet_waiting(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_packet_waits(fd));
}

#endif
