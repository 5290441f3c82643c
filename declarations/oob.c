/* Out-of-band data of streams (MSG_OOB, Linux 5.15 with CONFIG_AF_UNIX_OOB), and what the peer has not read.

   Other systems have SIOCATMARK for TCP; their AF_UNIX has no out-of-band data.  FreeBSD's FIONWRITE and macOS's
   SO_NWRITE count bytes where Linux counts memory, so they are no stand-in for SIOCOUTQ. */
#ifndef UDS_OOB_C
#define UDS_OOB_C
#include "handle.c"

#if defined(__linux__) && defined(SIOCATMARK) && !defined(UDS_MINIMAL)
#  define UDS_HAS_OUT_OF_BAND 1
#else
#  define UDS_HAS_OUT_OF_BAND 0
#endif

/* TIOCOUTQ is the same number as SIOCOUTQ of include/uapi/linux/sockios.h, on every architecture. */
#if defined(__linux__) && defined(TIOCOUTQ) && !defined(UDS_MINIMAL)
#  define UDS_HAS_UNSENT_BYTES 1
#else
#  define UDS_HAS_UNSENT_BYTES 0
#endif

UDS_FUNCTION int uds_at_mark(int fd)
{
#if UDS_HAS_OUT_OF_BAND
    int marked = 0;
    int result = UDS_RESULT(ioctl(fd, SIOCATMARK, &marked));
    return result < 0 ? result : marked != 0;
#else
    (void)fd;
    return -ENOSYS;
#endif
}

/* 1 when the next byte to be read is the out-of-band one, else 0. */
UDS_FUNCTION int uds_handle_at_mark(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_at_mark(fd));
}

UDS_FUNCTION int uds_unsent_bytes(int fd)
{
#if UDS_HAS_UNSENT_BYTES
    int unsent = 0;
    int result = UDS_RESULT(ioctl(fd, TIOCOUTQ, &unsent));
    return result < 0 ? result : unsent;
#else
    (void)fd;
    return -ENOSYS;
#endif
}

/* The memory that holds what the peer has not read: never the number of bytes, and 0 when it has read all. */
UDS_FUNCTION int uds_handle_unsent_bytes(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_unsent_bytes(fd));
}

#endif
