/* Slots: descriptors that were received and that nobody has taken yet.

   Rule: a number leaves its slot by one atomic exchange, so of two threads that want it only one gets it, and what
   is moved on is in its new owner when the function returns. */
#ifndef UDS_FDS_C
#define UDS_FDS_C
#include "handle.c"
#if defined(__linux__)
#  include <sys/syscall.h>
#endif

#if defined(SYS_close_range) && !defined(UDS_MINIMAL)
#  define UDS_HAS_CLOSE_RANGE 1
#else
#  define UDS_HAS_CLOSE_RANGE 0
#endif

struct uds_fds {
    int count;
    int fd[UDS_SCM_MAX_FD];
};

UDS_FUNCTION int uds_slot_take(struct uds_fds *fds, int index)
{
    return __atomic_exchange_n(&fds->fd[index], -1, __ATOMIC_SEQ_CST);
}

/* The number in a slot, or -EBADF when it was taken, and outside the slots in use. */
UDS_FUNCTION int uds_fds_number(struct uds_fds *fds, int index)
{
    int fd;
    if (index < 0 || index >= fds->count)
        return -EBADF;
    fd = __atomic_load_n(&fds->fd[index], __ATOMIC_SEQ_CST);
    return fd < 0 ? -EBADF : fd;
}

/* Puts a number into the next slot: -ENOBUFS when all are in use. */
UDS_FUNCTION int uds_fds_adopt(struct uds_fds *fds, int fd)
{
    if (fd < 0)
        return -EBADF;
    if (fds->count >= UDS_SCM_MAX_FD)
        return -ENOBUFS;
    fds->fd[fds->count++] = fd;
    return 0;
}

/* Moves one descriptor into an empty handle. */
UDS_FUNCTION int uds_fds_take(struct uds_fds *fds, int index, struct uds_handle *into)
{
    int fd, result;
    if (index < 0 || index >= fds->count)
        return -EBADF;
    fd = uds_slot_take(fds, index);
    if (fd < 0)
        return -EBADF;
    result = uds_handle_adopt(into, fd, 0);
    if (result < 0)
        __atomic_store_n(&fds->fd[index], fd, __ATOMIC_SEQ_CST);
    return result;
}

/* Moves a run of descriptors into empty slots. */
UDS_FUNCTION int uds_fds_move(struct uds_fds *from, int first, int count, struct uds_fds *into)
{
    int index;
    if (first < 0 || count < 0 || first > from->count || count > from->count - first)
        return -EINVAL;
    if (into->count != 0)
        return -EBUSY;
    for (index = 0; index < count; index++)
        into->fd[index] = uds_slot_take(from, first + index);
    into->count = count;
    return 0;
}

/* Hands all numbers that are left to the caller and returns how many those are. */
UDS_FUNCTION int uds_fds_detach(struct uds_fds *fds, int *numbers)
{
    int index, count = 0;
    for (index = 0; index < fds->count; index++) {
        int fd = uds_slot_take(fds, index);
        if (fd >= 0)
            numbers[count++] = fd;
    }
    return count;
}

/* Received numbers mostly follow each other, and then one call closes them all. */
UDS_FUNCTION void uds_close_run(int first, int count)
{
    int index;
#if UDS_HAS_CLOSE_RANGE
    if (count > 1 && syscall(SYS_close_range, (unsigned int)first, (unsigned int)(first + count - 1), 0u) == 0)
        return;
#endif
    for (index = 0; index < count; index++)
        close(first + index);
}

/* Closes whatever is left in the slots and returns how many those were. */
UDS_FUNCTION int uds_fds_close(struct uds_fds *fds)
{
    int index, first = 0, run = 0, closed = 0;
    for (index = 0; index < fds->count; index++) {
        int fd = uds_slot_take(fds, index);
        if (fd < 0)
            continue;
        closed++;
        if (run > 0 && fd == first + run) {
            run++;
            continue;
        }
        if (run > 0)
            uds_close_run(first, run);
        first = fd;
        run = 1;
    }
    if (run > 0)
        uds_close_run(first, run);
    return closed;
}

#endif
