/* What a descriptor is, and the options whose C types differ between systems. */
#ifndef UDS_OPTIONS_C
#define UDS_OPTIONS_C
#include "handle.c"

#include <stdio.h>

struct uds_description {
    int domain;
    int type;
    int listening;
};

UDS_FUNCTION int uds_get_int(int fd, int name, int *value)
{
    socklen_t length = sizeof *value;
    return uds_getsockopt(fd, SOL_SOCKET, name, value, &length);
}

/* -ENOTSOCK when the number is no socket, -EBADF when it is not open. */
UDS_FUNCTION int uds_describe(int fd, struct uds_description *description)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    int result = uds_get_int(fd, SO_TYPE, &description->type);

    if (result < 0)
        return result;
#if defined(SO_DOMAIN) && !defined(UDS_MINIMAL)
    (void)name;
    (void)length;
    result = uds_get_int(fd, SO_DOMAIN, &description->domain);
#else
    /* macOS writes nothing for a socket that has no address of any kind; then it is none of ours. */
    memset(&name, 0, sizeof name);
    result = UDS_RESULT(getsockname(fd, (struct sockaddr *)&name, &length));
    description->domain = result < 0 ? -1 : name.ss_family;
#endif
    if (result < 0)
        return result;
    description->listening = 0;
    result = uds_get_int(fd, SO_ACCEPTCONN, &description->listening);
    /* The BSDs may answer with the option's bit. */
    description->listening = description->listening != 0;
    return result;
}

UDS_FUNCTION int uds_handle_describe(struct uds_handle *handle, struct uds_description *description)
{
    UDS_HELD(handle, int, uds_describe(fd, description));
}

UDS_FUNCTION int uds_unread_bytes(int fd)
{
    int unread = 0;
    int result = UDS_RESULT(ioctl(fd, FIONREAD, &unread));
    return result < 0 ? result : unread;
}

UDS_FUNCTION int uds_handle_unread_bytes(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_unread_bytes(fd));
}

UDS_FUNCTION int uds_get_timeout(int fd, int name, int64_t *microseconds)
{
    struct timeval value;
    socklen_t length = sizeof value;
    int result;

    memset(&value, 0, sizeof value);
    result = uds_getsockopt(fd, SOL_SOCKET, name, &value, &length);
    *microseconds = (int64_t)value.tv_sec * 1000000 + value.tv_usec;
    return result;
}

/* SO_RCVTIMEO and SO_SNDTIMEO; 0 microseconds mean no timeout. */
UDS_FUNCTION int uds_handle_get_timeout(struct uds_handle *handle, int name, int64_t *microseconds)
{
    UDS_HELD(handle, int, uds_get_timeout(fd, name, microseconds));
}

UDS_FUNCTION int uds_set_timeout(int fd, int name, int64_t microseconds)
{
    struct timeval value;
    memset(&value, 0, sizeof value);
    value.tv_sec = (__typeof__(value.tv_sec))(microseconds / 1000000);
    value.tv_usec = (__typeof__(value.tv_usec))(microseconds % 1000000);
    return uds_setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}

UDS_FUNCTION int uds_handle_set_timeout(struct uds_handle *handle, int name, int64_t microseconds)
{
    UDS_HELD(handle, int, uds_set_timeout(fd, name, microseconds));
}

/* What /proc/self/fd says of a descriptor that has no file type; -ENOSYS where there is no such place. */
UDS_FUNCTION ssize_t uds_readlink(int fd, char *target, size_t size)
{
#if defined(__linux__) && !defined(UDS_MINIMAL)
    char path[sizeof "/proc/self/fd/" + 3 * sizeof fd];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return UDS_RESULT(readlink(path, target, size));
#else
    (void)fd;
    (void)target;
    (void)size;
    return -ENOSYS;
#endif
}

UDS_FUNCTION ssize_t uds_handle_readlink(struct uds_handle *handle, char *target, size_t size)
{
    UDS_HELD(handle, ssize_t, uds_readlink(fd, target, size));
}

/* st_mode of fstat(2). */
UDS_FUNCTION int uds_mode(int fd)
{
    struct stat status;
    return fstat(fd, &status) < 0 ? -errno : (int)status.st_mode;
}

UDS_FUNCTION int uds_handle_mode(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_mode(fd));
}

#endif
