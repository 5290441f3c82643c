/* The peer's security label: SO_PEERSEC (Linux 2.6.2; socket pairs 4.18), from SELinux, AppArmor or Smack. */
#ifndef UDS_PEER_SECURITY_C
#define UDS_PEER_SECURITY_C
#include "handle.c"

#if defined(SO_PEERSEC) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PEER_SECURITY 1
#else
#  define UDS_HAS_PEER_SECURITY 0
#endif

UDS_FUNCTION int uds_peer_security(int fd, char *label, int room)
{
#if UDS_HAS_PEER_SECURITY
    socklen_t length = (socklen_t)room;
    int result = uds_getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &length);
    /* ERANGE: the label does not fit, and length says how much it needs. */
    return result < 0 && result != -ERANGE ? result : (int)length;
#else
    (void)fd;
    (void)label;
    (void)room;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_peer_security(struct uds_handle *handle, char *label, int room)
{
    UDS_HELD(handle, int, uds_peer_security(fd, label, room));
}

#endif
