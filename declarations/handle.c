/* The handle: one descriptor, the number of calls that are running on it, and whether it is being closed.

   Rules:
   - A number is never used after it is closed.  Every call that takes a handle enters it first and leaves it
     afterwards; close() marks it, and whoever leaves last closes the number.
   - A call that makes a descriptor writes it into a handle that its Python owner already holds, so no signal
     handler can run between the birth of a descriptor and its ownership.

   The state is one word, changed only by atomic operations:
     bit 0  OPEN      the handle holds a number
     bit 1  CLOSING   close() was called; no further call may enter
     bit 2  BORROWED  the number belongs to somebody else and is never closed here
     bits 3 to 19     how many calls are running
     bits 20 to 31    the fork generation in which that count was true
   A fork copies the count of calls that run in other threads, which do not exist in the child.  The child
   therefore counts from zero when it meets a handle of an older generation. */
#ifndef UDS_HANDLE_C
#define UDS_HANDLE_C
#include "calls.c"

#include <sched.h>

#define UDS_OPEN 1u
#define UDS_CLOSING 2u
#define UDS_BORROWED 4u
#define UDS_ONE_USER 8u
#define UDS_USERS 0x000ffff8u
#define UDS_GENERATION 0xfff00000u
#define UDS_ONE_GENERATION 0x00100000u

struct uds_handle {
    int fd;
    unsigned int state;
};

static unsigned int uds_generation;

/* Memory of zeros, for handles and slots: their free functions close what is left in them. */
UDS_FUNCTION void *uds_allocate(size_t size)
{
    return calloc(1, size);
}

/* For memory with nothing to close in it, which is here because cffi's own is aligned to 4 bytes on i386. */
UDS_FUNCTION void uds_free(void *memory)
{
    free(memory);
}

UDS_FUNCTION void uds_after_fork_in_child(void)
{
    uds_generation += UDS_ONE_GENERATION;
}

/* Locks are held within one function only, and for calls that do not wait.  A lock of Python's could be left taken by
   a signal handler that raises, and whoever came next would wait for ever.  Taken, it is the fork generation of its
   holder and a 1: in the child of a fork the parent's other threads do not exist, and hold nothing. */
UDS_FUNCTION void uds_lock(unsigned int *lock)
{
    for (;;) {
        unsigned int old = __atomic_load_n(lock, __ATOMIC_SEQ_CST);
        int is_free = old == 0 || (old & UDS_GENERATION) != uds_generation;
        if (is_free
            && __atomic_compare_exchange_n(lock, &old, uds_generation | 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return;
        if (!is_free)
            sched_yield();
    }
}

UDS_FUNCTION void uds_unlock(unsigned int *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_SEQ_CST);
}

/* The state as the current process must see it. */
UDS_FUNCTION unsigned int uds_handle_seen(unsigned int state)
{
    if ((state & UDS_GENERATION) != uds_generation)
        state = (state & ~(UDS_GENERATION | UDS_USERS)) | uds_generation;
    return state;
}

UDS_FUNCTION int uds_handle_change(struct uds_handle *handle, unsigned int *old, unsigned int new)
{
    return __atomic_compare_exchange_n(&handle->state, old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Returns the number, which stays valid until uds_handle_leave(), or -EBADF. */
UDS_FUNCTION int uds_handle_enter(struct uds_handle *handle)
{
    unsigned int old = __atomic_load_n(&handle->state, __ATOMIC_SEQ_CST);
    do {
        if ((old & (UDS_OPEN | UDS_CLOSING)) != UDS_OPEN)
            return -EBADF;
    } while (!uds_handle_change(handle, &old, uds_handle_seen(old) + UDS_ONE_USER));
    return handle->fd;
}

/* Exactly one caller gets here: the one whose change left CLOSING set and no user. */
UDS_FUNCTION int uds_handle_finish(struct uds_handle *handle, unsigned int state)
{
    int fd = handle->fd;
    handle->fd = -1;
    __atomic_store_n(&handle->state, 0, __ATOMIC_SEQ_CST);
    return state & UDS_BORROWED ? 0 : uds_close(fd);
}

UDS_FUNCTION void uds_handle_leave(struct uds_handle *handle)
{
    unsigned int now = __atomic_sub_fetch(&handle->state, UDS_ONE_USER, __ATOMIC_SEQ_CST);
    if ((now & (UDS_CLOSING | UDS_USERS)) == UDS_CLOSING)
        uds_handle_finish(handle, now);
}

#define UDS_HELD(handle, type, call)              \
    type uds_result;                              \
    int fd = uds_handle_enter(handle);            \
    if (fd < 0)                                   \
        return fd;                                \
    uds_result = (call);                          \
    uds_handle_leave(handle);                     \
    return uds_result

/* The number, or -1 when the handle is empty or closed. */
UDS_FUNCTION int uds_handle_fileno(struct uds_handle *handle)
{
    unsigned int state = __atomic_load_n(&handle->state, __ATOMIC_SEQ_CST);
    return (state & (UDS_OPEN | UDS_CLOSING)) == UDS_OPEN ? handle->fd : -1;
}

/* How many calls are running. */
UDS_FUNCTION int uds_handle_users(struct uds_handle *handle)
{
    unsigned int state = uds_handle_seen(__atomic_load_n(&handle->state, __ATOMIC_SEQ_CST));
    return (int)((state & UDS_USERS) / UDS_ONE_USER);
}

UDS_FUNCTION int uds_handle_adopt(struct uds_handle *handle, int fd, int borrowed)
{
    if (fd < 0)
        return -EBADF;
    if (__atomic_load_n(&handle->state, __ATOMIC_SEQ_CST) != 0)
        return -EBUSY;
    /* Each socket on which anything is sent comes by here: made, accepted, duplicated or taken over. */
    uds_prevent_sigpipe(fd);
    handle->fd = fd;
    __atomic_store_n(&handle->state, UDS_OPEN | (borrowed ? UDS_BORROWED : 0u) | uds_generation,
                     __ATOMIC_SEQ_CST);
    return 0;
}

/* Closes at once, or, when calls are running, lets the last of them close and returns 1.  Closing what is closed or
   empty changes nothing.  EINTR from close(2) is no failure: the number is gone on every system bound here. */
UDS_FUNCTION int uds_handle_close(struct uds_handle *handle)
{
    int result;
    unsigned int new, old = __atomic_load_n(&handle->state, __ATOMIC_SEQ_CST);
    do {
        if (!(old & UDS_OPEN))
            return 0;
        new = uds_handle_seen(old) | UDS_CLOSING;
        /* CLOSING already: somebody else finishes it, unless that was a thread of the parent process. */
        if (new == old)
            return 1;
    } while (!uds_handle_change(handle, &old, new));
    if (new & UDS_USERS)
        return 1;
    result = uds_handle_finish(handle, new);
    return result == -EINTR ? 0 : result;
}

UDS_FUNCTION void uds_handle_free(void *memory)
{
    uds_handle_close(memory);
    free(memory);
}

/* An empty handle is closed for ever: CLOSING without OPEN, so that no call enters it and none fills it.  Returns
   0, or -EBUSY when it is not empty. */
UDS_FUNCTION int uds_handle_seal(struct uds_handle *handle)
{
    unsigned int empty = 0;
    return uds_handle_change(handle, &empty, UDS_CLOSING) ? 0 : -EBUSY;
}

/* Takes the number out without closing it: -EBADF when there is none, -EBUSY while a call is running. */
UDS_FUNCTION int uds_handle_detach(struct uds_handle *handle)
{
    int fd;
    unsigned int seen, old = __atomic_load_n(&handle->state, __ATOMIC_SEQ_CST);
    do {
        if ((old & (UDS_OPEN | UDS_CLOSING)) != UDS_OPEN)
            return -EBADF;
        seen = uds_handle_seen(old);
        if (seen & UDS_USERS)
            return -EBUSY;
        fd = handle->fd;
    } while (!uds_handle_change(handle, &old, 0));
    return fd;
}

/* The same in the form of open(2), so that a file object of Python takes the number with no bytecode in between. */
UDS_FUNCTION int uds_handle_open(struct uds_handle *handle, const char *name, int flags)
{
    (void)name;
    (void)flags;
    return uds_handle_detach(handle);
}

/* Moves the number into an empty handle: errors as for uds_handle_detach(). */
UDS_FUNCTION int uds_handle_move(struct uds_handle *handle, struct uds_handle *into)
{
    int result, fd;
    if (__atomic_load_n(&into->state, __ATOMIC_SEQ_CST) != 0)
        return -EBUSY;
    fd = uds_handle_detach(handle);
    if (fd < 0)
        return fd;
    result = uds_handle_adopt(into, fd, 0);
    if (result < 0)
        uds_handle_adopt(handle, fd, 0);
    return result;
}

/* Takes what a call has made into an empty handle, or closes it; an error of that call is handed on. */
UDS_FUNCTION int uds_handle_keep(struct uds_handle *into, int fd)
{
    int result = fd < 0 ? fd : uds_handle_adopt(into, fd, 0);
    if (result < 0 && fd >= 0)
        close(fd);
    return result;
}

/* Gives a new descriptor that is born without flags the flags that it needs, or closes it. */
UDS_FUNCTION int uds_handle_birth(struct uds_handle *handle, int fd, int nonblocking)
{
    int result = uds_handle_adopt(handle, fd, 0);
    if (result == 0 && !UDS_HAS_ATOMIC_CLOEXEC) {
        result = uds_set_birth_flags(fd, nonblocking);
        if (result < 0) {
            uds_handle_close(handle);
            return result;
        }
    } else if (result < 0 && fd >= 0) {
        close(fd);
    }
    return result;
}

UDS_FUNCTION int uds_birth_type(int type, int nonblocking)
{
#if UDS_HAS_ATOMIC_CLOEXEC
    return type | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
#else
    (void)nonblocking;
    return type;
#endif
}

UDS_FUNCTION int uds_handle_socket(struct uds_handle *handle, int type, int nonblocking)
{
    int fd = uds_socket(AF_UNIX, uds_birth_type(type, nonblocking), 0);
    return fd < 0 ? fd : uds_handle_birth(handle, fd, nonblocking);
}

UDS_FUNCTION int uds_handle_socketpair(struct uds_handle *one, struct uds_handle *two, int type, int nonblocking)
{
    int sv[2];
    int result = uds_socketpair(AF_UNIX, uds_birth_type(type, nonblocking), 0, sv);
    if (result < 0)
        return result;
    result = uds_handle_birth(one, sv[0], nonblocking);
    if (result < 0) {
        close(sv[1]);
        return result;
    }
    result = uds_handle_birth(two, sv[1], nonblocking);
    if (result < 0)
        uds_handle_close(one);
    return result;
}

/* uds_dup() sets close-on-exec itself, and O_NONBLOCK is shared by duplicates: nothing is left to set. */
UDS_FUNCTION int uds_handle_dup_number(int fd, struct uds_handle *into)
{
    return uds_handle_keep(into, uds_dup(fd));
}

UDS_FUNCTION int uds_handle_dup(struct uds_handle *handle, struct uds_handle *into)
{
    UDS_HELD(handle, int, uds_handle_dup_number(fd, into));
}

UDS_FUNCTION int uds_handle_listen(struct uds_handle *handle, int backlog)
{
    UDS_HELD(handle, int, uds_listen(fd, backlog));
}

UDS_FUNCTION int uds_handle_shutdown(struct uds_handle *handle, int how)
{
    UDS_HELD(handle, int, uds_shutdown(fd, how));
}

UDS_FUNCTION int uds_handle_getsockopt(struct uds_handle *handle, int level, int name, void *value,
                                       socklen_t *length)
{
    UDS_HELD(handle, int, uds_getsockopt(fd, level, name, value, length));
}

UDS_FUNCTION int uds_handle_setsockopt(struct uds_handle *handle, int level, int name, const void *value,
                                       socklen_t length)
{
    UDS_HELD(handle, int, uds_setsockopt(fd, level, name, value, length));
}

#endif
