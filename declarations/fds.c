/* Slots: descriptors that were received and that nobody has taken yet.

   Rules:
   - A number leaves its slot by one atomic exchange, so of two threads that want it only one gets it, and what is
     moved on is in its new owner when the function returns.  The other one waits until it is there.
   - Slots are used again for another message once they were closed.  Each use has a generation, which stands beside
     every number: whoever still means an earlier message finds nothing. */
#ifndef UDS_FDS_C
#define UDS_FDS_C
#include "handle.c"
#include <sched.h>
#if defined(__linux__)
#  include <sys/syscall.h>
#endif

#if defined(SYS_close_range) && !defined(UDS_MINIMAL)
#  define UDS_HAS_CLOSE_RANGE 1
#else
#  define UDS_HAS_CLOSE_RANGE 0
#endif

/* Stands in a slot while its number moves into a handle. */
#define UDS_MOVING 0xffffffffu
/* A move is a few instructions.  Who waits for one gives up nevertheless: a fork may have copied it half-way. */
#define UDS_LONGEST_MOVE 1000

/* A slot holds the generation in its upper half and the number plus one in its lower half, 0 for none. */
struct uds_fds {
    unsigned int generation;
    int count;
    uint64_t slot[UDS_SCM_MAX_FD] UDS_ATOMIC;
};

UDS_FUNCTION uint64_t uds_slot(unsigned int generation, int fd)
{
    return (uint64_t)generation << 32 | (uint32_t)(fd + 1);
}

UDS_FUNCTION unsigned int uds_fds_generation(struct uds_fds *fds)
{
    return __atomic_load_n(&fds->generation, __ATOMIC_SEQ_CST);
}

/* How many slots the message of this generation uses. */
UDS_FUNCTION int uds_fds_count(struct uds_fds *fds, unsigned int generation)
{
    int count = __atomic_load_n(&fds->count, __ATOMIC_SEQ_CST);
    return uds_fds_generation(fds) == generation ? count : 0;
}

/* The number in a slot as it was read, or -EBADF. */
UDS_FUNCTION int uds_slot_number(uint64_t held, unsigned int generation)
{
    uint32_t low = (uint32_t)held;
    return held >> 32 != generation || low == 0 || low == UDS_MOVING ? -EBADF : (int)(low - 1);
}

/* Puts something in place of a number and returns that, or -EBADF when there is none. */
UDS_FUNCTION int uds_slot_replace(struct uds_fds *fds, unsigned int generation, int index, uint32_t low)
{
    uint64_t held = __atomic_load_n(&fds->slot[index], __ATOMIC_SEQ_CST);
    uint64_t next = (uint64_t)generation << 32 | low;
    int fd = uds_slot_number(held, generation);
    if (fd < 0
        || !__atomic_compare_exchange_n(&fds->slot[index], &held, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return -EBADF;
    return fd;
}

/* Empties a slot and returns the number that was in it, or -EBADF. */
UDS_FUNCTION int uds_slot_take(struct uds_fds *fds, unsigned int generation, int index)
{
    return uds_slot_replace(fds, generation, index, 0);
}

/* The number in a slot, or -EBADF when it was taken, and outside the slots in use. */
UDS_FUNCTION int uds_fds_number(struct uds_fds *fds, unsigned int generation, int index)
{
    if (index < 0 || index >= uds_fds_count(fds, generation))
        return -EBADF;
    return uds_slot_number(__atomic_load_n(&fds->slot[index], __ATOMIC_SEQ_CST), generation);
}

/* Puts a number into the next slot: -ENOBUFS when all are in use.  Only the call that receives a message does so,
   and nobody else has its generation yet. */
UDS_FUNCTION int uds_fds_adopt(struct uds_fds *fds, int fd)
{
    if (fd < 0)
        return -EBADF;
    if (fds->count >= UDS_SCM_MAX_FD)
        return -ENOBUFS;
    __atomic_store_n(&fds->slot[fds->count], uds_slot(fds->generation, fd), __ATOMIC_RELEASE);
    __atomic_store_n(&fds->count, fds->count + 1, __ATOMIC_RELEASE);
    return 0;
}

/* Moves one descriptor into an empty handle: -EBUSY when that is not empty.  Of two threads that move it into the same
   handle at once one gets -EBADF or -EBUSY, and finds the number in the handle. */
UDS_FUNCTION int uds_fds_take(struct uds_fds *fds, unsigned int generation, int index, struct uds_handle *into)
{
    uint64_t moving = (uint64_t)generation << 32 | UDS_MOVING;
    int fd, result, wait;

    if (index < 0 || index >= uds_fds_count(fds, generation))
        return -EBADF;
    if (__atomic_load_n(&into->state, __ATOMIC_SEQ_CST) != 0)
        return uds_fds_number(fds, generation, index) < 0 ? -EBADF : -EBUSY;
    fd = uds_slot_replace(fds, generation, index, UDS_MOVING);
    if (fd < 0) {
        for (wait = 0; wait < UDS_LONGEST_MOVE; wait++) {
            if (__atomic_load_n(&fds->slot[index], __ATOMIC_SEQ_CST) != moving)
                break;
            sched_yield();
        }
        return -EBADF;
    }
    result = uds_handle_adopt(into, fd, 0);
    /* Not if the slots were closed and are used for another message meanwhile. */
    if (!__atomic_compare_exchange_n(&fds->slot[index], &moving, uds_slot(generation, result < 0 ? fd : -1), 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
        && result < 0)
        close(fd);
    return result;
}

/* Moves a run of descriptors into slots of which none is in use. */
UDS_FUNCTION int uds_fds_move(struct uds_fds *from, unsigned int generation, int first, int count,
                              struct uds_fds *into)
{
    int index, used = uds_fds_count(from, generation);
    if (first < 0 || count < 0 || first > used || count > used - first)
        return -EINVAL;
    if (into->count != 0)
        return -EBUSY;
    for (index = 0; index < count; index++) {
        int fd = uds_slot_take(from, generation, first + index);
        into->slot[index] = uds_slot(into->generation, fd < 0 ? -1 : fd);
    }
    __atomic_store_n(&into->count, count, __ATOMIC_SEQ_CST);
    return 0;
}

/* Hands all numbers that are left to the caller and returns how many those are. */
UDS_FUNCTION int uds_fds_detach(struct uds_fds *fds, unsigned int generation, int *numbers)
{
    int index, used = uds_fds_count(fds, generation), count = 0;
    for (index = 0; index < used; index++) {
        int fd = uds_slot_take(fds, generation, index);
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

/* Closes whatever is left of the message and returns how many those were. */
UDS_FUNCTION int uds_fds_clear(struct uds_fds *fds, unsigned int generation)
{
    int index, first = 0, run = 0, closed = 0;
    int used = uds_fds_count(fds, generation);

    for (index = 0; index < used; index++) {
        int fd = uds_slot_take(fds, generation, index);
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

/* The same, and ends the generation: the slots may then be used for another message.  -EBADF when it had ended before,
   so exactly one caller may reuse them. */
UDS_FUNCTION int uds_fds_close(struct uds_fds *fds, unsigned int generation)
{
    unsigned int ended = generation;
    int closed = uds_fds_clear(fds, generation);

    if (!__atomic_compare_exchange_n(&fds->generation, &ended, generation + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return -EBADF;
    __atomic_store_n(&fds->count, 0, __ATOMIC_SEQ_CST);
    return closed;
}

/* Frees slots after closing whatever is left in them. */
UDS_FUNCTION void uds_fds_free(void *memory)
{
    struct uds_fds *fds = memory;
    uds_fds_close(fds, uds_fds_generation(fds));
    free(memory);
}

#endif
