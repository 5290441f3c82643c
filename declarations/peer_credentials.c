/* Peer credentials, in the form of each system; the ids are effective ones:
   - SO_PEERCRED with struct ucred (Linux: socket(7), unix(7)), or with struct sockpeercred, whose fields have another
     order (OpenBSD: getsockopt(2));
   - LOCAL_PEERCRED with struct xucred (macOS, FreeBSD, DragonFly: unix(4)), where macOS has the pid in LOCAL_PEERPID and
     FreeBSD has it in the struct since 13;
   - LOCAL_PEEREID with struct unpcbid (NetBSD: unix(4));
   - getpeerucred(3C) with ucred_t (illumos, Solaris);
   - getpeereid(3), which knows no pid, where headers of the BSDs hide the above, and on AIX.

   The branches of macOS, FreeBSD, NetBSD and OpenBSD are compiled with those systems' headers; those of DragonFly,
   illumos and AIX are written from descriptions of theirs and were compiled by nobody.

   Rule: where nothing was recorded of the peer, the answer is -ENOTCONN.  Systems differ in when they record it: at
   connect(2) and listen(2) all do, at socketpair(2) NetBSD and OpenBSD do not. */
#ifndef UDS_PEER_CREDENTIALS_C
#define UDS_PEER_CREDENTIALS_C
#include "credentials.c"
#include "handle.c"

#if defined(UDS_MINIMAL)
#  define UDS_HAS_PEER_CREDENTIALS 0
#elif defined(SO_PEERCRED) && defined(__linux__)
#  define UDS_PEER_IS_UCRED 1
#  define UDS_HAS_PEER_CREDENTIALS 1
#elif defined(SO_PEERCRED) && defined(__OpenBSD__)
#  define UDS_PEER_IS_SOCKPEERCRED 1
#  define UDS_HAS_PEER_CREDENTIALS 1
#elif defined(LOCAL_PEERCRED) && defined(XUCRED_VERSION)
#  define UDS_PEER_IS_XUCRED 1
#  define UDS_HAS_PEER_CREDENTIALS 1
#elif defined(LOCAL_PEEREID) && defined(__NetBSD__)
#  define UDS_PEER_IS_UNPCBID 1
#  define UDS_HAS_PEER_CREDENTIALS 1
#elif defined(__sun)
#  define UDS_PEER_IS_UCRED_T 1
#  define UDS_HAS_PEER_CREDENTIALS 1
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__) || defined(_AIX)
#  define UDS_PEER_IS_GETPEEREID 1
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

/* A pid of 0 or less is none: it is in a process namespace that is not visible from here, or was not recorded. */
UDS_FUNCTION int uds_peer_fill(struct uds_peer *peer, pid_t pid, uid_t euid, gid_t egid)
{
    peer->present = UDS_PEER_UID | UDS_PEER_GID | (pid > 0 ? UDS_PEER_PID : 0);
    peer->pid = pid > 0 ? pid : 0;
    peer->euid = euid;
    peer->egid = egid;
    return 0;
}

/* Reads an option that is a struct of this size.  For a peer of whom nothing was recorded FreeBSD answers EINVAL on
   datagram sockets and NetBSD on all, where Linux, and others on streams, say ENOTCONN. */
UDS_FUNCTION int uds_peer_option(int fd, int level, int name, void *value, size_t size)
{
    socklen_t length = (socklen_t)size;
    int result = uds_getsockopt(fd, level, name, value, &length);
    if (result == -EINVAL)
        return -ENOTCONN;
    return result == 0 && length != (socklen_t)size ? -EINVAL : result;
}

#if defined(UDS_PEER_IS_XUCRED)
UDS_FUNCTION int uds_peer_xucred(int fd, struct xucred *credentials)
{
    int result;
    memset(credentials, 0, sizeof *credentials);
    result = uds_peer_option(fd, UDS_SOL_LOCAL, LOCAL_PEERCRED, credentials, sizeof *credentials);
    if (result == 0 && (credentials->cr_version != XUCRED_VERSION || credentials->cr_ngroups < 1))
        return -EINVAL;
    return result;
}

UDS_FUNCTION pid_t uds_peer_xucred_pid(int fd, const struct xucred *credentials)
{
#  if defined(LOCAL_PEERPID)
    /* There is none when the peer has gone meanwhile. */
    pid_t pid = 0;
    (void)credentials;
    return uds_peer_option(fd, UDS_SOL_LOCAL, LOCAL_PEERPID, &pid, sizeof pid) == 0 ? pid : 0;
#  elif defined(__FreeBSD__) && __FreeBSD_version >= 1300000
    (void)fd;
    return credentials->cr_pid;
#  else
    (void)fd;
    (void)credentials;
    return 0;
#  endif
}
#endif

/* -ENOTCONN where Linux would answer pid 0, uid -1, gid -1: unconnected sockets, and datagram sockets that are
   not one of a pair. */
UDS_FUNCTION int uds_peer_credentials(int fd, struct uds_peer *peer)
{
    memset(peer, 0, sizeof *peer);
#if defined(UDS_PEER_IS_UCRED)
    {
        struct ucred credentials;
        int result = uds_peer_option(fd, SOL_SOCKET, SO_PEERCRED, &credentials, sizeof credentials);
        if (result < 0)
            return result;
        if (credentials.pid == 0 && credentials.uid == (uid_t)-1 && credentials.gid == (gid_t)-1)
            return -ENOTCONN;
        return uds_peer_fill(peer, credentials.pid, credentials.uid, credentials.gid);
    }
#elif defined(UDS_PEER_IS_SOCKPEERCRED)
    {
        struct sockpeercred credentials;
        int result = uds_peer_option(fd, SOL_SOCKET, SO_PEERCRED, &credentials, sizeof credentials);
        return result < 0 ? result : uds_peer_fill(peer, credentials.pid, credentials.uid, credentials.gid);
    }
#elif defined(UDS_PEER_IS_XUCRED)
    {
        struct xucred credentials;
        int result = uds_peer_xucred(fd, &credentials);
        if (result < 0)
            return result;
        return uds_peer_fill(peer, uds_peer_xucred_pid(fd, &credentials), credentials.cr_uid, credentials.cr_groups[0]);
    }
#elif defined(UDS_PEER_IS_UNPCBID)
    {
        struct unpcbid credentials;
        int result = uds_peer_option(fd, UDS_SOL_LOCAL, LOCAL_PEEREID, &credentials, sizeof credentials);
        if (result < 0)
            return result;
        return uds_peer_fill(peer, credentials.unp_pid, credentials.unp_euid, credentials.unp_egid);
    }
#elif defined(UDS_PEER_IS_UCRED_T)
    {
        ucred_t *credentials = NULL;
        int result = UDS_RESULT(getpeerucred(fd, &credentials));
        if (result < 0)
            return result == -EINVAL ? -ENOTCONN : result;
        uds_peer_fill(peer, ucred_getpid(credentials), ucred_geteuid(credentials), ucred_getegid(credentials));
        /* Each id is -1 where the caller may not see it. */
        peer->present &= ~((peer->euid == (uid_t)-1 ? UDS_PEER_UID : 0) | (peer->egid == (gid_t)-1 ? UDS_PEER_GID : 0));
        ucred_free(credentials);
        return 0;
    }
#elif defined(UDS_PEER_IS_GETPEEREID)
    {
        uid_t euid;
        gid_t egid;
        int result = UDS_RESULT(getpeereid(fd, &euid, &egid));
        if (result < 0)
            return result == -EINVAL ? -ENOTCONN : result;
        return uds_peer_fill(peer, 0, euid, egid);
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
