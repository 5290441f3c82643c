/* The sockets of this network namespace: sock_diag(7), Linux 3.3, with CONFIG_UNIX_DIAG.

   Rules:
   - All arithmetic of netlink messages and attributes is done here, and nothing outside of the bytes that were received
     is read: a message or an attribute that is shorter than it must be, or longer than what is left, is -EBADMSG.
   - Messages may lie anywhere in the data, so that headers are copied and never cast.
   - The kernel makes the first part of a list while the request is sent, and the next one during each receive, so an
     answer never has to be waited for; one that is not there is -EAGAIN. */
#ifndef UDS_DIAGNOSTICS_C
#define UDS_DIAGNOSTICS_C
#include "options.c"

#if defined(__linux__) && !defined(UDS_MINIMAL)
/* Some C libraries come without the kernel's headers. */
#  if __has_include(<linux/unix_diag.h>) && __has_include(<linux/sock_diag.h>)
#    include <linux/netlink.h>
#    include <linux/rtnetlink.h>
#    include <linux/sock_diag.h>
#    include <linux/unix_diag.h>
#    include <netinet/tcp.h>
#    include <sys/sysmacros.h>
#    define UDS_HAS_DIAGNOSTICS 1
#  endif
#endif

#ifndef UDS_HAS_DIAGNOSTICS
#  define UDS_HAS_DIAGNOSTICS 0
#endif

/* The kernel names the states of all sockets after those of TCP (include/net/tcp_states.h). */
#if UDS_HAS_DIAGNOSTICS
#  define UDS_DIAG_ESTABLISHED ((int)TCP_ESTABLISHED)
#  define UDS_DIAG_UNCONNECTED ((int)TCP_CLOSE)
#  define UDS_DIAG_LISTENING ((int)TCP_LISTEN)
#  ifndef UDIAG_SHOW_UID /* Linux 5.3 */
#    define UDIAG_SHOW_UID 0x40 /* include/uapi/linux/unix_diag.h, the same on every architecture */
#    define UNIX_DIAG_UID 7
#  endif
#else
#  define UDS_DIAG_ESTABLISHED (-1)
#  define UDS_DIAG_UNCONNECTED (-1)
#  define UDS_DIAG_LISTENING (-1)
#endif

#define UDS_DIAG_HAS_FILE 1
#define UDS_DIAG_HAS_QUEUES 2
#define UDS_DIAG_HAS_UID 4
#define UDS_DIAG_HAS_CLIENTS 8

/* No field needs padding: Python reads an array of them as plain bytes. */
struct uds_diag_socket {
    uint64_t cookie;
    uint64_t device;
    uint32_t inode;
    uint32_t type;
    uint32_t state;
    uint32_t present;
    uint32_t file;
    uint32_t peer;
    uint32_t receive_queue;
    uint32_t send_queue;
    uint32_t shutdown;
    uint32_t uid;
    uint32_t name;
    uint32_t name_size;
    uint32_t clients;
    uint32_t client_count;
};

struct uds_diag {
    struct uds_handle *handle;
    char *data;
    size_t room;
    struct uds_diag_socket *sockets;
    size_t most;
    size_t size;
    size_t place;
    uint32_t sequence;
    int ended;
    int changed;
};

#if UDS_HAS_DIAGNOSTICS

/* Opens the netlink socket into its handle, close-on-exec. */
UDS_FUNCTION int uds_diag_open(struct uds_handle *handle)
{
    int fd = UDS_RESULT(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    return fd < 0 ? fd : uds_handle_birth(handle, fd, 0);
}

/* Asks for the socket of this inode, or, with inode 0, for all sockets in these states (a mask of 1 << state).
   The list of clients is asked for separately: it has no limit, and the kernel ends a list without an error where one
   socket's entry does not fit. */
UDS_FUNCTION int uds_diag_ask(struct uds_diag *diag, uint32_t inode, uint32_t states, int clients)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } message;
    struct sockaddr_nl kernel;
    ssize_t sent;
    int fd;

    memset(&message, 0, sizeof message);
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | (inode ? 0 : NLM_F_DUMP);
    message.header.nlmsg_seq = ++diag->sequence;
    message.request.sdiag_family = AF_UNIX;
    message.request.udiag_states = states;
    message.request.udiag_ino = inode;
    message.request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN |
                                 UDIAG_SHOW_UID | (clients ? UDIAG_SHOW_ICONS : 0);
    /* Whatever the cookie: INET_DIAG_NOCOOKIE of include/uapi/linux/inet_diag.h. */
    message.request.udiag_cookie[0] = message.request.udiag_cookie[1] = ~0u;
    memset(&kernel, 0, sizeof kernel);
    kernel.nl_family = AF_NETLINK;
    diag->size = diag->place = 0;
    diag->ended = diag->changed = 0;
    fd = uds_handle_enter(diag->handle);
    if (fd < 0)
        return fd;
    sent = UDS_RESULT(sendto(fd, &message, sizeof message, 0, (struct sockaddr *)&kernel, sizeof kernel));
    uds_handle_leave(diag->handle);
    return sent < 0 ? (int)sent : 0;
}

/* Receives a part of the answer and returns its size, 0 for what the kernel did not send, or -errno: -EMSGSIZE when
   there is no room for it, -EAGAIN when there is nothing. */
UDS_FUNCTION ssize_t uds_diag_receive(struct uds_diag *diag)
{
    struct sockaddr_nl sender;
    socklen_t length = sizeof sender;
    ssize_t size;
    int fd = uds_handle_enter(diag->handle);

    if (fd < 0)
        return fd;
    memset(&sender, 0, sizeof sender);
    diag->size = diag->place = 0;
    size = UDS_RESULT(
        recvfrom(fd, diag->data, diag->room, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender, &length));
    uds_handle_leave(diag->handle);
    if (size < 0)
        return size;
    if ((size_t)size > diag->room)
        return -EMSGSIZE;
    if (sender.nl_pid != 0)
        return 0;
    diag->size = (size_t)size;
    return size;
}

/* Copies what is known of a value, which a newer kernel may make longer; -EBADMSG when it is shorter. */
UDS_FUNCTION int uds_diag_value(void *known, size_t wanted, const char *value, size_t size)
{
    if (size < wanted)
        return -EBADMSG;
    memcpy(known, value, wanted);
    return 0;
}

/* Reads one attribute, whose value lies at place; -EBADMSG when it is too short. */
UDS_FUNCTION int uds_diag_attribute(struct uds_diag_socket *found, const char *data, unsigned int type, size_t place,
                                    size_t size)
{
    const char *value = data + place;
    struct unix_diag_vfs file;
    struct unix_diag_rqlen queues;

    switch (type) {
    case UNIX_DIAG_NAME:
        found->name = (uint32_t)place;
        found->name_size = (uint32_t)size;
        return 0;
    case UNIX_DIAG_VFS:
        if (uds_diag_value(&file, sizeof file, value, size) < 0)
            return -EBADMSG;
        found->file = file.udiag_vfs_ino;
        /* The kernel's own form of a device number: MINORBITS of include/linux/kdev_t.h is 20. */
        found->device = makedev(file.udiag_vfs_dev >> 20, file.udiag_vfs_dev & 0xfffff);
        found->present |= UDS_DIAG_HAS_FILE;
        return 0;
    case UNIX_DIAG_PEER:
        return uds_diag_value(&found->peer, sizeof found->peer, value, size);
    case UNIX_DIAG_ICONS:
        found->clients = (uint32_t)place;
        found->client_count = (uint32_t)(size / sizeof(uint32_t));
        found->present |= UDS_DIAG_HAS_CLIENTS;
        return 0;
    case UNIX_DIAG_RQLEN:
        if (uds_diag_value(&queues, sizeof queues, value, size) < 0)
            return -EBADMSG;
        found->receive_queue = queues.udiag_rqueue;
        found->send_queue = queues.udiag_wqueue;
        found->present |= UDS_DIAG_HAS_QUEUES;
        return 0;
    case UNIX_DIAG_SHUTDOWN:
        if (size < 1)
            return -EBADMSG;
        found->shutdown = (unsigned char)value[0];
        return 0;
    case UNIX_DIAG_UID:
        found->present |= UDS_DIAG_HAS_UID;
        return uds_diag_value(&found->uid, sizeof found->uid, value, size);
    default:
        return 0; /* Newer than this library. */
    }
}

/* Reads the entry of one socket, between two places of the data. */
UDS_FUNCTION int uds_diag_entry(struct uds_diag_socket *found, const char *data, size_t place, size_t end)
{
    struct unix_diag_msg message;
    struct rtattr attribute;
    int result;

    memset(found, 0, sizeof *found);
    if (end - place < sizeof message)
        return -EBADMSG;
    memcpy(&message, data + place, sizeof message);
    if (message.udiag_family != AF_UNIX)
        return -EBADMSG;
    found->cookie = (uint64_t)message.udiag_cookie[1] << 32 | message.udiag_cookie[0];
    found->inode = message.udiag_ino;
    found->type = message.udiag_type;
    found->state = message.udiag_state;
    for (place += NLMSG_ALIGN(sizeof message); place < end; place += RTA_ALIGN(attribute.rta_len)) {
        if (end - place < sizeof attribute)
            return -EBADMSG;
        memcpy(&attribute, data + place, sizeof attribute);
        if (attribute.rta_len < RTA_LENGTH(0) || attribute.rta_len > end - place)
            return -EBADMSG;
        result = uds_diag_attribute(found, data, attribute.rta_type, place + RTA_LENGTH(0),
                                    attribute.rta_len - RTA_LENGTH(0));
        if (result < 0)
            return result;
    }
    return 0;
}

/* The error that a message carries: always in one of type NLMSG_ERROR, and since Linux 4.14 at the end of a list. */
UDS_FUNCTION int uds_diag_error(const char *value, size_t size, int required)
{
    int code = 0;
    if (size >= sizeof code)
        memcpy(&code, value, sizeof code);
    else if (required)
        return -EBADMSG;
    return code < -4095 || code > 0 ? -EBADMSG : code;
}

/* Reads sockets out of the data that was received, at most as many as there is room for, and returns how many.
   At 0 the data has none left; ended says whether the answer is complete, and changed whether the kernel said that its
   list changed meanwhile.  -errno is the kernel's answer, or -EBADMSG. */
UDS_FUNCTION int uds_diag_read(struct uds_diag *diag)
{
    size_t count = 0;
    int result;

    while (count < diag->most && !diag->ended && diag->place < diag->size) {
        struct nlmsghdr header;
        size_t begin = diag->place;
        size_t left = diag->size - begin;

        if (left < sizeof header)
            return -EBADMSG;
        memcpy(&header, diag->data + begin, sizeof header);
        if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > left)
            return -EBADMSG;
        diag->place = NLMSG_ALIGN(header.nlmsg_len) < left ? begin + NLMSG_ALIGN(header.nlmsg_len) : diag->size;
        if (header.nlmsg_seq != diag->sequence)
            continue;
        if (header.nlmsg_flags & NLM_F_DUMP_INTR)
            diag->changed = 1;
        if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
            diag->ended = 1;
            result = uds_diag_error(diag->data + begin + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN,
                                    header.nlmsg_type == NLMSG_ERROR);
            if (result < 0)
                return result;
        } else if (header.nlmsg_type == NLMSG_OVERRUN) {
            return -ENOBUFS;
        } else if (header.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
            result = uds_diag_entry(&diag->sockets[count], diag->data, begin + NLMSG_HDRLEN, begin + header.nlmsg_len);
            if (result < 0)
                return result;
            count++;
            diag->ended = !(header.nlmsg_flags & NLM_F_MULTI);
        }
    }
    return (int)count;
}

/* The inode of a Unix socket; -ENOTSOCK and -EAFNOSUPPORT for anything else. */
UDS_FUNCTION int64_t uds_inode(int fd)
{
    struct uds_description description;
    struct stat status;
    int result = uds_describe(fd, &description);

    if (result < 0)
        return result;
    if (description.domain != AF_UNIX)
        return -EAFNOSUPPORT;
    return fstat(fd, &status) < 0 ? -errno : (int64_t)status.st_ino;
}

#else

UDS_FUNCTION int uds_diag_open(struct uds_handle *handle)
{
    (void)handle;
    return -ENOSYS;
}

UDS_FUNCTION int uds_diag_ask(struct uds_diag *diag, uint32_t inode, uint32_t states, int clients)
{
    (void)diag;
    (void)inode;
    (void)states;
    (void)clients;
    return -ENOSYS;
}

UDS_FUNCTION ssize_t uds_diag_receive(struct uds_diag *diag)
{
    (void)diag;
    return -ENOSYS;
}

UDS_FUNCTION int uds_diag_read(struct uds_diag *diag)
{
    (void)diag;
    return -ENOSYS;
}

UDS_FUNCTION int64_t uds_inode(int fd)
{
    (void)fd;
    return -ENOSYS;
}

#endif

UDS_FUNCTION int64_t uds_handle_inode(struct uds_handle *handle)
{
    UDS_HELD(handle, int64_t, uds_inode(fd));
}

#endif
