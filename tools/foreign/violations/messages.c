/* What is sent and received. */
#include "violations.h"

/* --- Sending --- */

static int two_rights(void)
{
    socklen_t length = item(0, SCM_RIGHTS, &one, sizeof one);
    prepare(item(length, SCM_RIGHTS, &two, sizeof two));
    CHECK_ERROR(sendmsg(one, &message, 0), EINVAL);
    return 0;
}

static int longer_control(void)
{
    prepare(item(0, SCM_RIGHTS, &one, sizeof one) + 32);
    CHECK_ERROR(sendmsg(one, &message, 0), EINVAL);
    prepare(item(0, SCM_RIGHTS, &one, sizeof one));
    CHECK(sendmsg(one, &message, 0) == 1);
    return 0;
}

static int more_control_than_a_cluster(void)
{
    static int many[600];
    prepare(item(0, SCM_RIGHTS, many, sizeof many));
    CHECK_ERROR(sendmsg(one, &message, 0), EINVAL);
    return 0;
}

static int out_of_band(void)
{
    CHECK_ERROR(send(one, "x", 1, MSG_OOB), EOPNOTSUPP);
    return 0;
}

static int broken_pipe(void)
{
    close(two);
    send(one, "x", 1, 0);
    return __LINE__;
}

static int no_signal(void)
{
    close(two);
    CHECK_ERROR(send(one, "x", 1, MSG_NOSIGNAL), EPIPE);
#if defined(SO_NOSIGPIPE)
    {
        int on = 1;
        CHECK(setsockopt(one, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0);
        CHECK_ERROR(send(one, "x", 1, 0), EPIPE);
    }
#endif
    return 0;
}

static int full_datagram(void)
{
    struct pollfd polled = {-1, POLLOUT, 0};
    CHECK(pair(SOCK_DGRAM) == 0);
    while (send(one, "x", 1, 0) == 1)
        ;
    CHECK(errno == ENOBUFS);
    polled.fd = one;
    CHECK(poll(&polled, 1, -1) == 1 && polled.revents == POLLOUT);
    return 0;
}

/* --- Receiving --- */

static int pass_one(int space)
{
    prepare(item(0, SCM_RIGHTS, &one, sizeof one));
    CHECK(sendmsg(one, &message, 0) == 1);
    memset(&control, 0, sizeof control);
    prepare((socklen_t)space);
    return 0;
}

static int small_control(void)
{
    int last = fcntl(one, F_DUPFD_CLOEXEC, 0);
    close(last);
    CHECK(pass_one(4) == 0);
#if defined(__OpenBSD__)
    CHECK_ERROR(recvmsg(two, &message, 0), EMSGSIZE);
    CHECK_ERROR(fcntl(last, F_GETFD), EBADF);
#else
    CHECK(recvmsg(two, &message, 0) == 1 && (message.msg_flags & MSG_CTRUNC));
    /* Nobody knows its number, and it is open. */
    CHECK(fcntl(last, F_GETFD) >= 0);
#endif
    return 0;
}

static int flags_come_back(void)
{
    CHECK(pass_one(sizeof control) == 0);
    CHECK(recvmsg(two, &message, MSG_DONTWAIT) == 1 && message.msg_flags == MSG_DONTWAIT);
    CHECK(message.msg_controllen == CMSG_SPACE(sizeof(int)));
    return 0;
}

static int peeked_control(void)
{
    struct cmsghdr *header = &control.aligned;
    CHECK(pass_one(sizeof control) == 0);
    CHECK(recvmsg(two, &message, MSG_PEEK) == 1);
    /* A pointer has the room of two descriptors. */
    CHECK(header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(2 * sizeof(int)));
    return 0;
}

static int close_on_exec(void)
{
    int fd;
    CHECK(pass_one(sizeof control) == 0 && recvmsg(two, &message, 0) == 1);
    memcpy(&fd, CMSG_DATA(&control.aligned), sizeof fd);
    CHECK(fcntl(fd, F_GETFD) == 0);
#if defined(MSG_CMSG_CLOEXEC)
    CHECK(pass_one(sizeof control) == 0 && recvmsg(two, &message, MSG_CMSG_CLOEXEC) == 1);
    memcpy(&fd, CMSG_DATA(&control.aligned), sizeof fd);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
#endif
    return 0;
}
