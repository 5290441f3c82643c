/* Credentials per message, in the form of each system:
   - SCM_CREDENTIALS with struct ucred (Linux 2.2: unix(7)), asked for with SO_PASSCRED, and also sent;
   - SCM_CREDS2 with struct sockcred2 (FreeBSD 13: unix(4)), asked for with LOCAL_CREDS_PERSISTENT;
   - SCM_CREDS with struct sockcred (NetBSD: unix(4)), asked for with LOCAL_CREDS; on streams and sequenced packets the
     kernel switches the option off with the first message that carries them;
   - SCM_UCRED with ucred_t (illumos, Solaris: socket.h(3HEAD)), asked for with SO_RECVUCRED.

   Neither macOS nor OpenBSD has any.  The branches of FreeBSD and NetBSD are compiled with those systems' headers; that
   of illumos is written from descriptions of its headers and was compiled by nobody.

   FreeBSD's SCM_CREDS is left alone: it is a struct cmsgcred when the sender attached it, and a struct sockcred, which
   begins with the user where the other has the process, when the receiver had set LOCAL_CREDS; their lengths do not
   tell them apart.  DragonFly's is the same item.

   Where a system has no struct ucred, one of the same shape stands in, so that the declaration holds everywhere;
   nothing hands it to a kernel.  The ids are the sender's real ones. */
#ifndef UDS_CREDENTIALS_C
#define UDS_CREDENTIALS_C
#include "types.c"

#if defined(SCM_CREDENTIALS) && defined(SO_PASSCRED) && defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_HAS_CREDENTIALS 1
#  define UDS_HAS_SEND_CREDENTIALS 1
#  define UDS_PASSCRED_LEVEL SOL_SOCKET
#  define UDS_PASSCRED SO_PASSCRED
#  define UDS_SCM_CREDENTIALS SCM_CREDENTIALS
#  define UDS_CREDENTIALS_SIZE ((int)sizeof(struct ucred))
#else
#  define UDS_HAS_SEND_CREDENTIALS 0
#  undef SCM_CREDENTIALS
#  undef SO_PASSCRED
#  define SCM_CREDENTIALS (-1)
#  define SO_PASSCRED (-1)
#  if defined(LOCAL_CREDS_PERSISTENT) && defined(SCM_CREDS2) && !defined(UDS_MINIMAL)
#    define UDS_HAS_CREDENTIALS 1
#    define UDS_PASSCRED_LEVEL UDS_SOL_LOCAL
#    define UDS_PASSCRED LOCAL_CREDS_PERSISTENT
#    define UDS_SCM_CREDENTIALS SCM_CREDS2
/* The kernel leaves out what is more than these groups. */
#    define UDS_CREDENTIALS_SIZE ((int)SOCKCRED2SIZE(CMGROUP_MAX))
#    define UDS_SOCKCRED struct sockcred2
#    define UDS_SOCKCRED_IS_KNOWN(sender) ((sender)->sc_version == 0)
#  elif defined(__NetBSD__) && defined(LOCAL_CREDS) && defined(SCM_CREDS) && !defined(UDS_MINIMAL)
#    define UDS_HAS_CREDENTIALS 1
#    define UDS_PASSCRED_LEVEL UDS_SOL_LOCAL
#    define UDS_PASSCRED LOCAL_CREDS
#    define UDS_SCM_CREDENTIALS SCM_CREDS
#    define UDS_CREDENTIALS_SIZE ((int)SOCKCREDSIZE(NGROUPS_MAX))
#    define UDS_SOCKCRED struct sockcred
#    define UDS_SOCKCRED_IS_KNOWN(sender) 1
#  elif defined(__sun) && defined(SO_RECVUCRED) && defined(SCM_UCRED) && !defined(UDS_MINIMAL)
#    define UDS_HAS_CREDENTIALS 1
#    define UDS_PASSCRED_LEVEL SOL_SOCKET
#    define UDS_PASSCRED SO_RECVUCRED
#    define UDS_SCM_CREDENTIALS SCM_UCRED
/* The size of a ucred_t is known at run time only, and grows with the groups: room for some two hundred of them. */
#    define UDS_CREDENTIALS_SIZE 1024
#    define UDS_CREDENTIALS_ARE_UCRED_T 1
#  else
#    define UDS_HAS_CREDENTIALS 0
#    define UDS_PASSCRED_LEVEL (-1)
#    define UDS_PASSCRED (-1)
#    define UDS_SCM_CREDENTIALS (-1)
#    define UDS_CREDENTIALS_SIZE ((int)sizeof(struct ucred))
#  endif
#endif

#if !defined(__linux__)
struct uds_ucred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
#  define ucred uds_ucred
#endif

/* Reads the data of an item of type UDS_SCM_CREDENTIALS: 1, or 0 when it is cut or of a form that is not known. */
UDS_FUNCTION int uds_credentials_read(const void *data, size_t size, struct ucred *sender)
{
#if UDS_HAS_SEND_CREDENTIALS
    if (size != sizeof *sender)
        return 0;
    memcpy(sender, data, sizeof *sender);
    return 1;
#elif defined(UDS_SOCKCRED)
    /* The groups at the end are as many as there are, and none is not one. */
    const size_t least = offsetof(UDS_SOCKCRED, sc_groups);
    UDS_SOCKCRED given;
    memset(&given, 0, sizeof given);
    if (size < least)
        return 0;
    memcpy(&given, data, least);
    if (!UDS_SOCKCRED_IS_KNOWN(&given) || given.sc_ngroups < 0
        || (size_t)given.sc_ngroups > (size - least) / sizeof given.sc_groups[0])
        return 0;
    sender->pid = given.sc_pid;
    sender->uid = given.sc_uid;
    sender->gid = given.sc_gid;
    return 1;
#elif defined(UDS_CREDENTIALS_ARE_UCRED_T)
    union {
        uint64_t aligned;
        char bytes[UDS_CREDENTIALS_SIZE];
    } given;
    const ucred_t *credentials = (const ucred_t *)(const void *)given.bytes;
    /* The kernel leaves out the groups that the sender has not (cred2ucred() in uts/common/os/ucred.c), so it is smaller
       than ucred_size(), which has room for as many as there may be, and never by more than those. */
    const long groups = sysconf(_SC_NGROUPS_MAX);
    if (size > sizeof given.bytes || size > ucred_size() || groups < 0
        || size + (size_t)groups * sizeof(gid_t) < ucred_size())
        return 0;
    memset(&given, 0, sizeof given);
    memcpy(given.bytes, data, size);
    sender->pid = ucred_getpid(credentials);
    sender->uid = ucred_getruid(credentials);
    sender->gid = ucred_getrgid(credentials);
    if (sender->pid < 0)
        sender->pid = 0;
    return sender->uid != (uid_t)-1 && sender->gid != (gid_t)-1;
#else
    (void)data;
    (void)size;
    (void)sender;
    return 0;
#endif
}

#endif
