/* macOS 15 (xnu's bsd/kern/uipc_usrreq.c and uipc_socket.c).

   No flag makes a socket or a received descriptor close-on-exec, and there is no accept4(); there are no sequenced
   packets; control data is aligned to 4 bytes; the pid of a peer is an option of its own, the ids are recorded by
   connect(2) alone.  A path may be as long as its length, a byte, can say, and is reported with NULs behind it. */
#define _GNU_SOURCE
#include "kernel.h"

#define LOCAL_PEERCRED 1
#define LOCAL_PEERPID 2
#define LOCAL_PEERTOKEN 6
#define GROUPS 16

struct xucred {
    uint32_t version, uid;
    int16_t group_count;
    uint32_t groups[GROUPS];
};
_Static_assert(sizeof(struct xucred) == 76, "macOS");

/* The words of an audit_token_t; the last one counts the processes that have had the pid. */
struct audit_token {
    uint32_t audit_user, effective_user, effective_group, user, group, pid, audit_session, pid_version;
};

static int connected_to(int fd, struct ucred *peer)
{
    struct sockaddr_un nobody;
    socklen_t size = sizeof nobody;
    return getpeername(fd, (struct sockaddr *)&nobody, &size) < 0 ? -ENOTCONN : peer_of(fd, peer);
}

static int get(int fd, int level, int name, void *value, uint32_t *length)
{
    struct xucred answer = {0};
    struct audit_token token;
    struct ucred peer;
    int result;

    if (level != THEIR_SOL_LOCAL)
        return NOT_MINE;
    if (name == LOCAL_PEERPID) {
        result = connected_to(fd, &peer);
        return result < 0 ? result : give(&peer.pid, sizeof peer.pid, value, length);
    }
    if (name == LOCAL_PEERTOKEN) {
        result = connected_to(fd, &peer);
        if (result < 0)
            return result;
        token = (struct audit_token){(uint32_t)-1, peer.uid, peer.gid, peer.uid, peer.gid, (uint32_t)peer.pid, 1, 1};
        return give(&token, sizeof token, value, length);
    }
    if (name != LOCAL_PEERCRED)
        return NOT_MINE;
    if (foreign_type(fd) == SOCK_DGRAM)
        return -EINVAL;
    result = foreign_state(fd) & IS_PAIR ? -ENOTCONN : peer_of(fd, &peer);
    if (result < 0)
        return result;
    answer.uid = peer.uid;
    answer.group_count = peer.pid == getpid() ? (int16_t)own_groups(answer.groups, GROUPS) : 1;
    answer.groups[0] = peer.gid;
    return give(&answer, sizeof answer, value, length);
}

const struct kernel kernel = {
    .name = "macOS",
    .type_flags = (const struct number[]){{0, 0}},
    .no_sigpipe = 0x1022,
    .own_options = (const struct number[]){{0, 0}},
    .send_timeout = 0x1005,
    .receive_timeout = 0x1006,
    .short_microseconds = 1,
    .no_signal = 0x80000,
    .control_alignment = 4,
    .too_small = STAYS_OPEN,
    /* SCM_TIMESTAMP, SCM_CREDS and SCM_TIMESTAMP_MONOTONIC. */
    .sent_types = (const int[]){2, 3, 4, 0},
    .longest_path = 253,
    .unnamed_length = 16,
    .pads_names = 1,
    .dup_command = 67,
    .monotonic = 6,
    .at_cwd = -2,
    .at_nofollow = 0x20,
    .at_removedir = 0x80,
    .stat = {144, {0, 4}, {8, 8}, {6, 2}, {4, 2}, {16, 4}, {96, 8}},
    .get = get,
};
