/* Who is at the other end, and who has sent. */
#include "violations.h"

static int get_peer(int fd)
{
#if defined(__NetBSD__)
    struct unpcbid peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_LOCAL, LOCAL_PEEREID, &peer, &length);
#elif defined(__OpenBSD__)
    struct sockpeercred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
#else
    struct xucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &peer, &length);
#endif
}

#if defined(__FreeBSD__)
#  define NOBODY_OF_A_PAIR 0
#  define NOBODY_OF_A_DATAGRAM EINVAL
#elif defined(__APPLE__)
#  define NOBODY_OF_A_PAIR ENOTCONN
#  define NOBODY_OF_A_DATAGRAM EINVAL
#elif defined(__NetBSD__)
#  define NOBODY_OF_A_PAIR EINVAL
#  define NOBODY_OF_A_DATAGRAM EINVAL
#else
#  define NOBODY_OF_A_PAIR ENOTCONN
#  define NOBODY_OF_A_DATAGRAM ENOTCONN
#endif

static int peer_of_a_pair(void)
{
    int result = get_peer(one);
    CHECK(NOBODY_OF_A_PAIR == 0 ? result == 0 : result < 0 && errno == NOBODY_OF_A_PAIR);
    CHECK(pair(SOCK_DGRAM) == 0);
    CHECK_ERROR(get_peer(one), NOBODY_OF_A_DATAGRAM);
    return 0;
}

#if defined(__APPLE__)
static int audit_token(void)
{
    uint32_t token[8];
    socklen_t length = sizeof token;
    int alone = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(getsockopt(one, SOL_LOCAL, LOCAL_PEERTOKEN, token, &length) == 0 && length == sizeof token);
    CHECK(token[5] > 0);
    CHECK_ERROR(getsockopt(alone, SOL_LOCAL, LOCAL_PEERTOKEN, token, &length), ENOTCONN);
    return 0;
}
#endif

#if defined(LOCAL_CREDS)
static int receive_control(void)
{
    memset(&control, 0, sizeof control);
    prepare(sizeof control);
    return recvmsg(two, &message, 0) == 1 ? (int)message.msg_controllen : -1;
}

static int credentials_once(void)
{
    int on = 1;
    CHECK(setsockopt(two, SOL_LOCAL, LOCAL_CREDS, &on, sizeof on) == 0);
    CHECK(send(one, "x", 1, 0) == 1 && send(one, "y", 1, 0) == 1);
    CHECK(receive_control() > 0 && control.aligned.cmsg_type == SCM_CREDS);
    CHECK(receive_control() == 0);
    CHECK(pair(SOCK_DGRAM) == 0);
    CHECK(setsockopt(two, SOL_LOCAL, LOCAL_CREDS, &on, sizeof on) == 0);
    CHECK(send(one, "x", 1, 0) == 1 && send(one, "y", 1, 0) == 1);
    CHECK(receive_control() > 0 && receive_control() > 0);
    return 0;
}
#endif

#if defined(__FreeBSD__)
static int credentials_exclude_each_other(void)
{
    int on = 1, off = 0;
    CHECK(setsockopt(two, SOL_LOCAL, LOCAL_CREDS, &on, sizeof on) == 0);
    CHECK_ERROR(setsockopt(two, SOL_LOCAL, LOCAL_CREDS_PERSISTENT, &on, sizeof on), EINVAL);
    CHECK(setsockopt(two, SOL_LOCAL, LOCAL_CREDS, &off, sizeof off) == 0);
    CHECK(setsockopt(two, SOL_LOCAL, LOCAL_CREDS_PERSISTENT, &on, sizeof on) == 0);
    CHECK_ERROR(setsockopt(two, SOL_LOCAL, LOCAL_CREDS, &on, sizeof on), EINVAL);
    CHECK(send(one, "x", 1, 0) == 1 && send(one, "y", 1, 0) == 1);
    CHECK(receive_control() > 0 && control.aligned.cmsg_type == SCM_CREDS2);
    CHECK(receive_control() > 0 && control.aligned.cmsg_type == SCM_CREDS2);
    return 0;
}

static int credentials_are_filled_in(void)
{
    static const struct cmsgcred forged = {.cmcred_pid = -1};
    struct cmsgcred came;
    prepare(item(0, SCM_CREDS, &forged, sizeof forged));
    CHECK(sendmsg(one, &message, 0) == 1);
    CHECK(receive_control() == (int)CMSG_SPACE(sizeof came) && control.aligned.cmsg_type == SCM_CREDS);
    memcpy(&came, CMSG_DATA(&control.aligned), sizeof came);
    CHECK(came.cmcred_pid > 0 && came.cmcred_ngroups > 0);
    return 0;
}

static int times_are_filled_in(void)
{
    static const struct timespec forged = {0, 0};
    struct timespec came;
    socklen_t length = item(0, SCM_REALTIME, &forged, sizeof forged);
    prepare(item(length, SCM_RIGHTS, &one, sizeof one));
    CHECK(sendmsg(one, &message, 0) == 1);
    CHECK(receive_control() == (int)(CMSG_SPACE(sizeof came) + CMSG_SPACE(sizeof(int))));
    memcpy(&came, CMSG_DATA(&control.aligned), sizeof came);
    CHECK(control.aligned.cmsg_type == SCM_REALTIME && came.tv_sec > 1700000000);
    return 0;
}
#endif
