/* The control buffer: adding items, walking over them, and taking the descriptors out of it.

   Rules:
   - All CMSG_ arithmetic is done here; alignments of 4, 8 and 16 bytes exist.
   - A walk trusts no length.  An item reaches at most to the end of the buffer, and a header that claims less than
     its own size ends the walk.
   - Descriptors leave the buffer before anyone else reads it: what is not kept is closed, and a number never
     stands in two places. */
#ifndef UDS_CONTROL_C
#define UDS_CONTROL_C
#include "fds.c"

struct uds_control_item {
    int level;
    int type;
    size_t offset; /* of the data */
    size_t size;   /* of the data that is there */
    size_t next;   /* where the next header begins */
};

/* Adds an item behind the first length bytes and returns the new length, or -ENOBUFS, and changes nothing, when it
   does not fit. */
UDS_FUNCTION ssize_t uds_control_add(void *control, size_t capacity, size_t length, int level, int type,
                                     const void *data, size_t size)
{
    struct cmsghdr header;
    size_t space;

    if (size > INT_MAX / 2 || length > capacity)
        return -ENOBUFS;
    space = CMSG_SPACE(size);
    if (space > capacity - length)
        return -ENOBUFS;
    memset((char *)control + length, 0, space);
    memset(&header, 0, sizeof header);
    header.cmsg_len = (uds_cmsglen_t)CMSG_LEN(size);
    header.cmsg_level = level;
    header.cmsg_type = type;
    memcpy((char *)control + length, &header, sizeof header);
    if (size > 0)
        memcpy((char *)control + length + CMSG_LEN(0), data, size);
    return (ssize_t)(length + space);
}

/* Reads the item that begins at item->next and returns 1, or 0 at the end of what can be read. */
UDS_FUNCTION int uds_control_next(const void *control, size_t length, struct uds_control_item *item)
{
    struct cmsghdr header;
    size_t begin = item->next, room, space;

    if (begin > length || length - begin < CMSG_LEN(0))
        return 0;
    room = length - begin;
    memcpy(&header, (const char *)control + begin, sizeof header);
    if ((size_t)header.cmsg_len < CMSG_LEN(0))
        return 0;
    item->level = header.cmsg_level;
    item->type = header.cmsg_type;
    item->offset = begin + CMSG_LEN(0);
    item->size = ((size_t)header.cmsg_len > room ? room : (size_t)header.cmsg_len) - CMSG_LEN(0);
    space = CMSG_SPACE(item->size);
    item->next = space > room ? length : begin + space;
    return 1;
}

/* Makes one SCM_RIGHTS item, the first, of several, and copies the other items behind it.  Returns the length of the
   copy; 0, and copies nothing, when there is no more than one; -EINVAL for too many descriptors and for what is no list
   of items, as Linux does; -ENOBUFS when the copy does not fit. */
UDS_FUNCTION ssize_t uds_control_unite(const void *control, size_t length, void *into, size_t capacity)
{
    struct uds_control_item item;
    int numbers[UDS_SCM_MAX_FD];
    size_t size = 0;
    ssize_t used;
    int found = 0;

    item.next = 0;
    while (uds_control_next(control, length, &item)) {
        if (item.level != SOL_SOCKET || item.type != SCM_RIGHTS)
            continue;
        if (item.size % sizeof(int) != 0 || item.size > sizeof numbers - size)
            return -EINVAL;
        memcpy((char *)numbers + size, (const char *)control + item.offset, item.size);
        size += item.size;
        found++;
    }
    if (found < 2)
        return 0;
    if (item.next < length && length - item.next >= CMSG_LEN(0))
        return -EINVAL;
    used = uds_control_add(into, capacity, 0, SOL_SOCKET, SCM_RIGHTS, numbers, size);
    item.next = 0;
    while (used >= 0 && uds_control_next(control, length, &item))
        if (item.level != SOL_SOCKET || item.type != SCM_RIGHTS)
            used = uds_control_add(into, capacity, (size_t)used, item.level, item.type,
                                   (const char *)control + item.offset, item.size);
    return used;
}

/* Closes the descriptors among the data of an item, from one place on. */
UDS_FUNCTION void uds_control_close(const void *control, const struct uds_control_item *item, size_t from)
{
    if (item->level != SOL_SOCKET || (item->type != SCM_RIGHTS && item->type != SCM_PIDFD))
        return;
    for (; from + sizeof(int) <= item->size; from += sizeof(int)) {
        int fd;
        memcpy(&fd, (const char *)control + item->offset + from, sizeof fd);
        if (fd >= 0)
            close(fd);
    }
}

/* Copies the items of a received control buffer into a smaller one, as Linux does when it finds too little room: of
   descriptors as many as fit, and the others are closed; of anything else as many bytes as fit.  Returns the length of
   the copy, and sets cut when something did not fit. */
UDS_FUNCTION size_t uds_control_fit(const void *control, size_t length, void *into, size_t capacity, int *cut)
{
    struct uds_control_item item;
    size_t used = 0;

    item.next = 0;
    while (uds_control_next(control, length, &item)) {
        struct cmsghdr header;
        size_t room = capacity - used < CMSG_LEN(0) ? 0 : capacity - used - CMSG_LEN(0), size = item.size;
        int is_rights = item.level == SOL_SOCKET && item.type == SCM_RIGHTS;
        int is_pidfd = item.level == SOL_SOCKET && item.type == SCM_PIDFD;

        if (size > room || capacity - used < CMSG_LEN(0)) {
            *cut = 1;
            size = is_rights ? room / sizeof(int) * sizeof(int) : is_pidfd ? 0 : room;
            uds_control_close(control, &item, size);
            if (capacity - used < CMSG_LEN(0) || (size == 0 && (is_rights || is_pidfd)))
                continue;
        }
        memset(&header, 0, sizeof header);
        header.cmsg_len = (uds_cmsglen_t)CMSG_LEN(size);
        header.cmsg_level = item.level;
        header.cmsg_type = item.type;
        memcpy((char *)into + used, &header, sizeof header);
        memcpy((char *)into + used + CMSG_LEN(0), (const char *)control + item.offset, size);
        used += CMSG_SPACE(size) > capacity - used ? capacity - used : CMSG_SPACE(size);
    }
    return used;
}

UDS_FUNCTION int uds_keep(struct uds_fds *fds, int most, int fd)
{
#if !UDS_HAS_ATOMIC_CLOEXEC
    fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    /* Here already, because its owner may give the number away. */
    uds_prevent_sigpipe(fd);
    if (fds != NULL && fds->count < most && uds_fds_adopt(fds, fd) == 0)
        return 1;
    close(fd);
    return 0;
}

/* Moves every descriptor of a received control buffer into fds, up to most in all, closes the others and returns
   how many those were.  In the buffer -1 takes each number's place.

   The sender's pidfd goes into a handle of its own, and 0 takes its place.  Without an empty handle for it, because
   nobody wants it or somebody else enabled SO_PASSPIDFD, it is closed, but not counted: the sender did not pass it.
   So are those of an item that is not one number, which Python would not know how to read.
   A negative number is the kernel's -errno instead of a pidfd, and stays. */
UDS_FUNCTION int uds_control_claim_all(void *control, size_t length, struct uds_fds *fds, int most,
                                       struct uds_handle *pidfd)
{
    struct uds_control_item item;
    int closed = 0;

    item.next = 0;
    while (uds_control_next(control, length, &item)) {
        size_t at;
        int is_rights = item.level == SOL_SOCKET && item.type == SCM_RIGHTS;
        int is_pidfd = item.level == SOL_SOCKET && item.type == SCM_PIDFD;
        if (!is_rights && !is_pidfd)
            continue;
        for (at = 0; at + sizeof(int) <= item.size; at += sizeof(int)) {
            char *place = (char *)control + item.offset + at;
            int fd, gone = -1;
            memcpy(&fd, place, sizeof fd);
            if (fd < 0)
                continue;
            if (is_pidfd && pidfd != NULL && item.size == sizeof fd && uds_handle_adopt(pidfd, fd, 0) == 0)
                gone = 0;
            else if (is_pidfd)
                close(fd);
            else if (!uds_keep(fds, most, fd))
                closed++;
            memcpy(place, &gone, sizeof gone);
        }
    }
    return closed;
}

/* The same for whoever wants no pidfd. */
UDS_FUNCTION int uds_control_claim(void *control, size_t length, struct uds_fds *fds, int most)
{
    return uds_control_claim_all(control, length, fds, most, NULL);
}

/* Copies the items that are not of passed descriptors, as they stand, into memory that is no smaller, and returns how
   many bytes those are.  Only the last one can be cut, so the copy reads as the original does. */
UDS_FUNCTION size_t uds_control_copy(const void *control, size_t length, void *into)
{
    struct uds_control_item item;
    size_t begin = 0, used = 0;

    item.next = 0;
    while (uds_control_next(control, length, &item)) {
        if (item.level != SOL_SOCKET || item.type != SCM_RIGHTS) {
            memcpy((char *)into + used, (const char *)control + begin, item.next - begin);
            used += item.next - begin;
        }
        begin = item.next;
    }
    return used;
}

#endif
