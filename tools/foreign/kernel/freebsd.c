/* FreeBSD 14 (unix(4), sys/kern/uipc_usrreq.c, sys/kern/uipc_socket.c).

   LOCAL_CREDS and LOCAL_CREDS_PERSISTENT exclude each other; of what a sender adds, the kernel fills in SCM_CREDS and
   four kinds of time; a pair of streams has credentials, a datagram socket never. */
#define _GNU_SOURCE
#include "kernel.h"

#include <time.h>

#define LOCAL_PEERCRED 1
#define LOCAL_CREDS 2
#define LOCAL_CREDS_PERSISTENT 3
#define SCM_TIMESTAMP_ 2
#define SCM_CREDS 3
#define SCM_BINTIME 4
#define SCM_REALTIME 5
#define SCM_MONOTONIC 6
#define SCM_CREDS2 8
#define GROUPS 16

struct xucred {
    uint32_t version, uid;
    int16_t group_count;
    uint32_t groups[GROUPS];
    union {
        int32_t pid;
        void *unused;
    };
};
_Static_assert(sizeof(struct xucred) == 88 && offsetof(struct xucred, pid) == 80, "FreeBSD, amd64");

struct cmsgcred {
    int32_t pid;
    uint32_t uid, euid, gid;
    int16_t group_count;
    uint32_t groups[GROUPS];
};
_Static_assert(sizeof(struct cmsgcred) == 84, "FreeBSD, amd64");

static int get(int fd, int level, int name, void *value, uint32_t *length)
{
    struct xucred answer = {0};
    struct ucred peer;
    int result;

    if (level != THEIR_SOL_LOCAL)
        return NOT_MINE;
    if (name == LOCAL_CREDS || name == LOCAL_CREDS_PERSISTENT)
        return get_flag(fd, name == LOCAL_CREDS ? WANTS_ONCE : WANTS_EACH, value, length);
    if (name != LOCAL_PEERCRED)
        return NOT_MINE;
    result = foreign_type(fd) == SOCK_DGRAM ? -EINVAL : peer_of(fd, &peer);
    if (result < 0)
        return result;
    answer.uid = peer.uid;
    answer.group_count = peer.pid == getpid() ? (int16_t)own_groups(answer.groups, GROUPS) : 1;
    answer.groups[0] = peer.gid;
    answer.pid = peer.pid;
    return give(&answer, sizeof answer, value, length);
}

static int set(int fd, int level, int name, const void *value, uint32_t length)
{
    unsigned bit = name == LOCAL_CREDS ? WANTS_ONCE : WANTS_EACH;

    if (level != THEIR_SOL_LOCAL || (name != LOCAL_CREDS && name != LOCAL_CREDS_PERSISTENT))
        return NOT_MINE;
    if (foreign_state(fd) & (WANTS_EACH | WANTS_ONCE) & ~bit)
        return -EINVAL;
    return set_flag(fd, bit, value, length);
}

static int fill(int type, struct items *into)
{
    struct timespec now;
    int64_t pair[2];

    clock_gettime(type == SCM_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_REALTIME, &now);
    pair[0] = now.tv_sec;
    switch (type) {
    case SCM_CREDS: {
        struct cmsgcred own = {.pid = getpid(), .uid = getuid(), .euid = geteuid(), .gid = getgid()};
        own.group_count = (int16_t)own_groups(own.groups, GROUPS);
        add_item(into, THEIR_SOL_SOCKET, type, &own, sizeof own);
        return 1;
    }
    case SCM_TIMESTAMP_:
        pair[1] = now.tv_nsec / 1000;
        break;
    case SCM_BINTIME:
        /* In 1/2^64 of a second. */
        pair[1] = (int64_t)((uint64_t)now.tv_nsec * UINT64_C(18446744073));
        break;
    case SCM_REALTIME:
    case SCM_MONOTONIC:
        pair[1] = now.tv_nsec;
        break;
    default:
        return 0;
    }
    add_item(into, THEIR_SOL_SOCKET, type, pair, sizeof pair);
    return 1;
}

/* The groups of another process are not asked for; its effective one stands for them. */
static void add_sender(int fd, unsigned state, const struct ucred *sender, struct items *into)
{
    uint32_t fields[7 + GROUPS] = {0};
    int count = 1;

    if (state & WANTS_EACH) {
        /* struct sockcred2: version, pid, uid, euid, gid, egid, and the groups behind their number. */
        const uint32_t head[] = {0, (uint32_t)sender->pid, sender->uid, sender->uid, sender->gid, sender->gid};
        memcpy(fields, head, sizeof head);
        fields[7] = sender->gid;
        if (sender->pid == getpid())
            count = own_groups(fields + 7, GROUPS);
        fields[6] = (uint32_t)count;
        add_item(into, THEIR_SOL_SOCKET, SCM_CREDS2, fields, (7 + (size_t)count) * sizeof(uint32_t));
    } else if (state & WANTS_ONCE) {
        /* struct sockcred, which says no pid. */
        const uint32_t all[] = {sender->uid, sender->uid, sender->gid, sender->gid, 1, sender->gid};
        static const int off = 0;
        add_item(into, THEIR_SOL_SOCKET, SCM_CREDS, all, sizeof all);
        if (foreign_type(fd) != SOCK_DGRAM)
            set_flag(fd, WANTS_ONCE, &off, sizeof off);
    }
}

const struct kernel kernel = {
    .name = "FreeBSD",
    .type_flags = (const struct number[]){{0x10000000, SOCK_CLOEXEC}, {0x20000000, SOCK_NONBLOCK}, {0, 0}},
    .has_seqpacket = 1,
    .no_sigpipe = 0x800,
    .own_options = (const struct number[]){{0x1016, SO_PROTOCOL}, {0x1019, SO_DOMAIN}, {0, 0}},
    .send_timeout = 0x1005,
    .receive_timeout = 0x1006,
    .no_signal = 0x20000,
    .close_on_exec = 0x40000,
    .control_alignment = 8,
    .too_small = STAYS_OPEN,
    /* SCM_CREDS2 is the kernel's alone. */
    .sent_types = (const int[]){SCM_CREDS2, 0},
    .longest_path = 104,
    .unnamed_length = 16,
    .dup_command = 17,
    .monotonic = 4,
    .hung_up = 0x4000,
    .at_cwd = -100,
    .at_nofollow = 0x200,
    .at_removedir = 0x800,
    .stat = {224, {0, 8}, {8, 8}, {16, 8}, {24, 2}, {28, 4}, {112, 8}},
    .get = get,
    .set = set,
    .fill = fill,
    .add_sender = add_sender,
};
