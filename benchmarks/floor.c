/* The floor: the same system calls as the library and the standard library make, with nothing around them.

   Rules:
   - One function is one operation in a loop.  It allocates nothing and checks only what it must to report an error.
   - Errors are returned as -errno, EINTR too: a run that was interrupted is no measurement. */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#if defined(__linux__)
#  include <sys/epoll.h>
#  include <sys/syscall.h>
#endif

#ifndef MSG_NOSIGNAL
#  define MSG_NOSIGNAL 0
#endif
#ifndef MSG_CMSG_CLOEXEC
#  define MSG_CMSG_CLOEXEC 0
#endif
#ifndef SOCK_CLOEXEC
#  define SOCK_CLOEXEC 0
#endif
#define MOST_FDS 253
#define MOST_PIECES 64

#define FAIL_IF_NEGATIVE(call) \
    do {                       \
        if ((call) < 0)        \
            return -errno;     \
    } while (0)

static int64_t floor_send_recv(int from, int to, const void *data, size_t size, void *into, size_t room, int flags,
                               int64_t rounds)
{
    ssize_t got = 0;
    while (rounds-- > 0) {
        FAIL_IF_NEGATIVE(send(from, data, size, MSG_NOSIGNAL | flags));
        FAIL_IF_NEGATIVE(got = recv(to, into, room, flags));
    }
    return got;
}

static int64_t floor_vectored(int from, int to, const char *data, char *into, size_t piece, int pieces, int64_t rounds)
{
    struct iovec out[MOST_PIECES], in[MOST_PIECES];
    struct msghdr message;
    ssize_t got = 0;
    int index;

    if (pieces > MOST_PIECES)
        return -EINVAL;
    for (index = 0; index < pieces; index++) {
        out[index].iov_base = (void *)(uintptr_t)(data + piece * (size_t)index);
        in[index].iov_base = into + piece * (size_t)index;
        out[index].iov_len = in[index].iov_len = piece;
    }
    while (rounds-- > 0) {
        memset(&message, 0, sizeof message);
        message.msg_iov = out;
        message.msg_iovlen = pieces;
        FAIL_IF_NEGATIVE(sendmsg(from, &message, MSG_NOSIGNAL));
        memset(&message, 0, sizeof message);
        message.msg_iov = in;
        message.msg_iovlen = pieces;
        FAIL_IF_NEGATIVE(got = recvmsg(to, &message, 0));
    }
    return got;
}

/* Received numbers nearly always follow each other, and then one call closes them all. */
static void close_received(const int *fds, int count)
{
    int index;
#if defined(SYS_close_range)
    int run = 1;
    while (run < count && fds[run] == fds[0] + run)
        run++;
    if (count > 1 && run == count &&
        syscall(SYS_close_range, (unsigned int)fds[0], (unsigned int)(fds[0] + count - 1), 0u) == 0)
        return;
#endif
    for (index = 0; index < count; index++)
        close(fds[index]);
}

/* A message of one piece with control messages beside it. */
static void lay_out(struct msghdr *message, struct iovec *iov, void *data, size_t size, void *control,
                    size_t control_size)
{
    memset(message, 0, sizeof *message);
    iov->iov_base = data;
    iov->iov_len = size;
    message->msg_iov = iov;
    message->msg_iovlen = 1;
    message->msg_control = control;
    message->msg_controllen = control_size;
}

static int64_t bare_recv_fds(int fd, void *into, size_t room, int *fds, int most)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
    } control;
    struct iovec iov;
    struct msghdr message;
    struct cmsghdr *item;
    int count;

    lay_out(&message, &iov, into, room, control.bytes, sizeof control.bytes);
    FAIL_IF_NEGATIVE(recvmsg(fd, &message, MSG_CMSG_CLOEXEC));
    item = CMSG_FIRSTHDR(&message);
    if (item == NULL || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
        return 0;
    count = (int)((item->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    if (count > most)
        return -ENOBUFS;
    memcpy(fds, CMSG_DATA(item), (size_t)count * sizeof(int));
    return count;
}

static int64_t floor_fds(int from, int to, const int *fds, int count, int64_t rounds)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
    } control;
    int received[MOST_FDS];
    struct iovec iov;
    struct msghdr message;
    struct cmsghdr *item;
    int64_t got = 0;
    char byte = 'x';

    if (count < 1 || count > MOST_FDS)
        return -EINVAL;
    while (rounds-- > 0) {
        lay_out(&message, &iov, &byte, 1, control.bytes, CMSG_SPACE((size_t)count * sizeof(int)));
        item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(item), fds, (size_t)count * sizeof(int));
        FAIL_IF_NEGATIVE(sendmsg(from, &message, MSG_NOSIGNAL));
        got = bare_recv_fds(to, &byte, 1, received, MOST_FDS);
        if (got < 0)
            return got;
        close_received(received, (int)got);
    }
    return got;
}

/* Returns the sender's process. */
static int64_t floor_credentials(int from, int to, const void *data, size_t size, void *into, size_t room,
                                 int64_t rounds)
{
#if defined(SCM_CREDENTIALS)
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(64)];
    } control;
    struct ucred sender;
    struct iovec iov;
    struct msghdr message;
    struct cmsghdr *item;

    memset(&sender, 0, sizeof sender);
    while (rounds-- > 0) {
        FAIL_IF_NEGATIVE(send(from, data, size, MSG_NOSIGNAL));
        lay_out(&message, &iov, into, room, control.bytes, sizeof control.bytes);
        FAIL_IF_NEGATIVE(recvmsg(to, &message, MSG_CMSG_CLOEXEC));
        item = CMSG_FIRSTHDR(&message);
        if (item == NULL || item->cmsg_type != SCM_CREDENTIALS)
            return -EBADMSG;
        memcpy(&sender, CMSG_DATA(item), sizeof sender);
    }
    return sender.pid;
#else
    (void)from, (void)to, (void)data, (void)size, (void)into, (void)room, (void)rounds;
    return -ENOSYS;
#endif
}

/* Returns how many packets the last round received. */
static int64_t floor_batch(int from, int to, const void *data, size_t size, void *into, int packets, int64_t rounds)
{
    int index;
    while (rounds-- > 0) {
        for (index = 0; index < packets; index++)
            FAIL_IF_NEGATIVE(send(from, data, size, MSG_NOSIGNAL));
        for (index = 0; index < packets; index++)
            FAIL_IF_NEGATIVE(recv(to, (char *)into + size * (size_t)index, size, 0));
    }
    return packets;
}

static int64_t floor_nothing(int fd, void *into, size_t room, int64_t rounds)
{
    while (rounds-- > 0) {
        ssize_t got = recv(fd, into, room, MSG_DONTWAIT);
        if (got >= 0)
            return -EEXIST;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return -errno;
    }
    return 0;
}

static int64_t floor_pair_close(int type, int64_t rounds)
{
    int sv[2];
    while (rounds-- > 0) {
        FAIL_IF_NEGATIVE(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sv));
        close(sv[0]);
        close(sv[1]);
    }
    return 0;
}

static int64_t floor_connect_accept(int type, int listener, const char *path, int64_t rounds)
{
    struct sockaddr_un address;
    size_t length = strlen(path);
    socklen_t size = (socklen_t)(sizeof address - sizeof address.sun_path + length + 1);

    if (length >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, length);
    while (rounds-- > 0) {
        struct sockaddr_un peer;
        socklen_t peer_size = sizeof peer;
        int accepted, error = 0, client = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        FAIL_IF_NEGATIVE(client);
        accepted = connect(client, (struct sockaddr *)&address, size);
        if (accepted == 0)
            accepted = accept4(listener, (struct sockaddr *)&peer, &peer_size, SOCK_CLOEXEC);
        if (accepted < 0)
            error = errno;
        else
            close(accepted);
        close(client);
        if (error)
            return -error;
    }
    return 0;
}

/* The side that asks in a ping-pong. */
static int64_t floor_ask(int fd, const void *data, size_t size, void *into, size_t room, int64_t rounds)
{
    return floor_send_recv(fd, fd, data, size, into, room, 0, rounds);
}

/* The side that answers, until the connection ends. */
static int64_t floor_answer(int fd, void *into, size_t room)
{
    for (;;) {
        ssize_t got;
        FAIL_IF_NEGATIVE(got = recv(fd, into, room, 0));
        if (got == 0)
            return 0;
        FAIL_IF_NEGATIVE(send(fd, into, (size_t)got, MSG_NOSIGNAL));
    }
}

/* Sends how many bytes follow, as 8 bytes in this machine's order, then these; waits for one byte. */
static int64_t floor_pour(int fd, const void *data, size_t size, int64_t rounds)
{
    uint64_t total = (uint64_t)rounds * size;
    char done = 0;
    FAIL_IF_NEGATIVE(send(fd, &total, sizeof total, MSG_NOSIGNAL));
    while (total > 0) {
        ssize_t went;
        size_t rest = total % size == 0 ? size : (size_t)(total % size);
        FAIL_IF_NEGATIVE(went = send(fd, (const char *)data + (size - rest), rest, MSG_NOSIGNAL));
        total -= (uint64_t)went;
    }
    FAIL_IF_NEGATIVE(recv(fd, &done, 1, 0));
    return done;
}

/* The other side of floor_pour(), until the connection ends. */
static int64_t floor_drain(int fd, void *into, size_t room)
{
    for (;;) {
        uint64_t total = 0;
        ssize_t got;
        FAIL_IF_NEGATIVE(got = recv(fd, &total, sizeof total, MSG_WAITALL));
        if (got == 0)
            return 0;
        while (total > 0) {
            FAIL_IF_NEGATIVE(got = recv(fd, into, total < room ? (size_t)total : room, 0));
            if (got == 0)
                return -ECONNRESET;
            total -= (uint64_t)got;
        }
        FAIL_IF_NEGATIVE(send(fd, "!", 1, MSG_NOSIGNAL));
    }
}

/* One client after the other asks, and the server answers whoever its poller names. */
static int64_t floor_serve(int poller, const int *clients, int count, int64_t first, const void *data, size_t size,
                           void *into, size_t room, int64_t rounds)
{
#if defined(__linux__)
    ssize_t got = 0;
    int64_t round;
    for (round = 0; round < rounds; round++) {
        struct epoll_event event;
        int client = clients[(first + round) % count];
        FAIL_IF_NEGATIVE(send(client, data, size, MSG_NOSIGNAL));
        FAIL_IF_NEGATIVE(epoll_wait(poller, &event, 1, -1));
        FAIL_IF_NEGATIVE(got = recv(event.data.fd, into, room, 0));
        FAIL_IF_NEGATIVE(send(event.data.fd, into, (size_t)got, MSG_NOSIGNAL));
        FAIL_IF_NEGATIVE(got = recv(client, into, room, 0));
    }
    return got;
#else
    (void)poller, (void)clients, (void)count, (void)first, (void)data, (void)size, (void)into, (void)room;
    (void)rounds;
    return -ENOSYS;
#endif
}

#if defined(__linux__)
static cpu_set_t allowed_before;
static int is_pinned;
#endif

static int pin_to_processor(int place)
{
#if defined(__linux__)
    cpu_set_t set;
    int processor;

    if (!is_pinned) {
        if (sched_getaffinity(0, sizeof allowed_before, &allowed_before) < 0)
            return -errno;
        is_pinned = 1;
    }
    for (processor = 0; processor < CPU_SETSIZE; processor++)
        if (CPU_ISSET(processor, &allowed_before) && place-- == 0) {
            CPU_ZERO(&set);
            CPU_SET(processor, &set);
            return sched_setaffinity(0, sizeof set, &set) < 0 ? -errno : 0;
        }
    return -ENODEV;
#else
    (void)place;
    return -ENOSYS;
#endif
}

/* Undoes pin_to_processor(). */
static int unpin(void)
{
#if defined(__linux__)
    if (is_pinned && sched_setaffinity(0, sizeof allowed_before, &allowed_before) < 0)
        return -errno;
    is_pinned = 0;
    return 0;
#else
    return -ENOSYS;
#endif
}
