/* The audit token of the peer's process: LOCAL_PEERTOKEN (macOS: sys/un.h).  It is an audit_token_t, eight
   32-bit words, of which one is the pid and one the version of the pid, so that it is never another process's. */
#ifndef UDS_PEER_AUDIT_TOKEN_C
#define UDS_PEER_AUDIT_TOKEN_C
#include "peer_credentials.c"

#if defined(LOCAL_PEERTOKEN) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PEER_AUDIT_TOKEN 1
#else
#  define UDS_HAS_PEER_AUDIT_TOKEN 0
#endif
#define UDS_AUDIT_TOKEN_SIZE 32
#if UDS_HAS_PEER_AUDIT_TOKEN
#  include <mach/message.h>
_Static_assert(sizeof(audit_token_t) == UDS_AUDIT_TOKEN_SIZE, "mach/message.h has another one");
#endif

/* 0, or -errno; -ENOTCONN where there is no peer. */
UDS_FUNCTION int uds_peer_audit_token(int fd, char *token)
{
#if UDS_HAS_PEER_AUDIT_TOKEN
    return uds_peer_option(fd, UDS_SOL_LOCAL, LOCAL_PEERTOKEN, token, UDS_AUDIT_TOKEN_SIZE);
#else
    (void)fd;
    (void)token;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_peer_audit_token(struct uds_handle *handle, char *token)
{
    UDS_HELD(handle, int, uds_peer_audit_token(fd, token));
}

#endif
