/* Framed messages on a stream: sending.

   Rules:
   - What has begun to go, and has not gone, is in the writer when a call returns, and goes before anything else.
   - A ticket is good until the next one is drawn: a call that was overtaken finds out, and touches nothing.
   - One call at a time: a second one is -EBUSY.
   - A send that carries descriptors begins with its message and holds no other. */
#ifndef UDS_FRAMES_SEND_C
#define UDS_FRAMES_SEND_C
#include "frames.c"
#include "holes.c"
#include "send.c"

struct uds_frame_writer {
    struct uds_handle *handle;
    uint32_t limit;
    int flags;
    char *wire;        /* framed messages */
    size_t size;
    size_t begin;      /* what of them is to be sent */
    size_t end;
    const char *large; /* what is to be sent behind them, of a message whose header ends the wire */
    size_t large_left;
    int64_t owner;     /* the ticket of the call whose memory that is, or 0 */
    int64_t ticket;
    int64_t sent;      /* how many messages of this ticket have gone before those in the wire */
    int error;         /* what the next push of this ticket returns */
    int in_wire;       /* how many messages of this ticket are in it; 0 for a rest of an earlier one */
    unsigned int busy;
};

UDS_FUNCTION int64_t uds_frames_left(const struct uds_frame_writer *writer)
{
    return (int64_t)(writer->end - writer->begin + writer->large_left);
}

/* Finds where the message ends that has begun to go, and returns how many have gone or have begun to. */
UDS_FUNCTION int uds_frames_begun(const struct uds_frame_writer *writer, size_t *end)
{
    size_t at = 0;
    int count = 0;
    while (at < writer->begin) {
        at += UDS_FRAME_HEADER + uds_frame_length(writer->wire + at);
        count++;
    }
    *end = at;
    return count;
}

/* Drops the messages that have not begun to go, and returns how many have, of this ticket. */
UDS_FUNCTION int64_t uds_frames_drop_unbegun(struct uds_frame_writer *writer)
{
    size_t end;
    int count = uds_frames_begun(writer, &end);
    if (end <= writer->end && uds_frames_left(writer) > 0) {
        writer->end = end;
        writer->large_left = 0;
    }
    return writer->sent + (writer->in_wire > 0 ? count : 0);
}

UDS_FUNCTION int64_t uds_frames_draw(struct uds_frame_writer *writer)
{
    if (uds_frames_left(writer) > 0)
        uds_frames_drop_unbegun(writer);
    writer->sent = 0;
    writer->in_wire = 0;
    writer->error = 0;
    writer->ticket = ((writer->ticket >> 1) + 1) * 2 + (uds_frames_left(writer) > 0);
    if (!(writer->ticket & 1)) {
        writer->owner = 0;
        writer->begin = writer->end = 0;
    }
    return writer->ticket;
}

/* Draws a ticket: its number times 2, plus 1 when the rest of an earlier message has to go first. */
UDS_FUNCTION int64_t uds_frames_claim(struct uds_frame_writer *writer)
{
    int64_t result = uds_frames_enter(&writer->busy);
    if (result < 0)
        return result;
    result = uds_frames_draw(writer);
    uds_frames_leave(&writer->busy);
    return result;
}

/* 0, or -EBUSY when there is a newer ticket. */
UDS_FUNCTION int uds_frames_use(struct uds_frame_writer *writer, int64_t ticket)
{
    int result = uds_frames_enter(&writer->busy);
    if (result == 0 && writer->ticket != ticket) {
        uds_frames_leave(&writer->busy);
        return -EBUSY;
    }
    return result;
}

UDS_FUNCTION uint32_t uds_frames_nth(const char *lengths, int index)
{
    uint32_t length;
    memcpy(&length, lengths + (size_t)index * sizeof length, sizeof length);
    return length;
}

/* The lengths are a packed array of uint32_t. */
UDS_FUNCTION int64_t uds_frames_fill_wire(struct uds_frame_writer *writer, const char *data, size_t size,
                                          const char *lengths, int count, const void *large, size_t large_size)
{
    size_t total = 0;
    char *into = writer->wire;
    int index;

    if (uds_frames_left(writer) > 0)
        return -EBUSY;
    if (count < 0 || (size_t)count > writer->size / UDS_FRAME_HEADER)
        return -ENOBUFS;
    for (index = 0; index < count; index++) {
        if (uds_frames_nth(lengths, index) > writer->limit)
            return -EMSGSIZE;
        total += uds_frames_nth(lengths, index);
    }
    if (total != size)
        return -EINVAL;
    if (large_size > writer->limit)
        return -EMSGSIZE;
    total += UDS_FRAME_HEADER * (size_t)(count + (large_size > 0));
    if (total > writer->size)
        return -ENOBUFS;
    writer->sent += writer->in_wire;
    writer->in_wire = count + (large_size > 0);
    for (index = 0; index < count; index++) {
        uint32_t length = uds_frames_nth(lengths, index);
        into = uds_frame_begin(into, length);
        memcpy(into, data, length);
        into += length;
        data += length;
    }
    if (large_size > 0)
        uds_frame_begin(into, (uint32_t)large_size);
    writer->begin = 0;
    writer->end = total;
    writer->large = large;
    writer->large_left = large_size;
    writer->owner = large_size > 0 ? writer->ticket : 0;
    return (int64_t)(total + large_size);
}

/* The same of messages that are joined by holes, which become their headers.  -EILSEQ when a message holds what looks
   like a hole. */
UDS_FUNCTION int64_t uds_frames_fill_holes(struct uds_frame_writer *writer, const char *data, size_t size, int count)
{
    char *header = writer->wire;
    const char *from, *hit, *end;
    int seen = 1;

    if (size > writer->size - UDS_FRAME_HEADER)
        return -ENOBUFS;
    memcpy(header + UDS_FRAME_HEADER, data, size);
    from = header + UDS_FRAME_HEADER;
    end = from + size;
    for (;;) {
        size_t length;
        /* One message may hold anything. */
        hit = count == 1 ? NULL : uds_hole_find(from, end, NULL);
        length = (size_t)((hit != NULL ? hit : end) - header) - UDS_FRAME_HEADER;
        if (length > writer->limit)
            return -EMSGSIZE;
        uds_frame_begin(header, (uint32_t)length);
        if (hit == NULL)
            break;
        seen++;
        header += UDS_FRAME_HEADER + length;
        from = hit + UDS_HOLE_SIZE;
    }
    if (seen != count)
        return -EILSEQ;
    writer->in_wire = count;
    writer->end = UDS_FRAME_HEADER + size;
    return (int64_t)writer->end;
}

UDS_FUNCTION void uds_frames_advance(struct uds_frame_writer *writer, size_t sent)
{
    size_t wire = writer->end - writer->begin;
    if (sent <= wire) {
        writer->begin += sent;
        return;
    }
    writer->begin = writer->end;
    writer->large += sent - wire;
    writer->large_left -= sent - wire;
}

/* Sends once, with these flags too, and returns how many bytes are left. */
UDS_FUNCTION int64_t uds_frames_send_once(struct uds_frame_writer *writer, int flags)
{
    ssize_t result;
    if (uds_frames_left(writer) == 0)
        return 0;
    if (writer->large_left == 0) {
        result = uds_handle_send(writer->handle, writer->wire + writer->begin, writer->end - writer->begin,
                                 writer->flags | flags);
    } else {
        struct msghdr message;
        struct iovec iov[2];
        memset(&message, 0, sizeof message);
        iov[0].iov_base = writer->wire + writer->begin;
        iov[0].iov_len = writer->end - writer->begin;
        iov[1].iov_base = (void *)(uintptr_t)writer->large;
        iov[1].iov_len = writer->large_left;
        message.msg_iov = iov;
        message.msg_iovlen = 2;
        result = uds_handle_sendmsg(writer->handle, &message, writer->flags | flags);
    }
    if (result < 0)
        return result;
    uds_frames_advance(writer, (size_t)result);
    return uds_frames_left(writer);
}

/* Puts messages into the wire, of which a last one may be large and stays where it is; its memory is the caller's
   until it has gone. */
UDS_FUNCTION int64_t uds_frames_put(struct uds_frame_writer *writer, int64_t ticket, const void *data, size_t size,
                                    const char *lengths, int count, const void *large, size_t large_size)
{
    int64_t result = uds_frames_use(writer, ticket);
    if (result < 0)
        return result;
    result = uds_frames_fill_wire(writer, data, size, lengths, count, large, large_size);
    uds_frames_leave(&writer->busy);
    return result;
}

/* Sends what is in the wire, once, with these flags and those that are preset: how many bytes are left, or -errno. */
UDS_FUNCTION int64_t uds_frames_push(struct uds_frame_writer *writer, int64_t ticket, int flags)
{
    int64_t result = uds_frames_use(writer, ticket);
    if (result < 0)
        return result;
    result = writer->error;
    writer->error = 0;
    if (result == 0)
        result = uds_frames_send_once(writer, flags);
    uds_frames_leave(&writer->busy);
    return result;
}

/* Draws a ticket, puts messages that are joined by holes into the wire and sends it, once.  0 when they have gone; otherwise the ticket, with
   which the caller pushes on: when it is odd they were not put, because the rest of an earlier message is there.
   -errno when they cannot be put. */
UDS_FUNCTION int64_t uds_frames_send(struct uds_frame_writer *writer, const void *data, size_t size, int count)
{
    int64_t result = uds_frames_enter(&writer->busy);
    if (result < 0)
        return result;
    if (!(uds_frames_draw(writer) & 1)) {
        result = uds_frames_fill_holes(writer, data, size, count);
        if (result >= 0) {
            result = uds_frames_send_once(writer, 0);
            if (result < 0)
                writer->error = (int)result;
            result = result == 0 ? 0 : writer->ticket;
        }
    } else {
        result = writer->ticket;
    }
    uds_frames_leave(&writer->busy);
    return result;
}

/* Sends what is in the wire, from its first byte, with descriptors; what lies behind the wire goes later. */
UDS_FUNCTION int64_t uds_frames_push_fds(struct uds_frame_writer *writer, int64_t ticket, const int *fds,
                                         struct uds_handle **owners, int count, int flags)
{
    int64_t result = uds_frames_use(writer, ticket);
    if (result < 0)
        return result;
    if (writer->begin > 0 || writer->end == 0) {
        /* They have gone with the first byte, or there is none. */
        result = -EINVAL;
    } else {
        result = uds_handle_send_fds(writer->handle, writer->wire, writer->end, writer->flags | flags, NULL, 0, fds,
                                     owners, count);
        if (result >= 0) {
            uds_frames_advance(writer, (size_t)result);
            result = uds_frames_left(writer);
        }
    }
    uds_frames_leave(&writer->busy);
    return result;
}

/* Ends a call that failed: drops the messages that have not begun to go and returns how many of its own have. */
UDS_FUNCTION int64_t uds_frames_settle(struct uds_frame_writer *writer, int64_t ticket)
{
    int64_t result = uds_frames_use(writer, ticket);
    if (result < 0)
        return result;
    result = uds_frames_drop_unbegun(writer);
    uds_frames_leave(&writer->busy);
    return result;
}

/* How many bytes are left of a message that has begun to go. */
UDS_FUNCTION int64_t uds_frames_pending(struct uds_frame_writer *writer)
{
    size_t end;
    int64_t result = uds_frames_enter(&writer->busy);
    if (result < 0)
        return result;
    uds_frames_begun(writer, &end);
    result = end <= writer->end && uds_frames_left(writer) > 0 ? (int64_t)(end - writer->begin)
                                                              : uds_frames_left(writer);
    uds_frames_leave(&writer->busy);
    return result;
}

/* Copies what is left of a large message, so that the memory of its sender is free: how many bytes those are. */
UDS_FUNCTION int64_t uds_frames_keep(struct uds_frame_writer *writer, int64_t ticket, char *memory, size_t size)
{
    int64_t result = uds_frames_use(writer, ticket);
    if (result < 0)
        return result;
    if (writer->large_left > size) {
        result = -ENOBUFS;
    } else if (writer->large_left > 0) {
        memcpy(memory, writer->large, writer->large_left);
        writer->large = memory;
        result = (int64_t)writer->large_left;
    }
    uds_frames_leave(&writer->busy);
    return result;
}

#endif
