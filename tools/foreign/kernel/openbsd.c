/* OpenBSD 7.8 (unix(4), getsockopt(2), sys/kern/uipc_usrreq.c, soreceive() in sys/kern/uipc_socket.c).

   A control buffer that is too small makes the receive fail with EMSGSIZE, and what came is gone.  SO_PEERCRED has the
   pid last, and nothing of a pair or a datagram socket.  There are no credentials of a message. */
#define _GNU_SOURCE
#include "kernel.h"

#define THEIR_SO_PEERCRED 0x1022

static int get(int fd, int level, int name, void *value, uint32_t *length)
{
    struct ucred peer;
    uint32_t answer[3];
    int result;

    if (level != THEIR_SOL_SOCKET || name != THEIR_SO_PEERCRED)
        return NOT_MINE;
    result = foreign_type(fd) == SOCK_DGRAM || (foreign_state(fd) & IS_PAIR) ? -ENOTCONN : peer_of(fd, &peer);
    if (result < 0)
        return result;
    /* struct sockpeercred */
    answer[0] = peer.uid;
    answer[1] = peer.gid;
    answer[2] = (uint32_t)peer.pid;
    return give(answer, sizeof answer, value, length);
}

const struct kernel kernel = {
    .name = "OpenBSD",
    .type_flags = (const struct number[]){{0x8000, SOCK_CLOEXEC}, {0x4000, SOCK_NONBLOCK}, {0, 0}},
    .has_seqpacket = 1,
    .own_options = (const struct number[]){{0x1024, SO_DOMAIN}, {0x1025, SO_PROTOCOL}, {0, 0}},
    .send_timeout = 0x1005,
    .receive_timeout = 0x1006,
    .no_signal = 0x400,
    .close_on_exec = 0x800,
    .control_alignment = 8,
    .too_small = REFUSED,
    /* SCM_TIMESTAMP is the kernel's alone. */
    .sent_types = (const int[]){4, 0},
    .longest_path = 104,
    .unnamed_length = 16,
    .pads_names = 1,
    .dup_command = 10,
    .monotonic = 3,
    .at_cwd = -100,
    .at_nofollow = 0x2,
    .at_removedir = 0x8,
    .stat = {128, {4, 4}, {8, 8}, {16, 4}, {0, 4}, {20, 4}, {80, 8}},
    .get = get,
};
