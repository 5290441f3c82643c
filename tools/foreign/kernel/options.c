/* Socket options: those that all four have, and the way to each system's own.

   Rules: an option is known or the process ends; one that is a bit among others reads as that bit and not as 1; a
   timeout is the system's struct timeval and nothing shorter. */
#define _GNU_SOURCE
#include "kernel.h"

#include <sys/time.h>

/* Those below 0x1000 are bits. */
static const struct number OPTIONS[] = {
    {0x0001, SO_DEBUG},     {0x0002, SO_ACCEPTCONN}, {0x0004, SO_REUSEADDR}, {0x0008, SO_KEEPALIVE},
    {0x0020, SO_BROADCAST}, {0x1001, SO_SNDBUF},     {0x1002, SO_RCVBUF},    {0x1004, SO_RCVLOWAT},
    {0x1007, SO_ERROR},     {0x1008, SO_TYPE},       {0, 0},
};

struct their_timeval {
    int64_t seconds;
    int64_t microseconds;
};

static int find(const struct number *list, int theirs)
{
    for (; list->theirs != 0; list++)
        if (list->theirs == theirs)
            return list->ours;
    return -1;
}

/* Linux's number of an option of SOL_SOCKET, or -1 for nobody's. */
static int known(int level, int theirs, const char *call)
{
    int ours;
    if (IS_NOBODYS(theirs))
        return -1;
    if (level != THEIR_SOL_SOCKET)
        foreign_stop(call, level == THEIR_SOL_LOCAL ? "unknown option of level 0" : "unknown level",
                     level == THEIR_SOL_LOCAL ? theirs : level);
    ours = find(OPTIONS, theirs);
    if (ours < 0)
        ours = find(kernel.own_options, theirs);
    if (ours < 0)
        foreign_stop(call, "unknown option", theirs);
    return ours;
}

static int timeout_of(int level, int name)
{
    if (level != THEIR_SOL_SOCKET || (name != kernel.send_timeout && name != kernel.receive_timeout))
        return 0;
    return name == kernel.send_timeout ? SO_SNDTIMEO : SO_RCVTIMEO;
}

/* --- What the systems' own options need --- */

/* Who is at the other end, as Linux has it: 0, or -errno. */
int peer_of(int fd, struct ucred *peer)
{
    socklen_t length = sizeof *peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length) < 0)
        return -errno;
    return peer->uid == (uid_t)-1 ? -ENOTCONN : 0;
}

/* The groups of this process, the effective one first, as their kernels keep them; how many. */
int own_groups(uint32_t *groups, int most)
{
    gid_t all[1024];
    int index, count = getgroups(1024, all), used = 1;
    groups[0] = getegid();
    for (index = 0; index < count && used < most; index++)
        if (all[index] != groups[0])
            groups[used++] = all[index];
    return used;
}

/* Hands out the value of an option, cut to the caller's room. */
int give(const void *answer, size_t size, void *value, uint32_t *length)
{
    if (*length > size)
        *length = (uint32_t)size;
    memcpy(value, answer, *length);
    return 0;
}

int get_flag(int fd, unsigned bit, void *value, uint32_t *length)
{
    int is_on = (foreign_state(fd) & bit) != 0;
    if (*length < sizeof is_on)
        return -EINVAL;
    return give(&is_on, sizeof is_on, value, length);
}

int set_flag(int fd, unsigned bit, const void *value, uint32_t length)
{
    int on, passes;
    if (length != sizeof on)
        return -EINVAL;
    memcpy(&on, value, sizeof on);
    foreign_set_state(fd, bit, on);
    passes = (foreign_state(fd) & (WANTS_EACH | WANTS_ONCE)) != 0;
    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &passes, sizeof passes) < 0 ? -errno : 0;
}

/* --- The calls --- */

static int get_timeout(int fd, int ours, void *value, uint32_t *length)
{
    struct their_timeval theirs = {0, 0};
    struct timeval limit;
    socklen_t size = sizeof limit;

    if (getsockopt(fd, SOL_SOCKET, ours, &limit, &size) < 0)
        return -1;
    theirs.seconds = limit.tv_sec;
    /* The bytes that mean nothing are not zero. */
    theirs.microseconds = kernel.short_microseconds ? (int64_t)((uint64_t)limit.tv_usec | 0x5a5a5a5a00000000u)
                                                    : limit.tv_usec;
    return give(&theirs, sizeof theirs, value, length);
}

static int set_timeout(int fd, int ours, const void *value, uint32_t length)
{
    struct their_timeval theirs;
    struct timeval limit;

    if (length != sizeof theirs) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&theirs, value, sizeof theirs);
    limit.tv_sec = theirs.seconds;
    limit.tv_usec = kernel.short_microseconds ? (int32_t)theirs.microseconds : theirs.microseconds;
    return setsockopt(fd, SOL_SOCKET, ours, &limit, sizeof limit);
}

/* What a call returns for the result of a part of it. */
static int answered(int result)
{
    if (result >= 0)
        return 0;
    errno = -result;
    return -1;
}

static int is_no_sigpipe(int level, int name)
{
    return kernel.no_sigpipe != 0 && level == THEIR_SOL_SOCKET && name == kernel.no_sigpipe;
}

int foreign_getsockopt(int fd, int level, int name, void *value, uint32_t *length)
{
    int own, ours, result, found = 0;
    socklen_t size = sizeof found;

    if (foreign_type(fd) < 0)
        return -1;
    own = kernel.get(fd, level, name, value, length);
    if (own == NOT_MINE && is_no_sigpipe(level, name))
        own = get_flag(fd, NO_SIGPIPE, value, length);
    if (own != NOT_MINE)
        return answered(own);
    ours = timeout_of(level, name);
    if (ours != 0)
        return get_timeout(fd, ours, value, length);
    ours = known(level, name, "getsockopt");
    result = getsockopt(fd, SOL_SOCKET, ours, &found, &size);
    /* Linux says ENOPROTOOPT to -1. */
    if (result < 0)
        return result;
    if (name < 0x1000 && found)
        found = name;
    return give(&found, sizeof found, value, length);
}

int foreign_setsockopt(int fd, int level, int name, const void *value, uint32_t length)
{
    int own, ours, number;

    if (foreign_type(fd) < 0)
        return -1;
    own = kernel.set == NULL ? NOT_MINE : kernel.set(fd, level, name, value, length);
    if (own == NOT_MINE && is_no_sigpipe(level, name))
        own = set_flag(fd, NO_SIGPIPE, value, length);
    if (own != NOT_MINE)
        return answered(own);
    ours = timeout_of(level, name);
    if (ours != 0)
        return set_timeout(fd, ours, value, length);
    ours = known(level, name, "setsockopt");
    if (ours == SO_TYPE || ours == SO_ERROR || ours == SO_ACCEPTCONN || ours == SO_DOMAIN || ours == SO_PROTOCOL) {
        errno = ENOPROTOOPT;
        return -1;
    }
    if (length < sizeof number) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&number, value, sizeof number);
    /* Linux doubles what it is given, for its own needs. */
    if (ours == SO_SNDBUF || ours == SO_RCVBUF)
        number /= 2;
    return setsockopt(fd, SOL_SOCKET, ours, &number, sizeof number);
}
