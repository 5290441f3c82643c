/* What all cases share: a connected pair of streams, a folder for files, and a message with control data. */
#ifndef VIOLATIONS_H
#define VIOLATIONS_H
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#if defined(__FreeBSD__) || defined(__APPLE__)
#  include <sys/ucred.h>
#endif

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            return __LINE__; \
    } while (0)
#define CHECK_ERROR(call, number) CHECK((call) < 0 && errno == (number))

static int one, two;
static const char *folder;

static int same(const char *left, const char *right)
{
    return strlen(left) == strlen(right) && memcmp(left, right, strlen(left)) == 0;
}

static int pair(int type)
{
    int fds[2];
    if (socketpair(AF_UNIX, type, 0, fds) < 0)
        return -1;
    one = fds[0];
    two = fds[1];
    return 0;
}

static socklen_t name_of(struct sockaddr_un *into, const char *file)
{
    memset(into, 0, 3 * sizeof *into);
    into->sun_family = AF_UNIX;
    memcpy(into->sun_path, folder, strlen(folder));
    into->sun_path[strlen(folder)] = '/';
    memcpy(into->sun_path + strlen(folder) + 1, file, strlen(file) + 1);
    into->sun_len = (unsigned char)(offsetof(struct sockaddr_un, sun_path) + strlen(folder) + strlen(file) + 2);
    return into->sun_len;
}

/* A message with one byte and control data. */
static union {
    struct cmsghdr aligned;
    char bytes[4096];
} control;
static char byte;
static struct iovec iov = {&byte, 1};
static struct msghdr message;

static void prepare(socklen_t length)
{
    memset(&message, 0, sizeof message);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = length;
}

static socklen_t item(socklen_t at, int type, const void *data, size_t size)
{
    struct cmsghdr *header = (struct cmsghdr *)(void *)(control.bytes + at);
    memset(control.bytes + at, 0, CMSG_SPACE(size));
    header->cmsg_len = (socklen_t)CMSG_LEN(size);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = type;
    memcpy(CMSG_DATA(header), data, size);
    return at + (socklen_t)CMSG_SPACE(size);
}

#endif
