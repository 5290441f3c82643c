/* Peer credentials: SO_PEERCRED with struct ucred (socket(7), unix(7)).

   The ids are the effective ones at the time of connect(2), listen(2) or socketpair(2). */
#ifndef UDS_PEER_CREDENTIALS_C
#define UDS_PEER_CREDENTIALS_C
#include "credentials.c"
#include "handle.c"

#if defined(SO_PEERCRED) && defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PEER_CREDENTIALS 1
#else
#  define UDS_HAS_PEER_CREDENTIALS 0
#endif

/* Which fields of struct uds_peer the system filled in. */
#define UDS_PEER_PID 1
#define UDS_PEER_UID 2
#define UDS_PEER_GID 4

struct uds_peer {
    int present;
    pid_t pid;
    uid_t euid;
    gid_t egid;
};

/* -ENOTCONN where Linux would answer pid 0, uid -1, gid -1: unconnected sockets, and datagram sockets that are
   not one of a pair. */
UDS_FUNCTION int uds_peer_credentials(int fd, struct uds_peer *peer)
{
    memset(peer, 0, sizeof *peer);
#if UDS_HAS_PEER_CREDENTIALS
    {
        struct ucred credentials;
        socklen_t length = sizeof credentials;
        int result = uds_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
        if (result < 0)
            return result;
        if (length != sizeof credentials)
            return -EINVAL;
        if (credentials.pid == 0 && credentials.uid == (uid_t)-1 && credentials.gid == (gid_t)-1)
            return -ENOTCONN;
        /* A peer in a process namespace that is not visible from here has pid 0 and true ids. */
        peer->present = UDS_PEER_UID | UDS_PEER_GID | (credentials.pid != 0 ? UDS_PEER_PID : 0);
        peer->pid = credentials.pid;
        peer->euid = credentials.uid;
        peer->egid = credentials.gid;
        return 0;
    }
#else
    (void)fd;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_peer_credentials(struct uds_handle *handle, struct uds_peer *peer)
{
    UDS_HELD(handle, int, uds_peer_credentials(fd, peer));
}

#endif
