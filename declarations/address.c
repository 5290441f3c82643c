/* Addresses.

   Rule: the length counts.  A path may fill sun_path without a terminating NUL, an abstract name may contain and
   end in NULs, and the kernel may report a name longer than struct sockaddr_un (Linux: 111 bytes for a path of
   108).  So names are received into more room than any system writes, and never measured with strlen(). */
#ifndef UDS_ADDRESS_C
#define UDS_ADDRESS_C
#include "wait.c"

#define UDS_SUN_PATH_OFFSET ((int)offsetof(struct sockaddr_un, sun_path))
#define UDS_SUN_PATH_SIZE ((int)sizeof(((struct sockaddr_un *)0)->sun_path))

/* Linux takes a path that fills sun_path without a terminator (unix(7), BUGS).  Elsewhere one byte is kept. */
#if defined(__linux__)
#  define UDS_MAX_PATH_LEN UDS_SUN_PATH_SIZE
#else
#  define UDS_MAX_PATH_LEN (UDS_SUN_PATH_SIZE - 1)
#endif

/* Some systems take a path that is longer than sun_path, as long as sun_len, a byte, can count; 0 where none does. */
#if (defined(__APPLE__) || defined(__NetBSD__) || defined(__DragonFly__)) && !defined(UDS_MINIMAL)
#  define UDS_LONG_PATH_LEN (255 - UDS_SUN_PATH_OFFSET)
#else
#  define UDS_LONG_PATH_LEN 0
#endif

#if defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_HAS_ABSTRACT 1
#else
#  define UDS_HAS_ABSTRACT 0
#endif

struct uds_name {
    union {
        struct sockaddr_un address;
        unsigned char bytes[256];
    };
    socklen_t length;
};

/* Writes size bytes of sun_path and returns the address length, or 0 when they do not fit.  A terminated path
   counts its NUL where there is room for it, as getsockname(2) reports it. */
UDS_FUNCTION socklen_t uds_sockaddr_fill(struct sockaddr_un *address, const char *path, size_t size,
                                         int terminated)
{
    size_t length = size;
    if (size > sizeof address->sun_path)
        return 0;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, size);
    if (terminated && size < sizeof address->sun_path)
        length++;
    length += offsetof(struct sockaddr_un, sun_path);
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__)
    address->sun_len = (unsigned char)length;
#endif
    return (socklen_t)length;
}

/* The same for a path of up to 253 bytes, into memory that has room for it behind the struct: three of them. */
UDS_FUNCTION socklen_t uds_sockaddr_fill_long(struct sockaddr_un *address, const char *path, size_t size)
{
    size_t length = offsetof(struct sockaddr_un, sun_path) + size;
    if (length > 255)
        return 0;
    memset(address, 0, 3 * sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy((char *)address + offsetof(struct sockaddr_un, sun_path), path, size);
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__)
    address->sun_len = (unsigned char)length;
#endif
    return (socklen_t)length;
}

UDS_FUNCTION void uds_name_prepare(struct uds_name *name)
{
    memset(name, 0, sizeof *name);
    name->length = sizeof name->bytes;
}

/* The kernel reports the real length even when it wrote less. */
UDS_FUNCTION void uds_name_clamp(struct uds_name *name)
{
    if (name->length > sizeof name->bytes)
        name->length = sizeof name->bytes;
}

UDS_FUNCTION int uds_handle_bind(struct uds_handle *handle, const struct sockaddr_un *address, socklen_t length)
{
    UDS_HELD(handle, int, uds_bind(fd, address, length));
}

UDS_FUNCTION int uds_handle_connect(struct uds_handle *handle, const struct sockaddr_un *address,
                                    socklen_t length)
{
    UDS_HELD(handle, int, uds_connect(fd, address, length));
}

/* What a call returns that is given something else than the name of a peer. */
#define UDS_NO_NAME 1

/* The same for bytes that nobody has checked: a path without a NUL, or an abstract name behind a NUL, where there
   are any.  Returns 0 for everything else. */
UDS_FUNCTION socklen_t uds_sockaddr_of_peer(struct sockaddr_un *address, const char *name, size_t size)
{
    if (size == 0)
        return 0;
    if (name[0] == '\0')
        return UDS_HAS_ABSTRACT ? uds_sockaddr_fill(address, name, size, 0) : 0;
    if (size > (size_t)UDS_MAX_PATH_LEN || memchr(name, '\0', size) != NULL)
        return 0;
    return uds_sockaddr_fill(address, name, size, 1);
}

/* Makes a socket and connects it.  UDS_NO_NAME when there is nothing to connect to, before anything is made; an
   error leaves the handle empty when it is the socket's, and filled when it is the connection's. */
UDS_FUNCTION int uds_handle_open_connected(struct uds_handle *handle, int type, const char *name, size_t size)
{
    struct sockaddr_un address;
    int result;
    socklen_t length = uds_sockaddr_of_peer(&address, name, size);
    if (length == 0)
        return UDS_NO_NAME;
    result = uds_handle_socket(handle, type, 0);
    return result < 0 ? result : uds_handle_connect(handle, &address, length);
}

/* Linux takes the family alone for the address that ends an association.  Other systems want a whole struct, and
   report that it is no address although they have ended the association: then the socket has no peer any more. */
UDS_FUNCTION int uds_disconnect(int fd)
{
    struct sockaddr unspecified;
    int result;
    memset(&unspecified, 0, sizeof unspecified);
    unspecified.sa_family = AF_UNSPEC;
#if defined(__linux__) && !defined(UDS_MINIMAL)
    result = UDS_RESULT(connect(fd, &unspecified, sizeof unspecified.sa_family));
#else
    result = UDS_RESULT(connect(fd, &unspecified, sizeof unspecified));
    if (result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL || result == -EINVAL) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        if (getpeername(fd, UDS_SOCKADDR(&peer), &length) < 0)
            result = errno == ENOTCONN ? 0 : -errno;
    }
#endif
    return result;
}

/* Dissolves the association of a datagram socket. */
UDS_FUNCTION int uds_handle_disconnect(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_disconnect(fd));
}

UDS_FUNCTION int uds_handle_getsockname(struct uds_handle *handle, struct uds_name *name)
{
    int result, fd = uds_handle_enter(handle);
    if (fd < 0)
        return fd;
    uds_name_prepare(name);
    result = uds_getsockname(fd, &name->address, &name->length);
    uds_name_clamp(name);
    uds_handle_leave(handle);
    return result;
}

UDS_FUNCTION int uds_handle_getpeername(struct uds_handle *handle, struct uds_name *name)
{
    int result, fd = uds_handle_enter(handle);
    if (fd < 0)
        return fd;
    uds_name_prepare(name);
    result = uds_getpeername(fd, &name->address, &name->length);
    uds_name_clamp(name);
    uds_handle_leave(handle);
    return result;
}

/* Whether the kernel has reported a name.  The BSDs and macOS report that there is none as a path of NULs alone. */
UDS_FUNCTION int uds_name_is_given(const struct uds_name *name)
{
    int given = name->length > (socklen_t)UDS_SUN_PATH_OFFSET;
#if !defined(__linux__)
    given = given && name->address.sun_path[0] != '\0';
#endif
    return given;
}

#endif
