/* A descriptor of the peer's process: SO_PEERPIDFD (Linux 6.5). */
#ifndef UDS_PEER_PIDFD_C
#define UDS_PEER_PIDFD_C
#include "handle.c"

#if defined(__linux__) && !defined(SO_PEERPIDFD)
#  if defined(__hppa__)
#    define SO_PEERPIDFD 0x404b /* arch/parisc/include/uapi/asm/socket.h */
#  elif defined(__sparc__)
#    define SO_PEERPIDFD 0x0056 /* arch/sparc/include/uapi/asm/socket.h */
#  else
#    define SO_PEERPIDFD 77 /* include/uapi/asm-generic/socket.h */
#  endif
#endif

#if defined(SO_PEERPIDFD) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PEER_PIDFD 1
#else
#  define UDS_HAS_PEER_PIDFD 0
#endif

/* The kernel makes a new descriptor each time, close-on-exec, also when it cannot say which: where the room is shorter
   than an int it hands out a part of the number, and the descriptor is lost.  So the room is an int. */
UDS_FUNCTION int uds_peer_pidfd(int fd, struct uds_handle *into)
{
#if UDS_HAS_PEER_PIDFD
    int pidfd = -1;
    socklen_t length = sizeof pidfd;
    int result = uds_getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length);
    return uds_handle_keep(into, result < 0 ? result : pidfd);
#else
    (void)fd;
    (void)into;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_peer_pidfd(struct uds_handle *handle, struct uds_handle *into)
{
    UDS_HELD(handle, int, uds_peer_pidfd(fd, into));
}

#endif
