/* Peer groups: SO_PEERGROUPS (Linux 4.13); those of struct xucred (macOS, FreeBSD, DragonFly), of which the first is the
   effective group; ucred_getgroups(3C) (illumos, Solaris).

   Rule: groups that may not be all are an error and not an answer. */
#ifndef UDS_PEER_GROUPS_C
#define UDS_PEER_GROUPS_C
#include "peer_credentials.c"

#if defined(__linux__) && !defined(SO_PEERGROUPS)
#  if defined(__hppa__)
#    define SO_PEERGROUPS 0x4034 /* arch/parisc/include/uapi/asm/socket.h */
#  elif defined(__sparc__)
#    define SO_PEERGROUPS 0x003d /* arch/sparc/include/uapi/asm/socket.h */
#  else
#    define SO_PEERGROUPS 59 /* include/uapi/asm-generic/socket.h */
#  endif
#endif

#if defined(SO_PEERGROUPS) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PEER_GROUPS 1
#elif (defined(UDS_PEER_IS_XUCRED) || defined(UDS_PEER_IS_UCRED_T)) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PEER_GROUPS 1
#else
#  define UDS_HAS_PEER_GROUPS 0
#endif

UDS_FUNCTION int uds_copy_groups(const gid_t *from, int count, gid_t *groups, int room)
{
    memcpy(groups, from, (size_t)(count < room ? count : room) * sizeof *groups);
    return count;
}

UDS_FUNCTION int uds_peer_groups(int fd, gid_t *groups, int room)
{
#if defined(SO_PEERGROUPS) && !defined(UDS_MINIMAL)
    socklen_t length = (socklen_t)((size_t)room * sizeof *groups);
    int result = uds_getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length);
    /* ERANGE: the groups do not fit, and length says how much they need. */
    if (result < 0 && result != -ERANGE)
        return result == -ENODATA ? -ENOTCONN : result;
    return (int)(length / sizeof *groups);
#elif defined(UDS_PEER_IS_XUCRED) && !defined(UDS_MINIMAL)
    const int most = (int)(sizeof((struct xucred *)0)->cr_groups / sizeof *groups);
    struct xucred credentials;
    int result = uds_peer_xucred(fd, &credentials);
    if (result < 0)
        return result;
    /* The kernel of FreeBSD has room for more groups than the struct and leaves out what does not fit. */
    if (credentials.cr_ngroups > most || (credentials.cr_ngroups == most && NGROUPS_MAX > most))
        return -EOVERFLOW;
    return uds_copy_groups(credentials.cr_groups + 1, credentials.cr_ngroups - 1, groups, room);
#elif defined(UDS_PEER_IS_UCRED_T) && !defined(UDS_MINIMAL)
    ucred_t *credentials = NULL;
    const gid_t *all;
    int count, result = UDS_RESULT(getpeerucred(fd, &credentials));
    if (result < 0)
        return result == -EINVAL ? -ENOTCONN : result;
    count = ucred_getgroups(credentials, &all);
    result = count < 0 ? -EPERM : uds_copy_groups(all, count, groups, room);
    ucred_free(credentials);
    return result;
#else
    (void)fd;
    (void)groups;
    (void)room;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_peer_groups(struct uds_handle *handle, gid_t *groups, int room)
{
    UDS_HELD(handle, int, uds_peer_groups(fd, groups, room));
}

#endif
