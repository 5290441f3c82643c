/* Which optional constants this system has.

   Rule: the last branch is always "absent", and the minimal build takes it for every optional constant.
   The only numbers typed in are Linux ABI numbers that are newer than the headers of many build machines;
   each stands behind #ifndef, per architecture, with the kernel header that it was read from. */
#ifndef UDS_CONSTANTS_C
#define UDS_CONSTANTS_C
#include "types.c"

#if defined(UDS_MINIMAL)
#  define UDS_MINIMAL_BUILD 1
#else
#  define UDS_MINIMAL_BUILD 0
#endif

#if defined(__linux__)
/* arch/parisc and arch/sparc number their socket options differently from
   include/uapi/asm-generic/socket.h (and from arch/alpha and arch/mips, which agree with it here). */
#  ifndef SO_PASSRIGHTS /* Linux 6.16 */
#    if defined(__hppa__)
#      define SO_PASSRIGHTS 0x4051 /* arch/parisc/include/uapi/asm/socket.h */
#    elif defined(__sparc__)
#      define SO_PASSRIGHTS 0x005c /* arch/sparc/include/uapi/asm/socket.h */
#    else
#      define SO_PASSRIGHTS 83 /* include/uapi/asm-generic/socket.h */
#    endif
#  endif
#  ifndef SO_PASSPIDFD /* Linux 6.5 */
#    if defined(__hppa__)
#      define SO_PASSPIDFD 0x404a /* arch/parisc/include/uapi/asm/socket.h */
#    elif defined(__sparc__)
#      define SO_PASSPIDFD 0x0055 /* arch/sparc/include/uapi/asm/socket.h */
#    else
#      define SO_PASSPIDFD 76 /* include/uapi/asm-generic/socket.h */
#    endif
#  endif
/* Also in a build without SO_PASSPIDFD, which another part of the program may set: the descriptor is never leaked. */
#  ifndef SCM_PIDFD
#    define SCM_PIDFD 4 /* include/linux/socket.h, Linux 6.5, the same on every architecture */
#  endif
#endif

#ifndef SCM_PIDFD
#  define SCM_PIDFD (-1)
#endif

/* net/core/scm.h: SCM_MAX_FD.  It bounds what is sent here, and the slots for what is received. */
#define UDS_SCM_MAX_FD 253

#ifndef IOV_MAX
#  define IOV_MAX 1024 /* the value of UIO_MAXIOV; glibc hides IOV_MAX in some modes */
#endif

/* macOS defines SOCK_SEQPACKET, but its AF_UNIX has no such socket.  FreeBSD 15 made it a stream with marks in it
   (uipc_sosend_stream_or_seqpacket() in sys/kern/uipc_usrreq.c): a send may fall short, a receive may bring a part and does
   not say so, and an empty packet vanishes.  What is promised of packets here cannot be kept on that. */
#if defined(__FreeBSD__)
#  include <sys/param.h>
#  if __FreeBSD_version >= 1500000
#    define UDS_SEQPACKET_IS_A_STREAM 1
#  endif
#endif
#if defined(SOCK_SEQPACKET) && !defined(__APPLE__) && !defined(UDS_SEQPACKET_IS_A_STREAM) && !defined(UDS_MINIMAL)
#  define UDS_HAS_SEQPACKET 1
#else
#  define UDS_HAS_SEQPACKET 0
#  undef SOCK_SEQPACKET
#  define SOCK_SEQPACKET (-1)
#endif

/* Descriptors that are close-on-exec from birth: by the kernel where it can, else set in C, at once. */
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK) && defined(MSG_CMSG_CLOEXEC) && !defined(UDS_MINIMAL)
#  define UDS_HAS_ATOMIC_CLOEXEC 1
#else
#  define UDS_HAS_ATOMIC_CLOEXEC 0
#  undef SOCK_CLOEXEC
#  undef SOCK_NONBLOCK
#  undef MSG_CMSG_CLOEXEC
#  define SOCK_CLOEXEC (-1)
#  define SOCK_NONBLOCK (-1)
#  define MSG_CMSG_CLOEXEC (-1)
#endif

/* No send may raise SIGPIPE: by a flag of each send, or else by an option of each socket that is made, accepted or
   received here.  macOS has both, but the flag only since macOS 11, whatever headers it is built with. */
#if defined(MSG_NOSIGNAL)
#  define UDS_HAS_NOSIGNAL 1
#  define UDS_NOSIGNAL MSG_NOSIGNAL
#elif defined(SO_NOSIGPIPE)
#  define UDS_HAS_NOSIGNAL 0
#  define UDS_NOSIGNAL 0
#  define MSG_NOSIGNAL (-1)
#else
#  error "This system has neither MSG_NOSIGNAL nor SO_NOSIGPIPE; SIGPIPE must be suppressed before it can be supported."
#endif
#if defined(SO_NOSIGPIPE) && (defined(__APPLE__) || !UDS_HAS_NOSIGNAL)
#  define UDS_SETS_NOSIGPIPE 1
#else
#  define UDS_SETS_NOSIGPIPE 0
#endif

#if defined(MSG_ERRQUEUE) && !defined(UDS_MINIMAL)
#  define UDS_HAS_ERRQUEUE 1
#else
#  define UDS_HAS_ERRQUEUE 0
#  undef MSG_ERRQUEUE
#  define MSG_ERRQUEUE (-1)
#endif

/* recv(2) with MSG_TRUNC returns the packet's real length: Linux 3.4 for AF_UNIX. */
#if defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_HAS_TRUNC_LENGTH 1
#else
#  define UDS_HAS_TRUNC_LENGTH 0
#endif

#if defined(SO_PEEK_OFF) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PEEK_OFF 1
#else
#  define UDS_HAS_PEEK_OFF 0
#  undef SO_PEEK_OFF
#  define SO_PEEK_OFF (-1)
#endif

#if defined(SO_PASSRIGHTS) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PASSRIGHTS 1
#else
#  define UDS_HAS_PASSRIGHTS 0
#  undef SO_PASSRIGHTS
#  define SO_PASSRIGHTS (-1)
#endif

#if defined(SO_PASSPIDFD) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PASSPIDFD 1
#else
#  define UDS_HAS_PASSPIDFD 0
#  undef SO_PASSPIDFD
#  define SO_PASSPIDFD (-1)
#endif

#if defined(POLLRDHUP) && !defined(UDS_MINIMAL)
#  define UDS_HAS_POLLRDHUP 1
#else
#  define UDS_HAS_POLLRDHUP 0
#  undef POLLRDHUP
#  define POLLRDHUP (-1)
#endif

#endif
