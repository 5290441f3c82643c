/* Credentials per message: SCM_CREDENTIALS with struct ucred (unix(7), Linux 2.2).

   Where the system has none, a struct of the same shape stands in, so that the declaration holds everywhere; nothing
   hands it to a kernel. */
#ifndef UDS_CREDENTIALS_C
#define UDS_CREDENTIALS_C
#include "types.c"

#if defined(SCM_CREDENTIALS) && defined(SO_PASSCRED) && defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_HAS_CREDENTIALS 1
#else
#  define UDS_HAS_CREDENTIALS 0
#  undef SCM_CREDENTIALS
#  undef SO_PASSCRED
#  define SCM_CREDENTIALS (-1)
#  define SO_PASSCRED (-1)
#endif

#if !defined(__linux__)
struct uds_ucred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
#  define ucred uds_ucred
#endif

#endif
