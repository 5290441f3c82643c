/* The file that a socket is bound to: SIOCUNIXFILE (Linux 4.11), and what a path leads to (stat(2)).

   Rule: what a path leads to is asked here and not in Python, where the kernel's refusal would be an exception that a
   signal handler's cannot be told from. */
#ifndef UDS_BOUND_FILE_C
#define UDS_BOUND_FILE_C
#include "address.c"
#include "handle.c"

#if defined(__linux__)
#  include <linux/sockios.h>
#  ifndef SIOCUNIXFILE
#    define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* include/uapi/linux/un.h, the same on every architecture */
#  endif
#endif

#if defined(SIOCUNIXFILE) && !defined(UDS_MINIMAL)
#  define UDS_HAS_BOUND_FILE 1
#else
#  define UDS_HAS_BOUND_FILE 0
#endif

/* The kernel makes the descriptor with O_PATH and O_CLOEXEC.  -ENOENT when the socket is bound to no path, -EPERM
   without CAP_NET_ADMIN in the socket's network namespace, -ENOTTY on older kernels. */
UDS_FUNCTION int uds_bound_file(int fd, struct uds_handle *into)
{
#if UDS_HAS_BOUND_FILE
    return uds_handle_keep(into, UDS_RESULT(ioctl(fd, SIOCUNIXFILE, 0)));
#else
    (void)fd;
    (void)into;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_bound_file(struct uds_handle *handle, struct uds_handle *into)
{
    UDS_HELD(handle, int, uds_bound_file(fd, into));
}

/* Binds a socket to a path, where it makes the file and removes it at once: no signal handler can come between, and leave
   it there.  0, and the file's inode and mode, or -errno. */
UDS_FUNCTION int uds_bind_briefly(int fd, const char *path, uint64_t found[2])
{
    struct sockaddr_un name;
    struct stat status;
    socklen_t length = uds_sockaddr_fill(&name, path, strlen(path), 1);
    int result = length ? UDS_RESULT(bind(fd, (struct sockaddr *)&name, length)) : -ENAMETOOLONG;

    if (result < 0)
        return result;
    result = UDS_RESULT(stat(path, &status));
    unlink(path);
    found[0] = result < 0 ? 0 : (uint64_t)status.st_ino;
    found[1] = result < 0 ? 0 : (uint64_t)status.st_mode;
    return result;
}

UDS_FUNCTION int uds_handle_bind_briefly(struct uds_handle *handle, const char *path, uint64_t found[2])
{
    UDS_HELD(handle, int, uds_bind_briefly(fd, path, found));
}

/* Makes a listener of a socket at a path, connects another to it, and removes the file, in the same way.  0 or -errno. */
UDS_FUNCTION int uds_connect_briefly(int fd, struct uds_handle *other, const char *path)
{
    struct sockaddr_un name;
    socklen_t length = uds_sockaddr_fill(&name, path, strlen(path), 1);
    int result = length ? UDS_RESULT(bind(fd, (struct sockaddr *)&name, length)) : -ENAMETOOLONG;

    if (result < 0)
        return result;
    result = uds_listen(fd, 1);
    if (result == 0)
        result = uds_handle_connect(other, &name, length);
    unlink(path);
    return result;
}

UDS_FUNCTION int uds_handle_connect_briefly(struct uds_handle *handle, struct uds_handle *other, const char *path)
{
    UDS_HELD(handle, int, uds_connect_briefly(fd, other, path));
}

/* Whether a path leads to a socket file: 1 and its status, 0 when it leads to none, or -errno when that cannot be
   seen. */
UDS_FUNCTION int uds_look_up_socket(const char *path, struct stat *status)
{
    if (stat(path, status) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    return S_ISSOCK(status->st_mode) ? 1 : 0;
}

UDS_FUNCTION int uds_leads_to_socket(const char *path)
{
    struct stat status;
    return uds_look_up_socket(path, &status);
}

UDS_FUNCTION int uds_leads_to(const char *path, int fd)
{
    struct stat found, own;
    int result = uds_look_up_socket(path, &found);
    if (result <= 0)
        return result;
    if (fstat(fd, &own) < 0)
        return -errno;
    return found.st_dev == own.st_dev && found.st_ino == own.st_ino;
}

/* Whether a path leads to this socket file: 1 or 0, or -errno. */
UDS_FUNCTION int uds_handle_is_at(struct uds_handle *handle, const char *path)
{
    UDS_HELD(handle, int, uds_leads_to(path, fd));
}

#endif
