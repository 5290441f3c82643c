/* Waiting for readiness: poll(2) with a limit in nanoseconds, negative for none. */
#ifndef UDS_WAIT_C
#define UDS_WAIT_C
#include "handle.c"

UDS_FUNCTION int uds_wait(int fd, int events, int64_t nanoseconds)
{
    struct pollfd one;
    int result;

    one.fd = fd;
    one.events = (short)events;
    one.revents = 0;
#if UDS_HAS_POLLRDHUP
    if (events & POLLIN)
        one.events |= POLLRDHUP;
#endif
#if defined(__linux__) && !defined(UDS_MINIMAL)
    {
        struct timespec limit;
        limit.tv_sec = (time_t)(nanoseconds / 1000000000);
        limit.tv_nsec = (long)(nanoseconds % 1000000000);
        result = ppoll(&one, 1, nanoseconds < 0 ? NULL : &limit, NULL);
    }
#else
    {
        /* Rounded up, so that a caller who waits for the rest of a deadline does not spin. */
        int64_t milliseconds = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
        result = poll(&one, 1, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
    }
#endif
    if (result < 0)
        return -errno;
    if (one.revents & POLLNVAL)
        return -EBADF;
    return one.revents;
}

UDS_FUNCTION int uds_handle_wait(struct uds_handle *handle, int events, int64_t nanoseconds)
{
    UDS_HELD(handle, int, uds_wait(fd, events, nanoseconds));
}

#endif
