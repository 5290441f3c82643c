/* NetBSD 10 (unix(4), sys/kern/uipc_usrreq.c).

   Credentials of the sender come once on what is connected, and with each datagram; accepted sockets inherit the wish.
   A pair has no peer of whom anything is recorded.  An unnamed address is its head alone.  A path may be as long as
   its length, a byte, can say. */
#define _GNU_SOURCE
#include "kernel.h"

#define LOCAL_CREDS 4
#define LOCAL_PEEREID 3
#define SCM_CREDS 0x10
#define GROUPS 16

static int get(int fd, int level, int name, void *value, uint32_t *length)
{
    struct ucred peer;
    int32_t answer[3];
    int result;

    if (level != THEIR_SOL_LOCAL)
        return NOT_MINE;
    if (name == LOCAL_CREDS)
        return get_flag(fd, WANTS_ONCE, value, length);
    if (name != LOCAL_PEEREID)
        return NOT_MINE;
    result = foreign_type(fd) == SOCK_DGRAM || (foreign_state(fd) & IS_PAIR) ? -EINVAL : peer_of(fd, &peer);
    if (result < 0)
        return -EINVAL;
    /* struct unpcbid */
    answer[0] = peer.pid;
    answer[1] = (int32_t)peer.uid;
    answer[2] = (int32_t)peer.gid;
    return give(answer, sizeof answer, value, length);
}

static int set(int fd, int level, int name, const void *value, uint32_t length)
{
    if (level != THEIR_SOL_LOCAL || name != LOCAL_CREDS)
        return NOT_MINE;
    return set_flag(fd, WANTS_ONCE, value, length);
}

/* The groups of another process are not asked for; its effective one stands for them. */
static void add_sender(int fd, unsigned state, const struct ucred *sender, struct items *into)
{
    /* struct sockcred: pid, uid, euid, gid, egid, and the groups behind their number. */
    uint32_t fields[6 + GROUPS] = {(uint32_t)sender->pid, sender->uid, sender->uid, sender->gid, sender->gid};
    static const int off = 0;
    int count = 1;

    if (!(state & WANTS_ONCE))
        return;
    fields[6] = sender->gid;
    if (sender->pid == getpid())
        count = own_groups(fields + 6, GROUPS);
    fields[5] = (uint32_t)count;
    add_item(into, THEIR_SOL_SOCKET, SCM_CREDS, fields, (6 + (size_t)count) * sizeof(uint32_t));
    if (foreign_type(fd) != SOCK_DGRAM)
        set_flag(fd, WANTS_ONCE, &off, sizeof off);
}

const struct kernel kernel = {
    .name = "NetBSD",
    .type_flags = (const struct number[]){{0x10000000, SOCK_CLOEXEC}, {0x20000000, SOCK_NONBLOCK}, {0, 0}},
    .has_seqpacket = 1,
    .no_sigpipe = 0x800,
    .own_options = (const struct number[]){{0, 0}},
    .send_timeout = 0x100b,
    .receive_timeout = 0x100c,
    .short_microseconds = 1,
    .no_signal = 0x400,
    .close_on_exec = 0x800,
    .control_alignment = 8,
    .too_small = STAYS_OPEN,
    .sent_types = (const int[]){SCM_CREDS, 0},
    .longest_path = 253,
    .unnamed_length = 2,
    .dup_command = 12,
    .monotonic = 3,
    .at_cwd = -100,
    .at_nofollow = 0x200,
    .at_removedir = 0x800,
    .stat = {152, {0, 8}, {16, 8}, {24, 4}, {8, 4}, {28, 4}, {112, 8}},
    .get = get,
    .set = set,
    .add_sender = add_sender,
};
