/* Framed messages on a stream, each a 4-byte big-endian length and that many bytes: receiving.

   Rules:
   - What has arrived is in the reader when a call returns.  Python may be interrupted by an exception between any two
     calls, and the next call goes on from there.
   - What a result speaks of stays in memory until Python has delivered it, which one call can do, once.  The next
     receive takes that right away before it touches the memory, so whoever delivers has read what was whole, and
     nobody else has it.
   - A result says all that is needed to cut the usual messages, because each look into the reader costs Python more
     than such a message.
   - One call at a time: a second one is -EBUSY.
   - Descriptors belong to the last message that begins in the bytes they came with: the kernel ends a receive behind
     the send that carried them, and such a send begins at its message's first byte and holds no other message. */
#ifndef UDS_FRAMES_C
#define UDS_FRAMES_C
#include "receive.c"

#define UDS_FRAME_HEADER 4u
/* How many messages one result speaks of at most. */
#define UDS_FRAMES_MOST 1024
/* So many bytes are moved at every chance. */
#define UDS_FRAMES_LITTLE 1024
/* Python has to give memory of reader->needed bytes first. */
#define UDS_FRAMES_ROOM (-1000000)
/* The kind of a result, in its lowest bits: messages; messages, of which some have descriptors; one message that lost
   some; nothing that could be a message. */
#define UDS_FRAMES_PLAIN 0
#define UDS_FRAMES_FDS 1
#define UDS_FRAMES_LOST 2
#define UDS_FRAMES_BROKEN 3

/* What lies above the kind: the result's number; from bit UDS_FRAMES_SHAPE on its shape, which is 0 when the reader has
   to be looked into.  Otherwise the messages are in the reader's first memory, headers included.  The shape of one: where
   it begins, and, in the lowest UDS_FRAMES_PART bits, its length.  The shape of many, which begin at the begin of the
   memory: how many, and the length that all of them have. */
#define UDS_FRAMES_SHAPE 33
#define UDS_FRAMES_PART 15
/* A receive is about to return the messages of the last result again. */
#define UDS_FRAMES_OVERTAKEN (-1)
#define UDS_FRAMES_NUMBERS ((INT64_C(1) << (UDS_FRAMES_SHAPE - 2)) - 1)

/* The descriptors of one message.  There are two: while the message with the first waits for its end, the next one
   may come.  A third cannot, because with that end the first message is complete and is delivered. */
struct uds_frame_set {
    struct uds_fds *fds; /* where they are, or NULL: they are closed */
    int held;            /* whether they belong to a message in memory */
    size_t at;           /* where that begins */
    int index;           /* which message of the last result that is, or -1 */
    int surplus;         /* how many were closed here */
    int cut;             /* whether the kernel dropped some */
    int64_t serial;
    int taken;           /* how many descriptors Python has taken */
};

struct uds_frame_reader {
    struct uds_handle *handle;
    uint32_t limit; /* the longest message */
    int max_fds;
    int flags;
    char *data;
    size_t size;
    size_t base;    /* the size to come back to after a large message */
    int64_t memory; /* which memory data is, as Python counts */
    size_t begin;   /* the bytes that were not delivered */
    size_t end;
    size_t parsed;  /* behind the messages of the last result */
    size_t needed;
    int64_t result;
    /* The last result while it can be delivered; 0 afterwards, or UDS_FRAMES_OVERTAKEN. */
    int64_t undelivered UDS_ATOMIC;
    int count;
    uint32_t first; /* where the messages of a result without a shape begin, one behind the other, and where they end */
    uint32_t last;
    int stripped;   /* whether those were moved together */
    uint32_t length; /* of the message that is not there whole, as its header says */
    int stray;       /* descriptors came where no message begins */
    int64_t serial;
    unsigned int busy;
    struct uds_frame_set sets[2];
    uint32_t starts[UDS_FRAMES_MOST];
    uint32_t lengths[UDS_FRAMES_MOST];
    union {
        struct cmsghdr aligned;
        char bytes[UDS_WHOLE_CONTROL];
    } control;
};

UDS_FUNCTION uint32_t uds_frame_length(const char *header)
{
    const unsigned char *byte = (const unsigned char *)header;
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

UDS_FUNCTION char *uds_frame_begin(char *into, uint32_t length)
{
    into[0] = (char)(length >> 24);
    into[1] = (char)(length >> 16);
    into[2] = (char)(length >> 8);
    into[3] = (char)length;
    return into + UDS_FRAME_HEADER;
}

/* A call that another thread of the parent process was in does not exist in the child of a fork. */
UDS_FUNCTION int uds_frames_enter(unsigned int *busy)
{
    unsigned int mine = uds_generation | 1u, old = __atomic_load_n(busy, __ATOMIC_SEQ_CST);
    do {
        if (old == mine)
            return -EBUSY;
    } while (!__atomic_compare_exchange_n(busy, &old, mine, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return 0;
}

UDS_FUNCTION void uds_frames_leave(unsigned int *busy)
{
    __atomic_store_n(busy, 0u, __ATOMIC_SEQ_CST);
}

UDS_FUNCTION void uds_frame_set_empty(struct uds_frame_set *set)
{
    if (set->fds != NULL) {
        uds_fds_clear(set->fds, set->fds->generation);
        set->fds->count = 0;
    }
    set->held = 0;
}

/* Moves what is in memory to the begin of another or of the same. */
UDS_FUNCTION void uds_frames_shift(struct uds_frame_reader *reader, char *to)
{
    int place;
    memmove(to, reader->data + reader->begin, reader->end - reader->begin);
    for (place = 0; place < 2; place++)
        if (reader->sets[place].held)
            reader->sets[place].at -= reader->begin;
    reader->end -= reader->begin;
    reader->begin = reader->parsed = 0;
}

/* Forgets the messages that Python has delivered. */
UDS_FUNCTION void uds_frames_drop(struct uds_frame_reader *reader)
{
    int place;
    reader->count = reader->stripped = 0;
    reader->begin = reader->parsed;
    for (place = 0; place < 2; place++)
        if (reader->sets[place].held && reader->sets[place].at < reader->begin)
            uds_frame_set_empty(&reader->sets[place]);
    if (reader->begin == reader->end)
        reader->begin = reader->end = reader->parsed = 0;
}

UDS_FUNCTION int64_t uds_frames_number(struct uds_frame_reader *reader, int kind, int64_t shape)
{
    /* Not 0, so that no result is. */
    int64_t number = ((reader->result >> 2) & UDS_FRAMES_NUMBERS) % UDS_FRAMES_NUMBERS + 1;
    reader->result = shape << UDS_FRAMES_SHAPE | number << 2 | kind;
    __atomic_store_n(&reader->undelivered, reader->result, __ATOMIC_SEQ_CST);
    return reader->result;
}

/* Moves the messages of a result together, so that their headers are gone.  The last one, perhaps large, stays. */
UDS_FUNCTION void uds_frames_strip(struct uds_frame_reader *reader)
{
    size_t to = reader->parsed;
    int index;
    reader->last = (uint32_t)to;
    for (index = reader->count - 1; index >= 0; index--) {
        to -= reader->lengths[index];
        if (to != reader->starts[index])
            memmove(reader->data + to, reader->data + reader->starts[index], reader->lengths[index]);
        reader->starts[index] = (uint32_t)to;
    }
    reader->first = (uint32_t)to;
    reader->stripped = 1;
}

/* The reverse of it, for messages that were not delivered. */
UDS_FUNCTION void uds_frames_unstrip(struct uds_frame_reader *reader)
{
    char *to = reader->data + reader->begin;
    int index;
    for (index = 0; index < reader->count; index++) {
        to = uds_frame_begin(to, reader->lengths[index]);
        memmove(to, reader->data + reader->starts[index], reader->lengths[index]);
        to += reader->lengths[index];
    }
    reader->stripped = 0;
}

/* The shape of the messages that were found, or 0. */
UDS_FUNCTION int64_t uds_frames_shape(const struct uds_frame_reader *reader, int one, int even)
{
    if (reader->memory != 0 || reader->max_fds != 0 || reader->parsed >> UDS_FRAMES_PART != 0)
        return 0;
    if (one)
        return (int64_t)reader->starts[0] << UDS_FRAMES_PART | reader->lengths[0];
    if (reader->begin > 0 || !even)
        return 0;
    return (int64_t)reader->count << UDS_FRAMES_PART | reader->lengths[0];
}

/* Finds the whole messages and returns a result, or 0 when there are none. */
UDS_FUNCTION int64_t uds_frames_parse(struct uds_frame_reader *reader, int most)
{
    size_t at = reader->begin;
    int count = 0, kind = UDS_FRAMES_PLAIN, even = 1, place;
    int64_t shape;

    reader->count = 0;
    reader->sets[0].index = reader->sets[1].index = -1;
    while (count < most && kind != UDS_FRAMES_LOST && reader->end - at >= UDS_FRAME_HEADER) {
        uint32_t length = uds_frame_length(reader->data + at);
        int lost = 0;
        if (length > reader->limit) {
            if (count > 0)
                break;
            uds_frame_set_empty(&reader->sets[0]);
            uds_frame_set_empty(&reader->sets[1]);
            reader->length = length;
            return uds_frames_number(reader, UDS_FRAMES_BROKEN, 0);
        }
        if (reader->end - at - UDS_FRAME_HEADER < length)
            break;
        for (place = 0; place < 2; place++) {
            struct uds_frame_set *set = &reader->sets[place];
            if (!set->held || set->at != at)
                continue;
            lost = set->surplus > 0 || set->cut;
            /* It is reported alone. */
            if (lost && count > 0)
                break;
            set->index = count;
            kind = lost ? UDS_FRAMES_LOST : UDS_FRAMES_FDS;
        }
        if (lost && count > 0)
            break;
        reader->starts[count] = (uint32_t)(at + UDS_FRAME_HEADER);
        reader->lengths[count++] = length;
        even &= length == reader->lengths[0];
        at += UDS_FRAME_HEADER + length;
    }
    if (count == 0) {
        if (!reader->stray)
            return 0;
        uds_frame_set_empty(&reader->sets[0]);
        uds_frame_set_empty(&reader->sets[1]);
        return uds_frames_number(reader, UDS_FRAMES_BROKEN, 0);
    }
    reader->count = count;
    reader->parsed = at;
    shape = kind == UDS_FRAMES_PLAIN ? uds_frames_shape(reader, most == 1, even) : 0;
    if (shape == 0)
        uds_frames_strip(reader);
    return uds_frames_number(reader, kind, shape);
}

/* Makes room for more of the message that is not there whole: 0, or UDS_FRAMES_ROOM.  Memory grows to no more than
   twice of what has arrived. */
UDS_FUNCTION int uds_frames_make_room(struct uds_frame_reader *reader)
{
    size_t have = reader->end - reader->begin, whole = UDS_FRAME_HEADER;

    reader->length = 0;
    if (have >= UDS_FRAME_HEADER) {
        reader->length = uds_frame_length(reader->data + reader->begin);
        whole += reader->length;
    }
    if (reader->size > reader->base && whole <= reader->base) {
        reader->needed = reader->base;
        return UDS_FRAMES_ROOM;
    }
    /* Messages at the begin of the memory are the cheapest to cut, and moving a little costs less than that saves. */
    if (reader->begin > 0 && (reader->begin + whole > reader->size || reader->size - reader->end < reader->size / 2 ||
                              have <= UDS_FRAMES_LITTLE))
        uds_frames_shift(reader, reader->data);
    if (reader->end < reader->size)
        return 0;
    reader->needed = whole < 2 * reader->size ? whole : 2 * reader->size;
    return UDS_FRAMES_ROOM;
}

/* Gives the descriptors of the bytes behind old_end to their message. */
UDS_FUNCTION void uds_frames_attribute(struct uds_frame_reader *reader, struct uds_frame_set *set, size_t old_end)
{
    size_t at = reader->begin;
    int begins = 0;

    while (at < reader->end) {
        uint32_t length;
        if (at >= old_end) {
            begins = 1;
            set->at = at;
        }
        if (reader->end - at < UDS_FRAME_HEADER)
            break;
        length = uds_frame_length(reader->data + at);
        if (length > reader->limit)
            break;
        at += UDS_FRAME_HEADER + length;
    }
    if (begins) {
        set->held = 1;
        set->serial = ++reader->serial;
        set->taken = 0;
        return;
    }
    reader->stray = 1;
    uds_frame_set_empty(set);
}

UDS_FUNCTION ssize_t uds_frames_take_in(struct uds_frame_reader *reader, int fd, int flags)
{
    struct uds_frame_set *set = &reader->sets[reader->sets[0].held ? 1 : 0];
    struct msghdr message;
    struct iovec iov;
    ssize_t result;
    size_t old_end = reader->end;

    memset(&message, 0, sizeof message);
    iov.iov_base = reader->data + reader->end;
    iov.iov_len = reader->size - reader->end;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = reader->control.bytes;
    message.msg_controllen = sizeof reader->control.bytes;
    flags |= reader->flags;
#if UDS_HAS_ATOMIC_CLOEXEC
    flags |= MSG_CMSG_CLOEXEC;
#endif
    result = uds_recvmsg(fd, &message, flags);
    if (result < 0)
        return result;
    reader->end += (size_t)result;
    set->surplus = uds_control_claim(reader->control.bytes, (size_t)message.msg_controllen, set->fds,
                                     reader->max_fds);
    set->cut = (message.msg_flags & MSG_CTRUNC) != 0;
    if ((set->fds != NULL && set->fds->count > 0) || set->surplus > 0 || set->cut)
        uds_frames_attribute(reader, set, old_end);
    return result;
}

/* Takes from all other calls the right to deliver the last result: 0 when that was delivered. */
UDS_FUNCTION int uds_frames_overtake(struct uds_frame_reader *reader)
{
    if (__atomic_load_n(&reader->undelivered, __ATOMIC_SEQ_CST) == 0)
        return 0;
    if (__atomic_exchange_n(&reader->undelivered, UDS_FRAMES_OVERTAKEN, __ATOMIC_SEQ_CST) != 0)
        return 1;
    /* It was, between these two. */
    __atomic_store_n(&reader->undelivered, 0, __ATOMIC_SEQ_CST);
    return 0;
}

/* A result; 0 at the end of the connection; UDS_FRAMES_ROOM; -EBUSY; another -errno.  Messages that were not delivered
   come again, before anything is received. */
UDS_FUNCTION int64_t uds_frames_receive(struct uds_frame_reader *reader, int most, int flags)
{
    int64_t result;
    int fd = uds_handle_enter(reader->handle);

    if (fd < 0)
        return fd;
    result = uds_frames_enter(&reader->busy);
    if (result == 0) {
        if (uds_frames_overtake(reader) == 0)
            uds_frames_drop(reader);
        else if (reader->stripped)
            uds_frames_unstrip(reader);
        for (;;) {
            result = uds_frames_parse(reader, most);
            if (result != 0)
                break;
            result = uds_frames_make_room(reader);
            if (result != 0)
                break;
            result = uds_frames_take_in(reader, fd, flags);
            if (result <= 0)
                break;
        }
        uds_frames_leave(&reader->busy);
    }
    uds_handle_leave(reader->handle);
    return result;
}

UDS_FUNCTION int64_t uds_frames_receive_all(struct uds_frame_reader *reader)
{
    return uds_frames_receive(reader, UDS_FRAMES_MOST, 0);
}

UDS_FUNCTION int64_t uds_frames_receive_one(struct uds_frame_reader *reader)
{
    return uds_frames_receive(reader, 1, 0);
}

/* The same, and neither waits, whatever flags another thread presets meanwhile. */
UDS_FUNCTION int64_t uds_frames_try_all(struct uds_frame_reader *reader)
{
    return uds_frames_receive(reader, UDS_FRAMES_MOST, MSG_DONTWAIT);
}

UDS_FUNCTION int64_t uds_frames_try_one(struct uds_frame_reader *reader)
{
    return uds_frames_receive(reader, 1, MSG_DONTWAIT);
}

/* Says that the messages of a result are the caller's: once, and unless another call has received since: -EBUSY. */
UDS_FUNCTION int uds_frames_deliver(struct uds_frame_reader *reader, int64_t result)
{
    int64_t expected = result;
    if (result <= 0)
        return -EINVAL;
    return __atomic_compare_exchange_n(&reader->undelivered, &expected, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
               ? 0
               : -EBUSY;
}

/* Takes that back for the call that said it and could not return them: -EBUSY when another call has received since. */
UDS_FUNCTION int uds_frames_recall(struct uds_frame_reader *reader, int64_t result)
{
    int status = uds_frames_enter(&reader->busy);
    if (status < 0)
        return status;
    if (reader->result != result || reader->count == 0)
        status = -EBUSY;
    else
        __atomic_store_n(&reader->undelivered, result, __ATOMIC_SEQ_CST);
    uds_frames_leave(&reader->busy);
    return status;
}

/* Goes on in other memory, which then has this number, unless somebody else was quicker: -EBUSY. */
UDS_FUNCTION int uds_frames_move(struct uds_frame_reader *reader, int64_t memory, char *data, size_t size,
                                 int64_t number)
{
    int result = uds_frames_enter(&reader->busy);
    if (result < 0)
        return result;
    if (reader->memory != memory || __atomic_load_n(&reader->undelivered, __ATOMIC_SEQ_CST) != 0) {
        result = -EBUSY;
    } else {
        /* What another call has received and delivered meanwhile does not move. */
        uds_frames_drop(reader);
        if (reader->end - reader->begin > size) {
            result = -ENOBUFS;
        } else {
            uds_frames_shift(reader, data);
            reader->data = data;
            reader->size = size;
            reader->memory = number;
        }
    }
    uds_frames_leave(&reader->busy);
    return result;
}

/* Moves the descriptors of one arrival into slots that are empty, and returns how many they are.  What was moved before
   stays there.  -EBUSY when they are not in this place any more. */
UDS_FUNCTION int uds_frames_take(struct uds_frame_reader *reader, int place, int64_t serial, struct uds_fds *into)
{
    struct uds_fds *from;
    int result;
    if (place < 0 || place > 1)
        return -EINVAL;
    result = uds_frames_enter(&reader->busy);
    if (result < 0)
        return result;
    from = reader->sets[place].fds;
    if (!reader->sets[place].held || reader->sets[place].serial != serial) {
        result = -EBUSY;
    } else if (from != NULL && from->count > 0) {
        result = uds_fds_move(from, from->generation, 0, from->count, into);
        if (result == 0) {
            reader->sets[place].taken = from->count;
            from->count = 0;
        }
    }
    if (result == 0)
        result = reader->sets[place].taken;
    uds_frames_leave(&reader->busy);
    return result;
}

#endif
