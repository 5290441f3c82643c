/* Who is at the other end: the process that connected, listened or made the pair. */
#define UDS_HAS_PEER_CREDENTIALS ...
#define UDS_PEER_PID ...
#define UDS_PEER_UID ...
#define UDS_PEER_GID ...

struct uds_peer {
    int present;
    pid_t pid;
    uid_t euid;
    gid_t egid;
    ...;
};

int uds_handle_peer_credentials(struct uds_handle *handle, struct uds_peer *peer);
