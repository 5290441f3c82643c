/* The O_NONBLOCK of a socket, which all who share it share.

   Rule: where one call at a time needs the flag for itself (accept.c), no other thread of this process sees or changes
   what is meant for that call.  Other processes that share the socket are not kept out. */
#ifndef UDS_NONBLOCKING_C
#define UDS_NONBLOCKING_C
#include "handle.c"

/* SO_RCVTIMEO ends an accept(2) on Linux alone; everywhere else it is kept here, on the minimal build too. */
#if defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_ACCEPT_KEEPS_TIME 1
#else
#  define UDS_ACCEPT_KEEPS_TIME 0
#endif

#if UDS_ACCEPT_KEEPS_TIME
#  define UDS_LOCK_NONBLOCKING() ((void)0)
#  define UDS_UNLOCK_NONBLOCKING() ((void)0)
#else
/* One for all sockets, because two descriptors may be of the same one. */
static unsigned int uds_nonblocking_lock;
#  define UDS_LOCK_NONBLOCKING() uds_lock(&uds_nonblocking_lock)
#  define UDS_UNLOCK_NONBLOCKING() uds_unlock(&uds_nonblocking_lock)
#endif

UDS_FUNCTION int uds_get_nonblocking(int fd)
{
    int flags;
    UDS_LOCK_NONBLOCKING();
    flags = uds_fcntl(fd, F_GETFL, 0);
    UDS_UNLOCK_NONBLOCKING();
    return flags < 0 ? flags : (flags & O_NONBLOCK) != 0;
}

UDS_FUNCTION int uds_handle_get_nonblocking(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_get_nonblocking(fd));
}

UDS_FUNCTION int uds_set_nonblocking(int fd, int nonblocking)
{
    int flags, result;
    UDS_LOCK_NONBLOCKING();
    result = flags = uds_fcntl(fd, F_GETFL, 0);
    if (flags >= 0)
        result = uds_fcntl(fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    UDS_UNLOCK_NONBLOCKING();
    return result;
}

UDS_FUNCTION int uds_handle_set_nonblocking(struct uds_handle *handle, int nonblocking)
{
    UDS_HELD(handle, int, uds_set_nonblocking(fd, nonblocking));
}

#endif
