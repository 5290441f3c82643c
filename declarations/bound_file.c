/* The file that a socket is bound to: SIOCUNIXFILE (Linux 4.11). */
#ifndef UDS_BOUND_FILE_C
#define UDS_BOUND_FILE_C
#include "handle.c"

#if defined(__linux__)
#  include <linux/sockios.h>
#  ifndef SIOCUNIXFILE
#    define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* include/uapi/linux/un.h, the same on every architecture */
#  endif
#endif

#if defined(SIOCUNIXFILE) && !defined(UDS_MINIMAL)
#  define UDS_HAS_BOUND_FILE 1
#else
#  define UDS_HAS_BOUND_FILE 0
#endif

/* The kernel makes the descriptor with O_PATH and O_CLOEXEC.  -ENOENT when the socket is bound to no path, -EPERM
   without CAP_NET_ADMIN in the socket's network namespace, -ENOTTY on older kernels. */
UDS_FUNCTION int uds_bound_file(int fd, struct uds_handle *into)
{
#if UDS_HAS_BOUND_FILE
    return uds_handle_keep(into, UDS_RESULT(ioctl(fd, SIOCUNIXFILE, 0)));
#else
    (void)fd;
    (void)into;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_bound_file(struct uds_handle *handle, struct uds_handle *into)
{
    UDS_HELD(handle, int, uds_bound_file(fd, into));
}

#endif
