/* Receiving through a handle.

   Rules:
   - A receiver is preset once and then used for call after call: a function of one argument costs Python far less
     than one of two.
   - Descriptors that arrive are in receiver->fds and receiver->pidfd, or closed, when the call returns.
   - A packet that was cut is reported by a result greater than the size: the packet's real length where the
     system tells it, else size + 1. */
#ifndef UDS_RECEIVE_C
#define UDS_RECEIVE_C
#include "address.c"
#include "control.c"
#include "credentials.c"

/* What uds_receive_packed() packs into its result above the number of bytes. */
#define UDS_ONE_FD INT64_C(0x100000000)
#define UDS_CUT INT64_C(0x10000000000)
#define UDS_ANCILLARY_CUT INT64_C(0x20000000000)
#define UDS_SURPLUS INT64_C(0x40000000000)

/* Items of the control buffer that uds_receive_packed() lists; room for more than any kernel sends. */
#define UDS_MOST_ITEMS 32
#define UDS_FACTS (9 + 4 * UDS_MOST_ITEMS)

/* Whether the kernel, when the control buffer is too small, fills it and closes the rest.  OpenBSD and DragonFly fail with
   EMSGSIZE and drop what came (soreceive() in sys/kern/uipc_socket.c), macOS and older FreeBSDs leave the descriptors
   open that nobody was told of.  So there is room there for more than a message can bring, and it is cut here; the
   minimal build does so on Linux. */
#if defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_KERNEL_CUTS 1
#else
#  define UDS_KERNEL_CUTS 0
#endif
/* A sender's control data fits into one mbuf cluster of 2048 bytes there; received numbers take no more. */
#define UDS_WHOLE_CONTROL (CMSG_SPACE(2048) + 1024)

struct uds_receiver {
    struct uds_handle *handle;
    void *data;            /* where the bytes go, unless iov is set */
    size_t size;           /* how many fit, also into iov */
    int flags;
    struct iovec *iov;     /* several places for the bytes, or NULL */
    size_t iovcnt;
    void *control;         /* or NULL: ancillary data is discarded, as recv(2) does */
    size_t control_size;
    struct uds_fds *fds;   /* where descriptors go, or NULL: they are closed */
    int most;              /* how many of them are kept */
    struct uds_handle *pidfd; /* where a sender's pidfd goes, or NULL: it is closed */
    struct uds_name *name; /* where the sender's address goes, or NULL */
    size_t control_length; /* results */
    int message_flags;
    int surplus;           /* how many descriptors arrived whole and were closed here */
    int facts[UDS_FACTS];  /* the same and more for one look from Python; see uds_receive_packed() */
};

UDS_FUNCTION ssize_t uds_handle_recv(struct uds_handle *handle, void *data, size_t size, int flags)
{
    UDS_HELD(handle, ssize_t, uds_recv(fd, data, size, flags));
}

UDS_FUNCTION ssize_t uds_recv_packet(int fd, void *data, size_t size, int flags)
{
#if UDS_HAS_TRUNC_LENGTH
    return uds_recv(fd, data, size, flags | MSG_TRUNC);
#else
    struct msghdr message;
    struct iovec iov;
    ssize_t result;

    memset(&message, 0, sizeof message);
    iov.iov_base = data;
    iov.iov_len = size;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    /* Not among the flags: the BSDs hand back those that they were given, and this one would look like a cut. */
    result = uds_recvmsg(fd, &message, flags & ~MSG_TRUNC);
    return result >= 0 && (message.msg_flags & MSG_TRUNC) ? (ssize_t)size + 1 : result;
#endif
}

UDS_FUNCTION ssize_t uds_handle_recv_packet(struct uds_handle *handle, void *data, size_t size, int flags)
{
    UDS_HELD(handle, ssize_t, uds_recv_packet(fd, data, size, flags));
}

UDS_FUNCTION ssize_t uds_receive(struct uds_receiver *receiver)
{
    return uds_handle_recv(receiver->handle, receiver->data, receiver->size, receiver->flags);
}

UDS_FUNCTION ssize_t uds_receive_packet(struct uds_receiver *receiver)
{
    return uds_handle_recv_packet(receiver->handle, receiver->data, receiver->size, receiver->flags);
}

/* recvmsg(2).  MSG_CMSG_CLOEXEC is added where it exists and taken out of the flags that are reported, which Linux
   echoes.  MSG_TRUNC among the flags makes a system that can do it report the real length of a packet. */
UDS_FUNCTION ssize_t uds_receive_whole(struct uds_receiver *receiver, struct uds_name *name)
{
#if !UDS_KERNEL_CUTS
    union {
        struct cmsghdr aligned;
        char bytes[UDS_WHOLE_CONTROL];
    } whole;
#endif
    struct msghdr message;
    struct iovec one;
    ssize_t result;
    int flags = receiver->flags;
    int fd = uds_handle_enter(receiver->handle);

    if (fd < 0)
        return fd;
    /* A receive that fails, or that Python takes for the end, has brought nothing. */
    receiver->control_length = 0;
    receiver->message_flags = 0;
    receiver->surplus = 0;
    memset(&message, 0, sizeof message);
    one.iov_base = receiver->data;
    one.iov_len = receiver->size;
    message.msg_iov = receiver->iov != NULL ? receiver->iov : &one;
    message.msg_iovlen = (uds_iovlen_t)(receiver->iov != NULL ? receiver->iovcnt : 1);
    if (receiver->control_size > 0) {
        message.msg_control = receiver->control;
        message.msg_controllen = (uds_controllen_t)receiver->control_size;
    }
#if !UDS_KERNEL_CUTS
    /* Also where there is no room at all: Linux says then that something was dropped, and others do not. */
    if (receiver->control_size < sizeof whole.bytes) {
        message.msg_control = whole.bytes;
        message.msg_controllen = (uds_controllen_t)sizeof whole.bytes;
    }
#endif
#if !defined(__linux__)
    /* Linux duplicates the descriptors of a message that is peeked at.  The BSDs may copy their own pointers into the
       control buffer (MSG_PEEK in soreceive()), and those are no numbers that could be closed. */
    if (flags & MSG_PEEK) {
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
#endif
    if (name != NULL) {
        uds_name_prepare(name);
        message.msg_name = &name->address;
        message.msg_namelen = name->length;
    }
#if UDS_HAS_ATOMIC_CLOEXEC
    flags |= MSG_CMSG_CLOEXEC;
#endif
#if !UDS_HAS_TRUNC_LENGTH
    flags &= ~MSG_TRUNC;
#endif
    result = uds_recvmsg(fd, &message, flags);
    if (result >= 0) {
        receiver->control_length = message.msg_control != NULL ? (size_t)message.msg_controllen : 0;
#if !UDS_KERNEL_CUTS
        if (message.msg_control == whole.bytes) {
            int cut = 0;
            receiver->control_length = uds_control_fit(whole.bytes, receiver->control_length, receiver->control,
                                                       receiver->control_size, &cut);
            if (cut)
                message.msg_flags |= MSG_CTRUNC;
        }
#endif
        receiver->surplus = uds_control_claim_all(receiver->control, receiver->control_length, receiver->fds,
                                                  receiver->most, receiver->pidfd);
#if !defined(__linux__)
        /* The BSDs hand back all flags that they were given (recvit() in sys/kern/uipc_syscalls.c). */
        message.msg_flags &= ~flags;
#elif UDS_HAS_ATOMIC_CLOEXEC
        message.msg_flags &= ~MSG_CMSG_CLOEXEC;
#endif
        receiver->message_flags = message.msg_flags;
        if (name != NULL) {
            name->length = message.msg_namelen;
            uds_name_clamp(name);
        }
#if !UDS_HAS_TRUNC_LENGTH
        if (message.msg_flags & MSG_TRUNC)
            result++;
#endif
    }
    else if (name != NULL)
        name->length = 0;
    uds_handle_leave(receiver->handle);
    return result;
}

UDS_FUNCTION ssize_t uds_receive_message(struct uds_receiver *receiver)
{
    return uds_receive_whole(receiver, receiver->name);
}

/* Packs the result of a receive, because reading a field costs Python as much as calling a function: the bytes that are
   in the caller's memory, the number of descriptors in the slots times UDS_ONE_FD, and UDS_CUT, UDS_ANCILLARY_CUT,
   UDS_SURPLUS for what was lost. */
UDS_FUNCTION int64_t uds_pack(const struct uds_receiver *receiver, ssize_t count)
{
    int64_t result = count;

    if (count < 0)
        return count;
    if ((size_t)count > receiver->size)
        result = (int64_t)receiver->size | UDS_CUT;
    if (receiver->message_flags & MSG_CTRUNC)
        result |= UDS_ANCILLARY_CUT;
    if (receiver->surplus > 0)
        result |= UDS_SURPLUS;
    return result | (receiver->fds == NULL ? 0 : receiver->fds->count * UDS_ONE_FD);
}

/* Receives bytes and descriptors, and nothing else of the message, with a packed result.  The slots must have been
   empty. */
UDS_FUNCTION int64_t uds_receive_fds(struct uds_receiver *receiver)
{
    return uds_pack(receiver, uds_receive_whole(receiver, NULL));
}

/* Writes down who sent the message, when one whole item of credentials is all that came beside the bytes. */
UDS_FUNCTION void uds_receive_sender(const struct uds_receiver *receiver, int *fact)
{
#if UDS_HAS_CREDENTIALS
    struct ucred sender;

    if (fact[4] != 1 || fact[9] != SOL_SOCKET || fact[10] != UDS_SCM_CREDENTIALS
        || !uds_credentials_read((const char *)receiver->control + fact[11], (size_t)fact[12], &sender))
        return;
    fact[5] = 1;
    fact[6] = (int)sender.pid;
    fact[7] = (int)sender.uid;
    fact[8] = (int)sender.gid;
#else
    (void)receiver;
    (void)fact;
#endif
}

/* Receives all that a message carries, with a packed result, and writes the facts down for whoever wants more: the
   message's length, the flags that recvmsg(2) returned, the length of the sender's address, that of the control
   messages, and how many of them there are; 1 when credentials are the only one, and then pid, uid and gid; then for
   each its level, its type, and where in the control buffer its data begins and how long that is.  The slots must have
   been empty. */
UDS_FUNCTION int64_t uds_receive_packed(struct uds_receiver *receiver)
{
    struct uds_control_item item;
    int *fact = receiver->facts;
    int items = 0;
    ssize_t count = uds_receive_message(receiver);

    /* What fails, or what Python takes for the end, has brought nothing. */
    memset(fact, 0, 9 * sizeof *fact);
    if (count < 0)
        return count;
    fact[0] = count > INT_MAX ? INT_MAX : (int)count;
    fact[1] = receiver->message_flags;
    fact[2] = receiver->name == NULL ? 0 : (int)receiver->name->length;
    fact[3] = (int)receiver->control_length;
    item.next = 0;
    while (items < UDS_MOST_ITEMS && uds_control_next(receiver->control, receiver->control_length, &item)) {
        int *next = fact + 9 + 4 * items++;
        next[0] = item.level;
        next[1] = item.type;
        next[2] = (int)item.offset;
        next[3] = (int)item.size;
    }
    fact[4] = items;
    uds_receive_sender(receiver, fact);
    return uds_pack(receiver, count);
}

#endif
