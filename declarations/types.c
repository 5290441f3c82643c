/* The system's headers, and the names that the compiler gives to the integer types of its structs.

   Rule: the feature macros (_GNU_SOURCE and its like) come from the command line, because Python.h has
   already read the system's headers when this text begins. */
#ifndef UDS_TYPES_C
#define UDS_TYPES_C

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if defined(__FreeBSD__) || defined(__DragonFly__)
#  include <sys/param.h>
#  include <sys/ucred.h>
#elif defined(__APPLE__)
#  include <sys/ucred.h>
#elif defined(__sun)
#  include <ucred.h>
#endif

/* The level of the BSDs' options for AF_UNIX alone; DragonFly's header does not name it. */
#if defined(SOL_LOCAL)
#  define UDS_SOL_LOCAL SOL_LOCAL
#else
#  define UDS_SOL_LOCAL 0
#endif

typedef __typeof__(((struct msghdr *)0)->msg_iovlen) uds_iovlen_t;
typedef __typeof__(((struct msghdr *)0)->msg_controllen) uds_controllen_t;
typedef __typeof__(((struct cmsghdr *)0)->cmsg_len) uds_cmsglen_t;

/* Each file also compiles alone, where not every function of the files that it includes is used. */
#define UDS_FUNCTION static __attribute__((__unused__))

/* For a field of 8 bytes that is read and written atomically: i386 aligns it to 4, and the compiler would then call
   functions of libatomic, with which nothing is linked. */
#define UDS_ATOMIC __attribute__((__aligned__(8)))

/* The result of a system call: itself, or the negated errno, read before anything else can run. */
#define UDS_RESULT(call) \
    __extension__({ __typeof__(call) uds_r = (call); uds_r < 0 ? (__typeof__(call))-errno : uds_r; })

/* Points to several places at once: setting one field of a struct costs Python as much as a call. */
UDS_FUNCTION void uds_iov_fill(struct iovec *iov, void **bases, const size_t *sizes, size_t count)
{
    size_t index;
    for (index = 0; index < count; index++) {
        iov[index].iov_base = bases[index];
        iov[index].iov_len = sizes[index];
    }
}

#endif
