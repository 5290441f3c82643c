/* Batches: loops over send(2) and recv(2), so that many packets cost Python one call.

   Rules:
   - A batch reports what it did: how many packets, and, in a receive, the error that followed them.
   - No receive of a batch waits, and the end of a connection is never a packet.
   - Descriptors that arrive are in slots, or closed, when the call returns.
   - A packet is received only when there is room for all that it can bring: a batch ends early instead.
   - sendmmsg(2) and recvmmsg(2) are no faster than these loops (the kernel's share per packet is what costs), and
     recvmmsg(2) fills up with empty packets at the end of a connection. */
#ifndef UDS_BATCH_C
#define UDS_BATCH_C
#include "credentials.c"
#include "holes.c"
#include "options.c"
#include "packet.c"
#include "receive.c"
#include "send.c"

/* --- Receive --- */

/* Room for the control messages of one packet: 253 descriptors and, beside them, every other kind. */
#define UDS_BATCH_CONTROL (CMSG_SPACE(UDS_SCM_MAX_FD * sizeof(int)) + 1024)

struct uds_batch_packet {
    int truncated;       /* whether the packet was longer than the room for it */
    int fds;             /* how many descriptors the batch has, those of this packet included */
    int surplus;         /* how many descriptors of this packet were closed */
    int cut;             /* whether the kernel dropped some of its control messages */
    int has_credentials;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    size_t name;         /* where the sender's name ends; it begins where that of the packet before ends */
    size_t control;      /* where its control messages end, in the same way */
    int pidfds;          /* how many senders' pidfds the batch has, that of this packet included */
};

struct uds_batch {
    struct uds_handle *handle; /* for uds_batch_receive only */
    void *data;          /* packets lie here one behind the other */
    size_t room;         /* how many bytes there are */
    size_t size;         /* of each packet, at most; a packet is taken only when that much room is left */
    int count;           /* of packets, at most */
    int flags;
    int connection;      /* whether length 0 can be the end */
    int whole;           /* whether control messages and names are wanted; otherwise the kernel discards them */
    int credentials;     /* whether the senders' credentials are wanted */
    unsigned int *starts;  /* room for count: where each packet begins */
    unsigned int *lengths; /* room for count: how many bytes of each packet there are */
    struct uds_batch_packet *packets; /* room for count */
    struct uds_fds *fds; /* where descriptors go, or NULL: they are closed */
    int most;            /* how many of them are kept per packet; the batch ends before a packet for which there might
                            not be that many slots */
    unsigned char *names; /* room for count names, or NULL */
    unsigned char *control; /* where copies of control messages go, those of passed descriptors left out, or NULL */
    size_t control_room; /* how many bytes; the batch ends before a packet for which fewer than UDS_BATCH_CONTROL are
                            left */
    struct uds_fds *pidfds; /* where senders' pidfds go, or NULL: closed; the batch ends when no slot is left */
    int ended;           /* results: whether the end was found behind the packets */
    int error;           /* the error behind the packets, when there is one and at least one packet came before it */
    int plain;           /* whether there is nothing to tell but the bytes */
    int each;            /* the length that all of them have, or -1 when they differ */
    size_t used;         /* how many bytes they have together */
};

/* recv(2) returns 0 for an empty packet as well as for the end, so what it will mean must be known before.  FIONREAD
   counts the bytes of all queued packets: while some of those are left, a 0 is a packet.  Otherwise one looks, as for a
   single packet.  Returns 1 when a receive is in order, 0 at the end, or -errno; queued is how many bytes are known to
   be queued, and looked is set when a packet was seen. */
UDS_FUNCTION int uds_batch_expect(int fd, ssize_t *queued, int *looked)
{
#if UDS_HAS_PACKET_END
    int result;

    *looked = 0;
    if (*queued > 0)
        return 1;
    result = uds_unread_bytes(fd);
    if (result != 0) {
        *queued = result;
        return result < 0 ? result : 1;
    }
    result = uds_wait(fd, POLLIN, 0);
    if (result <= 0)
        return result < 0 ? result : -EAGAIN;
    result = uds_packet_waits(fd);
    if (result == -ENOSYS)
        return 1;
    *looked = result > 0;
    return result;
#else
    (void)fd;
    (void)queued;
    *looked = 0;
    return 1;
#endif
}

/* Whether a receive of length 0 in which nothing else came was one of a packet.  After the end nothing is queued, and
   the peer has hung up.  When that is so although bytes were queued before, another reader took them; what this one
   got can then only be guessed, and is taken for the end. */
UDS_FUNCTION int uds_batch_was_packet(int fd, int looked)
{
#if UDS_HAS_PACKET_END
    int seen;

    if (looked || uds_unread_bytes(fd) > 0)
        return 1;
    seen = uds_wait(fd, POLLIN, 0);
    return seen >= 0 && !(seen & (POLLHUP | POLLRDHUP));
#else
    (void)fd;
    return looked;
#endif
}

UDS_FUNCTION void uds_batch_read_credentials(const void *control, size_t length, struct uds_batch_packet *packet)
{
#if UDS_HAS_CREDENTIALS
    struct uds_control_item item;

    item.next = 0;
    while (uds_control_next(control, length, &item)) {
        struct ucred credentials;
        if (item.level != SOL_SOCKET || item.type != UDS_SCM_CREDENTIALS
            || !uds_credentials_read((const char *)control + item.offset, item.size, &credentials))
            continue;
        packet->has_credentials = 1;
        packet->pid = credentials.pid;
        packet->uid = credentials.uid;
        packet->gid = credentials.gid;
    }
#else
    (void)control;
    (void)length;
    (void)packet;
#endif
}

/* Receives one packet with all that it carries; the names and control messages before it end at those places.  Returns
   its length, and sets brought when something else came. */
UDS_FUNCTION ssize_t uds_batch_receive_whole(struct uds_handle *handle, struct uds_batch *batch, void *data,
                                             struct uds_batch_packet *packet, size_t names, size_t copied,
                                             int *brought)
{
    union {
        struct cmsghdr aligned;
        char bytes[UDS_BATCH_CONTROL];
    } control;
    struct uds_receiver receiver;
    struct uds_handle pidfd;
    struct uds_name name;
    ssize_t length;
    int held = batch->fds == NULL ? 0 : batch->fds->count;

    memset(&receiver, 0, sizeof receiver);
    receiver.handle = handle;
    receiver.data = data;
    receiver.size = batch->size;
    receiver.flags = batch->flags | MSG_DONTWAIT | MSG_TRUNC;
    receiver.control = control.bytes;
    receiver.control_size = sizeof control.bytes;
    receiver.fds = batch->fds;
    receiver.most = held + batch->most;
    receiver.name = batch->names == NULL ? NULL : &name;
    if (batch->pidfds != NULL) {
        memset(&pidfd, 0, sizeof pidfd);
        receiver.pidfd = &pidfd;
    }
    length = uds_receive_message(&receiver);
    if (length < 0)
        return length;
    packet->surplus = receiver.surplus;
    packet->cut = (receiver.message_flags & MSG_CTRUNC) != 0;
    packet->fds = batch->fds == NULL ? 0 : batch->fds->count;
    if (batch->credentials)
        uds_batch_read_credentials(control.bytes, receiver.control_length, packet);
    packet->control = copied;
    if (batch->control != NULL)
        packet->control += uds_control_copy(control.bytes, receiver.control_length, batch->control + copied);
    if (batch->pidfds != NULL) {
        int fd = uds_handle_detach(&pidfd);
        if (fd >= 0)
            uds_keep(batch->pidfds, UDS_SCM_MAX_FD, fd);
        packet->pidfds = batch->pidfds->count;
    }
    *brought = receiver.control_length > 0 || packet->cut;
    packet->name = names;
    if (batch->names != NULL) {
        memcpy(batch->names + names, name.bytes, name.length);
        packet->name += name.length;
        *brought |= name.length > 0;
    }
    return length;
}

/* Receives what is there.  Returns how many packets came; 0 at the end of the connection; -errno when none came. */
UDS_FUNCTION int uds_handle_receive_batch(struct uds_handle *handle, struct uds_batch *batch)
{
    size_t names = 0, copied = 0;
    ssize_t queued = 0;
    int taken = 0, looked = 0;
    int fd = uds_handle_enter(handle);

    batch->used = 0;
    batch->ended = 0;
    batch->error = 0;
    batch->plain = !batch->whole;
    if (fd < 0)
        return fd;
    while (taken < batch->count && batch->size <= batch->room - batch->used) {
        struct uds_batch_packet *packet = &batch->packets[taken];
        ssize_t length = 1;
        int brought = 0;

        if (taken > 0 && batch->fds != NULL && batch->fds->count > UDS_SCM_MAX_FD - batch->most)
            break;
        if (batch->control != NULL && batch->control_room - copied < UDS_BATCH_CONTROL)
            break;
        if (batch->pidfds != NULL && batch->pidfds->count == UDS_SCM_MAX_FD)
            break;
        if (batch->connection)
            length = uds_batch_expect(fd, &queued, &looked);
        if (length > 0) {
            char *place = (char *)batch->data + batch->used;
            memset(packet, 0, sizeof *packet);
            length = batch->whole ? uds_batch_receive_whole(handle, batch, place, packet, names, copied, &brought)
                                  : uds_recv_packet(fd, place, batch->size, batch->flags | MSG_DONTWAIT);
            if (length == 0 && batch->connection && !brought && !uds_batch_was_packet(fd, looked)) {
                batch->ended = 1;
                break;
            }
        } else if (length == 0) {
            batch->ended = 1;
            break;
        }
        if (length < 0) {
            if (taken == 0)
                taken = (int)length;
            else if (length != -EAGAIN && length != -EINTR)
                batch->error = (int)-length;
            break;
        }
        queued -= length;
        packet->truncated = (size_t)length > batch->size;
        batch->plain &= !packet->truncated;
        if (packet->truncated)
            length = (ssize_t)batch->size;
        batch->starts[taken] = (unsigned int)batch->used;
        batch->used += (size_t)length;
        names = packet->name;
        copied = packet->control;
        if (taken == 0)
            batch->each = (int)length;
        else if (length != batch->each)
            batch->each = -1;
        batch->lengths[taken++] = (unsigned int)length;
        /* The process may open no more: unless the caller closes some, the next packet would lose its own too. */
        if (packet->cut && batch->fds != NULL)
            break;
    }
    uds_handle_leave(handle);
    batch->plain &= !batch->ended && batch->error == 0;
    return taken;
}

/* A result's packets, and from which bit on it has the length that all of them have. */
#define UDS_BATCH_TAKEN 0xffff
#define UDS_BATCH_EACH 16

/* The same in one number: -errno; how many packets, when there is more to tell than their bytes, or their lengths
   differ; otherwise their one length too, plus 1, so that one look says how to take them apart. */
UDS_FUNCTION int64_t uds_batch_receive(struct uds_batch *batch)
{
    int taken = uds_handle_receive_batch(batch->handle, batch);
    if (taken <= 0 || !batch->plain || batch->each < 0)
        return taken;
    return taken | ((int64_t)batch->each + 1) << UDS_BATCH_EACH;
}

/* --- Send --- */

/* What goes beside the bytes; each may be NULL for nothing. */
struct uds_outgoing_batch {
    struct uds_handle *handle;
    const void *data;                     /* packets, one behind the other */
    const void *lengths;                  /* their lengths, each an unsigned long */
    int count;                            /* of packets */
    int flags;
    int *fds;                             /* descriptors, those of one packet behind those of another */
    struct uds_handle **owners;           /* for each the handle it comes from, or NULL for a bare number */
    const int *fd_counts;                 /* how many descriptors go with each packet */
    const struct ucred *credentials;      /* of each packet */
    const int *with_credentials;          /* which of them are sent */
    const struct sockaddr_un **addresses; /* of each packet */
    const socklen_t *address_lengths;
};

UDS_FUNCTION size_t uds_batch_length(const void *lengths, int place)
{
    unsigned long length;
    memcpy(&length, (const char *)lengths + (size_t)place * sizeof length, sizeof length);
    return (size_t)length;
}

/* Sends packets from the first on.  Returns how many went, or -errno when none did. */
UDS_FUNCTION int uds_handle_send_batch(struct uds_handle *handle, const void *data, const void *lengths, int first,
                                       int count, int flags)
{
    const char *place = data;
    ssize_t result = 0;
    int at, fd = uds_handle_enter(handle);

    if (fd < 0)
        return fd;
    for (at = 0; at < count; at++) {
        size_t length = uds_batch_length(lengths, at);
        if (at >= first) {
            result = uds_sent(fd, uds_send(fd, place, length, flags | UDS_NOSIGNAL), length);
            if (result < 0)
                break;
        }
        place += length;
    }
    uds_handle_leave(handle);
    return at > first || result == 0 ? at - first : (int)result;
}

/* Sends packets that are joined by holes.  Returns how many went, or -errno when none did; -EILSEQ when the holes do not
   tell where they end, and nothing went. */
UDS_FUNCTION int uds_handle_send_joined(struct uds_handle *handle, const void *data, size_t size, int count, int flags)
{
    const char *place = data, *end = place + size;
    ssize_t result = 0;
    int at, fd;

    if (!uds_holes_between(data, size, count))
        return -EILSEQ;
    fd = uds_handle_enter(handle);
    if (fd < 0)
        return fd;
    for (at = 0; at < count; at++) {
        const char *hit = uds_hole_find(place, end, NULL);
        size_t length = (size_t)((hit != NULL ? hit : end) - place);
        result = uds_sent(fd, uds_send(fd, place, length, flags | UDS_NOSIGNAL), length);
        if (result < 0)
            break;
        place = hit != NULL ? hit + UDS_HOLE_SIZE : end;
    }
    uds_handle_leave(handle);
    return at > 0 ? at : (int)result;
}

/* Sends one packet with what goes beside it; fds is where its descriptors begin. */
UDS_FUNCTION ssize_t uds_batch_send_one(int fd, const struct uds_outgoing_batch *batch, int place, const char *data,
                                        size_t size, const int *fds)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(UDS_SCM_MAX_FD * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov;
    struct msghdr message;
    ssize_t length = 0;

    memset(&message, 0, sizeof message);
    iov.iov_base = (void *)(uintptr_t)data;
    iov.iov_len = size;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    if (batch->addresses != NULL) {
        message.msg_name = (void *)(uintptr_t)batch->addresses[place];
        message.msg_namelen = batch->address_lengths[place];
    }
    if (batch->fd_counts != NULL && batch->fd_counts[place] > 0)
        length = uds_control_add(control.bytes, sizeof control.bytes, 0, SOL_SOCKET, SCM_RIGHTS, fds,
                                 (size_t)batch->fd_counts[place] * sizeof(int));
#if UDS_HAS_SEND_CREDENTIALS
    if (length >= 0 && batch->with_credentials != NULL && batch->with_credentials[place])
        length = uds_control_add(control.bytes, sizeof control.bytes, (size_t)length, SOL_SOCKET, SCM_CREDENTIALS,
                                 &batch->credentials[place], sizeof(struct ucred));
#endif
    if (length < 0)
        return -EINVAL;
    /* Some systems refuse a pointer with length 0. */
    if (length > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = (uds_controllen_t)length;
    }
    return uds_send_message(fd, &message, batch->flags);
}

UDS_FUNCTION int uds_batch_send_entered(int fd, const struct uds_outgoing_batch *batch, int first)
{
    const char *data = batch->data;
    const int *fds = batch->fds;
    int at;

    for (at = 0; at < batch->count; at++) {
        size_t size = uds_batch_length(batch->lengths, at);
        if (at >= first) {
            ssize_t result = uds_batch_send_one(fd, batch, at, data, size, fds);
            if (result < 0)
                return at > first ? at - first : (int)result;
        }
        data += size;
        if (batch->fd_counts != NULL)
            fds += batch->fd_counts[at];
    }
    return at - first;
}

/* The same with descriptors, credentials and addresses.  The handles of all descriptors are entered before a packet
   goes, so that one that is closed already is -EBADF and nothing goes, and one that another thread closes
   meanwhile is still the right one. */
UDS_FUNCTION int uds_batch_send(struct uds_outgoing_batch *batch, int first)
{
    int at, begin = 0, end = 0, entered, result = 0;

    if (batch->owners != NULL)
        for (at = 0; at < batch->count; at++) {
            if (at == first)
                begin = end;
            end += batch->fd_counts[at];
        }
    for (entered = begin; entered < end; entered++)
        if (batch->owners[entered] != NULL) {
            int number = uds_handle_enter(batch->owners[entered]);
            if (number < 0) {
                result = number;
                break;
            }
            batch->fds[entered] = number;
        }
    if (result == 0) {
        int fd = uds_handle_enter(batch->handle);
        result = fd;
        if (fd >= 0) {
            result = uds_batch_send_entered(fd, batch, first);
            uds_handle_leave(batch->handle);
        }
    }
    while (entered-- > begin)
        if (batch->owners[entered] != NULL)
            uds_handle_leave(batch->owners[entered]);
    return result;
}

#endif
