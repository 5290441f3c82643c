/* Peer groups: SO_PEERGROUPS (Linux 4.13). */
#ifndef UDS_PEER_GROUPS_C
#define UDS_PEER_GROUPS_C
#include "handle.c"

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
#else
#  define UDS_HAS_PEER_GROUPS 0
#endif

UDS_FUNCTION int uds_peer_groups(int fd, gid_t *groups, int room)
{
#if UDS_HAS_PEER_GROUPS
    socklen_t length = (socklen_t)((size_t)room * sizeof *groups);
    int result = uds_getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length);
    /* ERANGE: the groups do not fit, and length says how much they need. */
    if (result < 0 && result != -ERANGE)
        return result == -ENODATA ? -ENOTCONN : result;
    return (int)(length / sizeof *groups);
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
