/* Control data, in both directions.

   Rules of all four kernels (unp_internalize() and soreceive()):
   - a sender gives one SCM_RIGHTS item, and no more bytes than its space;
   - whoever looks at a message with MSG_PEEK and wants its control data gets pointers of the kernel in it.

   What a sender adds beside descriptors, and the kernel fills in, travels in a file of its own: its descriptor is the
   last one of the message, and leaves it on arrival. */
#define _GNU_SOURCE
#include "kernel.h"

#include <stdio.h>
#include <sys/mman.h>

#define LUGGAGE "uds-foreign-luggage"
/* SCM_MAX_FD of Linux. */
#define MOST_FDS 253

static size_t aligned(size_t size)
{
    return (size + kernel.control_alignment - 1) / kernel.control_alignment * kernel.control_alignment;
}

/* The header with its padding. */
static size_t head(void)
{
    return aligned(sizeof(struct their_cmsghdr));
}

/* Adds an item in their form. */
void add_item(struct items *items, int level, int type, const void *data, size_t size)
{
    struct their_cmsghdr header = {(uint32_t)(head() + size), level, type};
    size_t space = head() + aligned(size);

    if (space > sizeof items->bytes - items->length)
        foreign_stop("recvmsg", "more control data than this stand-in holds, bytes", (long)space);
    memset(items->bytes + items->length, 0, space);
    memcpy(items->bytes + items->length, &header, sizeof header);
    memcpy(items->bytes + items->length + head(), data, size);
    items->length += space;
}

/* Puts items into a file and returns its descriptor. */
static int pack(const struct items *items)
{
    int fd = memfd_create(LUGGAGE, MFD_CLOEXEC);
    if (fd < 0 || write(fd, items->bytes, items->length) != (ssize_t)items->length)
        foreign_stop("sendmsg", "cannot make a file, errno", errno);
    return fd;
}

/* Whether a descriptor is such a file; then its items are taken out and it is closed. */
static int unpack(int fd, struct items *into)
{
    char entry[64], target[64] = "";
    ssize_t size;

    snprintf(entry, sizeof entry, "/proc/self/fd/%d", fd);
    if (readlink(entry, target, sizeof target - 1) < 0 || strncmp(target, "/memfd:" LUGGAGE, strlen("/memfd:" LUGGAGE)))
        return 0;
    size = pread(fd, into->bytes + into->length, sizeof into->bytes - into->length, 0);
    into->length += size < 0 ? 0 : (size_t)size;
    close(fd);
    return 1;
}

static int is_known_refusal(int type)
{
    const int *each;
    for (each = kernel.sent_types; *each != 0; each++)
        if (*each == type)
            return 1;
    return 0;
}

/* Reads what a sender gives and makes Linux's form of it.  Returns the descriptor of the file that goes with it, which
   the caller closes, -1 without one, or -errno below that. */
int control_to_ours(const void *control, size_t length, struct items *into)
{
    const unsigned char *at = control;
    struct items luggage = {0};
    int fds[MOST_FDS + 1], count = 0, rights = 0, file = -1;

    into->length = 0;
    if (length > THEIR_MOST_CONTROL)
        return -EINVAL;
    while (length > 0) {
        struct their_cmsghdr header;
        size_t size, space;
        if (length < sizeof header)
            return -EINVAL;
        memcpy(&header, at, sizeof header);
        if (header.length < head() || header.length > length)
            return -EINVAL;
        size = header.length - head();
        space = head() + aligned(size);
        if (IS_NOBODYS(header.level) || IS_NOBODYS(header.type))
            return -EINVAL;
        if (header.level != THEIR_SOL_SOCKET)
            foreign_stop("sendmsg", "unknown level of control data", header.level);
        if (header.type == THEIR_SCM_RIGHTS) {
            if (rights++ > 0 || size % sizeof(int) != 0 || size > MOST_FDS * sizeof(int))
                return -EINVAL;
            memcpy(fds, at + head(), size);
            count = (int)(size / sizeof(int));
        } else if (kernel.fill == NULL || !kernel.fill(header.type, &luggage)) {
            if (!is_known_refusal(header.type))
                foreign_stop("sendmsg", "unknown type of control data", header.type);
            return -EINVAL;
        }
        /* The last item may end with its data or with its padding, and nothing may follow that. */
        if (space >= length) {
            if (length != header.length && length != space)
                return -EINVAL;
            break;
        }
        at += space;
        length -= space;
        if (rights && kernel.fill == NULL)
            return -EINVAL;
    }
    if (luggage.length > 0)
        fds[count++] = file = pack(&luggage);
    if (count > 0) {
        struct cmsghdr *header = (struct cmsghdr *)(void *)into->bytes;
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
        into->length = CMSG_SPACE((size_t)count * sizeof(int));
    }
    return file;
}

static void close_all(const int *fds, int count)
{
    while (count-- > 0)
        close(fds[count]);
}

/* Gives the receiver what Linux has received.  0, or -errno when the message is refused. */
int control_to_theirs(int fd, struct msghdr *ours, struct their_msghdr *theirs, int is_peek)
{
    struct items items = {0};
    struct cmsghdr *each;
    int fds[MOST_FDS + 1], count = 0;
    unsigned state = foreign_state(fd);
    size_t room = theirs->control_length;

    for (each = CMSG_FIRSTHDR(ours); each != NULL; each = CMSG_NXTHDR(ours, each)) {
        size_t size = each->cmsg_len - CMSG_LEN(0);
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_RIGHTS) {
            count = (int)(size / sizeof(int));
            memcpy(fds, CMSG_DATA(each), size);
        } else if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_CREDENTIALS) {
            struct ucred sender;
            memcpy(&sender, CMSG_DATA(each), sizeof sender);
            /* Linux's way to say that nobody's were recorded. */
            if (sender.pid != 0 && kernel.add_sender != NULL)
                kernel.add_sender(fd, state, &sender, &items);
        } else {
            foreign_stop("recvmsg", "Linux has sent control data of type", each->cmsg_type);
        }
    }
    if (count > 0 && unpack(fds[count - 1], &items))
        count--;
    if (is_peek && count > 0) {
        /* What the kernel's own list of open files is made of. */
        uint64_t pointers[MOST_FDS + 1];
        int index;
        for (index = 0; index < count; index++)
            pointers[index] = 0xfffff80012345678u + 64u * (unsigned)index;
        close_all(fds, count);
        add_item(&items, THEIR_SOL_SOCKET, THEIR_SCM_RIGHTS, pointers, (size_t)count * sizeof pointers[0]);
        count = 0;
    } else if (count > 0) {
        add_item(&items, THEIR_SOL_SOCKET, THEIR_SCM_RIGHTS, fds, (size_t)count * sizeof(int));
    }
    if (items.length > room) {
        if (kernel.too_small == REFUSED) {
            close_all(fds, count);
            return -EMSGSIZE;
        }
        ours->msg_flags |= MSG_CTRUNC;
    }
    theirs->control_length = (uint32_t)(items.length < room ? items.length : room);
    memcpy(theirs->control, items.bytes, theirs->control_length);
    return 0;
}
