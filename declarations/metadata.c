/* What else the kernel says with a message, and of a socket: labels, unread bytes, cookies, and what was set.

   The numbers stand behind #ifndef because they are newer than the headers of many build machines; arch/parisc and
   arch/sparc have their own, all others those of include/uapi/asm-generic/socket.h. */
#ifndef UDS_METADATA_C
#define UDS_METADATA_C
#include "types.c"

#if defined(__linux__) && !defined(UDS_MINIMAL)
#  if defined(__hppa__)
/* arch/parisc/include/uapi/asm/socket.h */
#    define UDS_NUMBER(parisc, sparc, generic) parisc
#  elif defined(__sparc__)
/* arch/sparc/include/uapi/asm/socket.h */
#    define UDS_NUMBER(parisc, sparc, generic) sparc
#  else
/* include/uapi/asm-generic/socket.h, with which arch/alpha and arch/mips agree here */
#    define UDS_NUMBER(parisc, sparc, generic) generic
#  endif
#  ifndef SO_PASSSEC /* Linux 2.6.18 */
#    define SO_PASSSEC UDS_NUMBER(0x401e, 0x001f, 34)
#  endif
#  ifndef SCM_SECURITY
#    define SCM_SECURITY 3 /* include/linux/socket.h, the same on every architecture */
#  endif
#  ifndef SO_INQ /* Linux 6.17 */
#    define SO_INQ UDS_NUMBER(0x4052, 0x005d, 84)
#  endif
#  ifndef SCM_INQ /* the same file says: SCM_INQ is SO_INQ */
#    define SCM_INQ SO_INQ
#  endif
#  ifndef SO_COOKIE /* Linux 4.12 */
#    define SO_COOKIE UDS_NUMBER(0x4032, 0x003b, 57)
#  endif
#  ifndef SO_NETNS_COOKIE /* Linux 5.14 */
#    define SO_NETNS_COOKIE UDS_NUMBER(0x4045, 0x0050, 71)
#  endif
#  ifndef SO_BUF_LOCK /* Linux 5.15 */
#    define SO_BUF_LOCK UDS_NUMBER(0x4046, 0x0051, 72)
#  endif
#  define UDS_HAS_PASS_SECURITY 1
#  define UDS_HAS_INQ 1
#  define UDS_HAS_COOKIE 1
#  define UDS_HAS_NAMESPACE_COOKIE 1
#else
#  define UDS_HAS_PASS_SECURITY 0
#  define UDS_HAS_INQ 0
#  define UDS_HAS_COOKIE 0
#  define UDS_HAS_NAMESPACE_COOKIE 0
#  undef SO_PASSSEC
#  undef SCM_SECURITY
#  undef SO_INQ
#  undef SCM_INQ
#  undef SO_COOKIE
#  undef SO_NETNS_COOKIE
#  undef SO_BUF_LOCK
#  define SO_PASSSEC (-1)
#  define SCM_SECURITY (-1)
#  define SO_INQ (-1)
#  define SCM_INQ (-1)
#  define SO_COOKIE (-1)
#  define SO_NETNS_COOKIE (-1)
#  define SO_BUF_LOCK (-1)
#endif

#if defined(SO_SNDBUFFORCE) && !defined(UDS_MINIMAL)
#  define UDS_HAS_SEND_BUFFER_FORCE 1
#else
#  define UDS_HAS_SEND_BUFFER_FORCE 0
#  undef SO_SNDBUFFORCE
#  define SO_SNDBUFFORCE (-1)
#endif

#endif
