/* Names, connections, options and files. */
#include "violations.h"

/* --- Names --- */

static int length_of_a_name(void)
{
    struct sockaddr_un name[3];
    socklen_t length = name_of(name, "s");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    name->sun_len = 0;
    CHECK_ERROR(bind(fd, (struct sockaddr *)name, length), EINVAL);
    name->sun_len = (unsigned char)length;
    CHECK(bind(fd, (struct sockaddr *)name, length) == 0);
    return 0;
}

static int no_abstract_names(void)
{
    struct sockaddr_un name[3];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(name, 0, sizeof name);
    name->sun_family = AF_UNIX;
    name->sun_len = 2;
    CHECK_ERROR(bind(fd, (struct sockaddr *)name, 2), EINVAL);
    name->sun_path[1] = 'x';
    name->sun_len = 4;
    CHECK_ERROR(bind(fd, (struct sockaddr *)name, 4), ENOENT);
    return 0;
}

static int unnamed(void)
{
    struct sockaddr_un name[3];
    socklen_t length = sizeof name, at;
    memset(name, 0xff, sizeof name);
    CHECK(getsockname(one, (struct sockaddr *)name, &length) == 0);
#if defined(__NetBSD__)
    CHECK(length == 2);
#else
    CHECK(length == 16);
#endif
    CHECK(name->sun_len == length && name->sun_family == AF_UNIX);
    for (at = 2; at < length; at++)
        CHECK(((char *)name)[at] == 0);
    return 0;
}

static int padded_name(void)
{
    struct sockaddr_un name[3], found[3];
    socklen_t length = name_of(name, "s"), size = sizeof found;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)name, length) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)found, &size) == 0 && same(found->sun_path, name->sun_path));
#if defined(__APPLE__) || defined(__OpenBSD__)
    CHECK(size == sizeof *found);
#else
    CHECK(size == length - 1);
#endif
    return 0;
}

/* Nothing but the path of the folder is as long as this. */
#define LONG "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

static int long_name(void)
{
    struct sockaddr_un name[3], found[3];
    socklen_t length = name_of(name, LONG), size = sizeof found;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    struct stat status;
#if defined(__APPLE__) || defined(__NetBSD__)
    CHECK(bind(fd, (struct sockaddr *)name, length) == 0 && listen(fd, 1) == 0);
    CHECK(stat(name->sun_path, &status) == 0 && S_ISSOCK(status.st_mode));
    CHECK(connect(client, (struct sockaddr *)name, length) == 0);
    CHECK(getpeername(client, (struct sockaddr *)found, &size) == 0 && same(found->sun_path, name->sun_path));
    CHECK_ERROR(bind(client, (struct sockaddr *)name, length), EADDRINUSE);
#else
    (void)size;
    (void)client;
    (void)status;
    CHECK_ERROR(bind(fd, (struct sockaddr *)name, length), EINVAL);
#endif
    return 0;
}

#if defined(__FreeBSD__)
static int name_in_a_directory(void)
{
    struct sockaddr_un name[3], found[3];
    socklen_t size = sizeof found;
    int directory = open(folder, O_RDONLY | O_DIRECTORY), fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(name, 0, sizeof name);
    name->sun_family = AF_UNIX;
    name->sun_len = 4;
    name->sun_path[0] = 's';
    CHECK(bindat(directory, fd, (struct sockaddr *)name, 4) == 0 && listen(fd, 1) == 0);
    CHECK(connectat(directory, one = socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)name, 4) == 0);
    CHECK(getpeername(one, (struct sockaddr *)found, &size) == 0 && same(found->sun_path, "s"));
    return 0;
}
#endif

/* --- Connections --- */

static int make_listener(int backlog)
{
    struct sockaddr_un name[3];
    socklen_t length = name_of(name, "s");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)name, length) == 0 && listen(fd, backlog) == 0 ? fd : -1;
}

static int connect_one(void)
{
    struct sockaddr_un name[3];
    socklen_t length = name_of(name, "s");
    return connect(one = socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)name, length);
}

static int full_backlog(void)
{
    int count = 0;
    CHECK(make_listener(1) >= 0);
    while (connect_one() == 0)
        CHECK(count++ < 10);
    CHECK(errno == ECONNREFUSED);
    return 0;
}

static int accept_inherits(void)
{
    int fd, listener = make_listener(1);
    CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0 && connect_one() == 0);
    fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK));
#if !defined(__APPLE__)
    CHECK(connect_one() == 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
#endif
    CHECK_ERROR(accept(listener, NULL, NULL), EAGAIN);
    return 0;
}

/* Returns when somebody connects, and not after the time that is set. */
static int accept_waits(void)
{
    static const struct timeval limit = {0, 1000};
    int listener = make_listener(1);
    CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    CHECK(accept(listener, NULL, NULL) >= 0);
    return 0;
}

static int end_of_an_association(void)
{
    struct sockaddr nobody;
    memset(&nobody, 0, sizeof nobody);
    nobody.sa_len = sizeof nobody;
    CHECK(pair(SOCK_DGRAM) == 0);
    CHECK_ERROR(connect(one, &nobody, sizeof nobody), EAFNOSUPPORT);
    CHECK_ERROR(send(one, "x", 1, 0), ENOTCONN);
    return 0;
}

static int seqpacket(void)
{
#if defined(__APPLE__)
    CHECK_ERROR(socket(AF_UNIX, SOCK_SEQPACKET, 0), EPROTONOSUPPORT);
#else
    CHECK(socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0);
#endif
    return 0;
}

/* --- Options and files --- */

static int bits_of_options(void)
{
    int listener = make_listener(1), value = 0;
    socklen_t length = sizeof value;
    CHECK(getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value == SO_ACCEPTCONN);
    return 0;
}

static int times_of_options(void)
{
    struct timeval limit, found;
    socklen_t length = sizeof found;
    /* What stands behind a short tv_usec means nothing. */
    memset(&limit, 0xee, sizeof limit);
    limit.tv_sec = 3;
    limit.tv_usec = 8000;
    CHECK(setsockopt(one, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    CHECK(getsockopt(one, SOL_SOCKET, SO_SNDTIMEO, &found, &length) == 0 && length == sizeof found);
    CHECK(found.tv_sec == 3 && found.tv_usec == 8000);
    CHECK_ERROR(setsockopt(one, SOL_SOCKET, SO_SNDTIMEO, &limit, 8), EINVAL);
    return 0;
}

static int status_of_files(void)
{
    struct stat open_one, by_name;
    int listener = make_listener(1);
    CHECK(fstat(listener, &open_one) == 0 && S_ISSOCK(open_one.st_mode));
    CHECK(fstatat(AT_FDCWD, folder, &by_name, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(by_name.st_mode));
    CHECK(by_name.st_ino != 0 && by_name.st_nlink >= 2);
    return 0;
}
